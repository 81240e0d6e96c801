/**
 * A9: under CLUSTER_POLICY a leader that cannot reach the root service degrades nobody: it lets go, and does not stand before it
 * can. Under LS_POLICY it never lets go for that.
 */
import type { NodeId } from '../../../../src/base/scalars.ts';
import { Conditions } from './conditions.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const a9: MakeInvariant = world => {
  const { arbitration, leaseMs, renewMs } = world.options;
  if (arbitration === null) return {};
  const conditions = new Conditions(world);
  /** those that let go and cannot reach the root service since */
  const silent = new Set<NodeId>();
  return {
    afterEvent() {
      for (const step of world.facts.steps) {
        const { self, input, effects, now } = step;
        const known = conditions.follow(step);
        if (input.kind === 'boot' || known.isRootReachable) silent.delete(self);
        for (const effect of effects) {
          if (effect.kind !== 'trace') continue;
          const { trace } = effect;
          hold(
            'A9',
            trace.event !== 'degrade' || arbitration.policy === 'LS_POLICY' || known.isRootReachable,
            () => `${self} degrades a replica and cannot reach the root service`,
          );
          if (trace.event !== 'step-down' || !trace.why.includes('root service')) continue;
          hold('A9', arbitration.policy === 'CLUSTER_POLICY', () => `${self} lets go under LS_POLICY`);
          silent.add(self);
        }
        const isLate = known.since !== undefined && now - known.since > 2 * leaseMs + renewMs;
        hold(
          'A9',
          input.kind !== 'wake' || arbitration.policy === 'LS_POLICY' || known.isRootReachable || !isLate,
          () => `${self} leads on, though it cannot reach the root service since ${known.since}`,
        );
      }
      for (const { node, message } of world.facts.sends)
        hold(
          'A9',
          (message.kind !== 'canvass' && message.kind !== 'prepare') || !silent.has(node.id),
          () => `${node.id} let go for want of the root service, and says ${message.kind}`,
        );
    },
  };
};
