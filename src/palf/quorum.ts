/**
 * The two quorums of a config record.
 *
 * Log quorum: a majority of the members, whose flushed log commits. Vote quorum: a majority of the members and the
 * arbiter, which elect a leader, grant its lease and agree on records. With n members, any vote quorum holds at least
 * one member of any log quorum: ⌊n/2⌋+1 of n, and at least ⌊(n+1)/2⌋ members among the voters, are more than n (C2, A1).
 *
 * Two records one change apart have quorums that meet. While a change is in flight the leader still asks for a quorum
 * of both: a list of records stands for "of every one of them".
 */
import { assert, must } from '../base/assert.ts';
import type { NodeId } from '../base/scalars.ts';
import type { ConfigRecord } from '../codec/config-record.ts';

export const votersOf = (record: Pick<ConfigRecord, 'members' | 'arbiter'>): readonly NodeId[] =>
  record.arbiter === null ? record.members : [...record.members, record.arbiter];

/**
 * The furthest value that a majority has reached: element ⌊n/2⌋ counted from the highest (1st of 1, 2nd of 2, 2nd of 3,
 * 3rd of 4, 3rd of 5).
 */
export function majorityValue(values: readonly number[]): number {
  assert(values.length > 0, 'a quorum has a voter');
  const descending = [...values].sort((a, b) => b - a);
  return must(descending[Math.floor(descending.length / 2)], 'majority value');
}

/** What a log quorum of every record has reached. */
export const logQuorumValue = (
  records: readonly ConfigRecord[],
  valueOf: (member: NodeId) => number,
): number => Math.min(...records.map(record => majorityValue(record.members.map(valueOf))));

/** What a vote quorum of every record has reached. */
export const voteQuorumValue = (
  records: readonly ConfigRecord[],
  valueOf: (voter: NodeId) => number,
): number => Math.min(...records.map(record => majorityValue(votersOf(record).map(valueOf))));

/** Whether a vote quorum of every record says yes. */
export const hasVoteQuorum = (
  records: readonly ConfigRecord[],
  saysYes: (voter: NodeId) => boolean,
): boolean => voteQuorumValue(records, voter => (saysYes(voter) ? 1 : 0)) === 1;

/** Whether a log quorum of the record says yes. */
export const hasLogQuorum = (record: ConfigRecord, saysYes: (member: NodeId) => boolean): boolean =>
  logQuorumValue([record], member => (saysYes(member) ? 1 : 0)) === 1;
