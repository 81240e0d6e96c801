/** L8: what a client was told is committed survives the loss of power in the same instant, and every restart. */
import { hold, type MakeInvariant } from './invariant.ts';

export const l8: MakeInvariant = world => ({
  afterEvent() {
    for (const { site, entry } of world.facts.acks) {
      const { end } = site.life?.log.state() ?? {};
      hold(
        'L8',
        end !== undefined && end.lsn >= entry.endLsn,
        () => `${site.name} acked ${entry.endLsn} early`,
      );
      hold('L8', world.isOnPlatter(site, entry.endLsn), () => `${site.name} acked ${entry.endLsn} unsaved`);
    }
    for (const entry of world.facts.cuts)
      hold('L8', !entry.isAcked, () => `the acknowledged entry at ${entry.endLsn} is gone after a restart`);
  },
});
