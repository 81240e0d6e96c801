/**
 * A3: who is degraded in the newest record that was agreed on leads nothing before it is upgraded: before the leader of that record, or one
 * that came of it, has made a record in which it is a member again.
 */
import { type ConfigRecord, compareVersions } from '../../../../src/codec/config-record.ts';
import type { NodeId } from '../../../../src/base/scalars.ts';
import { agreedRecords } from './agreed.ts';
import { hold, type MakeInvariant } from './invariant.ts';
import { newRecords } from './records.ts';

const nameOf = ({ version }: ConfigRecord): string => `${version.proposalId}.${version.sequence}`;

export const a3: MakeInvariant = world => {
  let newest: ConfigRecord | undefined;
  /** records that take a degraded replica back, and who made them */
  const upgrades = new Map<string, { readonly maker: NodeId; readonly record: ConfigRecord }>();
  const mayLead = (self: NodeId): boolean => {
    if (newest === undefined || !newest.degraded.includes(self)) return true;
    const { version } = newest;
    return [...upgrades.values()].some(
      ({ maker, record }) =>
        maker !== self && record.members.includes(self) && compareVersions(record.version, version) > 0,
    );
  };
  return {
    afterEvent() {
      for (const { node, record, previous } of newRecords(world))
        if (previous.degraded.some(id => record.members.includes(id)))
          upgrades.set(nameOf(record), { maker: node.id, record });
      for (const { self, effects } of world.facts.steps)
        for (const effect of effects) {
          if (effect.kind !== 'roleChanged' || effect.role !== 'leader') continue;
          hold('A3', mayLead(self), () => `${self} leads, and is degraded`);
        }
      for (const { step, record } of agreedRecords(world)) {
        hold('A3', record.members.includes(step.self), () => `${step.self} leads without being a member`);
        // Who slept learns late that an older record was agreed on.
        if (newest !== undefined && compareVersions(record.version, newest.version) <= 0) continue;
        hold('A3', mayLead(step.self), () => `${step.self} is degraded, and had a record agreed on`);
        newest = record;
      }
    },
  };
};
