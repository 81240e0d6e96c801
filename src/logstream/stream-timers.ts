/**
 * One timer for all log streams of a process. Wake-ups are rounded up to ticks of the clock, so that streams that wait
 * about equally long wake in one turn, what they send then shares a packet per node, and hundreds of idle streams cost
 * the event loop one timer.
 *
 * Must never: wake anybody early, keep the process alive, wake in an order that depends on anything but who asked first.
 */
import { must } from '../base/assert.ts';
import { streamTickMs } from '../base/limits.ts';
import type { MonoMs } from '../base/scalars.ts';
import type { Clock, Timer } from '../platform/clock.ts';

/** The wake-up of one stream: the last one asked for counts. */
export class StreamAlarm {
  readonly #timers: StreamTimers;
  readonly #wake: () => void;
  #tick: number | undefined;

  constructor(timers: StreamTimers, wake: () => void) {
    this.#timers = timers;
    this.#wake = wake;
  }

  /** Replaces the wake-up asked for before. */
  set(at: MonoMs): void {
    const tick = Math.ceil(at / streamTickMs);
    if (tick === this.#tick) return;
    this.cancel();
    this.#tick = tick;
    this.#timers.add(tick, this);
  }

  cancel(): void {
    if (this.#tick !== undefined) this.#timers.remove(this.#tick, this);
    this.#tick = undefined;
  }

  /** For the timers: `tick` came. */
  ring(tick: number): void {
    if (this.#tick !== tick) return;
    this.#tick = undefined;
    this.#wake();
  }
}

export class StreamTimers {
  readonly #clock: Clock;
  readonly #ticks = new Map<number, Set<StreamAlarm>>();
  #armed: { readonly tick: number; readonly timer: Timer } | undefined;

  /** The timers of everything that runs on this clock. */
  static of(clock: Clock): StreamTimers {
    let timers = ofClock.get(clock);
    if (timers === undefined) {
      timers = new StreamTimers(clock);
      ofClock.set(clock, timers);
    }
    return timers;
  }

  private constructor(clock: Clock) {
    this.#clock = clock;
  }

  alarm(wake: () => void): StreamAlarm {
    return new StreamAlarm(this, wake);
  }

  /** For alarms alone. */
  add(tick: number, alarm: StreamAlarm): void {
    const waiting = this.#ticks.get(tick);
    if (waiting === undefined) this.#ticks.set(tick, new Set([alarm]));
    else waiting.add(alarm);
    this.#armFor(tick);
  }

  /** For alarms alone. */
  remove(tick: number, alarm: StreamAlarm): void {
    const waiting = this.#ticks.get(tick);
    if (waiting?.delete(alarm) === true && waiting.size === 0) this.#ticks.delete(tick);
  }

  #armFor(tick: number): void {
    if (this.#armed !== undefined && this.#armed.tick <= tick) return;
    this.#armed?.timer.cancel();
    const delayMs = Math.max(0, tick * streamTickMs - this.#clock.now());
    this.#armed = { tick, timer: this.#clock.after(delayMs, () => this.#ring()) };
  }

  /** Wakes those whose tick came, earlier ticks first, then waits for the next tick that anybody asked for. */
  #ring(): void {
    this.#armed = undefined;
    const now = this.#clock.now();
    const due = [...this.#ticks.keys()].filter(tick => tick * streamTickMs <= now).sort((a, b) => a - b);
    for (const tick of due) {
      const waiting = must(this.#ticks.get(tick), 'alarms of a tick');
      this.#ticks.delete(tick);
      // One that is woken may put off another: that one knows.
      for (const alarm of waiting) alarm.ring(tick);
    }
    if (this.#ticks.size > 0) this.#armFor(Math.min(...this.#ticks.keys()));
  }
}

const ofClock = new WeakMap<Clock, StreamTimers>();
