/** K4: what becomes visible does so in the order of SCNs. */
import type { NodeId } from '../../../../src/base/scalars.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const k4: MakeInvariant = world => {
  const last = new Map<NodeId, { readonly restarts: string; readonly scn: number }>();
  return {
    afterEvent() {
      for (const { node, entry } of world.facts.applied) {
        const restarts = `${node.incarnation} ${node.life?.restarts}`;
        const before = last.get(node.id);
        if (before?.restarts === restarts)
          hold('K4', entry.scn > before.scn, () => `${node.id} shows SCN ${entry.scn} after ${before.scn}`);
        last.set(node.id, { restarts, scn: entry.scn });
      }
    },
  };
};
