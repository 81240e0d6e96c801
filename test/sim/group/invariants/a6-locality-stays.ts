/** A6: the F replicas of a log stream are the same ones, whether degraded or not; one that is replaced leaves its place to one. */
import { fullReplicasOf } from '../../../../src/codec/config-record.ts';
import { hold, type MakeInvariant } from './invariant.ts';
import { newRecords } from './records.ts';

export const a6: MakeInvariant = world => ({
  afterEvent() {
    for (const { node, record, previous } of newRecords(world)) {
      if (previous.arbiter === null && record.arbiter === null) {
        hold('A6', record.degraded.length === 0, () => `${node.id} degrades without an arbiter`);
        continue;
      }
      const [now, then] = [fullReplicasOf(record), fullReplicasOf(previous)];
      const lost = then.filter(id => !now.includes(id));
      const isReplaced = lost.length === 1 && lost.every(id => previous.degraded.includes(id));
      hold(
        'A6',
        now.length === then.length && (lost.length === 0 || isReplaced),
        () => `${node.id} makes F replicas [${now.join(' ')}] of [${then.join(' ')}]`,
      );
      hold(
        'A6',
        record.arbiter === previous.arbiter || record.degraded.length === 0,
        () => `${node.id} changes the arbiter while [${record.degraded.join(' ')}] are degraded`,
      );
    }
  },
});
