/** A1: the arbiter votes, gives leases and takes records; it has no log, stands in no list of those who do, and never leads. */
import { replicasOf } from '../../../../src/codec/config-record.ts';
import type { NodeId } from '../../../../src/base/scalars.ts';
import type { PalfMessage } from '../../../../src/codec/palf-message.ts';
import { votersOf } from '../../../../src/palf/quorum.ts';
import { hold, type MakeInvariant } from './invariant.ts';
import { newRecords } from './records.ts';

const itsWords: readonly PalfMessage['kind'][] = [
  'support',
  'oppose',
  'promise',
  'reject',
  'renewed',
  'config-ack',
  'record',
];

export const a1: MakeInvariant = world => {
  /** what each node ever promised, also one whose volume was lost since */
  const promised = new Map<NodeId, number>();
  return {
    afterEvent() {
      for (const { self } of [...world.facts.steps, ...world.facts.arbiterSteps])
        promised.set(self, Math.max(promised.get(self) ?? 0, world.arbitration.promisedOf(self)));
      for (const { arbiter, to, message } of world.facts.arbiterSends) {
        hold('A1', itsWords.includes(message.kind), () => `arbiter ${arbiter.id} sent ${to} ${message.kind}`);
        hold(
          'A1',
          message.kind !== 'promise' || (message.end.lsn === 0 && message.accepted === 0),
          () => `arbiter ${arbiter.id} told ${to} that it has log`,
        );
      }
      for (const { node, record } of newRecords(world))
        for (const id of replicasOf(record))
          hold('A1', world.arbitration.find(id) === undefined, () => `${node.id} makes ${id} keep log`);
      // Its vote counts: who leads has the promises of a majority of all voters, and no fewer.
      for (const { self, view, effects } of world.facts.steps)
        for (const effect of effects) {
          if (effect.kind !== 'roleChanged' || effect.role !== 'leader') continue;
          const voters = votersOf(view.governing);
          const have = voters.filter(id => (promised.get(id) ?? 0) >= effect.proposalId);
          hold(
            'A1',
            have.length * 2 > voters.length,
            () =>
              `${self} leads proposal ${effect.proposalId}, which only [${have.join(' ')}] of [${voters.join(' ')}] have promised`,
          );
        }
    },
  };
};
