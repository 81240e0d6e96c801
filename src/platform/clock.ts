/** The clock port. Only drivers read it; pure cores get `now` as an argument. */
import { type MonoMs, monoMs, type WallMicros, wallMicros } from '../base/scalars.ts';

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** monotonic, never goes back; fractions allowed */
  now(): MonoMs;
  /** wall clock in microseconds; may jump */
  wall(): WallMicros;
  /** Runs `callback` once after `delayMs`. A pending timer does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer;
}

export const nodeClock: Clock = {
  now: () => monoMs(performance.now()),
  wall: () => wallMicros(Math.floor((performance.timeOrigin + performance.now()) * 1000)),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
