/** L4: the committed end counts flushed positions only: whatever a site calls committed is on its platter. */
import { hold, type MakeInvariant } from './invariant.ts';

export const l4: MakeInvariant = world => ({
  afterEvent() {
    for (const { site, end, missing } of world.facts.commits)
      hold('L4', missing === undefined, () => `${site.name} committed ${end.lsn}, but ${missing}`);
  },
});
