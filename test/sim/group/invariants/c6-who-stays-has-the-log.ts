/**
 * C6: nobody leaves the members unless a majority of those who stay has what the term began with, and what was committed in it a
 * lease ago: what is committed next waits for them. Of what was committed in an earlier term that beginning has what no flashback
 * took. One that is down, or was not long ago, had perhaps more, and its leader cannot know yet: it is taken for one that has it.
 */
import type { NodeId } from '../../../../src/base/scalars.ts';
import { hold, type MakeInvariant } from './invariant.ts';
import { newRecords } from './records.ts';

export const c6: MakeInvariant = world => {
  const { leaseMs } = world.options;
  const bootedAt = new Map<NodeId, number>();
  /** what each leader's newest term began with, what was committed in it, and when; from what counts now on */
  const commits = new Map<NodeId, { readonly at: number; readonly lsn: number }[]>();
  const begin = (leader: NodeId, start: number) =>
    commits.set(leader, [{ at: Number.NEGATIVE_INFINITY, lsn: start }]);
  const before = (leader: NodeId): number => {
    const list = commits.get(leader) ?? [];
    const since = world.loop.now - leaseMs;
    while ((list[1]?.at ?? Number.POSITIVE_INFINITY) <= since) list.shift();
    const [oldest] = list;
    return oldest === undefined || oldest.at > since ? 0 : oldest.lsn;
  };
  return {
    afterEvent() {
      for (const { self, input, effects, view } of world.facts.steps) {
        if (input.kind === 'boot') bootedAt.set(self, world.loop.now);
        // A term may begin with a shorter log, and may change its members before it is open.
        if (view.stage === 'starting') begin(self, view.maxLsn);
        for (const effect of effects) {
          if (effect.kind === 'roleChanged' && effect.role === 'leader') begin(self, effect.startLsn);
          if (effect.kind === 'commitTo' && view.stage === 'leading') {
            const list = commits.get(self) ?? [];
            list.push({ at: world.loop.now, lsn: effect.end.lsn });
            commits.set(self, list);
            before(self);
          }
        }
      }
      for (const { node, record, previous, isStart } of newRecords(world)) {
        if (isStart || previous.members.every(id => record.members.includes(id))) continue;
        const needed = before(node.id);
        const has = (id: NodeId): boolean => {
          const { view } = world.node(id);
          const isNew = world.loop.now - (bootedAt.get(id) ?? 0) < 2 * leaseMs;
          return view === undefined || isNew || view.maxLsn >= needed;
        };
        const have = record.members.filter(has);
        hold(
          'C6',
          have.length * 2 > record.members.length,
          () =>
            `${node.id} leaves [${record.members.join(' ')}] as members, of whom only [${have.join(' ')}] have log to ${needed}`,
        );
      }
    },
  };
};
