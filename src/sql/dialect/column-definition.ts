/**
 * A column of CREATE TABLE or ALTER TABLE … ADD, from MySQL's words to SQLite's. The declared type keeps MySQL's name, as
 * clients read it back, unless SQLite would give it an affinity that changes values (VARBINARY '007' must not become 7).
 */
import { ObError } from '../../base/errors.ts';
import { finish, quoteName, quoteText, trimmed } from './fragment.ts';
import { collationOf, Rewriter } from './rewriter.ts';
import type { TokenCursor } from './token-cursor.ts';

export interface ColumnDefinition {
  readonly name: string;
  /** SQLite's type text */
  readonly type: string;
  /** an integer type, which can be the table's row id */
  readonly integer: boolean;
  readonly autoIncrement: boolean;
  readonly primaryKey: boolean;
  readonly unique: boolean;
  readonly notNull: boolean;
  /** SQL text of the default */
  readonly defaultSql: string | null;
  readonly onUpdateNow: boolean;
  readonly collation: string | null;
  /** CHECK, REFERENCES, GENERATED …: SQLite text behind the rest */
  readonly clauses: readonly string[];
}

const integerTypes = new Set([
  'tinyint',
  'smallint',
  'mediumint',
  'int',
  'integer',
  'bigint',
  'int1',
  'int2',
  'int3',
  'int4',
  'int8',
]);
/** types whose name alone gives SQLite the wrong affinity */
const replacedTypes: Readonly<Record<string, string>> = {
  bool: 'TINYINT(1)',
  boolean: 'TINYINT(1)',
  serial: 'BIGINT UNSIGNED',
  binary: 'BLOB',
  varbinary: 'BLOB',
  geometry: 'BLOB',
  point: 'BLOB',
  linestring: 'BLOB',
  polygon: 'BLOB',
  vector: 'BLOB',
  set: 'VARCHAR',
  json: 'JSON TEXT',
  string: 'TEXT',
};

interface ColumnType {
  readonly text: string;
  readonly integer: boolean;
  readonly serial: boolean;
  /** values of an ENUM, else none */
  readonly choices: readonly string[];
}

const stringsIn = (cursor: TokenCursor, from: number, to: number): string[] =>
  cursor.statement.tokens.slice(from, to).flatMap(token => (token.kind === 'string' ? [token.text] : []));

/** Reads a type with its length and its UNSIGNED, CHARACTER SET and the like. */
function columnType(cursor: TokenCursor): ColumnType {
  let word = cursor.word();
  if (word === '') throw cursor.error();
  cursor.at++;
  if (word === 'national' || word === 'long')
    word = cursor.word() === '' ? word : cursor.name().toLowerCase();
  if (word === 'double') cursor.take('precision');
  if (word === 'character' || word === 'char') word = cursor.take('varying') ? 'varchar' : 'char';
  let size = '';
  let choices: string[] = [];
  if (cursor.symbol() === '(') {
    const [from, to] = cursor.brackets();
    choices = stringsIn(cursor, from, to);
    size = `(${cursor.statement.source(from, to)})`;
  }
  const integer = integerTypes.has(word);
  const unsigned = typeAttributes(cursor);
  if (word === 'enum') {
    const longest = choices.reduce((most, choice) => Math.max(most, choice.length), 1);
    return { text: `VARCHAR(${longest})`, integer: false, serial: false, choices };
  }
  const replaced = Object.hasOwn(replacedTypes, word) ? replacedTypes[word] : undefined;
  if (replaced !== undefined)
    return { text: replaced, integer: word === 'serial', serial: word === 'serial', choices: [] };
  const keepsSize = !integer || (word === 'tinyint' && size === '(1)');
  const text = `${word.toUpperCase()}${integer && unsigned ? ' UNSIGNED' : keepsSize ? size : ''}`;
  return { text, integer, serial: false, choices: [] };
}

function typeAttributes(cursor: TokenCursor): boolean {
  let unsigned = false;
  for (;;) {
    if (cursor.take('unsigned')) unsigned = true;
    else if (cursor.takeOne('signed', 'zerofill', 'ascii', 'unicode', 'byte') !== undefined) continue;
    else if (cursor.word() === 'binary') cursor.at++;
    else if (cursor.take('character', 'set') || cursor.take('charset')) cursor.nameOrString();
    else return unsigned;
  }
}

/** SQLite text of the tokens [from, to); session values have no place in a table's definition. */
function definitionSql(cursor: TokenCursor, from: number, to: number): string {
  const { sql, parameters } = finish(trimmed(new Rewriter(cursor.statement).range(from, to)));
  if (parameters.length > 0) throw cursor.statement.errorAt(from);
  return sql;
}

/** A value behind DEFAULT. */
function defaultValue(cursor: TokenCursor): string {
  const from = cursor.at;
  const token = cursor.peek();
  if (token === undefined) throw cursor.error();
  if (cursor.symbol() === '(') {
    cursor.brackets();
    return definitionSql(cursor, from, cursor.at);
  }
  if (cursor.symbol() === '-' || cursor.symbol() === '+') cursor.at++;
  const isCall = cursor.symbol(1) === '(';
  cursor.at++;
  if (isCall) cursor.brackets();
  if (/^(current_timestamp|now|localtime|localtimestamp)$/.test(token.lower)) {
    const digits = isCall && cursor.at - from > 3;
    return digits ? `(${definitionSql(cursor, from, cursor.at)})` : 'CURRENT_TIMESTAMP';
  }
  const text = definitionSql(cursor, from, cursor.at);
  return isCall ? `(${text})` : text;
}

/** The actions behind REFERENCES p (a), as SQLite takes them. */
export function referenceClause(cursor: TokenCursor): string {
  cursor.expect('references');
  let text = `REFERENCES ${quoteName(cursor.qualifiedName().name)}`;
  if (cursor.symbol() === '(')
    text += ` (${keyColumns(cursor)
      .map(column => quoteName(column.name))
      .join(', ')})`;
  for (;;) {
    if (cursor.take('match')) {
      cursor.name();
    } else if (
      cursor.word() === 'on' &&
      (cursor.word(1) === 'delete' || cursor.word(1) === 'update') &&
      cursor.word(2) !== 'current_timestamp'
    ) {
      const event = cursor.word(1).toUpperCase();
      cursor.at += 2;
      const action = cursor.expectOne('cascade', 'restrict', 'set', 'no');
      if (action === 'set') text += ` ON ${event} SET ${cursor.expectOne('null', 'default').toUpperCase()}`;
      else if (action === 'no') {
        cursor.expect('action');
        text += ` ON ${event} NO ACTION`;
      } else text += ` ON ${event} ${action.toUpperCase()}`;
    } else if (cursor.take('deferrable', 'initially', 'deferred')) {
      text += ' DEFERRABLE INITIALLY DEFERRED';
    } else {
      return text;
    }
  }
}

/** `(a, b(10) DESC, (lower(c)))` of a key: names, or expressions as SQL text. */
export function keyColumns(cursor: TokenCursor): { readonly name: string; readonly sql: string }[] {
  const [from, to] = cursor.brackets();
  return cursor.statement.list(from, to).map(([start, end]) => {
    const token = cursor.statement.tokens[start];
    if (token === undefined || start >= end) throw cursor.error();
    const last = cursor.statement.word(end - 1);
    const direction = last === 'desc' ? ' DESC' : '';
    if (cursor.statement.symbol(start) === '(')
      return {
        name: 'functional_index',
        sql: `${definitionSql(cursor, start, cursor.statement.partner(start) + 1)}${direction}`,
      };
    if (token.kind !== 'word' && token.kind !== 'quoted') throw cursor.statement.errorAt(start);
    return { name: token.text, sql: `${quoteName(token.text)}${direction}` };
  });
}

/** Reads one column up to the comma or the end. */
export function columnDefinition(cursor: TokenCursor): ColumnDefinition {
  const name = cursor.name();
  const type = cursor.done ? { text: '', integer: false, serial: false, choices: [] } : columnType(cursor);
  const clauses: string[] = [];
  if (type.choices.length > 0)
    clauses.push(`CHECK (${quoteName(name)} IN (${type.choices.map(quoteText).join(', ')}))`);
  let autoIncrement = type.serial;
  let unique = type.serial;
  let primaryKey = false;
  let notNull = type.serial;
  let defaultSql: string | null = null;
  let onUpdateNow = false;
  let collation: string | null = null;
  while (!cursor.done && cursor.symbol() !== ',') {
    if (cursor.take('not', 'null')) notNull = true;
    else if (cursor.take('null')) notNull = false;
    else if (cursor.take('default')) defaultSql = defaultValue(cursor);
    else if (cursor.takeOne('auto_increment', 'autoincrement') !== undefined) autoIncrement = true;
    else if (cursor.take('primary', 'key') || cursor.take('key')) primaryKey = true;
    else if (cursor.take('unique')) {
      cursor.take('key');
      unique = true;
    } else if (cursor.take('on', 'update')) {
      const from = cursor.at;
      cursor.name();
      if (cursor.symbol() === '(') cursor.brackets();
      if (!/^(current_timestamp|now|localtime|localtimestamp)$/.test(cursor.statement.word(from)))
        throw cursor.statement.errorAt(from);
      onUpdateNow = true;
    } else if (cursor.take('collate')) collation = collationOf(cursor.nameOrString());
    else if (cursor.word() === 'references') clauses.push(referenceClause(cursor));
    else if (!columnOption(cursor, clauses)) throw cursor.error();
  }
  return {
    name,
    type: type.text,
    integer: type.integer,
    autoIncrement,
    primaryKey,
    unique,
    notNull,
    defaultSql,
    onUpdateNow,
    collation,
    clauses,
  };
}

/** CHECK, GENERATED, and what only decorates. False when the word is none of them. */
function columnOption(cursor: TokenCursor, clauses: string[]): boolean {
  if (cursor.take('comment')) {
    cursor.string();
  } else if (cursor.take('character', 'set') || cursor.take('charset')) {
    cursor.nameOrString();
  } else if (cursor.takeOne('visible', 'invisible', 'virtual') !== undefined) {
    return true;
  } else if (cursor.takeOne('column_format', 'storage') !== undefined) {
    cursor.name();
  } else if (cursor.word() === 'constraint' || cursor.word() === 'check') {
    if (cursor.take('constraint') && cursor.word() !== 'check') cursor.name();
    cursor.expect('check');
    clauses.push(checkClause(cursor));
  } else if (cursor.word() === 'generated' || cursor.word() === 'as') {
    if (cursor.take('generated')) cursor.expect('always');
    cursor.expect('as');
    const from = cursor.at;
    cursor.brackets();
    const expression = definitionSql(cursor, from, cursor.at);
    const stored = cursor.takeOne('stored', 'persistent') === undefined ? '' : ' STORED';
    clauses.push(`GENERATED ALWAYS AS ${expression}${stored}`);
  } else {
    return false;
  }
  return true;
}

/** The condition behind CHECK. */
export function checkClause(cursor: TokenCursor): string {
  const from = cursor.at;
  cursor.brackets();
  const text = `CHECK ${definitionSql(cursor, from, cursor.at)}`;
  if (cursor.take('not', 'enforced'))
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'CHECK … NOT ENFORCED' });
  cursor.take('enforced');
  return text;
}

/** The column as SQLite text. `rowId`: it is the table's only primary key and an integer. */
export function columnSql(column: ColumnDefinition, rowId: boolean, inPrimaryKey: boolean): string {
  const parts = [quoteName(column.name)];
  if (rowId) {
    parts.push('INTEGER PRIMARY KEY');
    if (column.autoIncrement) parts.push('AUTOINCREMENT');
    else parts.push('NOT NULL');
  } else {
    if (column.type !== '') parts.push(column.type);
    if (column.notNull || inPrimaryKey) parts.push('NOT NULL');
  }
  if (column.defaultSql !== null && !column.autoIncrement) parts.push('DEFAULT', column.defaultSql);
  if (column.collation !== null && !rowId) parts.push('COLLATE', column.collation);
  parts.push(...column.clauses);
  return parts.join(' ');
}
