/** L7: no truncation takes committed log, no flashback what a database holds, and no recycling what it does not. */
import { hold, type MakeInvariant } from './invariant.ts';

export const l7: MakeInvariant = world => ({
  afterEvent() {
    for (const { node, to, isFlashback, committed } of world.facts.truncations) {
      const durable = node.durableImages[0]?.lsn ?? 0;
      if (isFlashback)
        hold(
          'L7',
          to.lsn >= durable,
          () => `${node.id} is cut at ${to.lsn}, its database holds everything below ${durable}`,
        );
      else
        hold(
          'L7',
          committed === undefined,
          () => `${node.id} cuts its log at ${to.lsn}, and had committed log to ${committed?.lsn}`,
        );
    }
    for (const { node, view, before } of world.facts.steps) {
      if (before === undefined || node.life === undefined || node.life.isRebuilding) continue;
      if (before.base.lsn !== view.base.lsn) {
        const durable = node.durableImages.at(-1)?.lsn ?? 0;
        hold(
          'L7',
          view.base.lsn <= durable,
          () => `${node.id} has base ${view.base.lsn}, its database ${durable}`,
        );
      }
      const { begin } = node;
      hold('L7', begin <= view.base.lsn, () => `${node.id} recycled up to ${begin}, base ${view.base.lsn}`);
    }
  },
});
