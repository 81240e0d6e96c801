/**
 * Bounds of a store operation: how long one request may take, how long all its attempts together, how long to pause
 * between them. A dead NFS mount or a silent server must look like an error and not like patience.
 */
import { assert } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import {
  storeBackoffMsMax,
  storeBackoffMsMin,
  storeOperationMsDefault,
  storeRequestMsDefault,
} from '../base/limits.ts';
import type { Clock } from '../platform/clock.ts';
import type { Random } from '../platform/random.ts';

export interface StoreTiming {
  /** one request */
  readonly requestMs: number;
  /** one operation with all its attempts */
  readonly operationMs: number;
}

export const defaultStoreTiming: StoreTiming = {
  requestMs: storeRequestMsDefault,
  operationMs: storeOperationMsDefault,
};

/** What a store needs of the world. */
export interface StoreSurroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly timing: StoreTiming;
}

/** Exponential with full jitter. */
export const backoffMs = (attempt: number, random: Random): number => {
  assert(attempt >= 0, 'attempts are counted from 0');
  const ceiling = Math.min(storeBackoffMsMax, storeBackoffMsMin * 2 ** Math.min(attempt, 20));
  return ceiling * (0.5 + random.fraction() / 2);
};

export const pause = (clock: Clock, ms: number): Promise<void> =>
  new Promise(resolve => {
    clock.after(ms, resolve);
  });

/** The promise's outcome, or OBS_ARCHIVE_UNAVAILABLE after `ms`; the work itself cannot be called back. */
export function within<T>(
  clock: Clock,
  ms: number,
  dest: string,
  what: string,
  work: Promise<T>,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = clock.after(ms, () => {
      reject(new ObError('OBS_ARCHIVE_UNAVAILABLE', { dest, why: `${what} took longer than ${ms} ms` }));
    });
    work.then(
      value => {
        timer.cancel();
        resolve(value);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}
