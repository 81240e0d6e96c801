/** E11: a follower that gave a live leader a lease promises nothing to others, unless that leader let go. */
import type { MonoMs, NodeId, ProposalId } from '../../../../src/base/scalars.ts';
import { hold, type MakeInvariant } from './invariant.ts';

interface Word {
  readonly leader: NodeId;
  readonly proposal: ProposalId;
  readonly from: number;
  readonly until: number;
}

export const e11: MakeInvariant = world => {
  /** the lease that each process has given, by its own clock */
  const words = new Map<NodeId, Word>();
  /** when a question for a lease came, which may come twice: who asks counts from the first time, an answer may be to the last */
  const asked = new Map<
    string,
    { readonly first: MonoMs; readonly last: MonoMs; readonly leaseMs: number }
  >();
  /** when each voter learned that a leader or candidate wants the lease of a proposal no more */
  const letGo = new Map<string, MonoMs>();
  /** who asked each voter for a proposal */
  const preparedBy = new Map<string, NodeId>();
  const nameOf = (self: NodeId, from: NodeId, message: { proposal: ProposalId; sentAt: MonoMs }) =>
    `${self} ${from} ${message.proposal} ${message.sentAt}`;
  return {
    afterEvent() {
      for (const { self, input, now } of [...world.facts.steps, ...world.facts.arbiterSteps]) {
        if (input.kind === 'boot') {
          words.delete(self);
          // Another process has another clock.
          for (const times of [asked, letGo])
            for (const name of times.keys()) if (name.startsWith(`${self} `)) times.delete(name);
        }
        if (input.kind !== 'message') continue;
        const { from, message } = input;
        const word = words.get(self);
        // With a later proposal of its own it gives up an earlier one.
        if (message.kind === 'resign') {
          letGo.set(`${self} ${from} ${message.proposal}`, now);
          if (word?.leader === from && message.proposal >= word.proposal) words.delete(self);
        }
        // It is handed the leadership itself, or the sender was.
        if (message.kind === 'hand-over' && word?.leader === from && message.proposal === word.proposal)
          words.delete(self);
        if (message.kind === 'prepare') {
          letGo.set(`${self} anybody ${message.released}`, now);
          // Who handed over may have had this voter's word for an earlier proposal as well.
          const isSame = word?.leader === preparedBy.get(`${self} ${message.released}`);
          if (
            word !== undefined &&
            (isSame ? message.released >= word.proposal : message.released === word.proposal)
          )
            words.delete(self);
          preparedBy.set(`${self} ${message.proposal}`, from);
        }
        if (message.kind === 'prepare' || message.kind === 'renew') {
          const name = nameOf(self, from, message);
          const { leaseMs } = message;
          asked.set(name, { first: asked.get(name)?.first ?? now, last: now, leaseMs });
        }
      }
      const votes = [
        ...world.facts.sends,
        ...world.facts.arbiterSends.map(({ arbiter, ...send }) => ({ node: arbiter, ...send })),
      ];
      for (const { node, to, message } of votes) {
        if (message.kind !== 'promise' && message.kind !== 'renewed') continue;
        const question = asked.get(nameOf(node.id, to, message));
        if (question === undefined) continue;
        const { first, last, leaseMs } = question;
        // An answer that was on its way when it was not wanted any more.
        const wanted = [to, 'anybody'].map(who => letGo.get(`${node.id} ${who} ${message.proposal}`) ?? -1);
        if (Math.max(...wanted) >= first) continue;
        const word = words.get(node.id);
        const until = first + leaseMs;
        hold(
          'E11',
          word === undefined || word.leader === to || word.until <= last || until <= word.from,
          () =>
            `${node.id} gave ${to} ${message.kind} ${message.proposal} at ${last}, and ${word?.leader} a lease until ${word?.until}`,
        );
        if (word === undefined || until > word.until)
          words.set(node.id, { leader: to, proposal: message.proposal, from: first, until });
      }
    },
  };
};
