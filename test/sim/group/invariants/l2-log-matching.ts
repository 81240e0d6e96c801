/** L2: what one proposal wrote at an LSN is one thing, and so is everything before it, committed or not. */
import type { LogPosition } from '../../../../src/base/log-access.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const l2: MakeInvariant = world => {
  const written = new Map<string, LogPosition>();
  return {
    afterEvent() {
      for (const { node, group } of world.facts.groups) {
        const { start, end, proposalId, rawWrite } = group;
        const name = `${start.lsn} ${proposalId} ${rawWrite}`;
        const known = written.get(name);
        if (known === undefined) written.set(name, end);
        else
          hold(
            'L2',
            known.lsn === end.lsn && known.checksum === end.checksum && known.scn === end.scn,
            () =>
              `${node.id} has a group of proposal ${proposalId} at LSN ${start.lsn} to ${end.lsn} #${end.checksum}, another node one to ${known.lsn} #${known.checksum}`,
          );
      }
    },
  };
};
