/** The clock of a simulated process: its monotonic time starts anew with it, its wall clock may be wrong. */
import { monoMs, wallMicros } from '../../../src/base/scalars.ts';
import type { Clock } from '../../../src/platform/clock.ts';
import type { EventLoop } from './event-loop.ts';

/** 2026-01-01, where simulated wall clocks stand at the beginning. */
const epochMicros = 1_767_225_600_000_000;

/** @param skewMicros how far the wall clock is off */
export function simClock(loop: EventLoop, skewMicros = 0): Clock {
  const startedAt = loop.now;
  return {
    now: () => monoMs(loop.now - startedAt),
    wall: () => wallMicros(epochMicros + skewMicros + Math.floor(loop.now * 1000)),
    after: (delayMs, callback) => ({ cancel: loop.after(delayMs, callback) }),
  };
}
