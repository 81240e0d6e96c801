/**
 * Runs everything that is ready to run without a further event (promise continuations, `nextTick`), now. A turn of the
 * real event loop would do the same at forty times the price.
 *
 * Inside a promise continuation it would reach nothing: a simulation that uses it runs `outsidePromises`.
 */
import { assert } from '../../../src/base/assert.ts';

const { _tickCallback: runTicks } = process as unknown as { _tickCallback: () => void };
assert(typeof runTicks === 'function', 'this version of Node lets a simulation drain its promises');

export const settle = (): void => runTicks.call(process);

/** Runs a whole simulation where `settle` reaches everything. */
export const outsidePromises = <T>(run: () => T): Promise<T> =>
  new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        assertReaches();
        resolve(run());
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });

function assertReaches(): void {
  let isReached = false;
  void Promise.resolve().then(() => {
    isReached = true;
  });
  settle();
  assert(isReached, 'promises are drained from here');
}
