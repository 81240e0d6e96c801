/** C2: majorities of consecutive lists of voters intersect: one voter at a time. */
import { votersOf } from '../../../../src/palf/quorum.ts';
import { hold, type MakeInvariant } from './invariant.ts';
import { newRecords } from './records.ts';

export const c2: MakeInvariant = world => ({
  afterEvent() {
    for (const { node, record, previous } of newRecords(world)) {
      const [now, then] = [votersOf(record), votersOf(previous)];
      const added = now.filter(id => !then.includes(id));
      const removed = then.filter(id => !now.includes(id));
      const all = new Set([...now, ...then]).size;
      const majorities = Math.floor(now.length / 2) + 1 + Math.floor(then.length / 2) + 1;
      hold(
        'C2',
        majorities > all,
        () =>
          `${node.id} adds [${added.join(' ')}] and removes [${removed.join(' ')}] at once: majorities of [${then.join(' ')}] and [${now.join(' ')}] may miss each other`,
      );
    }
  },
});
