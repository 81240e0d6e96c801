/** M3: after a flashback to an SCN no group above it is shown. (That none returns later is L1 and S1.) */
import { hold, type MakeInvariant } from './invariant.ts';

export const m3: MakeInvariant = world => ({
  afterEvent() {
    for (const { site, kept, target, below } of world.facts.flashbacks)
      hold(
        'M3',
        below !== undefined || kept.scn <= target,
        () => `${site.name} shows SCN ${kept.scn} after a flashback to ${target}`,
      );
  },
});
