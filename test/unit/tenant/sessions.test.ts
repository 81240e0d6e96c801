/** Sessions of a leading engine over real worker threads, real SQLite and a real log. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { EngineSession } from '../../../src/tenant/engine.ts';
import { outcomeOf, rows, run, runOnce, TenantSite } from '../../support/tenant-site.ts';

let site: TenantSite;
let one: EngineSession;
let two: EngineSession;

beforeAll(async () => {
  site = await TenantSite.open();
});
afterAll(async () => {
  await site.close();
  expect(site.fatal).toEqual([]);
});
beforeEach(async () => {
  one = site.engine.openSession();
  two = site.engine.openSession();
  await run(one, 'DROP TABLE IF EXISTS child');
  await run(one, 'DROP TABLE IF EXISTS t');
  await run(one, 'CREATE TABLE t(id INTEGER PRIMARY KEY, a, UNIQUE(a))');
  return async () => {
    await one.close();
    await two.close();
  };
});

const ids = async () => (await rows(one, 'SELECT id FROM t ORDER BY id')).flat();

test('results carry names, declared types and origins of columns', async () => {
  const result = await run(one, 'SELECT id, a AS b, 1 + 1 FROM t');
  expect(result.kind === 'rows' && result.columns).toEqual([
    { name: 'id', declaredType: 'INTEGER', table: 't', originColumn: 'id' },
    { name: 'b', declaredType: null, table: 't', originColumn: 'a' },
    { name: '1 + 1', declaredType: null, table: null, originColumn: null },
  ]);
});

test('columns follow a change of the schema, from this session or another', async () => {
  const columns = async (session: EngineSession) => {
    const result = await run(session, 'SELECT * FROM t');
    return result.kind === 'rows' ? result.columns.map(({ name }) => name) : [];
  };
  for (let repeat = 0; repeat < 3; repeat++) expect(await columns(one)).toEqual(['id', 'a']);
  await run(two, 'ALTER TABLE t ADD COLUMN b');
  for (let repeat = 0; repeat < 3; repeat++) expect(await columns(one)).toEqual(['id', 'a', 'b']);
  await one.begin('write');
  await run(one, 'ALTER TABLE t ADD COLUMN c');
  expect(await columns(one)).toEqual(['id', 'a', 'b', 'c']);
  expect(await columns(two)).toEqual(['id', 'a', 'b']);
  await one.rollback();
  await run(two, 'ALTER TABLE t ADD COLUMN d');
  expect(await columns(one)).toEqual(['id', 'a', 'b', 'd']);
  expect(await columns(two)).toEqual(['id', 'a', 'b', 'd']);
});

test('a commit of any size reaches the log', async () => {
  const before = site.log.appended.length;
  const sizes = [100, 3_000, 7_000, 9_000, 11_000, 13_000, 17_000, 33_000, 70_000, 2_000_000];
  for (const bytes of sizes) await run(one, 'INSERT INTO t(a) VALUES (randomblob(?))', bytes);
  expect(site.log.appended.length - before).toBe(sizes.length);
  expect(await rows(one, 'SELECT length(a) FROM t ORDER BY id')).toEqual(sizes.map(bytes => [bytes]));
});

test('integers beyond 2^53 come back exactly, smaller ones as numbers', async () => {
  await run(one, 'INSERT INTO t VALUES (?, ?), (?, ?)', 1, 2n ** 60n, 2, 7n);
  for (let repeat = 0; repeat < 3; repeat++) {
    expect(await rows(one, 'SELECT id, a FROM t ORDER BY id')).toEqual([
      [1, 2n ** 60n],
      [2, 7],
    ]);
  }
  const inserted = await run(one, 'INSERT INTO t VALUES (9007199254740995, 1)');
  expect(inserted).toEqual({ kind: 'done', changes: 1, lastInsertRowid: 9007199254740995n });
});

test('only inserts report a row id, although the connection is shared', async () => {
  await run(one, 'INSERT INTO t VALUES (41, 1)');
  expect(await run(two, 'UPDATE t SET a = 2')).toEqual({ kind: 'done', changes: 1, lastInsertRowid: 0 });
  expect(await run(two, 'DELETE FROM t WHERE id = 99')).toEqual({
    kind: 'done',
    changes: 0,
    lastInsertRowid: 0,
  });
});

test('writes of one turn share a commit, and a failing one does not disturb its neighbours', async () => {
  const before = site.log.appended.length;
  const outcomes = await Promise.all([
    outcomeOf(run(one, 'INSERT INTO t VALUES (1, 1)')),
    outcomeOf(run(two, 'INSERT INTO t VALUES (2, 1)')),
    ...Array.from({ length: 8 }, (_, index) => {
      return outcomeOf(runOnce(site, 'INSERT INTO t VALUES (?, ?)', index + 3, index + 3));
    }),
  ]);
  expect(outcomes.filter(outcome => outcome !== 'done')).toEqual(['OBS_SQL_DUPLICATE_KEY']);
  expect(await ids()).toEqual([1, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(site.log.appended.length - before).toBe(1);
});

test('a statement that rolls the whole transaction back takes only itself', async () => {
  await run(one, 'INSERT INTO t VALUES (1, 1)');
  const outcomes = await Promise.all([
    outcomeOf(run(one, 'INSERT INTO t VALUES (2, 2)')),
    outcomeOf(run(two, 'INSERT OR ROLLBACK INTO t VALUES (1, 3)')),
    ...[3, 4].map(id => {
      return outcomeOf(runOnce(site, 'INSERT INTO t VALUES (?, ?)', id, id));
    }),
  ]);
  expect(outcomes).toEqual(['done', 'OBS_SQL_DUPLICATE_KEY', 'done', 'done']);
  expect(await ids()).toEqual([1, 2, 3, 4]);
});

test('a trigger that raises ROLLBACK takes only its own statement', async () => {
  await run(
    one,
    "CREATE TRIGGER no AFTER INSERT ON t WHEN new.a = 13 BEGIN SELECT RAISE(ROLLBACK, 'unlucky'); END",
  );
  const [first, second, third] = await Promise.all([
    outcomeOf(run(one, 'INSERT INTO t VALUES (1, 1)')),
    run(two, 'INSERT INTO t VALUES (2, 13)').then(
      () => 'done',
      (error: Error) => error.message,
    ),
    outcomeOf(
      site.engine.openSession().execute({ sql: 'INSERT INTO t VALUES (3, 3)', parameters: [], rowsMax: 1 }),
    ),
  ]);
  expect([first, second, third]).toEqual(['done', 'unlucky', 'done']);
  expect(await ids()).toEqual([1, 3]);
});

test("deferred foreign keys are each statement's own, even when a neighbour would heal them", async () => {
  await run(one, 'CREATE TABLE child(parent REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED)');
  const outcomes = await Promise.all([
    outcomeOf(run(one, 'INSERT INTO child VALUES (7)')),
    outcomeOf(run(two, 'INSERT INTO t VALUES (7, 7)')),
  ]);
  expect(outcomes).toEqual(['OBS_SQL_FOREIGN_KEY', 'done']);
  expect(await rows(one, 'SELECT * FROM child')).toEqual([]);
  await one.setForeignKeys(false);
  expect(await outcomeOf(run(one, 'INSERT INTO child VALUES (8)'))).toBe('done');
  expect(await outcomeOf(run(two, 'INSERT INTO child VALUES (9)'))).toBe('OBS_SQL_FOREIGN_KEY');
});

test("a transaction is its session's until it commits, and readers see only what is committed", async () => {
  await one.begin('write');
  await run(one, 'INSERT INTO t VALUES (1, 1)');
  expect(await rows(one, 'SELECT count(*) FROM t')).toEqual([[1]]);
  expect(await rows(two, 'SELECT count(*) FROM t')).toEqual([[0]]);
  const waiting = run(two, 'INSERT INTO t VALUES (2, 2)');
  await run(one, 'INSERT INTO t VALUES (3, 3)');
  await one.commit();
  await waiting;
  expect(await ids()).toEqual([1, 2, 3]);
  expect(one.inTransaction).toBe(false);
});

test('a rolled back transaction leaves nothing, in the database and in the log', async () => {
  const before = site.log.appended.length;
  await one.begin('write');
  await run(one, 'INSERT INTO t VALUES (1, 1)');
  await one.rollback();
  expect(await ids()).toEqual([]);
  expect(site.log.appended.length).toBe(before);
});

test('savepoints work inside a transaction and are refused outside', async () => {
  expect(await outcomeOf(run(one, 'SAVEPOINT a'))).toBe('OBS_TENANT_TRANSACTION_STATE');
  await one.begin('write');
  await run(one, 'SAVEPOINT a');
  await run(one, 'INSERT INTO t VALUES (1, 1)');
  await run(one, 'ROLLBACK TO a');
  await run(one, 'INSERT INTO t VALUES (2, 2)');
  await run(one, 'RELEASE a');
  await one.commit();
  expect(await ids()).toEqual([2]);
});

test("a statement that ends its transaction ends the session's, and frees the writer", async () => {
  await run(one, 'INSERT INTO t VALUES (1, 1)');
  await one.begin('write');
  await run(one, 'INSERT INTO t VALUES (2, 2)');
  expect(await outcomeOf(run(one, 'INSERT OR ROLLBACK INTO t VALUES (1, 3)'))).toBe('OBS_SQL_DUPLICATE_KEY');
  expect(one.inTransaction).toBe(false);
  await run(two, 'INSERT INTO t VALUES (5, 5)');
  expect(await ids()).toEqual([1, 5]);
});

test('a refused COMMIT leaves the transaction open', async () => {
  await run(one, 'CREATE TABLE child(parent REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED)');
  await one.begin('write');
  await run(one, 'INSERT INTO child VALUES (1)');
  expect(await outcomeOf(one.commit())).toBe('OBS_SQL_FOREIGN_KEY');
  expect(one.inTransaction).toBe(true);
  await run(one, 'INSERT INTO t VALUES (1, 1)');
  await one.commit();
  expect(await rows(one, 'SELECT * FROM child')).toEqual([[1]]);
});

test('a read transaction keeps its snapshot and refuses writes', async () => {
  await run(one, 'INSERT INTO t VALUES (1, 1)');
  await two.begin('read');
  await run(one, 'INSERT INTO t VALUES (2, 2)');
  expect(await rows(two, 'SELECT count(*) FROM t')).toEqual([[1]]);
  expect(await outcomeOf(run(two, 'INSERT INTO t VALUES (3, 3)'))).toBe('OBS_TENANT_READ_TRANSACTION');
  await two.commit();
  expect(await rows(two, 'SELECT count(*) FROM t')).toEqual([[2]]);
});

test('who waits too long for the writer is refused, and has written nothing', async () => {
  await one.begin('write');
  expect(await outcomeOf(two.begin('write', { lockWaitMs: 20 }))).toBe('OBS_TENANT_LOCK_WAIT');
  expect(two.inTransaction).toBe(false);
  await one.commit();
  await two.begin('write', { lockWaitMs: 20 });
  await two.rollback();
});

test('an idle transaction is rolled back, and its session is told once', async () => {
  const idle = site.engine.openSession({ idleInTransactionMs: 30 });
  await idle.begin('write');
  await run(idle, 'INSERT INTO t VALUES (1, 1)');
  await run(one, 'INSERT INTO t VALUES (2, 2)');
  expect(await outcomeOf(run(idle, 'SELECT 1'))).toBe('OBS_TENANT_TRANSACTION_IDLE');
  expect(await outcomeOf(run(idle, 'SELECT 1'))).toBe('done');
  expect(await ids()).toEqual([2]);
  await idle.close();
});

test('a session that goes away rolls back, and gives up its place in the queue', async () => {
  await one.begin('write');
  await run(one, 'INSERT INTO t VALUES (1, 1)');
  const begun = outcomeOf(two.begin('write'));
  const third = site.engine.openSession();
  const write = run(third, 'INSERT INTO t VALUES (3, 3)');
  await two.close();
  expect(await begun).toBe('OBS_TENANT_SESSION_CLOSED');
  await one.close();
  await write;
  one = site.engine.openSession();
  expect(await ids()).toEqual([3]);
  await third.close();
});

test('results are bounded, and a write that returns too much is undone', async () => {
  const insert = 'INSERT INTO t(a) VALUES (1), (2), (3) RETURNING id';
  const limited = (sql: string, rowsMax: number) => outcomeOf(one.execute({ sql, parameters: [], rowsMax }));
  expect(await limited(insert, 2)).toBe('OBS_SQL_RESULT_TOO_LARGE');
  expect(await ids()).toEqual([]);
  expect(await limited(insert, 3)).toBe('done');
  expect(await limited('SELECT * FROM t', 2)).toBe('OBS_SQL_RESULT_TOO_LARGE');
  expect(await limited('SELECT * FROM t', 3)).toBe('done');
  await one.begin('write');
  expect(await limited('DELETE FROM t RETURNING id', 2)).toBe('OBS_SQL_RESULT_TOO_LARGE');
  await one.commit();
  expect(await ids()).toHaveLength(3);
});

test('a large result is the same however it is fetched', async () => {
  await run(
    one,
    'WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2000) INSERT INTO t SELECT x, x FROM n',
  );
  for (const limit of [10, 512, 513, 2000]) {
    for (let repeat = 0; repeat < 3; repeat++) {
      const found = await rows(one, `SELECT id FROM t WHERE id <= ${limit} ORDER BY id`);
      expect(found.length).toBe(limit);
      expect(found.at(-1)).toEqual([limit]);
    }
  }
});

test('a statement is described without running it', async () => {
  const description = await one.describe("INSERT INTO t VALUES (?, ?) -- '?' is no marker");
  expect(description).toEqual({ parameterCount: 2, columns: [], readOnly: false });
  expect(await one.describe("SELECT a, '?' FROM t WHERE id = ?")).toMatchObject({
    parameterCount: 1,
    readOnly: true,
    columns: [{ name: 'a' }, { name: "'?'" }],
  });
  expect(await outcomeOf(one.describe('PRAGMA journal_mode = DELETE'))).toBe('OBS_SQL_FORBIDDEN');
  expect(await ids()).toEqual([]);
});

test.each([
  ['selec 1', 'OBS_SQL_SYNTAX'],
  ['SELECT 1; SELECT 2', 'OBS_SQL_ONE_STATEMENT'],
  ['/* nothing */', 'OBS_SQL_EMPTY'],
  ['SELECT * FROM nope', 'OBS_SQL_NO_SUCH_TABLE'],
  ['SELECT nope FROM t', 'OBS_SQL_NO_SUCH_COLUMN'],
  ['INSERT INTO t(nope) VALUES (1)', 'OBS_SQL_NO_SUCH_COLUMN'],
  ['INSERT INTO t VALUES (1)', 'OBS_SQL_COLUMN_COUNT'],
  ['CREATE TABLE t(a)', 'OBS_SQL_TABLE_EXISTS'],
  ['DROP INDEX nope', 'OBS_SQL_NO_SUCH_INDEX'],
  ['SELECT nope(1)', 'OBS_SQL_NO_SUCH_FUNCTION'],
  ["INSERT INTO t VALUES ('x', 1)", 'OBS_SQL_VALUE_TYPE'],
  ['SELECT ?', 'OBS_SQL_PARAMETER_COUNT'],
  ['SELECT :a', 'OBS_SQL_NAMED_PARAMETERS'],
  ["ATTACH 'x' AS y", 'OBS_SQL_FORBIDDEN'],
  ['SELECT * FROM __obs_user', 'OBS_SQL_HIDDEN_TABLE'],
])('%s answers %s', async (sql, expected) => {
  expect(await outcomeOf(run(one, sql))).toBe(expected);
});

test('constraints answer with their own errors', async () => {
  await run(one, 'CREATE TABLE child(a NOT NULL, b CHECK (b > 0), c REFERENCES t(id))');
  expect(await outcomeOf(run(one, 'INSERT INTO child VALUES (NULL, 1, NULL)'))).toBe('OBS_SQL_NOT_NULL');
  expect(await outcomeOf(run(one, 'INSERT INTO child VALUES (1, 0, NULL)'))).toBe('OBS_SQL_CHECK');
  expect(await outcomeOf(run(one, 'INSERT INTO child VALUES (1, 1, 5)'))).toBe('OBS_SQL_FOREIGN_KEY');
  await run(one, 'INSERT INTO t VALUES (5, 5)');
  await run(one, 'INSERT INTO child VALUES (1, 1, 5)');
  expect(await outcomeOf(run(one, 'DELETE FROM t'))).toBe('OBS_SQL_FOREIGN_KEY_PARENT');
});

test('internal sessions see tables that clients do not', async () => {
  const internal = site.engine.openSession({ internal: true });
  await run(internal, 'CREATE TABLE IF NOT EXISTS __obs_note(a)');
  await run(internal, 'INSERT INTO __obs_note VALUES (1)');
  expect(await rows(internal, 'SELECT a FROM __obs_note')).toEqual([[1]]);
  expect(await outcomeOf(run(one, 'SELECT a FROM __obs_note'))).toBe('OBS_SQL_HIDDEN_TABLE');
  await internal.close();
});

test('VACUUM runs by itself, beside other writes', async () => {
  await run(one, 'INSERT INTO t VALUES (1, randomblob(100000))');
  await run(one, 'DELETE FROM t');
  const pages = site.engine.state().databasePages;
  await Promise.all([run(one, 'VACUUM'), run(two, 'INSERT INTO t VALUES (2, 2)')]);
  expect(site.engine.state().databasePages).toBeLessThan(pages);
  expect(await ids()).toEqual([2]);
  await one.begin('write');
  expect(await outcomeOf(run(one, 'VACUUM'))).toBe('OBS_SQL_FAILED');
  await one.rollback();
});
