/** Those who wait for the committed end to reach an LSN, in LSN order. Bounded by the owner. */
import { must } from '../base/assert.ts';
import type { Lsn } from '../base/scalars.ts';

interface Waiter {
  readonly lsn: Lsn;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Dead slots at the front are dropped when there are this many of them. */
const compactAt = 1_024;

export class CommitWaiters {
  #waiters: Waiter[] = [];
  #head = 0;

  get size(): number {
    return this.#waiters.length - this.#head;
  }

  add(lsn: Lsn): Promise<void> {
    return new Promise((resolve, reject) => {
      // Nearly always the last place: LSNs are handed out in order.
      let place = this.#waiters.length;
      while (place > this.#head && must(this.#waiters[place - 1], 'waiter').lsn > lsn) place -= 1;
      this.#waiters.splice(place, 0, { lsn, resolve, reject });
    });
  }

  /** Everything up to `end` is committed. */
  reached(end: Lsn): void {
    for (let next = this.#waiters[this.#head]; next !== undefined; next = this.#waiters[this.#head]) {
      if (next.lsn > end) break;
      this.#head += 1;
      next.resolve();
    }
    if (this.#head >= compactAt || this.#head === this.#waiters.length) {
      this.#waiters = this.#waiters.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Nothing more will be committed: everybody gets the error made for their LSN. */
  abandon(errorFor: (lsn: Lsn) => Error): void {
    const waiters = this.#waiters.slice(this.#head);
    this.#waiters = [];
    this.#head = 0;
    for (const waiter of waiters) waiter.reject(errorFor(waiter.lsn));
  }
}
