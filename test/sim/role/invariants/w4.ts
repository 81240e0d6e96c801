/** W4: a completed loss certificate counts exactly the acknowledged writes of the old epoch that the new history lacks. */
import type { RoleInvariant } from './invariant.ts';

export const w4: RoleInvariant = {
  id: 'W4',
  check(world) {
    for (const site of world.sites) {
      const { certificate, opening } = site.row;
      if (certificate === null || opening === null || opening.epoch !== certificate.newEpoch) continue;
      if (certificate.cutLsn !== opening.cut.lsn)
        return `${site.name}: cut ${certificate.cutLsn} is not the opening's`;
      if (certificate.lostTransactions === null) continue;
      const kept = new Set(
        site.log.slice(0, certificate.cutLsn).map(entry => (entry.kind === 'write' ? entry.id : null)),
      );
      const lost = world.acknowledged.filter(
        each => each.site !== site.name && each.epoch >= certificate.oldEpoch && !kept.has(each.id),
      );
      if (lost.length !== certificate.lostTransactions) {
        return `${site.name}: certificate says ${certificate.lostTransactions} lost, ${lost.length} are`;
      }
    }
    return null;
  },
};
