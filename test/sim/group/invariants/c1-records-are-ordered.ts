/** C1: records are ordered by their version alone: one version is one record, and no replica goes back. */
import { type ConfigRecord, compareVersions } from '../../../../src/codec/config-record.ts';
import { votersOf } from '../../../../src/palf/quorum.ts';
import { hold, type MakeInvariant } from './invariant.ts';

/** Keys in one order, however an object was made. */
const inOrder = (_: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;

export const c1: MakeInvariant = world => {
  const records = new Map<string, string>();
  const seen = new WeakSet<ConfigRecord>();
  const check = (record: ConfigRecord, who: string) => {
    if (seen.has(record)) return;
    seen.add(record);
    const name = `${record.version.proposalId}.${record.version.sequence}`;
    const text = JSON.stringify(record, inOrder);
    const known = records.get(name);
    // The first record of a node that joins with nothing is its own.
    if (record.version.proposalId === 0) return;
    hold(
      'C1',
      known === undefined || known === text,
      () => `${who} has ${text} as record ${name}, known is ${known}`,
    );
    records.set(name, text);
  };
  return {
    afterEvent() {
      for (const { self, view, before, effects } of world.facts.steps) {
        for (const effect of effects) {
          if (effect.kind !== 'persistMeta') continue;
          const { config } = effect.image;
          // A sole voter's is nobody's before it is durable, and may be lost with its proposal.
          if (votersOf(config).join() !== self) check(config, self);
        }
        check(view.config, self);
        hold(
          'C1',
          before === undefined || compareVersions(view.config.version, before.config.version) >= 0,
          () =>
            `${self} went from record ${before?.config.version.proposalId}.${before?.config.version.sequence} back to ${view.config.version.proposalId}.${view.config.version.sequence}`,
        );
      }
    },
  };
};
