/** M3: after a flashback no replica shows what it cut off. */
import { hold, type MakeInvariant } from './invariant.ts';

export const m3: MakeInvariant = world => ({
  afterEvent() {
    for (const { node, boundary, branch } of world.facts.boundaries)
      hold(
        'M3',
        !branch.gaveUp(boundary),
        () =>
          `${node.id} shows LSN ${boundary.lsn} #${boundary.checksum}, which the flashback ${branch.id} cut off`,
      );
    for (const { node, to, kept } of world.facts.flashbacks)
      hold('M3', kept.scn <= to, () => `${node.id} shows SCN ${kept.scn} after a flashback to ${to}`);
  },
});
