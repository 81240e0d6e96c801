import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nodeId, scn } from '../base/scalars.ts';
import { type ConfigRecord, firstRecord } from '../codec/config-record.ts';
import { hasLogQuorum, hasVoteQuorum, logQuorumValue, majorityValue, votersOf } from './quorum.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(nodeId);
const record = (count: number, hasArbiter: boolean): ConfigRecord => ({
  ...firstRecord({
    members: names.slice(0, count),
    learners: [],
    accessMode: 'APPEND',
    referenceScn: scn(0),
  }),
  arbiter: hasArbiter ? nodeId('arbiter') : null,
});

test('the majority value is the furthest that more than half have reached', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1_000), { minLength: 1, maxLength: 7 }), values => {
      // The slow twin: try every value.
      const reached = values.filter(
        value => values.filter(other => other >= value).length * 2 > values.length,
      );
      expect(majorityValue(values)).toBe(Math.max(...reached));
    }),
  );
});

test('any vote quorum holds a member of any log quorum, with and without an arbiter', () => {
  for (let count = 1; count <= 7; count++) {
    for (const hasArbiter of [false, true]) {
      const config = record(count, hasArbiter);
      const voters = votersOf(config);
      for (let votes = 0; votes < 1 << voters.length; votes++) {
        const hasVoted = new Set(voters.filter((_, index) => (votes & (1 << index)) !== 0));
        if (!hasVoteQuorum([config], voter => hasVoted.has(voter))) continue;
        // The largest log set that misses every voter of the quorum.
        expect(hasLogQuorum(config, member => !hasVoted.has(member))).toBe(false);
      }
    }
  }
});

test('quorums of records that are one member apart meet', () => {
  for (let count = 1; count < 7; count++) {
    const small = record(count, false);
    const large = record(count + 1, false);
    for (let votes = 0; votes < 1 << (count + 1); votes++) {
      const inSet = (node: string) => (votes & (1 << names.indexOf(nodeId(node)))) !== 0;
      const outside = (node: string) => !inSet(node);
      if (hasVoteQuorum([small], inSet)) expect(hasVoteQuorum([large], outside)).toBe(false);
      if (hasVoteQuorum([large], inSet)) expect(hasVoteQuorum([small], outside)).toBe(false);
    }
  }
});

test('while two records count, the slower of both quorums decides', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6 }), fc.array(fc.nat(100), { minLength: 7 }), (count, ends) => {
      const valueOf = (node: string) => ends[names.indexOf(nodeId(node))] ?? 0;
      const [small, large] = [record(count, false), record(count + 1, false)];
      const both = logQuorumValue([small, large], valueOf);
      expect(both).toBe(Math.min(logQuorumValue([small], valueOf), logQuorumValue([large], valueOf)));
    }),
  );
});
