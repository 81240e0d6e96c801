import { expect, test } from 'vitest';
import { StatementText } from './statement-text.ts';
import { parseUserStatement } from './user-grammar.ts';

const mode = { noBackslashEscapes: false, ansiQuotes: false, textIsBytes: false };
const parse = (text: string): unknown => parseUserStatement(new StatementText(text, mode));

test.each([
  [
    'CREATE USER a',
    { kind: 'create', users: [{ name: 'a', password: '', locked: false }], ifNotExists: false },
  ],
  [
    "CREATE USER IF NOT EXISTS 'a'@'%' IDENTIFIED BY 'p', b@localhost IDENTIFIED WITH mysql_native_password BY 'q' ACCOUNT LOCK",
    {
      kind: 'create',
      users: [
        { name: 'a', password: 'p', locked: true },
        { name: 'b', password: 'q', locked: true },
      ],
      ifNotExists: true,
    },
  ],
  [
    "ALTER USER a IDENTIFIED BY 'p'",
    { kind: 'alter', users: [{ name: 'a', password: 'p' }], ifExists: false },
  ],
  [
    "ALTER USER USER() IDENTIFIED BY 'p' REPLACE 'o'",
    { kind: 'alter', users: [{ name: null, password: 'p' }], ifExists: false },
  ],
  [
    'ALTER USER IF EXISTS a ACCOUNT UNLOCK',
    { kind: 'alter', users: [{ name: 'a', locked: false }], ifExists: true },
  ],
  ["DROP USER IF EXISTS a, 'b'@'h'", { kind: 'drop', names: ['a', 'b'], ifExists: true }],
  [
    'GRANT SELECT, INSERT ON *.* TO a, b',
    { kind: 'grant', privileges: ['SELECT', 'INSERT'], names: ['a', 'b'] },
  ],
  [
    "GRANT ALL PRIVILEGES ON `app`.* TO 'a'@'%' WITH GRANT OPTION",
    { kind: 'grant', privileges: ['ALL', 'CREATE USER'], names: ['a'] },
  ],
  [
    'GRANT REPLICATION SLAVE, CREATE VIEW, ALTER ON *.* TO a',
    { kind: 'grant', privileges: ['REPLICATION SLAVE', 'DDL'], names: ['a'] },
  ],
  ['GRANT USAGE ON *.* TO a', { kind: 'grant', privileges: [], names: ['a'] }],
  [
    'REVOKE ALL PRIVILEGES, GRANT OPTION FROM a',
    { kind: 'revoke', privileges: ['ALL', 'CREATE USER'], names: ['a'] },
  ],
  ['REVOKE DELETE ON *.* FROM a', { kind: 'revoke', privileges: ['DELETE'], names: ['a'] }],
])('%s', (text, statement) => {
  expect(parse(text)).toEqual(statement);
});

test.each([
  ['GRANT SELECT ON app.t TO a', 'OBS_SQL_NOT_SUPPORTED'],
  ['GRANT SELECT (x) ON *.* TO a', 'OBS_SQL_NOT_SUPPORTED'],
  ["GRANT SELECT ON *.* TO a IDENTIFIED BY 'p'", 'OBS_SQL_NOT_SUPPORTED'],
  ["CREATE USER a IDENTIFIED BY PASSWORD '*AB'", 'OBS_SQL_NOT_SUPPORTED'],
  ["CREATE USER a IDENTIFIED WITH mysql_native_password AS '*AB'", 'OBS_SQL_NOT_SUPPORTED'],
  ['GRANT FLYING ON *.* TO a', 'OBS_SQL_PARSE'],
  ['GRANT SELECT TO a', 'OBS_SQL_PARSE'],
  ['CREATE USER', 'OBS_SQL_PARSE'],
  ['DROP USER a b', 'OBS_SQL_PARSE'],
])('%s is refused with %s', (text, code) => {
  expect(() => parse(text)).toThrow(expect.objectContaining({ code }));
});
