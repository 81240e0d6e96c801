/** Records that became agreed on in the last event, at the leaders that made them. */
import type { ConfigRecord } from '../../../../src/codec/config-record.ts';
import type { NodeStep } from '../facts.ts';
import type { GroupWorld } from '../world.ts';

export function* agreedRecords(
  world: GroupWorld,
): Generator<{ readonly step: NodeStep; readonly record: ConfigRecord }> {
  for (const step of world.facts.steps) {
    const { view, before } = step;
    if (view.stage !== 'leading' && view.stage !== 'starting') continue;
    const record = view.governing;
    // The first record of a term is agreed on when it governs.
    const isNew = before === undefined || before.governing.version.sequence !== record.version.sequence;
    const isOwn = record.version.proposalId === view.config.version.proposalId;
    if (isNew && isOwn && step.view.config.version.proposalId > 0) yield { step, record };
  }
}
