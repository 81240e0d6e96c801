import Database from 'better-sqlite3';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { isPlain } from './plain-statement.ts';
import { finish, trimmed } from './fragment.ts';
import { Rewriter } from './rewriter.ts';
import { StatementText } from './statement-text.ts';
import { rewriteDelete, rewriteUpdate } from './update-delete.ts';

const mode = { noBackslashEscapes: false, ansiQuotes: false, textIsBytes: false };

/** The slow way's text, and what differs in spelling only made equal. */
function slow(text: string): string {
  const statement = new StatementText(text, mode);
  const first = statement.word(0);
  const noShape = (): null => null;
  const fragment =
    first === 'update'
      ? rewriteUpdate(statement, noShape)
      : first === 'delete'
        ? rewriteDelete(statement)
        : trimmed(new Rewriter(statement).range(0, statement.tokens.length));
  return finish(fragment).sql;
}

/** What the result's columns are called; null when SQLite does not take the text. */
function preparedColumns(database: Database.Database, text: string): readonly string[] | null {
  let statement: Database.Statement;
  try {
    statement = database.prepare(text);
  } catch {
    return null;
  }
  return statement.reader ? statement.columns().map(({ name }) => name) : [];
}

const normalised = (text: string): string =>
  text
    .split("'")
    .map((part, index) =>
      index % 2 === 1 ? part : part.replaceAll('"', '').replaceAll(/\s+/g, '').toLowerCase(),
    )
    .join("'");

test.each([
  'SELECT c FROM sbtest1 WHERE id=50147',
  'SELECT c FROM sbtest1 WHERE id = ?',
  'SELECT c FROM sbtest1 WHERE id BETWEEN 1 AND 100 ORDER BY c',
  'SELECT DISTINCT c FROM sbtest1 WHERE id BETWEEN ? AND ? ORDER BY c',
  'SELECT SUM(k) FROM sbtest1 WHERE id BETWEEN 1 AND 100',
  'SELECT count(*) FROM t',
  "SELECT a, b FROM t WHERE c = 'it is' AND d IN (1, 2, 3) LIMIT 10",
  'UPDATE sbtest1 SET k=k+1 WHERE id=5',
  "UPDATE sbtest1 SET c='083-11' WHERE id=5",
  'DELETE FROM sbtest1 WHERE id=5',
])('%s passes untouched', text => {
  expect(isPlain(text)).toBe(true);
  expect(normalised(slow(text))).toBe(normalised(text));
});

test.each([
  'SELECT NOW()',
  'SELECT `a` FROM t',
  'SELECT "a" FROM t',
  "SELECT 'a' FROM t",
  'SELECT a FROM db.t',
  "SELECT a FROM t WHERE b = 'x\\'y'",
  "SELECT a FROM t WHERE b = 'x' 'y'",
  'SELECT a FROM t FOR UPDATE',
  'SELECT a FROM t -- c',
  'SELECT a FROM t /* c */',
  'SELECT a FROM t # c',
  'SELECT @@version',
  'SELECT a FROM t WHERE a <=> 1',
  'SELECT a FROM t;',
  'SELECT a FROM t UNION SELECT b FROM u',
  'SELECT a DIV 2 FROM t',
  "SELECT a FROM t WHERE b = x'41'",
  'UPDATE t SET a = DEFAULT',
  'UPDATE t AS x SET a = 1',
  'DELETE t FROM t',
  'INSERT INTO t VALUES (0)',
])('%s takes the slow way', text => {
  expect(isPlain(text)).toBe(false);
});

test('what passes untouched is what the slow way makes of it', () => {
  const piece = fc.constantFrom(
    'a',
    'b',
    'c',
    't',
    'FROM',
    'WHERE',
    'AND',
    'OR',
    'IN',
    'NOT',
    'NULL',
    'IS',
    'LIKE',
    'ORDER BY',
    'GROUP BY',
    'LIMIT',
    'count',
    'now',
    'left',
    'length',
    '(',
    ')',
    ',',
    '=',
    '<',
    '>',
    '<=',
    '<=>',
    '>=',
    '<>',
    '+',
    '-',
    '*',
    '%',
    '?',
    '1',
    '22',
    '3.5',
    "'s'",
    "''",
    "'a b'",
    "'now()'",
    'now()',
    'count(*)',
    "x'41'",
    'FOR UPDATE',
    'AS',
    'DESC',
    'DISTINCT',
    'binary',
    'div',
    'interval',
    'date',
    'user',
    'dual',
    '_utf8',
    'CASE',
    'WHEN',
    'THEN',
    'END',
    'SET',
    'DEFAULT',
    '.',
    '&&',
    '!',
  );
  const head = fc.constantFrom(
    'SELECT ',
    'SELECT a FROM t WHERE ',
    'UPDATE t SET a = ',
    'DELETE FROM t WHERE ',
    'select a,',
  );
  const database = new Database(':memory:');
  database.exec('CREATE TABLE t (a, b, c)');
  let plain = 0;
  fc.assert(
    fc.property(
      head,
      fc.array(piece, { maxLength: 12 }),
      fc.constantFrom(' ', ''),
      (start, pieces, between) => {
        const text = start + pieces.join(between);
        if (!isPlain(text)) return;
        let made: string;
        try {
          made = slow(text);
        } catch {
          // what the slow way refuses, SQLite must refuse
          expect(() => database.prepare(text)).toThrow();
          return;
        }
        const names = preparedColumns(database, text);
        expect(preparedColumns(database, made)).toEqual(names);
        if (names === null) return;
        plain++;
        expect(normalised(made.replaceAll(/ AS "(?:[^"]|"")*"/g, ''))).toBe(normalised(text));
      },
    ),
    { numRuns: 20_000 },
  );
  expect(plain).toBeGreaterThan(100);
});
