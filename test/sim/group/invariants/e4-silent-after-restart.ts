/** E4: a restarted acceptor promises nothing new inside its silence: it does not remember whom it promised a lease. */
import type { NodeId, ProposalId } from '../../../../src/base/scalars.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const e4: MakeInvariant = world => {
  /** what each process had promised when it started, unless it is the only member or never promised anything */
  const started = new Map<NodeId, ProposalId | undefined>();
  return {
    afterEvent() {
      for (const { self, input } of world.facts.steps)
        if (input.kind === 'boot') {
          const { config, promised } = input.meta;
          const isAlone =
            config.arbiter === null && config.members.length === 1 && config.members[0] === self;
          started.set(self, isAlone || promised === 0 ? undefined : promised);
        }
      for (const { self, input, view } of world.facts.arbiterSteps)
        if (input.kind === 'boot')
          started.set(self, view.image.promised === 0 ? undefined : view.image.promised);
      const votes = [
        ...world.facts.sends,
        ...world.facts.arbiterSends.map(({ arbiter, ...send }) => ({ node: arbiter, ...send })),
      ];
      for (const { node, to, message } of votes) {
        if (message.kind !== 'promise' && message.kind !== 'renewed') continue;
        const promised = started.get(node.id);
        const now = node.clock?.now();
        if (promised === undefined || now === undefined || now >= world.options.leaseMs) continue;
        // The lease it may have given before can only be that of the proposal it had promised.
        hold(
          'E4',
          message.kind === 'renewed' && message.proposal === promised,
          () => `${node.id} sent ${to} ${message.kind} ${message.proposal} ${now} ms after its start`,
        );
      }
    },
  };
};
