/**
 * Simulated time: a heap of events, ties broken by order of arrival. After each event everything that is ready to run
 * without a further event (promise continuations) runs, so that nothing depends on real time.
 */
import { must } from '../../../src/base/assert.ts';
import { settle } from './settle.ts';

/** What simulated parts need of time. */
export interface SimTime {
  /** milliseconds since the simulation began */
  readonly now: number;
  /** Runs `run` in `delayMs`. Returns the cancellation. */
  after(delayMs: number, run: () => void): () => void;
}

interface SimEvent {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  isCancelled: boolean;
}

const isBefore = (a: SimEvent, b: SimEvent): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

export class EventLoop implements SimTime {
  #heap: SimEvent[] = [];
  #order = 0;
  #now = 0;
  #steps = 0;

  /** milliseconds since the simulation began */
  get now(): number {
    return this.#now;
  }

  /** events run so far */
  get steps(): number {
    return this.#steps;
  }

  /** Runs `run` in `delayMs`. Returns the cancellation. */
  after(delayMs: number, run: () => void): () => void {
    const event: SimEvent = {
      at: this.#now + Math.max(0, delayMs),
      order: this.#order++,
      run,
      isCancelled: false,
    };
    this.#push(event);
    return () => {
      event.isCancelled = true;
    };
  }

  /**
   * Runs the next event, and all that follows from it without time passing. False if there is none. To be called
   * outside promise continuations (`settle.ts`).
   */
  turn(): boolean {
    if (!this.turnOnce()) return false;
    settle();
    return true;
  }

  /** As `turn`, from anywhere, and slowly. */
  async step(): Promise<boolean> {
    if (!this.turnOnce()) return false;
    await new Promise<void>(resolve => setImmediate(resolve));
    return true;
  }

  /** Runs the next event alone: what follows from it runs when the real event loop gets a turn. */
  turnOnce(): boolean {
    for (;;) {
      const event = this.#pop();
      if (event === undefined) return false;
      if (event.isCancelled) continue;
      this.#now = event.at;
      this.#steps += 1;
      event.run();
      return true;
    }
  }

  #push(event: SimEvent): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = must(heap[parent], 'heap parent');
      if (!isBefore(event, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = event;
  }

  #pop(): SimEvent | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      const left = heap[child];
      if (left === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, left)) child += 1;
      const smaller = must(heap[child], 'heap child');
      if (!isBefore(smaller, last)) break;
      heap[index] = smaller;
      index = child;
    }
    heap[index] = last;
    return top;
  }
}
