/** K1: what clients were told is linearizable, key by key, over all failovers. */
import { isLinearizable } from '../../../support/history/linearizable.ts';
import type { ClientCall } from '../load.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const k1: MakeInvariant = world => ({
  atEnd() {
    // Strong reads rest on leases, and those on clocks.
    if (world.options.clock.isOutOfBound) return;
    const byKey = new Map<string, ClientCall[]>();
    for (const call of world.load.calls) {
      const calls = byKey.get(call.key);
      if (calls === undefined) byKey.set(call.key, [call]);
      else calls.push(call);
    }
    for (const [key, calls] of byKey)
      hold(
        'K1',
        isLinearizable(calls, null, 20_000) !== 'no',
        () => `the ${calls.length} calls of ${key} are not linearizable: ${JSON.stringify(calls)}`,
      );
  },
});
