import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ProposalEra } from '../base/log-access.ts';
import { lsn, proposalId } from '../base/scalars.ts';
import { firstEraConflict } from './continuity.ts';

const era = (id: number, start: number): ProposalEra => ({
  proposalId: proposalId(id),
  startLsn: lsn(start),
});

test('equal histories agree, however much of the end one of them lacks', () => {
  const primary = [era(1, 0), era(2, 100), era(5, 300)];
  expect(firstEraConflict(primary, primary, lsn(400))).toBeUndefined();
  expect(firstEraConflict(primary, primary.slice(0, 2), lsn(300))).toBeUndefined();
});

test('an era the other side does not have below the end is a conflict where it begins', () => {
  const primary = [era(1, 0), era(2, 100)];
  expect(firstEraConflict(primary, [era(1, 0)], lsn(150))).toBe(100);
  expect(firstEraConflict(primary, [era(1, 0), era(3, 120)], lsn(150))).toBe(100);
  expect(firstEraConflict(primary, [era(1, 0)], lsn(100))).toBeUndefined();
});

test('only what both remember is compared', () => {
  expect(firstEraConflict([era(7, 500)], [era(1, 0), era(7, 500)], lsn(600))).toBeUndefined();
  expect(firstEraConflict([era(7, 500)], [era(1, 0)], lsn(600))).toBe(500);
  expect(firstEraConflict([], [era(1, 0)], lsn(600))).toBeUndefined();
});

test('a prefix of a history never conflicts with it, and a changed era below the end always does', () => {
  const history = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 }).map(steps => {
    let start = 0;
    return steps.map((step, index) => {
      const result = era(index + 1, start);
      start += step;
      return result;
    });
  });
  fc.assert(
    fc.property(history, fc.integer({ min: 1, max: 400 }), fc.nat(7), (eras, end, which) => {
      const prefix = eras.filter(({ startLsn }) => startLsn < end);
      expect(firstEraConflict(eras, prefix, lsn(end))).toBeUndefined();
      const index = which % prefix.length;
      const changed = prefix.map((one, at) => (at === index ? { ...one, proposalId: proposalId(99) } : one));
      expect(firstEraConflict(eras, changed, lsn(end))).toBe(prefix[index]?.startLsn);
    }),
  );
});
