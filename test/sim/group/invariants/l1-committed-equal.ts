/** L1: what is committed at one LSN is the same on every replica, for ever: groups, entries, and the machine after them. */
import { hold, type MakeInvariant } from './invariant.ts';

export const l1: MakeInvariant = world => ({
  afterEvent() {
    for (const { node, boundary, start, branch } of world.facts.boundaries) {
      const known = branch.boundary(boundary.lsn);
      hold(
        'L1',
        known === undefined || (known.checksum === boundary.checksum && known.scn === boundary.scn),
        () =>
          `${node.id} committed checksum ${boundary.checksum} at LSN ${boundary.lsn}, the history has ${known?.checksum}`,
      );
      branch.addBoundary(boundary);
      if (start === undefined) continue;
      // Two logs may have nothing but different boundaries.
      const end = branch.groupEnd(start.lsn);
      hold(
        'L1',
        end === undefined || end === boundary.lsn,
        () =>
          `${node.id} committed a group at LSN ${start.lsn} that ends at ${boundary.lsn}, the history has one that ends at ${end}`,
      );
      branch.addGroup(start.lsn, boundary.lsn);
    }
    for (const { node, entry, hash, count, serial } of world.facts.applied) {
      const branch = world.branchOf(node);
      const known = branch.entry(entry.endLsn);
      hold(
        'L1',
        known === undefined || (known.hash === hash && known.count === count),
        () =>
          `${node.id} has hash ${hash} after ${count} entries at LSN ${entry.endLsn}, the history ${known?.hash} after ${known?.count}`,
      );
      if (known === undefined) branch.addEntry({ endLsn: entry.endLsn, scn: entry.scn, hash, count, serial });
    }
  },
});
