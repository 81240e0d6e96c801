/** L1: committed groups at one LSN are equal on all copies of the history, for ever. */
import { hold, type MakeInvariant } from './invariant.ts';

export const l1: MakeInvariant = world => ({
  afterEvent() {
    for (const { site, at } of world.facts.boundaries) {
      if (world.roles.isDetached(site)) continue;
      const known = world.truth.boundaries.get(at.lsn);
      hold(
        'L1',
        known === undefined || (known.checksum === at.checksum && known.scn === at.scn),
        () => `${site.name} has checksum ${at.checksum} at LSN ${at.lsn}, the history ${known?.checksum}`,
      );
      if (site === world.primary) world.truth.boundaries.set(at.lsn, at);
    }
  },
});
