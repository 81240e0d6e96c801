/**
 * Virtual time for drivers that await: timers run in order of their time, and time jumps to the next one when nothing
 * else can happen. Work that leaves the process (threads, disk, sockets) has no place under it.
 */
import { type MonoMs, monoMs, type WallMicros, wallMicros } from '../../../src/base/scalars.ts';
import type { Clock, Timer } from '../../../src/platform/clock.ts';

interface Due {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

export class VirtualTime implements Clock {
  #now = 1;
  #order = 0;
  #due: Due[] = [];

  now(): MonoMs {
    return monoMs(this.#now);
  }

  wall(): WallMicros {
    return wallMicros(Math.floor(1_700_000_000_000_000 + this.#now * 1_000));
  }

  after(delayMs: number, callback: () => void): Timer {
    const due: Due = { at: this.#now + delayMs, order: this.#order++, callback };
    this.#due.push(due);
    return {
      cancel: () => {
        this.#due = this.#due.filter(other => other !== due);
      },
    };
  }

  pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      this.after(ms, resolve);
    });
  }

  /** Lets time pass for `ms`, running everything that falls due. */
  async run(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      await settled();
      const next = this.#next();
      if (next === undefined || next.at > until) break;
      this.#due = this.#due.filter(other => other !== next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
    }
    this.#now = until;
  }

  /** Lets time pass until the promise is settled; fails if that needs more than `msMax`. */
  async until<T>(work: Promise<T>, msMax = 600_000): Promise<T> {
    let isDone = false;
    work.then(
      () => {
        isDone = true;
      },
      () => {
        isDone = true;
      },
    );
    const giveUpAt = this.#now + msMax;
    for (;;) {
      await settled();
      if (isDone) return work;
      const next = this.#next();
      if (next === undefined || next.at > giveUpAt)
        throw new Error(`nothing happened in ${msMax} virtual ms`);
      this.#due = this.#due.filter(other => other !== next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
    }
  }

  #next(): Due | undefined {
    let first: Due | undefined;
    for (const due of this.#due) {
      if (first === undefined || due.at < first.at || (due.at === first.at && due.order < first.order))
        first = due;
    }
    return first;
  }
}

/** All microtasks have run. */
const settled = (): Promise<void> =>
  new Promise(resolve => {
    setImmediate(resolve);
  });
