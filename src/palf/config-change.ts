/**
 * What a membership change makes of a config record, or why it is refused. One replica at a time: the quorums of the records
 * before and after always meet (C2). A replica becomes a learner first and a member when it has the log (C5).
 *
 * An arbiter serves 2 or 4 F replicas, degraded ones included (A6). While there is one they stay as they are: who wants others
 * removes the arbiter, changes them, and sets it again. It comes and goes only while nobody is degraded: without it those
 * that are left would be fewer than the locality says. The one exception changes no quorum: a degraded replica that will never
 * come back gives its place to a learner.
 */
import { arbitratedReplicas, configLearnersMax, configMembersMax } from '../base/limits.ts';
import type { NodeId } from '../base/scalars.ts';
import type { ConfigRecord } from '../codec/config-record.ts';
import type { PalfRefusal } from './effects.ts';
import type { ConfigChange } from './inputs.ts';

export type MembershipStep =
  | Exclude<ConfigChange, { kind: 'replace' }>
  | { readonly kind: 'replace-degraded'; readonly old: NodeId; readonly node: NodeId };

type Membership = Pick<ConfigRecord, 'members' | 'learners' | 'degraded' | 'arbiter'>;

/** The steps of a change, in order. */
export function stepsOf(change: ConfigChange, record: Membership): readonly MembershipStep[] {
  if (change.kind !== 'replace') return [change];
  const { old, new: node } = change;
  if (record.degraded.includes(old)) return [{ kind: 'replace-degraded', old, node }];
  return [
    { kind: 'promote', node },
    { kind: 'remove', node: old },
  ];
}

const without = (nodes: readonly NodeId[], node: NodeId): readonly NodeId[] =>
  nodes.filter(other => other !== node);

/** What a step at the leader `self` makes of the members. */
export function applyStep(
  record: ConfigRecord,
  step: MembershipStep,
  self: NodeId,
): Partial<Membership> | PalfRefusal {
  const { members, learners, degraded, arbiter } = record;
  const { kind, node } = step;
  const isMember = members.includes(node);
  const isLearner = learners.includes(node);
  const isDegraded = degraded.includes(node);
  switch (kind) {
    case 'add-learner':
      if (isMember || isLearner || isDegraded || arbiter === node) return { why: 'already', node };
      if (learners.length >= configLearnersMax) return { why: 'too-many' };
      return { learners: [...learners, node] };
    case 'promote':
      if (isMember) return { why: 'already', node };
      if (!isLearner) return { why: 'unknown-node', node };
      if (arbiter !== null) return { why: 'arbitrated' };
      if (members.length >= configMembersMax) return { why: 'too-many' };
      return { members: [...members, node], learners: without(learners, node) };
    case 'demote':
      if (isLearner) return { why: 'already', node };
      if (!isMember && !isDegraded) return { why: 'unknown-node', node };
      if (members.length === 1) return { why: 'last-member' };
      if (node === self) return { why: 'is-leader', node };
      if (arbiter !== null) return { why: 'arbitrated' };
      if (learners.length >= configLearnersMax) return { why: 'too-many' };
      return { members: without(members, node), learners: [...learners, node] };
    case 'remove':
      if (isLearner) return { learners: without(learners, node) };
      if (!isMember && !isDegraded) return { why: 'unknown-node', node };
      if (members.length === 1) return { why: 'last-member' };
      if (node === self) return { why: 'is-leader', node };
      if (arbiter !== null) return { why: 'arbitrated' };
      return { members: without(members, node) };
    case 'replace-degraded':
      if (!isLearner) return { why: 'unknown-node', node };
      if (!degraded.includes(step.old)) return { why: 'unknown-node', node: step.old };
      return { degraded: [...without(degraded, step.old), node], learners: without(learners, node) };
    case 'set-arbiter':
      if (arbiter === node || isMember || isLearner || isDegraded) return { why: 'already', node };
      if (arbiter !== null) return { why: 'arbitrated' };
      if (!arbitratedReplicas.includes(members.length))
        return { why: 'replica-count', count: members.length };
      return { arbiter: node };
    case 'remove-arbiter':
      if (arbiter !== node) return { why: 'unknown-node', node };
      if (degraded.length > 0) return { why: 'degraded', nodes: degraded };
      return { arbiter: null };
  }
}

export const isRefusal = (value: object): value is PalfRefusal => 'why' in value;
