/** E2: with clocks inside the bound no two nodes hold a valid lease at one instant. Beyond it (E3) only the log counts. */
import type { NodeId } from '../../../../src/base/scalars.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const e2: MakeInvariant = world => {
  /** until when, in simulated time, each node believes that it may lead */
  const leases = new Map<NodeId, number>();
  if (world.options.clock.isOutOfBound) return {};
  return {
    afterEvent() {
      for (const node of world.facts.opened) leases.delete(node.id);
      for (const { node, self, view } of world.facts.steps) {
        const until = view.isActive ? node.simulatedTimeOf(view.leaseUntil) : 0;
        if (until <= world.loop.now) {
          leases.delete(self);
          continue;
        }
        leases.set(self, until);
        for (const [other, otherUntil] of leases)
          hold(
            'E2',
            other === self || otherUntil <= world.loop.now || !world.node(other).isUp,
            () => `${self} has a lease until ${until}, ${other} until ${otherUntil}`,
          );
      }
    },
  };
};
