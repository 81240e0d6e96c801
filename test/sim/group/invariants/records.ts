/** New config records that the last event brought: what groups C and M look at. */
import type { ConfigRecord } from '../../../../src/codec/config-record.ts';
import type { NodeStep } from '../facts.ts';
import type { GroupNode } from '../node.ts';
import type { GroupWorld } from '../world.ts';

interface NewRecord {
  readonly node: GroupNode;
  readonly step: NodeStep;
  readonly record: ConfigRecord;
  /** what the record is a change of */
  readonly previous: ConfigRecord;
  /** the first one of a new proposal */
  readonly isStart: boolean;
}

/** Records that their own leader makes durable for the first time. */
export function* newRecords(world: GroupWorld): Generator<NewRecord> {
  for (const step of world.facts.steps)
    for (const effect of step.effects) {
      if (effect.kind !== 'persistMeta') continue;
      const record = effect.image.config;
      const { before, node } = step;
      const { proposalId, sequence } = record.version;
      // A leader's own: its promise is the proposal of the record, and nobody made it before.
      const isOwn = effect.image.accepted === proposalId && step.view.stage !== 'follower';
      if (before === undefined || !isOwn || record === before.config) continue;
      const maker = world.records.get(`${proposalId}.${sequence}`);
      if (maker !== undefined && maker !== record) continue;
      world.records.set(`${proposalId}.${sequence}`, record);
      const previous = world.records.get(`${proposalId}.${sequence - 1}`);
      yield {
        node,
        step,
        record,
        previous: previous ?? before.config,
        isStart: previous === undefined && before.config.version.proposalId !== proposalId,
      };
    }
}
