/** L2: what is before an LSN that two logs share is the same in both: a cut old primary ends in the common history. */
import { hold, type MakeInvariant } from './invariant.ts';

export const l2: MakeInvariant = world => ({
  afterEvent() {
    for (const { site, kept, mustBe } of world.facts.flashbacks)
      hold(
        'L2',
        mustBe === undefined ||
          kept.lsn < mustBe.lsn ||
          (kept.lsn === mustBe.lsn && kept.checksum === mustBe.checksum),
        () =>
          `${site.name} was cut at ${kept.lsn} checksum ${kept.checksum}, not at ${mustBe?.lsn} checksum ${mustBe?.checksum}`,
      );
  },
});
