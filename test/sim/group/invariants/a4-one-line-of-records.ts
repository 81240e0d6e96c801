/**
 * A4: two sides of a partition never both degrade: of two records that were agreed on one was made from the other, or from what
 * was made from it.
 */
import { type ConfigRecord, compareVersions } from '../../../../src/codec/config-record.ts';
import { agreedRecords } from './agreed.ts';
import { hold, type MakeInvariant } from './invariant.ts';
import { newRecords } from './records.ts';

const nameOf = ({ version }: ConfigRecord): string => `${version.proposalId}.${version.sequence}`;

export const a4: MakeInvariant = world => {
  /** what each record was made from */
  const parents = new Map<string, string>();
  const descends = (name: string, from: string): boolean => {
    for (let at: string | undefined = name; at !== undefined; at = parents.get(at))
      if (at === from) return true;
    return false;
  };
  let newest: ConfigRecord | undefined;
  return {
    afterEvent() {
      for (const { record, previous } of newRecords(world)) parents.set(nameOf(record), nameOf(previous));
      // The only voter makes its first record as it starts.
      for (const { input, effects } of world.facts.steps)
        for (const effect of input.kind === 'boot' ? effects : [])
          if (
            input.kind === 'boot' &&
            effect.kind === 'persistMeta' &&
            effect.image.config !== input.meta.config
          )
            parents.set(nameOf(effect.image.config), nameOf(input.meta.config));
      for (const { step, record } of agreedRecords(world)) {
        if (newest === undefined) {
          newest = record;
          continue;
        }
        const [older, newer] =
          compareVersions(record.version, newest.version) > 0 ? [newest, record] : [record, newest];
        hold(
          'A4',
          descends(nameOf(newer), nameOf(older)),
          () =>
            `${step.self} has record ${nameOf(record)} [${record.members.join(' ')} | ${record.degraded.join(' ')}] agreed on, and ${nameOf(newest ?? record)} [${newest?.members.join(' ')} | ${newest?.degraded.join(' ')}] was: neither came of the other`,
        );
        newest = newer;
      }
    },
  };
};
