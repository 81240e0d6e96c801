/**
 * Holds back what a session may not be told yet: an answer that depends on commit n of this engine waits until the log
 * has committed n (K4: what a reply shows is never lost). Pure; knows sequences only.
 */
import { assert } from '../base/assert.ts';

interface Waiting {
  /** the commit it depends on is kept */
  readonly release: () => void;
  /** the commit was taken back */
  readonly undone: (sequence: number) => void;
}

export class ReplyGate {
  /** newest sequence known to be committed */
  #committed = 0;
  readonly #waiting = new Map<number, Waiting[]>();

  get committed(): number {
    return this.#committed;
  }

  /** Calls `release` at once, or when `sequence` is committed; or `undone` when it is taken back. */
  wait(sequence: number, release: () => void, undone: (sequence: number) => void): void {
    if (sequence <= this.#committed) {
      release();
      return;
    }
    const others = this.#waiting.get(sequence);
    if (others === undefined) this.#waiting.set(sequence, [{ release, undone }]);
    else others.push({ release, undone });
  }

  /** Everything up to `sequence` is committed. */
  commit(sequence: number): void {
    assert(sequence >= this.#committed, 'commits do not go back');
    this.#committed = sequence;
    for (const [waited, waiting] of this.#waiting) {
      if (waited > sequence) continue;
      this.#waiting.delete(waited);
      for (const { release } of waiting) release();
    }
  }

  /** Everything after `sequence` is taken back. */
  undo(sequence: number): void {
    assert(sequence >= this.#committed, 'a committed change is never taken back');
    for (const [waited, waiting] of this.#waiting) {
      if (waited <= sequence) continue;
      this.#waiting.delete(waited);
      for (const { undone } of waiting) undone(waited);
    }
  }
}
