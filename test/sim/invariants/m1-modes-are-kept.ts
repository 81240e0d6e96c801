/** M1: entries are taken in APPEND only. (Raw groups outside RAW_WRITE would break the chain, L1.) */
import { hold, type MakeInvariant } from './invariant.ts';

export const m1: MakeInvariant = world => ({
  afterEvent() {
    for (const { site, accessMode, isTaken } of world.facts.probes)
      hold('M1', !isTaken, () => `${site.name} took an entry in ${accessMode}`);
  },
});
