/**
 * L5: accepted is not behind flushed, and committed goes back by a flashback only: by the cut, or by the copy of another's
 * database in which it was made.
 */
import { hold, type MakeInvariant } from './invariant.ts';

export const l5: MakeInvariant = world => ({
  afterEvent() {
    for (const { self, view, before, cuts } of world.facts.steps) {
      hold(
        'L5',
        view.maxLsn >= view.flushed.lsn,
        () => `${self} accepted ${view.maxLsn} and flushed ${view.flushed.lsn}`,
      );
      if (before === undefined || cuts || before.impaired === 'rebuilding') continue;
      hold(
        'L5',
        view.committed.lsn >= before.committed.lsn,
        () => `${self} went from committed ${before.committed.lsn} back to ${view.committed.lsn}`,
      );
    }
  },
});
