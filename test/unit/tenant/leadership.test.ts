/** An engine whose log is led elsewhere, or nowhere, or here again: what it appends, undoes, and lets out. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ObError } from '../../../src/base/errors.ts';
import type { EngineSession } from '../../../src/tenant/engine.ts';
import { outcomeOf, rows, run, TenantSite } from '../../support/tenant-site.ts';

let site: TenantSite;
let one: EngineSession;
let two: EngineSession;

beforeEach(async () => {
  site = await TenantSite.open();
  one = site.engine.openSession();
  two = site.engine.openSession();
  await run(one, 'CREATE TABLE t(id INTEGER PRIMARY KEY, a)');
  await run(one, 'INSERT INTO t VALUES (1, 1)');
});
afterEach(async () => {
  site.log.regain();
  site.log.leased = true;
  await site.close();
  expect(site.fatal).toEqual([]);
});

const appended = async (count: number) => {
  while (site.log.appended.length < count) await new Promise(resolve => setImmediate(resolve));
};

const weak = (session: EngineSession, sql: string) =>
  session.execute({ sql, parameters: [], rowsMax: 100, weak: true });

/** Follows to the end of what the log has taken, as a replica does after it led. */
const follow = async () => {
  await site.stream.committed(site.stream.state().maxLsn);
  await site.engine.demote();
  for (;;) {
    const chunk = await site.log.read(site.engine.state().appliedLsn, 1_000_000);
    if (chunk.bytes.length === 0) return;
    await site.engine.apply(chunk);
  }
};

test('a log that is led here again takes nothing of the term that ended, though nothing was in flight', async () => {
  const before = site.log.appended.length;
  site.engine.leadershipEnded();
  expect(await outcomeOf(run(one, 'INSERT INTO t VALUES (2, 2)'))).toBe('OBS_TENANT_NOT_LEADER');
  expect(await outcomeOf(two.begin('write'))).toBe('OBS_TENANT_NOT_LEADER');
  expect(site.log.appended.length).toBe(before);
  await follow();
  await site.engine.promote();
  await run(one, 'INSERT INTO t VALUES (2, 2)');
  expect(await rows(two, 'SELECT id FROM t')).toEqual([[1], [2]]);
});

test('a transaction that is open when leadership ends commits nothing, and that is told', async () => {
  await one.begin('write');
  await run(one, 'INSERT INTO t VALUES (2, 2)');
  const before = site.log.appended.length;
  site.engine.leadershipEnded();
  expect(await outcomeOf(one.commit())).toBe('OBS_TENANT_NOT_LEADER');
  expect(site.log.appended.length).toBe(before);
  await follow();
  expect(await rows(two, 'SELECT id FROM t')).toEqual([[1]]);
});

test('commits that wait behind a full window have failed, those the log took are unknown', async () => {
  site.log.hold();
  const before = site.log.appended.length;
  const taken = outcomeOf(run(one, 'INSERT INTO t VALUES (2, 2)'));
  await appended(before + 1);
  let asked = 0;
  site.log.refuseAppends(() => {
    asked += 1;
    return new ObError('OBS_LOG_WINDOW_FULL', { stream: 1001, bytes: 1 });
  });
  const waiting = outcomeOf(run(two, 'INSERT INTO t VALUES (3, 3)'));
  while (asked === 0) await new Promise(resolve => setImmediate(resolve));
  site.engine.leadershipEnded();
  site.log.lose();
  expect(await taken).toBe('OBS_TENANT_OUTCOME_UNKNOWN');
  expect(await waiting).toBe('OBS_TENANT_UNDONE');
  site.log.regain();
  await follow();
  expect(await rows(one, 'SELECT id FROM t')).toEqual([[1], [2]]);
});

test('leadership that ends while the engine is being promoted has ended for it', async () => {
  await site.engine.demote();
  const promoting = site.engine.promote();
  site.engine.leadershipEnded();
  await promoting;
  const before = site.log.appended.length;
  expect(await outcomeOf(run(one, 'INSERT INTO t VALUES (2, 2)'))).toBe('OBS_TENANT_NOT_LEADER');
  expect(site.log.appended.length).toBe(before);
  await follow();
  await site.engine.promote();
  await run(one, 'INSERT INTO t VALUES (2, 2)');
});

test('ending twice, demoting twice and ending as a follower change nothing more', async () => {
  site.engine.leadershipEnded();
  site.engine.leadershipEnded();
  await site.engine.demote();
  site.engine.leadershipEnded();
  await site.engine.demote();
  await site.engine.promote();
  await run(one, 'INSERT INTO t VALUES (2, 2)');
  expect(await rows(two, 'SELECT id FROM t')).toEqual([[1], [2]]);
});

test('without the lease a leader lets no read out, nor a write that changed nothing; what it committed it tells', async () => {
  site.log.leased = false;
  expect(await outcomeOf(rows(one, 'SELECT id FROM t'))).toBe('OBS_TENANT_NOT_LEADER');
  expect(await outcomeOf(run(one, 'UPDATE t SET a = 2 WHERE id = 7'))).toBe('OBS_TENANT_NOT_LEADER');
  expect(await outcomeOf(run(one, 'INSERT INTO t VALUES (1, 1)'))).toBe('OBS_TENANT_NOT_LEADER');
  expect(await outcomeOf(run(one, 'INSERT INTO t VALUES (2, 2)'))).toBe('done');
  await two.begin('read');
  expect(await outcomeOf(rows(two, 'SELECT id FROM t'))).toBe('OBS_TENANT_NOT_LEADER');
  await two.rollback();
  expect(await weak(one, 'SELECT id FROM t')).toMatchObject({ rows: [[1], [2]] });
  site.log.leased = true;
  expect(await rows(one, 'SELECT id FROM t')).toEqual([[1], [2]]);
});

test('a read that ran while this engine led is not let out as if a follower had been asked', async () => {
  site.log.hold();
  const before = site.log.appended.length;
  const write = outcomeOf(run(one, 'INSERT INTO t VALUES (2, 2)'));
  await appended(before + 1);
  const strong = outcomeOf(rows(two, 'SELECT id FROM t'));
  const session = site.engine.openSession({ weak: true });
  const old = rows(session, 'SELECT id FROM t');
  await new Promise(resolve => setTimeout(resolve, 20));
  site.engine.leadershipEnded();
  site.log.lose();
  const demoting = site.engine.demote();
  expect(await write).toBe('OBS_TENANT_OUTCOME_UNKNOWN');
  expect(await strong).toBe('OBS_TENANT_NOT_LEADER');
  await demoting;
  expect(await old).toEqual([[1]]);
});
