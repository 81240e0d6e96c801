/** L6: LSNs have no gap, SCNs advance along them. (Gaps do not decode; this looks at entries.) */
import { hold, type MakeInvariant } from './invariant.ts';

export const l6: MakeInvariant = world => ({
  afterEvent() {
    for (const { site, entry, before } of world.facts.applied)
      hold(
        'L6',
        entry.endLsn > before.lsn && entry.scn > before.scn,
        () => `${site.name} goes from LSN ${before.lsn} SCN ${before.scn} to ${entry.endLsn}, ${entry.scn}`,
      );
  },
});
