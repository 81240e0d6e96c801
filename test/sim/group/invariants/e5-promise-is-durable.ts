/**
 * E5: a proposal id is durable before any message that uses it leaves, and never goes back. An arbiter, whose answers wait for no log,
 * says nothing under one that is lower than what it has promised since.
 */
import type { NodeId, ProposalId } from '../../../../src/base/scalars.ts';
import type { PalfMessage } from '../../../../src/codec/palf-message.ts';
import { hold, type MakeInvariant } from './invariant.ts';

const uses: readonly PalfMessage['kind'][] = [
  'prepare',
  'promise',
  'renew',
  'renewed',
  'push',
  'ack',
  'config',
  'config-ack',
  'fetch',
];

export const e5: MakeInvariant = world => {
  const promised = new Map<NodeId, ProposalId>();
  return {
    afterEvent() {
      for (const { arbiter, message, to } of world.facts.arbiterSends)
        hold(
          'E5',
          !uses.includes(message.kind) || arbiter.image.promised === message.proposal,
          () =>
            `${arbiter.id} sent ${to} ${message.kind} ${message.proposal}, it has promised ${arbiter.image.promised}`,
        );
      for (const { self, before, view } of world.facts.arbiterSteps)
        hold(
          'E5',
          view.image.promised >= before.image.promised,
          () => `${self} went back to ${view.image.promised}`,
        );
      for (const { node, message, to } of world.facts.sends) {
        if (!uses.includes(message.kind)) continue;
        const meta = node.platter.meta();
        // Learners promise nothing.
        if (meta === undefined || !meta.config.members.includes(node.id)) continue;
        hold(
          'E5',
          meta.promised >= message.proposal,
          () =>
            `${node.id} sent ${to} ${message.kind} ${message.proposal}, its platter has promised ${meta.promised}`,
        );
        hold(
          'E5',
          meta.promised >= (promised.get(node.id) ?? 0),
          () => `${node.id} went back to ${meta.promised}`,
        );
        promised.set(node.id, meta.promised);
      }
    },
  };
};
