/**
 * E4: a restarted acceptor promises nothing new inside its silence: it does not remember whom it promised a lease, but how long
 * the longest may hold. A lease is given when that is durable.
 */
import type { NodeId, ProposalId } from '../../../../src/base/scalars.ts';
import { shortLeaseMs } from '../swarm.ts';
import { hold, type MakeInvariant } from './invariant.ts';

interface Started {
  /** what the process had promised when it started */
  readonly promised: ProposalId;
  readonly silentMs: number;
}

export const e4: MakeInvariant = world => {
  const { options } = world;
  const leastMs = options.hasShortLeases ? shortLeaseMs(options) : options.leaseMs;
  /** undefined: it is the only member, or never promised anything */
  const started = new Map<NodeId, Started | undefined>();
  /** by voter, candidate or leader, and its proposal: the lease that it asks for */
  const asked = new Map<string, number>();
  return {
    afterEvent() {
      for (const { self, input } of world.facts.steps)
        if (input.kind === 'boot') {
          const { config, promised, leaseMs } = input.meta;
          const isAlone =
            config.arbiter === null && config.members.length === 1 && config.members[0] === self;
          const silentMs = Math.max(leastMs, leaseMs);
          started.set(self, isAlone || promised === 0 ? undefined : { promised, silentMs });
        }
      for (const { self, input, view } of world.facts.arbiterSteps)
        if (input.kind === 'boot') {
          const { promised, leaseMs } = view.image;
          started.set(self, promised === 0 ? undefined : { promised, silentMs: Math.max(leastMs, leaseMs) });
        }
      for (const { self, input } of [...world.facts.steps, ...world.facts.arbiterSteps])
        if (input.kind === 'message' && (input.message.kind === 'prepare' || input.message.kind === 'renew'))
          asked.set(`${self} ${input.from} ${input.message.proposal}`, input.message.leaseMs);
      const votes = [
        ...world.facts.sends.map(({ node, ...send }) => ({
          node,
          noted: node.platter.meta()?.leaseMs,
          ...send,
        })),
        ...world.facts.arbiterSends.map(({ arbiter, ...send }) => ({
          node: arbiter,
          noted: arbiter.image.leaseMs,
          ...send,
        })),
      ];
      for (const { node, noted, to, message } of votes) {
        if (message.kind !== 'promise' && message.kind !== 'renewed') continue;
        const leaseMs = asked.get(`${node.id} ${to} ${message.proposal}`) ?? 0;
        hold(
          'E4',
          noted === undefined || noted >= leaseMs,
          () => `${node.id} sent ${to} ${message.kind} for ${leaseMs} ms, and ${noted} are durable`,
        );
        const before = started.get(node.id);
        const now = node.clock?.now();
        if (before === undefined || now === undefined || now >= before.silentMs) continue;
        // The lease it may have given before can only be that of the proposal it had promised.
        hold(
          'E4',
          message.kind === 'renewed' && message.proposal === before.promised,
          () => `${node.id} sent ${to} ${message.kind} ${message.proposal} ${now} ms after its start`,
        );
      }
    },
  };
};
