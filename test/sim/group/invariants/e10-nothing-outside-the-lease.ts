/** E10: no entry is taken and no strong read answered outside the lease, or without a majority that keeps it. */
import { votersOf } from '../../../../src/palf/quorum.ts';
import type { GroupNode } from '../node.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const e10: MakeInvariant = world => {
  /** Whether a member would let another lead at this instant. */
  const isFree = (id: GroupNode['id'], leader: GroupNode): boolean => {
    if (id === leader.id) return false;
    const arbiter = world.arbitration.find(id);
    if (arbiter !== undefined) {
      const { core, clock } = arbiter;
      if (core === undefined || clock === undefined) return false;
      const { silentUntil, promisedUntil } = core.view();
      return clock.now() >= Math.max(silentUntil, promisedUntil);
    }
    const { view, clock, life } = world.node(id);
    // Who is down is silent when it comes back.
    if (view === undefined || clock === undefined || life === undefined) return false;
    const now = clock.now();
    return now >= world.options.leaseMs && view.promisedUntil <= now;
  };
  const check = (node: GroupNode, what: string) => {
    const { view, clock } = node;
    if (view === undefined || clock === undefined) return;
    const now = clock.now();
    hold(
      'E10',
      view.leaseUntil > now,
      () => `${node.id} ${what} at ${now}, its lease ended at ${view.leaseUntil}`,
    );
    if (world.options.clock.isOutOfBound) return;
    for (const voters of [view.governing, view.config].map(votersOf)) {
      const free = voters.filter(id => isFree(id, node));
      hold(
        'E10',
        free.length * 2 <= voters.length,
        () =>
          `${node.id} ${what} on its lease, and ${free.join(' ')} of ${voters.join(' ')} may follow another`,
      );
    }
  };
  return {
    afterEvent() {
      for (const { node, how } of world.facts.taken) if (how === 'entry') check(node, 'took an entry');
      for (const { node, key } of world.facts.reads) check(node, `answered a read of ${key}`);
    },
  };
};
