import { expect, test } from 'vitest';
import { isObError } from '../base/errors.ts';
import { firstWord, guardStatement, startsAsRead } from './statement-guard.ts';

const kind = (sql: string, internal = false): string => {
  try {
    return guardStatement(sql, { internal });
  } catch (error) {
    if (isObError(error)) return error.code;
    throw error;
  }
};

test.each([
  ['SELECT 1', 'read'],
  [' \n-- hello\n/* there */ select 1', 'read'],
  ['\ufeffSELECT 1', 'read'],
  ['VALUES (1)', 'read'],
  ['WITH a AS (SELECT 1) DELETE FROM t', 'with'],
  ['EXPLAIN QUERY PLAN SELECT 1', 'read'],
  ['EXPLAIN INSERT INTO t VALUES (1)', 'read'],
  ['insert into t values (1)', 'write'],
  ['REPLACE INTO t VALUES (1)', 'write'],
  ['UPDATE t SET a = 1', 'write'],
  ['DELETE FROM t', 'write'],
  ['CREATE TABLE t(a)', 'schema'],
  ['CREATE TABLE IF NOT EXISTS main.t(a)', 'schema'],
  ['CREATE UNIQUE INDEX i ON t(a)', 'schema'],
  ['CREATE VIRTUAL TABLE f USING fts5(a)', 'schema'],
  ['CREATE TABLE temperature(a)', 'schema'],
  ['ALTER TABLE t ADD COLUMN b', 'schema'],
  ['ANALYZE', 'schema'],
  ['REINDEX', 'schema'],
  ['VACUUM', 'alone'],
  ['VACUUM main', 'alone'],
  ['SAVEPOINT a', 'savepoint'],
  ['RELEASE a', 'savepoint'],
  ['ROLLBACK TO a', 'savepoint'],
  ['ROLLBACK TRANSACTION TO SAVEPOINT a', 'savepoint'],
  ['PRAGMA table_info(t)', 'read'],
  ['PRAGMA main.table_info("t")', 'read'],
  ['PRAGMA journal_mode', 'read'],
  ['PRAGMA user_version;', 'read'],
  ['PRAGMA user_version = 7', 'write'],
  ['PRAGMA incremental_vacuum(10)', 'write'],
  ['selec 1', 'unknown'],
  ['', 'unknown'],
])('%s is run as %s', (sql, expected) => {
  expect(kind(sql)).toBe(expected);
});

test.each([
  "ATTACH DATABASE 'x' AS y",
  'detach y',
  "/**/ATTACH 'x' AS y",
  "EXPLAIN ATTACH 'x' AS y",
  "VACUUM INTO '/tmp/x'",
  "VACUUM main INTO '/tmp/x'",
  'PRAGMA journal_mode = DELETE',
  'PRAGMA journal_mode(DELETE)',
  'PRAGMA main.journal_mode=OFF',
  'PRAGMA "journal_mode" = OFF',
  'PRAGMA [main].[journal_mode] = OFF',
  'EXPLAIN PRAGMA journal_mode = DELETE',
  'EXPLAIN QUERY PLAN PRAGMA locking_mode = EXCLUSIVE',
  'PRAGMA locking_mode = EXCLUSIVE',
  'PRAGMA wal_checkpoint',
  'PRAGMA wal_checkpoint(TRUNCATE)',
  'PRAGMA wal_autocheckpoint = 1',
  'PRAGMA synchronous = 2',
  'PRAGMA page_size = 512',
  'PRAGMA mmap_size = 1',
  'PRAGMA writable_schema = 1',
  'PRAGMA schema_version = 1',
  'PRAGMA foreign_keys = 0',
  'PRAGMA cache_size = 1',
  'PRAGMA defer_foreign_keys = 1',
  'PRAGMA data_version = 3',
  'BEGIN',
  'begin immediate',
  'COMMIT',
  'END',
  'ROLLBACK',
  'CREATE TEMP TABLE t(a)',
  'CREATE TEMPORARY VIEW v AS SELECT 1',
  'CREATE TABLE temp.t(a)',
  'CREATE TABLE IF NOT EXISTS "TEMP" . t(a)',
  'CREATE TRIGGER temp.x AFTER INSERT ON t BEGIN SELECT 1; END',
  "SELECT load_extension('x')",
  'SELECT "load_extension"(\'x\')',
])('%s is refused', sql => {
  expect(kind(sql)).toBe('OBS_SQL_FORBIDDEN');
  expect(kind(sql, true)).toBe('OBS_SQL_FORBIDDEN');
});

test.each([
  'SELECT * FROM __obs_user',
  'SELECT * FROM "__OBS_user"',
  'SELECT * FROM `__obs_user`',
  'SELECT * FROM [__obs_user]',
  "SELECT * FROM '__obs_user'",
  'CREATE TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM __obs_user; END',
  'ALTER TABLE t RENAME TO __obs_t',
])('%s is hidden from clients and open to internal work', sql => {
  expect(kind(sql)).toBe('OBS_SQL_HIDDEN_TABLE');
  expect(kind(sql, true)).not.toMatch(/^OBS_/);
});

test('a virtual table may not read a hidden table by its name in an option', () => {
  expect(kind(`CREATE VIRTUAL TABLE f USING fts5(a, content=' __obs_user')`)).toBe('OBS_SQL_HIDDEN_TABLE');
});

test('the text of a hidden name inside a longer value is only data', () => {
  expect(kind("SELECT 'see __obs_user'")).toBe('read');
  expect(kind("INSERT INTO t VALUES ('load_extension')")).toBe('write');
});

test('an unfinished comment or quote ends with the text', () => {
  for (const sql of ['/* never closed', "SELECT 'abc", 'SELECT "abc', 'SELECT [abc', '-- only a comment']) {
    expect(kind(sql)).toMatch(/^(read|unknown)$/);
  }
});

test('only statements that may read are sent without the writer', () => {
  expect(startsAsRead(' select 1')).toBe(true);
  expect(startsAsRead('with a as (select 1) delete from t')).toBe(true);
  expect(startsAsRead('insert into t values (1)')).toBe(false);
  expect(startsAsRead('nonsense')).toBe(false);
  expect(firstWord('/* a */ delete from t')).toBe('DELETE');
});
