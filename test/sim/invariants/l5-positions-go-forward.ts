/** L5: accepted is never behind committed, and committed never goes back, not by a restart either; a flashback may. */
import type { Lsn } from '../../../src/base/scalars.ts';
import type { LogSite } from '../log-site.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const l5: MakeInvariant = world => {
  const committed = new Map<LogSite, Lsn>();
  return {
    afterEvent() {
      for (const { site, kept } of world.facts.flashbacks) committed.set(site, kept.lsn);
      for (const site of world.sites) {
        const { life } = site;
        if (world.roles.isBeingRebuilt(site)) committed.delete(site);
        if (life === undefined || world.roles.isCutting(site)) continue;
        const { end, maxLsn } = life.log.state();
        const before = committed.get(site) ?? 0;
        hold('L5', maxLsn >= end.lsn, () => `${site.name} accepted ${maxLsn} but committed ${end.lsn}`);
        hold('L5', end.lsn >= before, () => `${site.name} went from ${before} back to ${end.lsn}`);
        committed.set(site, end.lsn);
      }
    },
  };
};
