/**
 * C6: nobody leaves the members unless a majority of those who stay has what was committed a lease ago: what is committed next
 * waits for them. One that is down, or was not long ago, had perhaps more, and its leader cannot know yet: it is taken for one
 * that has it.
 */
import type { NodeId } from '../../../../src/base/scalars.ts';
import { hold, type MakeInvariant } from './invariant.ts';
import { newRecords } from './records.ts';

export const c6: MakeInvariant = world => {
  const { leaseMs } = world.options;
  const bootedAt = new Map<NodeId, number>();
  /** what each leader committed, and when; from what counts now on */
  const commits = new Map<NodeId, { readonly at: number; readonly lsn: number }[]>();
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
        for (const effect of effects) {
          // A term may begin with a shorter log.
          if (effect.kind === 'roleChanged') commits.delete(self);
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
