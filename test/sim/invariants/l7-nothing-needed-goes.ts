/** L7: no log goes that the durable database does not hold: neither by recycling nor by a cut. */
import { hold, type MakeInvariant } from './invariant.ts';

export const l7: MakeInvariant = world => ({
  afterEvent() {
    for (const { site, kept, below } of world.facts.flashbacks)
      hold(
        'L7',
        below === undefined || kept.lsn >= below,
        () => `${site.name} was cut at ${kept.lsn}, the database holds everything below ${below}`,
      );
    for (const site of world.sites) {
      const { life } = site;
      if (life === undefined) continue;
      const { beginLsn, baseLsn } = life.log.state();
      const durable = site.durableMachine.lsn;
      hold('L7', baseLsn <= durable, () => `${site.name} has base ${baseLsn}, its database ${durable}`);
      hold('L7', beginLsn <= baseLsn, () => `${site.name} recycled up to ${beginLsn}, base ${baseLsn}`);
    }
  },
});
