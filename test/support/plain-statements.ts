/** Just enough of a dialect to test the front-end by itself: SQLite text passes, a few session statements are known. */
import { ObError } from '../../src/base/errors.ts';
import type { Dialect, Plan, StatementClass, StatementServices } from '../../src/sql/plan.ts';

const classes: ReadonlyMap<string, StatementClass> = new Map([
  ['SELECT', 'select'],
  ['INSERT', 'insert'],
  ['REPLACE', 'insert'],
  ['UPDATE', 'update'],
  ['DELETE', 'delete'],
  ['CREATE', 'ddl'],
  ['DROP', 'ddl'],
  ['ALTER', 'ddl'],
  ['SAVEPOINT', 'savepoint'],
]);

function planOf(text: string): Plan {
  const trimmed = text.trim();
  const word = /^\w+/.exec(trimmed)?.[0].toUpperCase() ?? '';
  const statementClass = classes.get(word);
  if (statementClass !== undefined) {
    return { kind: 'engine', class: statementClass, sql: trimmed.replaceAll('`', '"'), stable: true };
  }
  const use = /^USE `?([\w%-]+)`?$/i.exec(trimmed);
  if (use?.[1] !== undefined) {
    if (use[1] === 'nowhere') {
      return { kind: 'error', error: new ObError('OBS_SQL_SYNTAX', { message: 'no such database' }) };
    }
    return { kind: 'use', schema: use[1] };
  }
  const set = /^SET (\w+)\s*=\s*'?([^']*)'?$/i.exec(trimmed);
  if (set?.[1] !== undefined) {
    const assignment = { scope: 'session', name: set[1].toLowerCase(), value: set[2] ?? null } as const;
    return { kind: 'set', assignments: [assignment] };
  }
  const user = /^MAKEUSER (\w+) (\S+)$/i.exec(trimmed);
  if (user?.[1] !== undefined) {
    const made = { name: user[1], password: user[2] ?? '', locked: false };
    return { kind: 'user', statement: { kind: 'create', users: [made], ifNotExists: false } };
  }
  switch (word) {
    case '':
      return { kind: 'ok' };
    case 'BEGIN':
    case 'START':
      return { kind: 'begin', readOnly: false };
    case 'COMMIT':
      return { kind: 'commit' };
    case 'ROLLBACK':
      return { kind: 'rollback' };
    case 'WARNINGS':
      return { kind: 'warnings', errorsOnly: false, countOnly: false };
    case 'BUG':
      return { kind: 'tables', names: [] };
    default:
      return { kind: 'error', error: new ObError('OBS_SQL_SYNTAX', { message: `near ${word}` }) };
  }
}

const dialect: Dialect = {
  splitStatements: text => text.split(';').filter(part => part.trim() !== ''),
  countParameters: text => text.split('?').length - 1,
  translate: text => [planOf(text)],
};

export const plainStatements: StatementServices = {
  dialect,
  runView: async () => ({ kind: 'rows', columns: [], rows: [] }),
  executeAdmin: async () => ({ kind: 'ok' }),
  loadTableShape: async () => null,
};
