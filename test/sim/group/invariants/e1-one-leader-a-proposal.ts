/** E1: one leader per proposal id, for ever. */
import type { NodeId, ProposalId } from '../../../../src/base/scalars.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const e1: MakeInvariant = world => {
  const leaders = new Map<ProposalId, NodeId>();
  return {
    afterEvent() {
      for (const { self, effects } of world.facts.steps)
        for (const effect of effects) {
          if (effect.kind !== 'roleChanged' || effect.role !== 'leader') continue;
          const known = leaders.get(effect.proposalId);
          hold(
            'E1',
            known === undefined || known === self,
            () => `${self} leads proposal ${effect.proposalId}, as ${known} did`,
          );
          leaders.set(effect.proposalId, self);
        }
    },
  };
};
