/**
 * C5: a learner becomes a member with the log: it may be a little behind when that is decided, and takes the record that
 * makes it one only with everything that was committed then.
 */
import type { Lsn, NodeId } from '../../../../src/base/scalars.ts';
import { hold, type MakeInvariant } from './invariant.ts';
import { newRecords } from './records.ts';

/** How far behind a promoted learner may be. */
const catchUpBytesMax = 1_048_576;

export const c5: MakeInvariant = world => {
  /** what was committed when a record that promotes somebody was made */
  const promotions = new Map<string, { readonly node: NodeId; readonly committed: Lsn }>();
  return {
    afterEvent() {
      for (const { node, record, previous, step } of newRecords(world)) {
        const committed = step.before?.committed.lsn;
        if (committed === undefined) continue;
        for (const id of record.members) {
          if (previous.members.includes(id)) continue;
          const { proposalId, sequence } = record.version;
          promotions.set(`${proposalId}.${sequence} ${id}`, { node: id, committed });
          const { lsn } = world.node(id).platter.end();
          hold(
            'C5',
            lsn >= committed - catchUpBytesMax,
            () => `${node.id} promotes ${id}, which has log to ${lsn}; committed is ${committed}`,
          );
        }
      }
      for (const { node, self, view, before } of world.facts.steps) {
        if (before === undefined || before.config === view.config) continue;
        const { proposalId, sequence } = view.config.version;
        const promotion = promotions.get(`${proposalId}.${sequence} ${self}`);
        if (promotion === undefined) continue;
        hold(
          'C5',
          node.platter.end().lsn >= promotion.committed,
          () =>
            `${self} becomes a member with log to ${node.platter.end().lsn}, and ${promotion.committed} was committed`,
        );
      }
    },
  };
};
