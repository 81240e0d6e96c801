import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LogPosition, LogReader, ProposalEra } from '../base/log-access.ts';
import { logStreamId, lsn, nodeId, proposalId, scn } from '../base/scalars.ts';
import { assertContinues, firstEraConflict } from './continuity.ts';

const at = (bytes: number, checksum = bytes): LogPosition => ({ lsn: lsn(bytes), scn: scn(bytes), checksum });

/** A log of groups of 100 bytes from 200 to 500, written in two eras. */
const source: LogReader = {
  state: () => ({
    stream: logStreamId(1001),
    role: 'leader',
    leader: nodeId('self'),
    isActive: true,
    isImpaired: false,
    isStuck: false,
    config: {
      version: { proposalId: proposalId(0), sequence: 1 },
      members: [nodeId('self')],
      learners: [],
      degraded: [],
      arbiter: null,
    },
    proposalId: proposalId(2),
    accessMode: 'APPEND',
    modeVersion: 1,
    baseLsn: lsn(200),
    beginLsn: lsn(200),
    end: at(500),
    maxLsn: lsn(500),
    maxScn: scn(500),
    proposalHistory: [
      { proposalId: proposalId(1), startLsn: lsn(0) },
      { proposalId: proposalId(2), startLsn: lsn(300) },
    ],
  }),
  read: async from => ({
    start: at(Math.floor(from / 100) * 100),
    end: at(Math.floor(from / 100) * 100 + 100),
    bytes: new Uint8Array(100),
  }),
  onCommitted: () => () => {},
  hold: () => ({ advance() {}, release() {} }),
};

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

test('a log that ends at a boundary of the source, in the same eras, continues there', async () => {
  const history = source.state().proposalHistory;
  for (const end of [200, 300, 400, 500]) await assertContinues(source, at(end), history, 'it');
});

test('another checksum, another era, or an end inside a group is a fork', async () => {
  const history = source.state().proposalHistory;
  const fork = { code: 'OBS_STANDBY_DIVERGED' };
  await expect(assertContinues(source, at(400, 7), history, 'it')).rejects.toMatchObject(fork);
  await expect(assertContinues(source, at(500, 7), history, 'it')).rejects.toMatchObject(fork);
  await expect(assertContinues(source, at(450), history, 'it')).rejects.toMatchObject(fork);
  await expect(assertContinues(source, at(400), [era(1, 0)], 'it')).rejects.toMatchObject({
    ...fork,
    details: { lsn: 300 },
  });
});

test('log that is gone and log that never was are told apart from a fork', async () => {
  const history = source.state().proposalHistory;
  await expect(assertContinues(source, at(100), history, 'it')).rejects.toMatchObject({
    code: 'OBS_LOG_RECYCLED',
    details: { begin: 200 },
  });
  await expect(assertContinues(source, at(600), history, 'it')).rejects.toMatchObject({
    code: 'OBS_STANDBY_AHEAD',
  });
});
