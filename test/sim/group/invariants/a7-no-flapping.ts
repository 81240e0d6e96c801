/**
 * A7: when everything works all are upgraded (the world waits for that), and nobody is degraded and upgraded to and fro: a few changes, then
 * none.
 */
import { hold, type MakeInvariant } from './invariant.ts';

/** Each of four replicas once each way, and as often again for what was decided before. */
const changesMax = 16;

export const a7: MakeInvariant = world => {
  let changes = 0;
  return {
    afterEvent() {
      if (world.healedAt === undefined) return;
      for (const { effects } of world.facts.steps)
        for (const effect of effects)
          if (
            effect.kind === 'trace' &&
            (effect.trace.event === 'degrade' || effect.trace.event === 'upgrade')
          )
            changes += 1;
      hold(
        'A7',
        changes <= changesMax,
        () => `${changes} replicas were degraded or upgraded since all is well`,
      );
    },
  };
};
