/**
 * L4: committed is what a majority of the members, of both lists while one is being changed, has on its platters; a
 * leader counts from its own start on, and only when a quorum holds a record of its term: until then others may go on with another
 * list. Nobody calls committed what no leader did, as it starts either, unless it is the only voter.
 */
import type { LogPosition } from '../../../../src/base/log-access.ts';
import type { NodeId, ProposalId } from '../../../../src/base/scalars.ts';
import { votersOf } from '../../../../src/palf/quorum.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const l4: MakeInvariant = world => {
  const starts = new Map<NodeId, { readonly proposal: ProposalId; readonly at: number }>();
  /** the newest proposal whose record each voter ever held */
  const heard = new Map<NodeId, number>();
  const hear = (id: NodeId, proposal: number) => heard.set(id, Math.max(proposal, heard.get(id) ?? 0));
  const holders = (members: readonly NodeId[], end: LogPosition) =>
    members.filter(id => world.node(id).platter.held(end));
  return {
    afterEvent() {
      for (const { node, self } of world.facts.steps)
        hear(self, node.platter.meta()?.config.version.proposalId ?? 0);
      for (const { self, view } of world.facts.arbiterSteps)
        hear(self, view.image.config?.version.proposalId ?? 0);
      for (const { self, effects } of world.facts.steps)
        for (const effect of effects)
          if (effect.kind === 'roleChanged' && effect.role === 'leader')
            starts.set(self, { proposal: effect.proposalId, at: effect.startLsn });
      for (const { self, node, input } of world.facts.steps) {
        if (input.kind !== 'boot' || votersOf(input.meta.config).join() === self) continue;
        const branch = world.branchOf(node);
        const { lsn } = input.committed;
        hold(
          'L4',
          lsn <= branch.end.lsn || branch.boundary(lsn) !== undefined,
          () => `${self} starts and calls ${lsn} committed, leaders came to ${branch.end.lsn}`,
        );
      }
      for (const { node, end, leads, view } of world.facts.commits) {
        const branch = world.branchOf(node);
        if (!leads) {
          hold(
            'L4',
            end.lsn <= branch.end.lsn || branch.boundary(end.lsn) !== undefined,
            () => `${node.id} follows and calls ${end.lsn} committed, leaders came to ${branch.end.lsn}`,
          );
          continue;
        }
        for (const { members } of [view.governing, view.config]) {
          const have = holders(members, end);
          hold(
            'L4',
            have.length * 2 > members.length,
            () =>
              `${node.id} committed LSN ${end.lsn}, only [${have.join(' ')}] of [${members.join(' ')}] have it on their platters`,
          );
        }
        const record = view.stage === 'leading' ? view.governing : view.config;
        const voters = votersOf(record);
        const { proposalId } = record.version;
        const those = voters.filter(id => (heard.get(id) ?? 0) >= proposalId);
        hold(
          'L4',
          those.length * 2 > voters.length,
          () =>
            `${node.id} committed LSN ${end.lsn}, only [${those.join(' ')}] of [${voters.join(' ')}] hold a record of proposal ${proposalId}`,
        );
        // What it began with it may commit before it has a lease to lead with.
        const start = starts.get(node.id);
        hold(
          'L4',
          start?.proposal !== view.proposalId || end.lsn >= start.at,
          () => `${node.id} committed LSN ${end.lsn}, and began at ${start?.at}`,
        );
        if (end.lsn > branch.end.lsn) branch.end = end;
      }
    },
  };
};
