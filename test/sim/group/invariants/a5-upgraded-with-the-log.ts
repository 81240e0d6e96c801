/**
 * A5: a degraded replica is taken back only when it is known to be alive and has the log but for the newest; it takes the record that makes it
 * count with everything that was committed when that was made, and its log counts from then on, not before.
 */
import type { Lsn, NodeId } from '../../../../src/base/scalars.ts';
import { compareVersions } from '../../../../src/codec/config-record.ts';
import { hold, type MakeInvariant } from './invariant.ts';
import { newRecords } from './records.ts';

export const a5: MakeInvariant = world => {
  /** records that take a replica back: what was committed then */
  const upgrades = new Map<string, { readonly node: NodeId; readonly committed: Lsn }>();
  /** what each node had committed at which time, of its own clock */
  const histories = new Map<NodeId, { readonly at: number; readonly end: Lsn }[]>();
  return {
    afterEvent() {
      for (const { self, now, view, input } of world.facts.steps) {
        const history = input.kind === 'boot' ? [] : (histories.get(self) ?? []);
        histories.set(self, history);
        if (history.at(-1)?.end !== view.committed.lsn) history.push({ at: now, end: view.committed.lsn });
      }
      for (const { node, record, previous, step } of newRecords(world))
        for (const id of record.members) {
          if (!previous.degraded.includes(id)) continue;
          const { proposalId, sequence } = record.version;
          const committed = step.before?.committed.lsn ?? step.view.committed.lsn;
          upgrades.set(`${proposalId}.${sequence} ${id}`, { node: id, committed });
          const long = step.now - 3 * world.options.renewMs;
          const before = histories.get(node.id)?.findLast(({ at }) => at <= long)?.end ?? 0;
          // What a flashback took since is needed no more.
          const needed = Math.min(before, committed);
          const received = step.view.peers.find(peer => peer.node === id)?.flushed ?? 0;
          hold(
            'A5',
            world.node(id).view !== undefined
              ? (world.node(id).view?.maxLsn ?? 0) >= needed
              : world.node(id).platter.end().lsn >= Math.min(needed, received),
            () =>
              `${node.id} takes ${id} back, which has log to ${world.node(id).platter.end().lsn}; ${needed} was committed long ago`,
          );
        }
      for (const { node, self, view, before } of world.facts.steps) {
        if (before === undefined || compareVersions(view.config.version, before.config.version) === 0)
          continue;
        const { proposalId, sequence } = view.config.version;
        const upgrade = upgrades.get(`${proposalId}.${sequence} ${self}`);
        if (upgrade === undefined) continue;
        hold(
          'A5',
          node.platter.end().lsn >= upgrade.committed,
          () =>
            `${self} counts again with log to ${node.platter.end().lsn}, and ${upgrade.committed} was committed`,
        );
      }
      for (const { node, end, leads, view } of world.facts.commits) {
        if (!leads || view.config === view.governing) continue;
        const back = view.config.members.filter(id => view.governing.degraded.includes(id));
        const lists = [view.governing.members, view.config.members];
        for (const members of back.length === 0 ? [] : lists) {
          const have = members.filter(id => world.node(id).platter.held(end));
          hold(
            'A5',
            have.length * 2 > members.length,
            () =>
              `${node.id} committed ${end.lsn} while it takes [${back.join(' ')}] back, only [${have.join(' ')}] of [${members.join(' ')}] have it`,
          );
        }
      }
    },
  };
};
