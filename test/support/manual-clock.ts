/** A clock that a test moves: nothing happens by itself. */
import { monoMs, wallMicros } from '../../src/base/scalars.ts';
import type { Clock, Timer } from '../../src/platform/clock.ts';

export class ManualClock implements Clock {
  #now = 1_000;
  #timers: { at: number; run: () => void }[] = [];

  now(): ReturnType<Clock['now']> {
    return monoMs(this.#now);
  }

  wall(): ReturnType<Clock['wall']> {
    return wallMicros(1_767_225_600_000_000 + this.#now * 1_000);
  }

  after(delayMs: number, run: () => void): Timer {
    const timer = { at: this.#now + delayMs, run };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter(other => other !== timer);
      },
    };
  }

  /** Time passes, and what is due runs at its time. */
  advance(byMs: number): void {
    const end = this.#now + byMs;
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter(other => other !== due);
      this.#now = Math.max(this.#now, due.at);
      due.run();
    }
    this.#now = end;
  }

  /** The process stands still: time passes, and what was due runs late. */
  stall(byMs: number): void {
    this.#now += byMs;
    this.advance(0);
  }
}
