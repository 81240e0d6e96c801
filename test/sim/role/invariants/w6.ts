/** W6: a fenced site takes no write, and nobody becomes an ordinary standby again with a log that forked. */
import type { RoleInvariant } from './invariant.ts';

export const w6: RoleInvariant = {
  id: 'W6',
  check(world) {
    for (const site of world.sites) {
      if (!site.writable) continue;
      if (site.row.fenced !== null) return `${site.name} is fenced and takes writes`;
      const { failover } = world;
      if (failover !== null && site.startTime > failover.time && site.row.epoch < failover.epoch) {
        return `${site.name} returned after the failover to epoch ${failover.epoch} and takes writes`;
      }
    }
    return null;
  },
  atRest(world) {
    const [primary] = world.primaries();
    if (primary === undefined || world.primaries().length > 1) return null;
    for (const site of world.sites) {
      // A standby that never was primary and is ahead of the cut is refused by its source, not by its role.
      if (site === primary || site.row.opening === null || site.row.fenced !== null) continue;
      if (site.row.epoch !== primary.row.epoch) continue;
      const forked = site.log.some((entry, at) => at < primary.log.length && entry !== primary.log[at]);
      if (forked) return `${site.name} follows epoch ${site.row.epoch} with a forked log`;
    }
    return null;
  },
};
