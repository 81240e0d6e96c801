/** E9: a leader whose oldest write has been in flight for longer than the hard bound, a lease, renews nothing. */
import type { NodeId } from '../../../../src/base/scalars.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const e9: MakeInvariant = world => {
  /** writes in flight of each process, and when they were asked for on its clock */
  const writes = new Map<NodeId, Map<number, number>>();
  return {
    afterEvent() {
      for (const { self, input, effects, now } of world.facts.steps) {
        if (input.kind === 'boot') writes.set(self, new Map());
        const own = writes.get(self);
        if (input.kind === 'ioDone') own?.delete(input.ioId);
        for (const effect of effects) if ('ioId' in effect) own?.set(effect.ioId, now);
      }
      for (const { node, message } of world.facts.sends) {
        // To learners of an only member it is no lease.
        if (message.kind !== 'renew' || node.view?.governing.members.length === 1) continue;
        const now = node.clock?.now() ?? 0;
        const oldest = Math.min(...(writes.get(node.id)?.values() ?? []), now);
        hold(
          'E9',
          now - oldest <= world.options.leaseMs,
          () => `${node.id} renews, and its disk has not answered for ${now - oldest} ms`,
        );
      }
    },
  };
};
