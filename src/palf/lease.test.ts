import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type MonoMs, monoMs, nodeId, proposalId, scn } from '../base/scalars.ts';
import { firstRecord } from '../codec/config-record.ts';
import { LeasePromise, LongestWord, leaseEnd } from './lease.ts';
import { clockDrift } from './settings.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(nodeId);
const [self, other] = [nodeId('a'), nodeId('b')];
const recordOf = (count: number) =>
  firstRecord({ members: names.slice(0, count), learners: [], accessMode: 'APPEND', referenceScn: scn(0) });

/** True time in which a clock of this rate goes forward by so much. */
const trueMs = (ms: number, rate: number) => ms / rate;

test('a lease ends when the first of its quorum of voters may let go, less the drift of clocks', () => {
  const times = fc.array(fc.option(fc.nat(10_000), { nil: undefined }), { minLength: 7, maxLength: 7 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 7 }), times, (count, sent) => {
      const sentAt = (voter: string): MonoMs | undefined => {
        const at = sent[names.indexOf(nodeId(voter))];
        return at === undefined ? undefined : monoMs(at);
      };
      const end = leaseEnd([recordOf(count)], self, 1_000, sentAt);
      // The slow twin: the latest instant at which more than half still keep their word.
      const keeps = (at: number) =>
        names
          .slice(0, count)
          .filter(name => name === self || (sentAt(name) ?? -1e9) + 1_000 * (0.99 / 1.01) >= at).length *
          2 >
        count;
      if (count === 1) expect(end).toBe(Number.MAX_SAFE_INTEGER);
      else if (!keeps(0)) expect(end).toBe(0);
      else {
        expect(keeps(end)).toBe(true);
        expect(keeps(end + 1)).toBe(false);
      }
    }),
  );
});

test('while two records count, a lease needs a quorum of both', () => {
  const sentAt = (voter: string) => (voter === other ? monoMs(100) : undefined);
  expect(leaseEnd([recordOf(1), recordOf(2)], self, 1_000, sentAt)).toBeCloseTo(1_080.198, 3);
  expect(leaseEnd([recordOf(2), recordOf(4)], self, 1_000, sentAt)).toBe(0);
});

test('a word is given to one node, longer to the same one, and let go by its holder alone', () => {
  const promise = new LeasePromise();
  const now = monoMs(50);
  expect(promise.isBound(now, self)).toBe(false);
  promise.grant(self, proposalId(1), monoMs(100));
  expect([promise.isBound(now, self), promise.isBound(now, other)]).toEqual([false, true]);
  promise.grant(self, proposalId(1), monoMs(80));
  expect(promise.until).toBe(100);
  // Another candidate that used the same proposal.
  promise.release(other, proposalId(1));
  promise.release(self, proposalId(2));
  expect(promise.isHeld(now)).toBe(true);
  promise.release(self, proposalId(1));
  expect(promise.isBound(now, other)).toBe(false);
  promise.grant(other, proposalId(3), monoMs(90));
  expect(promise.until).toBe(90);
  promise.releaseLeader(proposalId(3));
  expect(promise.isHeld(now)).toBe(false);
});

test('the slowest clock that counts on a lease sees its end before the fastest that keeps it', () => {
  const end = leaseEnd([recordOf(2)], self, 1_000, () => monoMs(0));
  for (const rate of [1 - clockDrift, 1, 1 + clockDrift])
    for (const other of [1 - clockDrift, 1, 1 + clockDrift])
      expect(trueMs(end, rate)).toBeLessThanOrEqual(trueMs(1_000, other) + 1e-9);
});

test('of all words that may hold the longest is noted, and a shorter one when none holds', () => {
  const words = new LongestWord(monoMs(1_000));
  // Those from before a restart, as noted then.
  expect(words.give(900, 500, monoMs(999))).toBe(900);
  expect(words.give(900, 500, monoMs(1_000))).toBe(900);
  expect(words.give(900, 1_800, monoMs(1_100))).toBe(1_800);
  expect(words.give(1_800, 500, monoMs(2_899))).toBe(1_800);
  expect(words.give(1_800, 400, monoMs(3_398))).toBe(1_800);
  expect(words.give(1_800, 500, monoMs(3_798))).toBe(500);
});

test('whatever words are given and whenever the process dies, the silence after it outlasts them', () => {
  const step = fc.record({ leaseMs: fc.integer({ min: 1, max: 50 }), passes: fc.nat(60) });
  const restart = fc.constant('restart' as const);
  fc.assert(
    fc.property(fc.array(fc.oneof({ weight: 5, arbitrary: step }, restart), { maxLength: 30 }), steps => {
      let now = 1_000;
      let noted = 0;
      let words = new LongestWord(monoMs(0));
      let until = 0;
      for (const each of steps) {
        if (each === 'restart') {
          words = new LongestWord(monoMs(now + noted));
          expect(now + noted).toBeGreaterThanOrEqual(until);
          now += noted;
          continue;
        }
        now += each.passes;
        noted = words.give(noted, each.leaseMs, monoMs(now));
        until = Math.max(until, now + each.leaseMs);
        expect(now + noted).toBeGreaterThanOrEqual(until);
      }
    }),
  );
});
