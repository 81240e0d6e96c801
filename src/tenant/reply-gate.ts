/**
 * Holds back what a session may not be told yet: an answer that depends on commit n of this engine waits until the log
 * has committed n (K4: what a reply shows is never lost). Pure; knows sequences only.
 */
import { assert } from '../base/assert.ts';

interface Waiter {
  /** the commit it depends on is kept */
  release(): void;
}

export class ReplyGate<Waiting extends Waiter> {
  /** newest sequence known to be committed */
  #committed = 0;
  readonly #waiting = new Map<number, Waiting[]>();

  get committed(): number {
    return this.#committed;
  }

  /** Releases `waiter` at once, or when `sequence` is committed; or `undo` hands it out. */
  wait(sequence: number, waiter: Waiting): void {
    if (sequence <= this.#committed) {
      waiter.release();
      return;
    }
    const others = this.#waiting.get(sequence);
    if (others === undefined) this.#waiting.set(sequence, [waiter]);
    else others.push(waiter);
  }

  /** Everything up to `sequence` is committed. */
  commit(sequence: number): void {
    assert(sequence >= this.#committed, 'commits do not go back');
    this.#committed = sequence;
    for (const [waited, waiting] of this.#waiting) {
      if (waited > sequence) continue;
      this.#waiting.delete(waited);
      for (const waiter of waiting) waiter.release();
    }
  }

  /** Everything after `sequence` is taken back: who waited for it is handed to `undone`, with the commit's number. */
  undo(sequence: number, undone: (waiter: Waiting, waited: number) => void): void {
    assert(sequence >= this.#committed, 'a committed change is never taken back');
    for (const [waited, waiting] of this.#waiting) {
      if (waited <= sequence) continue;
      this.#waiting.delete(waited);
      for (const waiter of waiting) undone(waiter, waited);
    }
  }
}
