import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { DialectSession } from '../../../test/support/dialect-session.ts';

/** A literal as drivers write it: every character that may be escaped is, or is not, at random. */
const escapes: Readonly<Record<string, string>> = {
  '\0': '\\0',
  '\b': '\\b',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\x1a': '\\Z',
  '\\': '\\\\',
  "'": "\\'",
  '"': '\\"',
};

const text = fc.string({
  unit: fc.oneof(
    fc.constantFrom(...Object.keys(escapes), '%', '_', ';', '?', '-', '/', '*', '#', '`'),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
  ),
});

const literal = (value: string, quote: string, choices: readonly boolean[]): string =>
  quote +
  Array.from(value)
    .map((character, index) => {
      if (character === quote) return choices[index % choices.length] === true ? quote + quote : `\\${quote}`;
      if (character === '\\') return '\\\\';
      return choices[index % choices.length] === true ? (escapes[character] ?? character) : character;
    })
    .join('') +
  quote;

const choices = fc.array(fc.boolean(), { minLength: 1, maxLength: 16 });

test('a string literal keeps its value, however it was escaped', async () => {
  const session = new DialectSession();
  await fc.assert(
    fc.asyncProperty(text, fc.constantFrom("'", '"'), choices, async (value, quote, how) => {
      const { rows } = await session.run(`SELECT ${literal(value, quote, how)} AS v, 1 AS one`);
      expect(rows).toEqual([[value, 1]]);
    }),
    { numRuns: 1_000 },
  );
});

test('without backslash escapes only the quote is doubled', async () => {
  const session = new DialectSession({ noBackslashEscapes: true });
  await fc.assert(
    fc.asyncProperty(text, fc.constantFrom("'", '"'), async (value, quote) => {
      const { rows } = await session.run(
        `SELECT ${quote}${value.replaceAll(quote, quote + quote)}${quote} AS v`,
      );
      expect(rows).toEqual([[value]]);
    }),
    { numRuns: 500 },
  );
});

test('a literal in a WHERE clause cannot end the string it stands in', async () => {
  const session = new DialectSession();
  await session.run('CREATE TABLE t (v VARCHAR(100))');
  await session.run("INSERT INTO t (v) VALUES ('secret')");
  await fc.assert(
    fc.asyncProperty(text, choices, async (value, how) => {
      const { rows } = await session.run(`SELECT v FROM t WHERE v = ${literal(value, "'", how)}`);
      expect(rows).toEqual(value === 'secret' ? [['secret']] : []);
    }),
    { numRuns: 500 },
  );
});

test('bytes that are UTF-8 are text and all others are a blob', async () => {
  const session = new DialectSession({ textIsBytes: true });
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), async bytes => {
      const raw = Buffer.from(bytes).toString('latin1');
      const { rows } = await session.run(`SELECT ${literal(raw, "'", [true])} AS v`);
      const decoded = Buffer.from(bytes).toString('utf8');
      const isText = Buffer.from(decoded, 'utf8').equals(Buffer.from(bytes));
      expect(rows[0]?.[0]).toEqual(isText ? decoded : Buffer.from(bytes));
    }),
    { numRuns: 500 },
  );
});

test('_binary literals are blobs of exactly their bytes', async () => {
  const session = new DialectSession({ textIsBytes: true });
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), async bytes => {
      const raw = Buffer.from(bytes).toString('latin1');
      const { rows } = await session.run(`SELECT _binary ${literal(raw, "'", [true])} AS v`);
      expect(rows).toEqual([[Buffer.from(bytes)]]);
    }),
  );
});

test.each([
  ["x'4142'", Buffer.from('AB')],
  ['0x4142', Buffer.from('AB')],
  ["X'F'", Buffer.from([15])],
  ["b'101'", 5],
  ['0b11', 3],
  ["_utf8mb4'é'", 'é'],
  ["N'abc'", 'abc'],
  ["_utf8mb4 x'c3a9'", 'é'],
  ["'a' 'b'\n'c'", 'abc'],
  ['"it\'s"', "it's"],
  ["'50\\%'", '50\\%'],
  ['1.5e3', 1500],
  ['.25', 0.25],
])('%s reads as %o', async (written, value) => {
  const { rows } = await new DialectSession().run(`SELECT ${written} AS v`);
  expect(rows).toEqual([[value]]);
});

test('a long value with an escape at every other character is read in one pass', async () => {
  const session = new DialectSession();
  const half = 500_000;
  const { rows } = await session.run(
    `SELECT '${'\\0a'.repeat(half)}' AS v, _binary '${"\\'".repeat(half)}' AS w`,
  );
  const [[text, bytes] = []] = rows;
  expect([String(text).length, Buffer.from(bytes as Uint8Array).length]).toEqual([2 * half, half]);
});

test('names in backticks may hold anything, quotes included', async () => {
  const session = new DialectSession();
  await fc.assert(
    fc.asyncProperty(
      fc.string({ minLength: 1, unit: 'grapheme' }).filter(name => !name.includes('\0')),
      async name => {
        const { columns } = await session.run(`SELECT 1 AS \`${name.replaceAll('`', '``')}\``);
        expect(columns).toEqual([name]);
      },
    ),
  );
});

test('no text makes the dialect throw or hang', async () => {
  const sessions = [
    new DialectSession(),
    new DialectSession({ sys: true, ansiQuotes: true, textIsBytes: true }),
  ];
  const piece = fc.constantFrom(
    'SELECT',
    'INSERT',
    'INTO',
    'VALUES',
    'FROM',
    't',
    '(',
    ')',
    ',',
    "'",
    '"',
    '`',
    '\\',
    '/*',
    '*/',
    '/*!',
    '--',
    '#',
    ';',
    '?',
    '@',
    '@@',
    ':=',
    "x'",
    '0x',
    "b'",
    'SHOW',
    'CREATE',
    'TABLE',
    'ALTER',
    'SYSTEM',
    'SET',
    'TENANT',
    'INTERVAL',
    '1',
    'DAY',
    '+',
    'CAST',
    'AS',
    'ON',
    'DUPLICATE',
    'KEY',
    'UPDATE',
    'DEFAULT',
    '.',
    '\n',
    ' ',
    'é',
    '\0',
    'GRANT',
    'TO',
    'USER',
    'LIKE',
    'group_concat(',
    'trim(',
    'extract(',
    'date_add(',
    'DROP',
    'RENAME',
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { maxLength: 30 }),
      fc.constantFrom(' ', ''),
      async (pieces, between) => {
        const statement = pieces.join(between);
        for (const session of sessions)
          for (const part of session.dialect.splitStatements(statement, session.context)) {
            session.dialect.countParameters(part, session.context);
            await session.plans(part);
          }
      },
    ),
    { numRuns: 3_000 },
  );
});

test('statements are split at semicolons outside literals, names and comments', () => {
  const { dialect, context } = new DialectSession();
  const split = (text: string): readonly string[] => dialect.splitStatements(text, context);
  expect(split("SELECT ';' ; INSERT INTO `a;b` VALUES (1) /* ; */ ; -- ;\n ; SELECT 2;")).toEqual([
    "SELECT ';' ",
    ' INSERT INTO `a;b` VALUES (1) /* ; */ ',
    ' SELECT 2',
  ]);
  expect(split('SELECT 1')).toEqual(['SELECT 1']);
  expect(split(';;')).toEqual(['']);
  expect(() => split('SELECT 1;'.repeat(20_000))).toThrow(/more than 10000 statements/);
});

test('question marks in literals and comments are no parameters', () => {
  const { dialect, context } = new DialectSession();
  expect(dialect.countParameters('SELECT \'?\', `?`, ? /* ? */, "?" -- ?\n, ?', context)).toBe(2);
});
