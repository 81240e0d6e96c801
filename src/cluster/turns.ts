/**
 * Works that must not overlap: each begins when the one before it has ended, however it ended, in the order they were given.
 * A failure is its caller's alone: it stops nobody behind it. A work must never wait for another one of the same turns, which
 * begins only when it has ended.
 */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  run<Value>(work: () => Promise<Value>): Promise<Value> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Resolves when everything that was given until now has ended; never rejects. */
  get settled(): Promise<unknown> {
    return this.#last;
  }
}
