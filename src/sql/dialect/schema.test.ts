import { expect, test } from 'vitest';
import { DialectSession } from '../../../test/support/dialect-session.ts';

const orders = `CREATE TABLE \`orders\` (
  \`id\` bigint unsigned NOT NULL AUTO_INCREMENT COMMENT 'the id',
  \`code\` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT 'it''s',
  \`state\` enum('new','paid') DEFAULT 'new',
  \`total\` decimal(10,2) NOT NULL DEFAULT '0.00',
  \`raw\` varbinary(16) DEFAULT NULL,
  \`doc\` json DEFAULT NULL,
  \`flag\` tinyint(1) NOT NULL DEFAULT '1',
  \`created\` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  \`updated\` timestamp NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  \`twice\` int GENERATED ALWAYS AS (flag * 2) STORED,
  PRIMARY KEY (\`id\`),
  UNIQUE KEY \`uk_code\` (\`code\`),
  KEY \`by_state\` (\`state\`,\`total\` DESC) USING BTREE COMMENT 'x',
  KEY (\`created\`)
) ENGINE=InnoDB AUTO_INCREMENT=10 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci COMMENT='the orders' ROW_FORMAT=DYNAMIC`;

test('CREATE TABLE becomes a table and its indexes, in one unit', async () => {
  const session = new DialectSession();
  expect(await session.translated(orders)).toEqual([
    'CREATE TABLE "orders" ("id" INTEGER PRIMARY KEY AUTOINCREMENT, ' +
      `"code" VARCHAR(20) NOT NULL DEFAULT 'it''s' COLLATE BINARY, ` +
      `"state" VARCHAR(4) DEFAULT 'new' CHECK ("state" IN ('new', 'paid')), ` +
      `"total" DECIMAL(10,2) NOT NULL DEFAULT '0.00', "raw" BLOB DEFAULT NULL, "doc" JSON TEXT DEFAULT NULL, ` +
      `"flag" TINYINT(1) NOT NULL DEFAULT '1', ` +
      `"created" DATETIME(6) NOT NULL DEFAULT ((strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')), ` +
      '"updated" TIMESTAMP DEFAULT CURRENT_TIMESTAMP, "twice" INT GENERATED ALWAYS AS (flag * 2) STORED)',
    'CREATE UNIQUE INDEX "orders$uk_code" ON "orders" ("code")',
    'CREATE INDEX "orders$by_state" ON "orders" ("state", "total" DESC)',
    'CREATE INDEX "orders$created" ON "orders" ("created")',
    expect.stringMatching(/^CREATE TRIGGER "orders\$on update" AFTER UPDATE ON "orders"/),
  ]);
  await session.run(orders);
});

test('types keep the values MySQL would keep', async () => {
  const session = new DialectSession();
  await session.run(orders);
  await session.run("INSERT INTO orders (code, raw, doc, total) VALUES ('007', '0042', '5', '1.50')");
  const { rows } = await session.run('SELECT id, code, raw, doc, flag, twice, length(created) FROM orders');
  expect(rows).toEqual([[1, '007', '0042', '5', 1, 2, 26]]);
  await expect(session.run("INSERT INTO orders (code, state) VALUES ('8', 'gone')")).rejects.toThrow(/CHECK/);
  await expect(session.run("INSERT INTO orders (code) VALUES ('007')")).rejects.toThrow(/UNIQUE/);
});

test('ON UPDATE CURRENT_TIMESTAMP stamps rows that change, and lets an explicit value be', async () => {
  const session = new DialectSession();
  await session.run(orders);
  await session.run("INSERT INTO orders (code, updated) VALUES ('a', '2001-01-01 00:00:00')");
  await session.run("UPDATE orders SET total = 5 WHERE code = 'a'");
  const [[stamped] = []] = (await session.run('SELECT updated FROM orders')).rows;
  expect(String(stamped) > '2020').toBe(true);
  await session.run("UPDATE orders SET updated = '2002-02-02 00:00:00'");
  expect((await session.run('SELECT updated FROM orders')).rows).toEqual([['2002-02-02 00:00:00']]);
  await session.run('UPDATE orders SET total = 6');
  await session.run('UPDATE orders SET total = 7');
});

test('a key may have the same name in two tables, and is dropped by table', async () => {
  const session = new DialectSession();
  await session.run('CREATE TABLE a (x INT, KEY k (x))');
  await session.run('CREATE TABLE b (x INT, KEY k (x))');
  await session.run('DROP INDEX k ON a');
  const names = async (table: string): Promise<unknown> =>
    (await session.run(`SHOW INDEX FROM ${table}`)).rows.map(row => row[2]);
  expect(await names('a')).toEqual([]);
  expect(await names('b')).toEqual(['k']);
});

test('two tables can be swapped by renaming, indexes and stamps included', async () => {
  const session = new DialectSession();
  await session.run(
    'CREATE TABLE a (id INT PRIMARY KEY, x INT, u DATETIME ON UPDATE CURRENT_TIMESTAMP, KEY k (x))',
  );
  await session.run('CREATE TABLE b (id INT PRIMARY KEY, x INT, UNIQUE KEY k (x))');
  await session.run('INSERT INTO a (id, x) VALUES (1, 1)');
  await session.run('RENAME TABLE a TO old, b TO a, old TO b');
  expect((await session.run('SELECT count(*) FROM b')).rows).toEqual([[1]]);
  expect((await session.run('SHOW INDEX FROM a WHERE Key_name = "k"')).rows.map(row => row[1])).toEqual([0]);
  expect((await session.run('SHOW INDEX FROM b WHERE Key_name = "k"')).rows.map(row => row[1])).toEqual([1]);
  await session.run('UPDATE b SET x = 2');
  expect((await session.run('SELECT u IS NOT NULL FROM b')).rows).toEqual([[1]]);
  await session.run('CREATE TABLE old (x INT, KEY k (x))');
});

test('ALTER TABLE adds and drops columns and keys', async () => {
  const session = new DialectSession();
  await session.run('CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT)');
  await session.run('INSERT INTO t VALUES (1)');
  await session.run(
    'ALTER TABLE t ADD COLUMN a INT NOT NULL AFTER id, ADD (b VARCHAR(5) NOT NULL, c INT UNIQUE), ADD KEY ab (a, b), ENGINE=InnoDB',
  );
  await session.run('ALTER TABLE t ADD d DATETIME NULL ON UPDATE CURRENT_TIMESTAMP, RENAME COLUMN b TO bb');
  await session.run('ALTER TABLE t RENAME INDEX ab TO abb');
  expect((await session.run('SELECT * FROM t')).rows).toEqual([[1, 0, '', null, null]]);
  expect((await session.run('SHOW INDEX FROM t')).rows.map(row => [row[2], row[4]])).toEqual([
    ['PRIMARY', 'id'],
    ['abb', 'a'],
    ['abb', 'bb'],
    ['c', 'c'],
  ]);
  await session.run('ALTER TABLE t DROP COLUMN c, DROP KEY abb, DROP d, RENAME TO t2');
  expect((await session.run('SHOW COLUMNS FROM t2')).rows.map(row => row[0])).toEqual(['id', 'a', 'bb']);
  await session.run('ALTER TABLE t2 AUTO_INCREMENT = 100');
  await session.run("INSERT INTO t2 (a, bb) VALUES (1, '')");
  expect((await session.run('SELECT max(id) FROM t2')).rows).toEqual([[100]]);
});

test.each([
  'ALTER TABLE t MODIFY a BIGINT',
  'ALTER TABLE t CHANGE a b BIGINT',
  'ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u (id)',
  'ALTER TABLE t DROP PRIMARY KEY',
  'ALTER TABLE t ADD d DATETIME DEFAULT CURRENT_TIMESTAMP',
  'CREATE TABLE x LIKE t',
  'CREATE TABLE x (a TEXT, FULLTEXT KEY (a))',
  'CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1',
])('%s is refused by name', async text => {
  const session = new DialectSession();
  await session.run('CREATE TABLE t (id INT PRIMARY KEY, a INT)');
  await expect(session.run(text)).rejects.toThrow(/doesn't support/);
});

test('TRUNCATE starts the generated ids over', async () => {
  const session = new DialectSession();
  await session.run('CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)');
  await session.run('INSERT INTO t (a) VALUES (1), (2)');
  await session.run('TRUNCATE TABLE t');
  await session.run('INSERT INTO t (a) VALUES (1)');
  expect((await session.run('SELECT id FROM t')).rows).toEqual([[1]]);
});

test('a generated id is never given twice', async () => {
  const session = new DialectSession();
  await session.run('CREATE TABLE t (id INT AUTO_INCREMENT, a INT, PRIMARY KEY (id, a))');
  await session.run('INSERT INTO t (a) VALUES (1), (2)');
  await session.run('DELETE FROM t WHERE id = 2');
  await session.run('INSERT INTO t (a) VALUES (3)');
  expect((await session.run('SELECT id FROM t ORDER BY id')).rows).toEqual([[1], [3]]);
});

test('SHOW CREATE TABLE gives a text that makes the same table', async () => {
  const session = new DialectSession();
  await session.run('CREATE TABLE p (id INT PRIMARY KEY)');
  await session.run(
    "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a VARCHAR(9) NOT NULL DEFAULT 'q''', p_id INT, u DATETIME NULL ON UPDATE CURRENT_TIMESTAMP, KEY ka (a DESC), UNIQUE KEY u (p_id), CONSTRAINT f FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE)",
  );
  const show = async (): Promise<string> => String((await session.run('SHOW CREATE TABLE t')).rows[0]?.[1]);
  const text = await show();
  expect(text).toContain("`a` varchar(9) NOT NULL DEFAULT 'q'''");
  expect(text).toContain('KEY `ka` (`a` DESC)');
  expect(text).toContain('`u` datetime DEFAULT NULL ON UPDATE CURRENT_TIMESTAMP');
  expect(text).toContain('FOREIGN KEY (`p_id`) REFERENCES `p` (`id`) ON DELETE CASCADE');
  await session.run('DROP TABLE t');
  await session.run(text);
  expect(await show()).toBe(text);
});

test('SHOW and information_schema tell the same of a table', async () => {
  const session = new DialectSession();
  await session.run(orders);
  session.database.exec('CREATE TABLE __obs_user (name TEXT)');
  expect((await session.run('SHOW FULL TABLES')).rows).toEqual([['orders', 'BASE TABLE']]);
  expect((await session.run("SHOW TABLES LIKE 'ord%'")).columns).toEqual(['Tables_in_app']);
  expect((await session.run("SHOW TABLES FROM app LIKE 'x\\_%'")).rows).toEqual([]);
  const described = await session.run('DESCRIBE orders');
  expect(described.columns).toEqual(['Field', 'Type', 'Null', 'Key', 'Default', 'Extra']);
  expect(described.rows.slice(0, 3)).toEqual([
    ['id', 'int', 'NO', 'PRI', null, 'auto_increment'],
    ['code', 'varchar(20)', 'NO', 'UNI', "it's", ''],
    ['state', 'varchar(4)', 'YES', 'MUL', 'new', ''],
  ]);
  expect((await session.run("SHOW COLUMNS FROM orders WHERE Field = 'doc'")).rows).toEqual([
    ['doc', 'json', 'YES', '', null, ''],
  ]);
  const columns = await session.run(
    "SELECT COLUMN_NAME, DATA_TYPE, c.CHARACTER_MAXIMUM_LENGTH, NUMERIC_SCALE FROM information_schema.COLUMNS c WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'orders' AND ORDINAL_POSITION IN (2, 4) ORDER BY ORDINAL_POSITION",
  );
  expect(columns.rows).toEqual([
    ['code', 'varchar', 20, null],
    ['total', 'decimal', null, 2],
  ]);
  const joined = await session.run(
    'SELECT t.TABLE_NAME, s.INDEX_NAME, s.SEQ_IN_INDEX FROM information_schema.TABLES t JOIN information_schema.STATISTICS s USING (TABLE_NAME) WHERE NON_UNIQUE = 0 ORDER BY 2',
  );
  expect(joined.rows).toEqual([
    ['orders', 'PRIMARY', 1],
    ['orders', 'uk_code', 1],
  ]);
});

test('every table of information_schema can be read, by qualifier and as the chosen database', async () => {
  const session = new DialectSession();
  const names = [
    'schemata',
    'tables',
    'columns',
    'statistics',
    'key_column_usage',
    'table_constraints',
    'referential_constraints',
    'views',
    'engines',
    'character_sets',
    'collations',
    'triggers',
    'routines',
    'files',
    'partitions',
  ];
  await session.run('CREATE TABLE p (id INT PRIMARY KEY, u INT UNIQUE)');
  await session.run('CREATE TABLE q (id INT, FOREIGN KEY (id) REFERENCES p (id))');
  for (const name of names)
    expect((await session.run(`SELECT * FROM information_schema.${name}`)).columns.length).toBeGreaterThan(2);
  session.context.schema = 'information_schema';
  for (const name of names)
    expect((await session.run(`SELECT * FROM ${name.toUpperCase()} LIMIT 1`)).columns.length).toBeGreaterThan(
      2,
    );
  const foreign = await session.run(
    'SELECT TABLE_NAME, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_NAME IS NOT NULL',
  );
  expect(foreign.rows).toEqual([['q', 'p', 'id']]);
});

test('what the mysql client asks when it connects is answered', async () => {
  const session = new DialectSession();
  expect((await session.run('select @@version_comment limit 1')).rows).toEqual([['obstandby']]);
  expect((await session.run('show databases')).rows).toEqual([
    ['information_schema'],
    ['oceanbase'],
    ['app'],
  ]);
  expect((await session.run('show tables')).rows).toEqual([]);
  expect((await session.run('select DATABASE(), USER() limit 1')).rows).toEqual([['app', 'root@localhost']]);
  expect(
    (
      await session.run(
        'select @@character_set_client, @@character_set_connection, @@character_set_server, @@character_set_database limit 1',
      )
    ).rows,
  ).toEqual([['utf8mb4', 'utf8mb4', 'utf8mb4', 'utf8mb4']]);
  expect((await session.run("SHOW VARIABLES LIKE 'lower\\_case\\_%'")).rows.map(row => row[0])).toEqual([
    'lower_case_file_system',
    'lower_case_table_names',
  ]);
  expect(
    (await session.run("SHOW SESSION VARIABLES WHERE Variable_name IN ('autocommit', 'wait_timeout')")).rows,
  ).toEqual([
    ['autocommit', 'ON'],
    ['wait_timeout', '28800'],
  ]);
});

test('views are created, replaced and dropped', async () => {
  const session = new DialectSession();
  await session.run('CREATE TABLE t (a INT)');
  await session.run(
    'CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`%` SQL SECURITY DEFINER VIEW `v` AS SELECT `t`.`a` AS `x` FROM `t` WITH CHECK OPTION',
  );
  await session.run('CREATE OR REPLACE VIEW v (y) AS SELECT a + 1 FROM t');
  expect((await session.run('SHOW FULL TABLES WHERE Table_type = "VIEW"')).rows).toEqual([['v', 'VIEW']]);
  expect((await session.run('SELECT * FROM v')).columns).toEqual(['y']);
  await session.run('DROP TABLE IF EXISTS v');
  await session.run('DROP VIEW IF EXISTS t');
  expect((await session.run('SHOW TABLES')).rows).toEqual([['t'], ['v']]);
  await session.run('DROP VIEW IF EXISTS v, w');
  expect((await session.run('SHOW TABLES')).rows).toEqual([['t']]);
});
