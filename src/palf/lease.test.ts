import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type MonoMs, monoMs, nodeId, proposalId, scn } from '../base/scalars.ts';
import { firstRecord } from '../codec/config-record.ts';
import { LeasePromise, leaseEnd } from './lease.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(nodeId);
const [self, other] = [nodeId('a'), nodeId('b')];
const recordOf = (count: number) =>
  firstRecord({ members: names.slice(0, count), learners: [], accessMode: 'APPEND', referenceScn: scn(0) });

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
        names.slice(0, count).filter(name => name === self || (sentAt(name) ?? -1e9) + 990 >= at).length * 2 >
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
  expect(leaseEnd([recordOf(1), recordOf(2)], self, 1_000, sentAt)).toBe(1_090);
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
