/** L6: entries follow each other without a gap, in every life of a replica: each is applied once. */
import type { NodeId } from '../../../../src/base/scalars.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const l6: MakeInvariant = world => {
  const last = new Map<NodeId, { readonly restarts: string; readonly lsn: number; readonly count: number }>();
  return {
    afterEvent() {
      for (const { node, entry, count } of world.facts.applied) {
        const restarts = `${node.incarnation} ${node.life?.restarts}`;
        const before = last.get(node.id);
        if (before?.restarts === restarts)
          hold(
            'L6',
            entry.endLsn > before.lsn && count === before.count + 1,
            () =>
              `${node.id} goes from entry ${before.count} at ${before.lsn} to ${count} at ${entry.endLsn}`,
          );
        last.set(node.id, { restarts, lsn: entry.endLsn, count });
      }
    },
  };
};
