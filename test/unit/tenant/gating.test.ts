/** What leaves the engine, and what is taken back, when the log is slow, refuses, or loses its leadership. */
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
  await site.close();
  expect(site.fatal).toEqual([]);
});

/** Resolves when the engine has handed `count` more entries to its log. */
const appended = async (count: number) => {
  while (site.log.appended.length < count) await new Promise(resolve => setImmediate(resolve));
};

test('no write and no read that saw it is answered before the log has committed', async () => {
  site.log.hold();
  const before = site.log.appended.length;
  const write = outcomeOf(run(one, 'INSERT INTO t VALUES (2, 2)'));
  await appended(before + 1);
  const read = rows(two, 'SELECT count(*) FROM t');
  const outcomes: string[] = [];
  void write.then(() => outcomes.push('write'));
  void read.then(() => outcomes.push('read'));
  // an error may show what is not committed as well
  const third = site.engine.openSession();
  const duplicate = outcomeOf(run(third, 'INSERT INTO t VALUES (2, 3)'));
  void duplicate.then(() => outcomes.push('duplicate'));
  const described = third.close().then(() => outcomes.push('closed'));
  await new Promise(resolve => setTimeout(resolve, 50));
  expect(outcomes).toEqual([]);
  await site.log.release();
  await Promise.all([write, read, duplicate, described]);
  expect(await read).toEqual([[2]]);
  expect(await duplicate).toBe('OBS_SQL_DUPLICATE_KEY');
  expect(outcomes.toSorted()).toEqual(['closed', 'duplicate', 'read', 'write']);
});

test('the next batch runs while the one before waits for its commit', async () => {
  site.log.hold();
  const before = site.log.appended.length;
  const first = run(one, 'INSERT INTO t VALUES (2, 2)');
  await appended(before + 1);
  const second = run(two, 'INSERT INTO t VALUES (3, 3)');
  await appended(before + 2);
  await site.log.release();
  await Promise.all([first, second]);
  expect(await rows(one, 'SELECT count(*) FROM t')).toEqual([[3]]);
});

test('a committed transaction frees the writer before its commit is kept', async () => {
  site.log.hold();
  await two.begin('write');
  await run(two, 'INSERT INTO t VALUES (2, 2)');
  const before = site.log.appended.length;
  const commit = two.commit();
  await appended(before + 1);
  const next = run(one, 'INSERT INTO t VALUES (3, 3)');
  await appended(before + 2);
  await site.log.release();
  await Promise.all([commit, next]);
});

test('what the log refuses is taken back, and fails cleanly', async () => {
  let refusals = 1;
  site.log.refuseAppends(() =>
    refusals-- > 0 ? new ObError('OBS_LOG_WINDOW_FULL', { stream: 1001, bytes: 1 }) : undefined,
  );
  const outcome = await outcomeOf(run(one, 'INSERT INTO t VALUES (2, 2)'));
  expect(outcome).toBe('OBS_LOG_WINDOW_FULL');
  expect(await rows(two, 'SELECT id FROM t')).toEqual([[1]]);
  await run(one, 'INSERT INTO t VALUES (2, 5)');
  expect(await rows(two, 'SELECT a FROM t WHERE id = 2')).toEqual([[5]]);
});

test('a lease that lapsed for a moment refuses what comes then, and the same term goes on when it is back', async () => {
  site.log.hold();
  const before = site.log.appended.length;
  const earlier = outcomeOf(run(one, 'INSERT INTO t VALUES (2, 2)'));
  await appended(before + 1);
  let hasLapsed = true;
  site.log.refuseAppends(() => (hasLapsed ? new ObError('OBS_LOG_LEASE_LOST', { stream: 1001 }) : undefined));
  expect(await outcomeOf(run(two, 'INSERT INTO t VALUES (3, 3)'))).toBe('OBS_LOG_LEASE_LOST');
  hasLapsed = false;
  await site.log.release();
  expect(await earlier).toBe('done');
  await run(two, 'INSERT INTO t VALUES (3, 5)');
  expect(await rows(one, 'SELECT id, a FROM t ORDER BY id')).toEqual([
    [1, 1],
    [2, 2],
    [3, 5],
  ]);
});

test('what is refused again and again leaves readers and writers as they were', async () => {
  let refusals = 3;
  site.log.refuseAppends(() =>
    refusals-- > 0 ? new ObError('OBS_LOG_WINDOW_FULL', { stream: 1001, bytes: 1 }) : undefined,
  );
  for (let attempt = 0; attempt < 3; attempt += 1)
    expect(await outcomeOf(run(one, 'INSERT INTO t VALUES (2, 2)'))).toBe('OBS_LOG_WINDOW_FULL');
  expect(await rows(two, 'SELECT id FROM t')).toEqual([[1]]);
  await run(one, 'INSERT INTO t VALUES (2, 5)');
  expect(await rows(two, 'SELECT a FROM t WHERE id = 2')).toEqual([[5]]);
});

test('a full window is waited for while something in it can still commit', async () => {
  site.log.hold();
  const before = site.log.appended.length;
  const first = run(one, 'INSERT INTO t VALUES (2, 2)');
  await appended(before + 1);
  let full = true;
  let asked = 0;
  site.log.refuseAppends(() => {
    asked += 1;
    return full ? new ObError('OBS_LOG_WINDOW_FULL', { stream: 1001, bytes: 1 }) : undefined;
  });
  const second = run(two, 'INSERT INTO t VALUES (3, 3)');
  while (asked === 0) await new Promise(resolve => setImmediate(resolve));
  full = false;
  await site.log.release();
  await Promise.all([first, second]);
  expect(await rows(one, 'SELECT count(*) FROM t')).toEqual([[3]]);
});

test('a read that saw what is taken back is run again', async () => {
  site.log.hold();
  const before = site.log.appended.length;
  const write = outcomeOf(run(one, 'INSERT INTO t VALUES (2, 2)'));
  await appended(before + 1);
  const weak = { sql: 'SELECT count(*) FROM t', parameters: [], rowsMax: 1, weak: true };
  const read = two.execute(weak);
  const third = site.engine.openSession();
  const begun = third.begin('read');
  await new Promise(resolve => setTimeout(resolve, 20));
  site.log.lose();
  expect(await write).toBe('OBS_TENANT_OUTCOME_UNKNOWN');
  expect(await read).toMatchObject({ rows: [[1]] });
  await begun;
  expect(await third.execute(weak)).toMatchObject({ rows: [[1]] });
});

test('when leadership is lost, what the log took is unknown and what it did not take has failed', async () => {
  site.log.hold();
  const before = site.log.appended.length;
  const taken = outcomeOf(run(one, 'INSERT INTO t VALUES (2, 2)'));
  await appended(before + 1);
  site.log.lose();
  const refused = outcomeOf(run(site.engine.openSession(), 'INSERT INTO t VALUES (3, 3)'));
  expect(await taken).toBe('OBS_TENANT_OUTCOME_UNKNOWN');
  expect(['OBS_TENANT_NOT_LEADER', 'OBS_LOG_NOT_APPENDABLE', 'OBS_TENANT_UNDONE']).toContain(await refused);
  site.log.regain();
  expect(await rows(one, 'SELECT id FROM t')).toEqual([[1]]);
});

test('after a lost leadership the engine follows, and applies what the log kept after all', async () => {
  site.log.hold();
  const before = site.log.appended.length;
  const taken = outcomeOf(run(one, 'INSERT INTO t VALUES (2, 2)'));
  await appended(before + 1);
  site.log.lose();
  expect(await taken).toBe('OBS_TENANT_OUTCOME_UNKNOWN');
  await site.engine.demote();
  expect(await rows(one, 'SELECT id FROM t')).toEqual([[1]]);
  site.log.regain();
  await site.stream.committed(site.stream.state().maxLsn);
  const chunk = await site.stream.read(site.engine.state().appliedLsn, 1_000_000);
  await site.engine.apply(chunk);
  expect(await rows(one, 'SELECT id FROM t')).toEqual([[1], [2]]);
  await site.engine.promote();
  await run(one, 'INSERT INTO t VALUES (3, 3)');
  expect(await rows(two, 'SELECT id FROM t')).toEqual([[1], [2], [3]]);
});

test('a write transaction is ended by an undo, and told so', async () => {
  await two.begin('write');
  await run(two, 'INSERT INTO t VALUES (9, 9)');
  site.log.lose();
  expect(await outcomeOf(two.commit())).toMatch(/^OBS_LOG_NOT_APPENDABLE$|^OBS_TENANT_UNDONE$/);
  expect(two.inTransaction).toBe(false);
  expect(await outcomeOf(run(one, 'INSERT INTO t VALUES (3, 3)'))).toBe('OBS_TENANT_NOT_LEADER');
  site.log.regain();
  expect(await rows(one, 'SELECT id FROM t')).toEqual([[1]]);
});
