/** The clock of a simulated process: its monotonic time starts anew with it, its wall clock may be wrong. */
import { monoMs, wallMicros } from '../../../src/base/scalars.ts';
import type { Clock } from '../../../src/platform/clock.ts';
import type { SimTime } from './event-loop.ts';

/** 2026-01-01, where simulated wall clocks stand at the beginning. */
const epochMicros = 1_767_225_600_000_000;

/** @param skewMicros how far the wall clock is off */
export function simClock(loop: SimTime, skewMicros = 0): Clock {
  return driftingClock(loop, { rate: 1, skewMicros });
}

/** How a machine's clocks go wrong. */
export interface ClockFaults {
  /** monotonic milliseconds per true millisecond */
  readonly rate: number;
  /** how far the wall clock is off; it may jump */
  skewMicros: number;
}

/** The least time that a timer of a machine can tell apart. */
const grainMs = 1 / 1024;

export function driftingClock(time: SimTime, faults: ClockFaults): Clock {
  const startedAt = time.now;
  const now = () => (time.now - startedAt) * faults.rate;
  return {
    now: () => monoMs(now()),
    wall: () => wallMicros(epochMicros + faults.skewMicros + Math.floor(time.now * 1000)),
    after(delayMs, callback) {
      const due = now() + delayMs;
      let cancel = time.after(delayMs / faults.rate, () => ring());
      // Rounding must not wake anybody early.
      const ring = (): void => {
        if (now() >= due) callback();
        else cancel = time.after(grainMs, ring);
      };
      return { cancel: () => cancel() };
    },
  };
}
