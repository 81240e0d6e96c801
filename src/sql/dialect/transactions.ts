/** BEGIN, COMMIT, ROLLBACK, savepoints, USE, KILL, and the statements that are answered OK because they change nothing here. */
import { ObError } from '../../base/errors.ts';
import type { Plan } from '../plan.ts';
import { quoteName } from './fragment.ts';
import type { StatementText } from './statement-text.ts';
import { TokenCursor } from './token-cursor.ts';

/** Null when the statement is none of these. */
export function planTransaction(statement: StatementText): readonly Plan[] | null {
  const cursor = new TokenCursor(statement);
  const verb = cursor.word();
  switch (verb) {
    case 'begin':
      cursor.at++;
      cursor.takeOne('work', 'immediate', 'deferred', 'exclusive');
      cursor.take('transaction');
      cursor.expectEnd();
      return [{ kind: 'begin', readOnly: false }];
    case 'start':
      return [startTransaction(cursor)];
    case 'commit':
    case 'rollback':
      return [endTransaction(cursor, verb)];
    case 'savepoint':
    case 'release':
      return [savepoint(cursor, verb)];
    case 'use': {
      cursor.at++;
      const schema = cursor.nameOrString();
      cursor.expectEnd();
      return [
        {
          kind: 'use',
          schema: /^(oceanbase|information_schema)$/i.test(schema) ? schema.toLowerCase() : schema,
        },
      ];
    }
    case 'kill': {
      cursor.at++;
      const query = cursor.takeOne('connection', 'query') === 'query';
      const connectionId = cursor.integer();
      cursor.expectEnd();
      return [{ kind: 'kill', connectionId, query }];
    }
    case 'lock':
    case 'unlock':
      cursor.at++;
      if (cursor.takeOne('table', 'tables', 'instance') === undefined) throw cursor.error();
      return [{ kind: 'ok' }];
    case 'flush':
    case 'optimize':
    case 'analyze':
      return maintenance(cursor, verb);
    case 'do':
      return [{ kind: 'ok' }];
    default:
      return null;
  }
}

function startTransaction(cursor: TokenCursor): Plan {
  cursor.expect('start');
  if (cursor.word() === 'slave' || cursor.word() === 'replica')
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: `START ${cursor.word().toUpperCase()}` });
  cursor.expect('transaction');
  let readOnly = false;
  while (!cursor.done) {
    if (cursor.take('read')) readOnly = cursor.expectOne('only', 'write') === 'only';
    else cursor.expect('with', 'consistent', 'snapshot');
    if (!cursor.done) cursor.expectSymbol(',');
  }
  return { kind: 'begin', readOnly };
}

function endTransaction(cursor: TokenCursor, kind: 'commit' | 'rollback'): Plan {
  cursor.at++;
  cursor.takeOne('work', 'transaction');
  if (kind === 'rollback' && cursor.take('to')) {
    cursor.take('savepoint');
    const name = cursor.name();
    cursor.expectEnd();
    return { kind: 'engine', class: 'savepoint', sql: `ROLLBACK TO ${quoteName(name)}` };
  }
  let chain = false;
  if (cursor.take('and')) {
    chain = !cursor.take('no');
    cursor.expect('chain');
  }
  if (cursor.take('no')) cursor.expect('release');
  else if (cursor.word() === 'release')
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'COMMIT RELEASE' });
  cursor.expectEnd();
  return chain ? { kind, chain } : { kind };
}

function savepoint(cursor: TokenCursor, verb: 'savepoint' | 'release'): Plan {
  cursor.at++;
  if (verb === 'release') cursor.take('savepoint');
  const name = quoteName(cursor.name());
  cursor.expectEnd();
  return {
    kind: 'engine',
    class: 'savepoint',
    sql: `${verb === 'release' ? 'RELEASE' : 'SAVEPOINT'} ${name}`,
  };
}

/** FLUSH means nothing here; ANALYZE and OPTIMIZE answer with a table, as clients read one. */
function maintenance(cursor: TokenCursor, verb: string): readonly Plan[] {
  cursor.at++;
  if (verb === 'flush') return [{ kind: 'ok' }];
  cursor.takeOne('no_write_to_binlog', 'local');
  if (cursor.takeOne('table', 'tables') === undefined) throw cursor.error();
  const names: string[] = [];
  do names.push(cursor.qualifiedName().name);
  while (cursor.takeSymbol(','));
  cursor.expectEnd();
  const column = (name: string) => ({ name, declaredType: 'TEXT', table: null, originColumn: null });
  const analyses: Plan[] =
    verb === 'analyze'
      ? names.map(name => ({ kind: 'engine', class: 'ddl', sql: `ANALYZE ${quoteName(name)}` }))
      : [];
  return [
    ...analyses,
    {
      kind: 'rows',
      columns: ['Table', 'Op', 'Msg_type', 'Msg_text'].map(column),
      rows: names.map(name => [name, verb, 'status', 'OK']),
    },
  ];
}
