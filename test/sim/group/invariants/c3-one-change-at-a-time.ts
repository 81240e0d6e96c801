/**
 * C3: a record is changed only when a majority of its voters holds it, under the leader's own proposal; and a replica
 * takes a record only with the log up to its barrier.
 */
import type { ConfigVersion } from '../../../../src/base/log-access.ts';
import type { NodeId } from '../../../../src/base/scalars.ts';
import { compareVersions, noVersion } from '../../../../src/codec/config-record.ts';
import { votersOf } from '../../../../src/palf/quorum.ts';
import { hold, type MakeInvariant } from './invariant.ts';
import { newRecords } from './records.ts';

export const c3: MakeInvariant = world => {
  /** barriers of the records that leaders sent */
  const barriers = new Map<string, number>();
  /** the newest record that each replica ever held, also one whose volume was lost since */
  const held = new Map<NodeId, ConfigVersion>();
  return {
    afterEvent() {
      for (const { node, self } of world.facts.steps) {
        const config = node.platter.meta()?.config;
        if (config !== undefined) held.set(self, config.version);
      }
      for (const { self, view } of world.facts.arbiterSteps)
        if (view.image.config !== null) held.set(self, view.image.config.version);
      for (const { node, record, previous, isStart } of newRecords(world)) {
        // A new leader's first record is the one it found; membership is not changed by it.
        if (isStart) continue;
        hold(
          'C3',
          previous.version.proposalId === record.version.proposalId,
          () =>
            `${node.id} changes record ${previous.version.proposalId}.${previous.version.sequence}, not its own`,
        );
        const voters = votersOf(previous);
        const have = voters.filter(id => {
          const version = held.get(id);
          return version !== undefined && compareVersions(version, previous.version) >= 0;
        });
        hold(
          'C3',
          have.length * 2 > voters.length,
          () =>
            `${node.id} changes record ${previous.version.proposalId}.${previous.version.sequence}, which only [${have.join(' ')}] of [${voters.join(' ')}] hold`,
        );
      }
      for (const { message } of world.facts.sends)
        if (message.kind === 'config') {
          const { proposalId, sequence } = message.record.version;
          const name = `${proposalId}.${sequence}`;
          // A record that was agreed on is sent on with later barriers.
          barriers.set(name, Math.min(barriers.get(name) ?? message.barrier, message.barrier));
        }
      for (const { node, self, view, before, effects } of world.facts.steps) {
        if (before === undefined || before.config === view.config || view.role === 'leader') continue;
        const { proposalId, sequence } = view.config.version;
        const barrier = barriers.get(`${proposalId}.${sequence}`);
        if (barrier === undefined || compareVersions(view.config.version, before.config.version) <= 0)
          continue;
        // A later flashback that is noted with the record cuts behind it, as it would with an image of its own: log that the
        // record needed is still there, and about to go.
        const cutApplied = node.platter.meta()?.cutApplied ?? noVersion;
        const isCut =
          compareVersions(cutApplied, view.config.version) > 0 &&
          effects.some(effect => effect.kind === 'truncateLog' && effect.flashback);
        const end = (isCut ? view.flushed : node.platter.end()).lsn;
        hold(
          'C3',
          end >= barrier || !view.config.members.includes(self),
          () => `${self} took record ${proposalId}.${sequence} with log to ${end}, its barrier is ${barrier}`,
        );
      }
    },
  };
};
