import { expect, test } from 'vitest';
import { DialectSession } from '../../../test/support/dialect-session.ts';

const tables = [
  "CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT, a INT DEFAULT 5, b VARCHAR(50) DEFAULT 'x', c DATETIME NULL, PRIMARY KEY (id), UNIQUE KEY ua (a))",
  'CREATE TABLE u (id INT PRIMARY KEY, a INT, t_id INT)',
];

async function prepared(
  context: ConstructorParameters<typeof DialectSession>[0] = {},
): Promise<DialectSession> {
  const session = new DialectSession(context);
  for (const table of tables) await session.run(table);
  return session;
}

/** MySQL text, SQLite text. SQLite must prepare the second. */
test.each([
  // plain in both
  ['SELECT a FROM t WHERE id = 1', 'SELECT a FROM t WHERE id = 1'],
  ['SELECT count(*) FROM t', 'SELECT count(*) FROM t'],
  // names, literals, comments
  ['SELECT `a`, `t`.`b` FROM `t`', 'SELECT "a", "t"."b" FROM "t"'],
  ['SELECT a FROM app.t', 'SELECT a FROM t'],
  ['SELECT app.t.a FROM app.t, `app`.u WHERE t.id = u.id', 'SELECT t.a FROM t, u WHERE t.id = u.id'],
  ['SELECT a FROM t # comment\nWHERE id = 1 -- end', 'SELECT a FROM t WHERE id = 1'],
  ['SELECT /* no */ a /*! , b */ /*!99999 , c */ FROM t', 'SELECT a, b FROM t'],
  ['SELECT "q\\"q" AS x', `SELECT 'q"q' AS x`],
  // select modifiers, hints, locks
  ['SELECT SQL_NO_CACHE a FROM t USE INDEX (ua) WHERE a = 1', 'SELECT a FROM t WHERE a = 1'],
  ['SELECT DISTINCTROW a FROM t FORCE INDEX FOR JOIN (`PRIMARY`)', 'SELECT DISTINCT a FROM t'],
  ['SELECT a FROM t WHERE id = 1 FOR UPDATE', 'SELECT a FROM t WHERE id = 1'],
  ['SELECT a FROM t WHERE id = 1 FOR SHARE OF t SKIP LOCKED', 'SELECT a FROM t WHERE id = 1'],
  ['SELECT a FROM t LOCK IN SHARE MODE', 'SELECT a FROM t'],
  ['SELECT 1 FROM DUAL', 'SELECT 1'],
  ['SELECT a FROM t LIMIT 5, 10', 'SELECT a FROM t LIMIT 5, 10'],
  [
    '(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1',
    'SELECT * FROM (SELECT 1) UNION ALL SELECT * FROM (SELECT 2) ORDER BY 1',
  ],
  ['SELECT * FROM t STRAIGHT_JOIN u ON t.id = u.id', 'SELECT * FROM t JOIN u ON t.id = u.id'],
  // operators
  ['SELECT a FROM t WHERE a <=> NULL && b = "x"', `SELECT a FROM t WHERE a IS NULL AND b = 'x'`],
  ['SELECT a DIV 2 AS h, a MOD 2 AS m FROM t', 'SELECT a / 2 AS h, a % 2 AS m FROM t'],
  ['SELECT a FROM t WHERE !a', 'SELECT a FROM t WHERE NOT a'],
  ["SELECT a FROM t WHERE b LIKE '10\\%'", "SELECT a FROM t WHERE b LIKE '10\\%' ESCAPE '\\'"],
  [
    "SELECT a FROM t WHERE b COLLATE utf8mb4_general_ci = 'X'",
    "SELECT a FROM t WHERE b COLLATE NOCASE = 'X'",
  ],
  // functions; an item that was rewritten keeps the name MySQL shows
  ["SELECT CONCAT(a, '-', b) FROM t", `SELECT (a || '-' || b) AS "CONCAT(a, '-', b)" FROM t`],
  ['SELECT LEFT(b, 2) x FROM t', 'SELECT substr(b, 1, 2) x FROM t'],
  ['SELECT CHAR_LENGTH(b) FROM t', 'SELECT length(b) AS "CHAR_LENGTH(b)" FROM t'],
  ['SELECT a FROM t WHERE c > NOW()', "SELECT a FROM t WHERE c > datetime('now')"],
  [
    "SELECT a FROM t WHERE c > '2024-01-01' - INTERVAL 2 HOUR",
    "SELECT a FROM t WHERE c > datetime('2024-01-01', -((2)) || ' hours')",
  ],
  [
    'SELECT CAST(a AS CHAR), CONVERT(b, SIGNED) FROM t',
    'SELECT CAST(a AS TEXT) AS "CAST(a AS CHAR)", CAST(b AS INTEGER) AS "CONVERT(b, SIGNED)" FROM t',
  ],
  [
    "SELECT GROUP_CONCAT(b ORDER BY a DESC SEPARATOR '; ') AS g FROM t",
    "SELECT group_concat(b, '; ' ORDER BY a DESC) AS g FROM t",
  ],
  [
    'SELECT IFNULL(a, 0), COALESCE(a, b), IF(a, 1, 2) FROM t',
    'SELECT IFNULL(a, 0), COALESCE(a, b), IF(a, 1, 2) FROM t',
  ],
  [
    "SELECT TRIM(LEADING '0' FROM b) AS x, SUBSTRING(b FROM 2) AS y FROM t",
    "SELECT ltrim(b, '0') AS x, substr(b, 2) AS y FROM t",
  ],
  // parameters follow their text
  ['SELECT LOCATE(?, b) FROM t WHERE a = ?', 'SELECT instr(b, ?) AS "LOCATE(?, b)" FROM t WHERE a = ?'],
  // insert
  ['INSERT INTO t (a, b) VALUES (1, "x")', `INSERT INTO "t" ("a", "b") VALUES (1, 'x')`],
  ['INSERT t SET a = 1, b = DEFAULT', `INSERT INTO "t" ("a", "b") VALUES (1, ('x'))`],
  ['INSERT INTO t VALUES (0, DEFAULT, "b", NULL)', `INSERT INTO "t" VALUES (NULL, (5), 'b', NULL)`],
  ['INSERT INTO t (id, a) VALUES (0, 0)', 'INSERT INTO "t" ("id", "a") VALUES (NULL, 0)'],
  ['INSERT INTO u (id, a) VALUES (0, 0)', 'INSERT INTO "u" ("id", "a") VALUES (0, 0)'],
  ['INSERT INTO t (id, a) VALUES (?, ?)', 'INSERT INTO "t" ("id", "a") VALUES (NULLIF(?, 0), ?)'],
  ['INSERT INTO t () VALUES ()', 'INSERT INTO "t" DEFAULT VALUES'],
  ['INSERT IGNORE INTO t (a) VALUES (1)', 'INSERT OR IGNORE INTO "t" ("a") VALUES (1)'],
  ['REPLACE t (id, a) VALUES (1, 2)', 'REPLACE INTO "t" ("id", "a") VALUES (1, 2)'],
  [
    'INSERT INTO t (id, a) VALUES (1, 2) ON DUPLICATE KEY UPDATE a = VALUES(a) + t.a, b = DEFAULT',
    `INSERT INTO "t" ("id", "a") VALUES (1, 2) ON CONFLICT DO UPDATE SET "a" = excluded.a + t.a, "b" = ('x')`,
  ],
  [
    'INSERT INTO t (id, a) VALUES (1, 2) AS n ON DUPLICATE KEY UPDATE a = n.a',
    'INSERT INTO "t" ("id", "a") VALUES (1, 2) ON CONFLICT DO UPDATE SET "a" = excluded.a',
  ],
  [
    'INSERT INTO t (id, a) SELECT id, a FROM u ON DUPLICATE KEY UPDATE a = VALUES(a)',
    'INSERT INTO "t" ("id", "a") SELECT * FROM (SELECT id, a FROM u) WHERE true ON CONFLICT DO UPDATE SET "a" = excluded.a',
  ],
  [
    'INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING RETURNING id',
    'INSERT INTO "t" ("a") VALUES (1) ON CONFLICT DO NOTHING RETURNING id',
  ],
  // update, delete
  [
    'UPDATE `t` AS x SET x.a = a + 1, b = DEFAULT WHERE x.id = 1',
    `UPDATE "t" AS "x" SET "a" = a + 1, "b" = ('x') WHERE x.id = 1`,
  ],
  [
    'UPDATE t SET a = 1 WHERE b = "x" ORDER BY id LIMIT 2',
    `UPDATE "t" SET "a" = 1 WHERE b = 'x' ORDER BY id LIMIT 2`,
  ],
  ['DELETE QUICK FROM app.t WHERE a = 1 LIMIT 1', 'DELETE FROM "t" WHERE a = 1 LIMIT 1'],
  // savepoints, explain
  ['ROLLBACK TO SAVEPOINT s1', 'ROLLBACK TO "s1"'],
  ['EXPLAIN SELECT `a` FROM t', 'EXPLAIN QUERY PLAN SELECT "a" FROM t'],
])('%s', async (mysql, sqlite) => {
  const session = await prepared();
  expect(await session.translated(mysql)).toEqual([sqlite]);
  expect(() => session.database.prepare(sqlite)).not.toThrow();
});

test('the parameters of a rewritten function come in the order of the finished text', async () => {
  const session = await prepared();
  const { rows } = await session.run('SELECT LOCATE(?, ?), CONCAT(?, USER()), REPEAT(?, ?) AS r', [
    'l',
    'hello',
    'u:',
    'ab',
    2,
  ]);
  expect(rows).toEqual([[3, 'u:root@localhost', 'abab']]);
});

test('session functions answer what holds when the statement runs, not when it was translated', async () => {
  const session = await prepared();
  const read = async (): Promise<unknown> =>
    (await session.run('SELECT LAST_INSERT_ID(), ROW_COUNT(), DATABASE(), @x')).rows;
  expect(await read()).toEqual([[1, 0, 'app', null].map((value, index) => (index === 0 ? 0 : value))]);
  await session.run('INSERT INTO t (a) VALUES (1), (2)');
  session.context.schema = null;
  session.userVariables.set('x', 'y');
  expect(await read()).toEqual([[2, 2, null, 'y']]);
});

test('a column of a rewritten item is named as MySQL names it', async () => {
  const session = await prepared();
  const { columns } = await session.run(
    "SELECT VERSION(), @@version_comment, NOW(), 'lit', `a`+1, t.b, IF(1, 2, 3) AS i, COUNT( * ) FROM t",
  );
  expect(columns).toEqual(
    ['VERSION()', '@@version_comment', 'NOW()', 'lit', '`a`+1', 'b', 'i', 'COUNT( * )'].map(name =>
      name === '`a`+1' ? '`a`+1' : name,
    ),
  );
});

test('FOR UPDATE asks for the writer', async () => {
  const session = await prepared();
  expect(await session.plans('SELECT a FROM t WHERE id = 1 FOR UPDATE')).toMatchObject([
    { class: 'select', locking: true },
  ]);
  expect((await session.plans('SELECT a FROM t WHERE id = 1'))[0]).not.toHaveProperty('locking');
});

test('a template is translated anew when its table has changed', async () => {
  const session = await prepared();
  const insert = 'INSERT INTO u (id, a) VALUES (1, DEFAULT)';
  expect(await session.translated(insert)).toEqual(['INSERT INTO "u" ("id", "a") VALUES (1, NULL)']);
  await session.run('DROP TABLE u');
  await session.run('CREATE TABLE u (id INT PRIMARY KEY, a INT DEFAULT 9)');
  expect(await session.translated(insert)).toEqual(['INSERT INTO "u" ("id", "a") VALUES (1, (9))']);
});

test('the same text in another lexical mode is another statement', async () => {
  const session = await prepared();
  const text = 'SELECT "a" FROM t WHERE b = \'x\\\'';
  expect(await session.translated('SELECT "a\\"" AS v')).toEqual([`SELECT 'a"' AS v`]);
  session.context.noBackslashEscapes = true;
  expect(await session.translated(text)).toEqual([`SELECT 'a' AS "a" FROM t WHERE b = 'x\\'`]);
  session.context.ansiQuotes = true;
  expect(await session.translated(text)).toEqual([`SELECT "a" FROM t WHERE b = 'x\\'`]);
});

test.each([
  ['BEGIN', [{ kind: 'begin', readOnly: false }]],
  ['START TRANSACTION', [{ kind: 'begin', readOnly: false }]],
  ['START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY', [{ kind: 'begin', readOnly: true }]],
  ['COMMIT AND CHAIN', [{ kind: 'commit', chain: true }]],
  ['ROLLBACK WORK AND NO CHAIN NO RELEASE', [{ kind: 'rollback' }]],
  ['SAVEPOINT `s`', [{ kind: 'engine', class: 'savepoint', sql: 'SAVEPOINT "s"' }]],
  ['USE `my db`', [{ kind: 'use', schema: 'my db' }]],
  ['KILL QUERY 12', [{ kind: 'kill', connectionId: 12, query: true }]],
  ['SHOW WARNINGS LIMIT 5', [{ kind: 'warnings', errorsOnly: false, countOnly: false }]],
  ['SHOW COUNT(*) ERRORS', [{ kind: 'warnings', errorsOnly: true, countOnly: true }]],
  ['/* nothing */ -- at all', [{ kind: 'ok' }]],
  ['/*M!100100 SET @x = 1 */', [{ kind: 'ok' }]],
  ['', [{ kind: 'ok' }]],
  ['LOCK TABLES t WRITE', [{ kind: 'ok' }]],
  ['UNLOCK TABLES', [{ kind: 'ok' }]],
  ['CREATE DATABASE IF NOT EXISTS other', [{ kind: 'ok' }]],
  ['SHOW GRANTS FOR CURRENT_USER()', [{ kind: 'user', statement: { kind: 'show-grants', name: null } }]],
])('%s', async (text, plans) => {
  expect(await new DialectSession().plans(text)).toEqual(plans);
});

test.each([
  ['SET autocommit = 0', [{ scope: 'session', name: 'autocommit', value: 0 }]],
  [
    'SET AUTOCOMMIT = ON, @@session.sql_mode = "ANSI"',
    [
      { scope: 'session', name: 'autocommit', value: 1 },
      { scope: 'session', name: 'sql_mode', value: 'ANSI' },
    ],
  ],
  ['SET GLOBAL max_connections = 5', [{ scope: 'global', name: 'max_connections', value: 5 }]],
  [
    'SET @a = 1, @`b c` := -2.5',
    [
      { scope: 'user', name: 'a', value: 1 },
      { scope: 'user', name: 'b c', value: -2.5 },
    ],
  ],
  ['SET time_zone = DEFAULT', [{ scope: 'session', name: 'time_zone', value: '+00:00' }]],
  [
    "SET sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",
    [
      {
        scope: 'session',
        name: 'sql_mode',
        value: 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,STRICT_ALL_TABLES',
      },
    ],
  ],
  [
    'SET @OLD=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0',
    [
      { scope: 'user', name: 'old', value: 1 },
      { scope: 'session', name: 'foreign_key_checks', value: 0 },
    ],
  ],
  [
    'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY',
    [
      { scope: 'session', name: 'transaction_isolation', value: 'REPEATABLE-READ' },
      { scope: 'session', name: 'transaction_read_only', value: 1 },
    ],
  ],
  [
    'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
    [{ scope: 'transaction', name: 'transaction_isolation', value: 'READ-COMMITTED' }],
  ],
])('%s', async (text, assignments) => {
  expect(await new DialectSession().plans(text)).toEqual([{ kind: 'set', assignments }]);
});

test.each([
  ['SELECT FROM', /near|syntax/],
  ['SELECT (`a`', /near the end of the statement at line 1, character 12/],
  ['SELECT 1;\nSELEC 2', /near ';' at line 1/],
  ["SELECT 'abc", /a string is not closed at line 1, character 8/],
  ['FROB 1', /near 'FROB' at line 1, character 1/],
  ['\n\n  FROB', /line 3, character 5/],
  ['SELECT @@no_such_thing', /Unknown system variable 'no_such_thing'/],
  ['SET version = 1', /read only variable/],
  ['SELECT a FROM t WHERE b REGEXP 1', /doesn't support REGEXP/],
  ['SELECT @a := 1', /assigning variables inside a query/],
  ['UPDATE t, u SET t.a = 1', /UPDATE of several tables/],
  ['DELETE t FROM t JOIN u ON 1', /DELETE of several tables/],
  ['CALL p()', /doesn't support CALL/],
  ['PRAGMA journal_mode = delete', /doesn't support PRAGMA/],
  ["ATTACH 'x' AS y", /doesn't support ATTACH/],
  ['DROP DATABASE app', /doesn't support DROP DATABASE/],
  ['CREATE TEMPORARY TABLE x (a INT)', /CREATE TEMPORARY TABLE/],
  ['SHOW CREATE TABLE nope', /'nope' doesn't exist/],
  ['DROP INDEX nope ON t', /Can't DROP 'nope'/],
  ['SELECT * FROM information_schema.nope', /information_schema.nope/],
])('%s is refused', async (text, message) => {
  const session = await prepared();
  const run = session.run(text);
  await expect(run).rejects.toThrow(message);
});

test('only the last word before an error is shown, never the rest of the text', async () => {
  const session = new DialectSession();
  const [plan] = await session.plans("CREATE USER a IDENTIFIED BY 'secret' WHATEVER 'secret2'");
  expect(plan?.kind === 'error' ? plan.error.message : '').toMatch(/near 'WHATEVER'/);
  expect(JSON.stringify(plan)).not.toContain('secret');
});
