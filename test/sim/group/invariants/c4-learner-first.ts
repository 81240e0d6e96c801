/** C4: a replica joins as a learner: removed, wiped and new ones become members from there only, and a lost volume votes no more. */
import { replicasOf } from '../../../../src/codec/config-record.ts';
import { hold, type MakeInvariant } from './invariant.ts';
import { newRecords } from './records.ts';

export const c4: MakeInvariant = world => ({
  afterEvent() {
    for (const { node, record, previous } of newRecords(world))
      for (const id of record.members)
        hold(
          'C4',
          replicasOf(previous).includes(id),
          () => `${node.id} makes ${id} a member, and it was no learner of [${previous.learners.join(' ')}]`,
        );
    for (const { node, message } of world.facts.sends)
      hold('C4', !node.isGone, () => `${node.id} has lost its volume and says ${message.kind}`);
  },
});
