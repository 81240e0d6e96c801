/** S1: every log is a prefix of the history: entry by entry at the same LSN with the same SCN. */
import { hold, type MakeInvariant } from './invariant.ts';

export const s1: MakeInvariant = world => ({
  afterEvent() {
    for (const { site, entry, expected, after } of world.facts.applied)
      hold(
        'S1',
        expected?.endLsn === entry.endLsn && expected.scn === entry.scn,
        () =>
          `${site.name} has an entry at ${entry.endLsn} as number ${after.count}, the history ${expected?.endLsn}`,
      );
  },
});
