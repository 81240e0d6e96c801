/** The statements of sysbench's OLTP scripts, as its text mode and its prepared mode send them. */
import { expect, test } from 'vitest';
import { DialectSession } from '../../../test/support/dialect-session.ts';
import { isPlain } from './plain-statement.ts';

const createTable = `CREATE TABLE sbtest1(
  id INTEGER NOT NULL AUTO_INCREMENT,
  k INTEGER DEFAULT '0' NOT NULL,
  c CHAR(120) DEFAULT '' NOT NULL,
  pad CHAR(60) DEFAULT '' NOT NULL,
  PRIMARY KEY (id)
) /*! ENGINE = innodb */ `;
const c = '083-117-492-011-553-730-276-098-615-440';
const pad = '674-091-255-381-007';

async function prepared(): Promise<DialectSession> {
  const session = new DialectSession({ schema: 'sbtest' });
  await session.run(createTable);
  const rows = Array.from({ length: 100 }, (_, index) => `(${index + 1}, '${c}', '${pad}')`);
  await session.run(`INSERT INTO sbtest1(k, c, pad) VALUES${rows.join(',')}`);
  await session.run('CREATE INDEX k_1 ON sbtest1(k)');
  return session;
}

test('prepare makes a table whose id is the row id, with the index beside it', async () => {
  const session = await prepared();
  expect((await session.run('SELECT COUNT(*), MIN(id), MAX(id) FROM sbtest1')).rows).toEqual([[100, 1, 100]]);
  const plan = await session.run('EXPLAIN SELECT c FROM sbtest1 WHERE id=5');
  expect(JSON.stringify(plan.rows)).toContain('USING INTEGER PRIMARY KEY');
  const byKey = await session.run('EXPLAIN SELECT id FROM sbtest1 WHERE k=5');
  expect(JSON.stringify(byKey.rows)).toContain('USING COVERING INDEX sbtest1$k_1');
});

test.each([
  ['SELECT c FROM sbtest1 WHERE id=50', [[c]]],
  ['SELECT c FROM sbtest1 WHERE id BETWEEN 10 AND 11', [[c], [c]]],
  ['SELECT SUM(k) FROM sbtest1 WHERE id BETWEEN 1 AND 100', [[5050]]],
  ['SELECT c FROM sbtest1 WHERE id BETWEEN 1 AND 2 ORDER BY c', [[c], [c]]],
  ['SELECT DISTINCT c FROM sbtest1 WHERE id BETWEEN 1 AND 100 ORDER BY c', [[c]]],
  ['SELECT count(k) FROM sbtest1 WHERE k BETWEEN 1 AND 3 OR k BETWEEN 5 AND 6', [[5]]],
])('text: %s', async (statement, rows) => {
  const session = await prepared();
  expect(isPlain(statement)).toBe(true);
  expect((await session.run(statement)).rows).toEqual(rows);
});

test.each([
  ['UPDATE sbtest1 SET k=k+1 WHERE id=7', 1],
  [`UPDATE sbtest1 SET c='${c}' WHERE id=7`, 1],
  ['DELETE FROM sbtest1 WHERE id=7', 1],
  ['DELETE FROM sbtest1 WHERE id=700', 0],
  [`INSERT INTO sbtest1 (id, k, c, pad) VALUES (701, 5, '${c}', '${pad}')`, 1],
])('text: %s', async (statement, changes) => {
  const session = await prepared();
  expect((await session.run(statement)).changes).toBe(changes);
});

test('text: oltp_insert sends 0 for the generated id', async () => {
  const session = await prepared();
  const insert = `INSERT INTO sbtest1 (id, k, c, pad) VALUES (0, 5, '${c}', '${pad}')`;
  await session.run(insert);
  await session.run(insert);
  expect((await session.run('SELECT MAX(id) FROM sbtest1')).rows).toEqual([[102]]);
});

test.each([
  ['SELECT c FROM sbtest1 WHERE id=?', [50]],
  ['SELECT c FROM sbtest1 WHERE id BETWEEN ? AND ?', [1, 2]],
  ['SELECT SUM(k) FROM sbtest1 WHERE id BETWEEN ? AND ?', [1, 2]],
  ['SELECT c FROM sbtest1 WHERE id BETWEEN ? AND ? ORDER BY c', [1, 2]],
  ['SELECT DISTINCT c FROM sbtest1 WHERE id BETWEEN ? AND ? ORDER BY c', [1, 2]],
  ['UPDATE sbtest1 SET k=k+1 WHERE id=?', [1]],
  ['UPDATE sbtest1 SET c=? WHERE id=?', [c, 1]],
  ['DELETE FROM sbtest1 WHERE id=?', [1]],
])('prepared: %s is kept with the prepared statement', async (statement, parameters) => {
  const session = await prepared();
  expect(await session.plans(statement)).toEqual([
    expect.objectContaining({ kind: 'engine', sql: statement, stable: true }),
  ]);
  const answer = await session.run(statement, parameters);
  expect(answer.rows.length + answer.changes).toBeGreaterThan(0);
});

test('prepared: the INSERT takes ids and generates one for 0', async () => {
  const session = await prepared();
  const insert = 'INSERT INTO sbtest1 (id, k, c, pad) VALUES (?, ?, ?, ?)';
  await session.run(insert, [500, 1, c, pad]);
  await session.run(insert, [0, 1, c, pad]);
  expect((await session.run('SELECT MAX(id) FROM sbtest1')).rows).toEqual([[501]]);
});

test('transactions and cleanup', async () => {
  const session = await prepared();
  expect(await session.plans('BEGIN')).toEqual([{ kind: 'begin', readOnly: false }]);
  expect(await session.plans('COMMIT')).toEqual([{ kind: 'commit' }]);
  await session.run('DROP TABLE IF EXISTS sbtest1');
  await session.run('DROP TABLE IF EXISTS sbtest1');
  expect((await session.run('SHOW TABLES')).rows).toEqual([]);
});
