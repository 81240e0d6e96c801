/** A8: what was acknowledged while replicas were degraded is there when another leads. */
import type { Lsn } from '../../../../src/base/scalars.ts';
import type { Branch } from '../truth.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const a8: MakeInvariant = world => {
  /** the furthest such write of each history */
  const acked = new Map<Branch, Lsn>();
  return {
    afterEvent() {
      for (const { node, endLsn } of world.facts.acks) {
        if (node.view === undefined || node.view.governing.degraded.length === 0) continue;
        const branch = world.branchOf(node);
        if (endLsn > (acked.get(branch) ?? 0)) acked.set(branch, endLsn);
        world.counts.degradedCommits += 1;
      }
      for (const { node, self, effects } of world.facts.steps)
        for (const effect of effects) {
          if (effect.kind !== 'roleChanged' || effect.role !== 'leader') continue;
          const branch = world.branchOf(node);
          for (const [before, endLsn] of acked) {
            if (!branch.descendsFrom(before)) continue;
            const needed = Math.min(endLsn, branch.cutBelow(before));
            hold(
              'A8',
              node.platter.end().lsn >= needed,
              () =>
                `${self} leads with log to ${node.platter.end().lsn}, ${needed} was acknowledged by fewer replicas`,
            );
          }
        }
    },
  };
};
