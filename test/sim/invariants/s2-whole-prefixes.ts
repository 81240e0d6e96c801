/** S2: what a database shows is never ahead of its committed log, and whole entries only. */
import { hold, type MakeInvariant } from './invariant.ts';

export const s2: MakeInvariant = world => ({
  afterEvent() {
    for (const { site, after } of world.facts.applied) {
      const { end } = site.life?.log.state() ?? {};
      hold('S2', end === undefined || after.lsn <= end.lsn, () => `${site.name} shows ${after.lsn}`);
    }
  },
});
