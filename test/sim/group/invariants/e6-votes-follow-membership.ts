/** E6: a vote goes only to a candidate whose config record is newer than the voter's, or the same one and has it for a member. */
import type { NodeId } from '../../../../src/base/scalars.ts';
import { type ConfigRecord, compareVersions } from '../../../../src/codec/config-record.ts';
import type { PalfMessageOf } from '../../../../src/codec/palf-message.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const e6: MakeInvariant = world => {
  /** prepares that each node received from those who may not have its vote */
  const unfit = new Map<NodeId, Set<string>>();
  const hear = (self: NodeId, own: ConfigRecord, from: NodeId, message: PalfMessageOf<'prepare'>) => {
    const order = compareVersions(message.version, own.version);
    const names = unfit.get(self) ?? new Set();
    unfit.set(self, names);
    const name = `${from} ${message.proposal}`;
    // A candidate may hear of a newer record, and asks again.
    if (order > 0 || (order === 0 && own.members.includes(from))) names.delete(name);
    else names.add(name);
  };
  return {
    afterEvent() {
      for (const { self, input, before } of world.facts.steps)
        if (input.kind === 'message' && input.message.kind === 'prepare' && before !== undefined)
          hear(self, before.config, input.from, input.message);
      for (const { self, input, before } of world.facts.arbiterSteps)
        if (input.kind === 'message' && input.message.kind === 'prepare' && before.image.config !== null)
          hear(self, before.image.config, input.from, input.message);
      const votes = [
        ...world.facts.sends,
        ...world.facts.arbiterSends.map(({ arbiter, ...send }) => ({ node: arbiter, ...send })),
      ];
      for (const { node, to, message } of votes)
        if (message.kind === 'promise')
          hold(
            'E6',
            unfit.get(node.id)?.has(`${to} ${message.proposal}`) !== true,
            () =>
              `${node.id} promised ${message.proposal} to ${to}, whose record was older than its own, or had it for no member`,
          );
    },
  };
};
