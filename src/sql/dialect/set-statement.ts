/** SET in all its forms, down to assignments with their values. Values are literals, other variables and the few functions dumps use. */
import { ObError } from '../../base/errors.ts';
import type { Cell } from '../../tenant/engine.ts';
import type { Assignment, DialectContext, Plan, UserStatement } from '../plan.ts';
import { systemValue } from './session-values.ts';
import { TokenCursor } from './token-cursor.ts';
import type { StatementText } from './statement-text.ts';
import { splitVariable, readOnlyVariables, systemVariables } from './variables.ts';

/** The plan of one SET statement. Throws OBS_SQL_PARSE, OBS_SQL_UNKNOWN_VARIABLE, OBS_SQL_READ_ONLY_VARIABLE. */
export function planSet(statement: StatementText, context: DialectContext): Plan {
  const cursor = new TokenCursor(statement);
  cursor.expect('set');
  if (cursor.take('names')) return names(cursor);
  if (cursor.take('character', 'set') || cursor.take('charset')) return names(cursor);
  if (cursor.word() === 'password') return { kind: 'user', statement: setPassword(cursor) };
  if (cursor.word() === 'role' || (cursor.word() === 'default' && cursor.word(1) === 'role'))
    return { kind: 'ok' };
  const transaction = transactionSettings(cursor);
  if (transaction !== null) return transaction;
  const assignments: Assignment[] = [];
  let scope: Assignment['scope'] = 'session';
  for (const [from, to] of statement.list(cursor.at, cursor.end)) {
    const part = new TokenCursor(statement, from, to);
    const named = part.takeOne('session', 'local', 'global', 'persist', 'persist_only');
    if (named !== undefined) scope = named === 'session' || named === 'local' ? 'session' : 'global';
    assignments.push(assignment(part, scope, context));
    part.expectEnd();
  }
  if (assignments.length === 0) throw cursor.error();
  return { kind: 'set', assignments };
}

function names(cursor: TokenCursor): Plan {
  const given = cursor.take('default') ? 'utf8mb4' : cursor.nameOrString();
  const collation = cursor.take('collate') ? cursor.nameOrString() : null;
  cursor.expectEnd();
  const session = (name: string, value: string): Assignment => ({ scope: 'session', name, value });
  return {
    kind: 'set',
    assignments: [
      session('character_set_client', given),
      session('character_set_connection', given),
      session('character_set_results', given),
      ...(collation === null ? [] : [session('collation_connection', collation)]),
    ],
  };
}

/** SET [SESSION | GLOBAL] TRANSACTION ISOLATION LEVEL … , READ ONLY | READ WRITE. Without a scope the level is the next transaction's. */
function transactionSettings(cursor: TokenCursor): Plan | null {
  const scoped = cursor.word(1) === 'transaction' && /^(session|local|global)$/.test(cursor.word());
  if (!scoped && cursor.word() !== 'transaction') return null;
  const scope = cursor.word() === 'global' ? 'global' : 'session';
  const levelScope = scoped ? scope : 'transaction';
  cursor.at += scoped ? 2 : 1;
  const assignments: Assignment[] = [];
  do {
    if (cursor.take('isolation', 'level')) {
      const first = cursor.expectOne('read', 'repeatable', 'serializable');
      if (first === 'serializable')
        assignments.push({ scope: levelScope, name: 'transaction_isolation', value: 'SERIALIZABLE' });
      else {
        const second =
          first === 'read' ? cursor.expectOne('committed', 'uncommitted') : cursor.expectOne('read');
        const value = `${first}-${second}`.toUpperCase();
        assignments.push({ scope: levelScope, name: 'transaction_isolation', value });
      }
    } else {
      cursor.expect('read');
      const value = cursor.expectOne('only', 'write') === 'only' ? 1 : 0;
      assignments.push({ scope, name: 'transaction_read_only', value });
    }
  } while (cursor.takeSymbol(','));
  cursor.expectEnd();
  return { kind: 'set', assignments };
}

function assignment(cursor: TokenCursor, scope: Assignment['scope'], context: DialectContext): Assignment {
  const token = cursor.peek();
  if (token?.kind === 'user-variable') {
    cursor.at++;
    equals(cursor);
    return { scope: 'user', name: token.text.toLowerCase(), value: value(cursor, context) };
  }
  let target = scope;
  let name: string;
  if (token?.kind === 'system-variable') {
    cursor.at++;
    const split = splitVariable(token.text);
    target = split.scope ?? 'session';
    ({ name } = split);
  } else {
    name = cursor.name().toLowerCase();
  }
  equals(cursor);
  if (!systemVariables.has(name)) throw new ObError('OBS_SQL_UNKNOWN_VARIABLE', { name });
  const isDefault = cursor.take('default');
  const given = isDefault ? (systemVariables.get(name) ?? null) : value(cursor, context);
  if (readOnlyVariables.has(name)) throw new ObError('OBS_SQL_READ_ONLY_VARIABLE', { name });
  return { scope: target, name, value: given };
}

function equals(cursor: TokenCursor): void {
  if (!cursor.takeSymbol(':=')) cursor.expectSymbol('=');
}

/** A value to the end of the range. */
function value(cursor: TokenCursor, context: DialectContext): Cell {
  const token = cursor.peek();
  if (token === undefined) throw cursor.error();
  if (token.kind === 'symbol') {
    if (cursor.takeSymbol('(')) {
      const inner = value(cursor, context);
      cursor.expectSymbol(')');
      return inner;
    }
    const sign = cursor.symbol();
    if (sign !== '-' && sign !== '+') throw cursor.error();
    cursor.at++;
    const number = value(cursor, context);
    if (typeof number !== 'number' && typeof number !== 'bigint') throw cursor.error();
    return sign === '-' ? -number : number;
  }
  cursor.at++;
  switch (token.kind) {
    case 'string':
      return token.text;
    case 'blob':
      return token.bytes ?? null;
    case 'number':
      return numberOf(token.text);
    case 'user-variable':
      return context.userVariable(token.text.toLowerCase());
    case 'system-variable':
      return systemValue(token.text, context);
    case 'quoted':
      return token.text;
    case 'word':
      return wordValue(cursor, token.text, context);
    case 'parameter':
      throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'parameters in SET' });
  }
}

function numberOf(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) || !/^\d+$/.test(text) ? number : BigInt(text);
}

function wordValue(cursor: TokenCursor, word: string, context: DialectContext): Cell {
  const lower = word.toLowerCase();
  if (cursor.symbol() === '(') {
    const [from, to] = cursor.brackets();
    const args = cursor.statement
      .list(from, to)
      .map(([start, end]) => value(new TokenCursor(cursor.statement, start, end), context));
    const texts = args.map(argument => String(argument ?? ''));
    if (lower === 'concat') return texts.join('');
    if (lower === 'concat_ws') return texts.slice(1).join(texts[0] ?? '');
    if (lower === 'replace' && texts.length === 3 && texts[1] !== '')
      return (texts[0] ?? '').replaceAll(texts[1] ?? '', texts[2] ?? '');
    if (lower === 'ifnull' || lower === 'coalesce') return args.find(argument => argument !== null) ?? null;
    if (lower === 'last_insert_id') return context.lastInsertId;
    if (lower === 'database' || lower === 'schema') return context.schema;
    if (lower === 'connection_id') return context.connectionId;
    if (lower === 'now' || lower === 'current_timestamp')
      return new Date(context.wall / 1000).toISOString().slice(0, 19).replace('T', ' ');
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: `${word.toUpperCase()}() in SET` });
  }
  if (lower === 'null') return null;
  if (lower === 'true' || lower === 'on') return 1;
  if (lower === 'false' || lower === 'off') return 0;
  return word;
}

/** SET PASSWORD [FOR user] = 'secret'. */
function setPassword(cursor: TokenCursor): UserStatement {
  cursor.expect('password');
  let name: string | null = null;
  if (cursor.take('for')) {
    name = cursor.nameOrString();
    if (cursor.peek()?.kind === 'user-variable') cursor.at++;
  }
  cursor.expectSymbol('=');
  const bracketed = cursor.take('password');
  if (bracketed) cursor.expectSymbol('(');
  const password = cursor.string();
  if (bracketed) cursor.expectSymbol(')');
  cursor.expectEnd();
  return { kind: 'alter', users: [{ name, password }], ifExists: false };
}
