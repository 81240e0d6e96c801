/**
 * CREATE TABLE. Keys become indexes named `table$key`, because MySQL names them per table and SQLite per database. An integer primary
 * key is the row id; AUTO_INCREMENT never gives an id twice. ON UPDATE CURRENT_TIMESTAMP is a trigger. Table options mean nothing here.
 */
import { ObError } from '../../base/errors.ts';
import {
  columnDefinition,
  type ColumnDefinition,
  checkClause,
  columnSql,
  keyColumns,
  referenceClause,
} from './column-definition.ts';
import { finish, quoteName, trimmed } from './fragment.ts';
import { Rewriter } from './rewriter.ts';
import type { StatementText } from './statement-text.ts';
import { TokenCursor } from './token-cursor.ts';

interface KeyDefinition {
  readonly name: string | null;
  readonly unique: boolean;
  readonly columns: readonly { readonly name: string; readonly sql: string }[];
}

interface TableDefinition {
  readonly columns: ColumnDefinition[];
  readonly keys: KeyDefinition[];
  primaryKey: KeyDefinition | null;
  /** table constraints as SQLite text */
  readonly constraints: string[];
}

export const indexName = (table: string, key: string): string => `${table}$${key}`;

/** Name of the trigger that keeps the ON UPDATE columns of a table. */
export const stampName = (table: string): string => indexName(table, 'on update');

/** The columns such a trigger keeps, read from its own text. */
export const stampedColumns = (triggerSql: string): string[] =>
  [...triggerSql.matchAll(/NEW\."((?:[^"]|"")+)" IS OLD\."(?:[^"]|"")+" AND/g)].map(match =>
    (match[1] ?? '').replaceAll('""', '"'),
  );

/** The trigger that keeps ON UPDATE CURRENT_TIMESTAMP columns; canonical text, recognised when a table is renamed. */
export function onUpdateTrigger(table: string, columns: readonly string[]): string {
  const quoted = quoteName(table);
  const unchanged = columns.map(column => {
    const name = quoteName(column);
    return `NEW.${name} IS OLD.${name} AND NEW.${name} IS NOT datetime('now')`;
  });
  const assignments = columns.map(column => {
    const name = quoteName(column);
    return `${name} = CASE WHEN NEW.${name} IS OLD.${name} THEN datetime('now') ELSE NEW.${name} END`;
  });
  return (
    `CREATE TRIGGER ${quoteName(stampName(table))} AFTER UPDATE ON ${quoted} ` +
    `WHEN ${unchanged.map(condition => `(${condition})`).join(' OR ')} ` +
    `BEGIN UPDATE ${quoted} SET ${assignments.join(', ')} WHERE rowid = NEW.rowid; END`
  );
}

export function createIndexSql(options: {
  readonly table: string;
  readonly key: string;
  readonly unique: boolean;
  readonly ifNotExists: boolean;
  readonly columns: readonly string[];
}): string {
  const { table, key, unique, ifNotExists, columns } = options;
  return `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${ifNotExists ? 'IF NOT EXISTS ' : ''}${quoteName(indexName(table, key))} ON ${quoteName(table)} (${columns.join(', ')})`;
}

/** The statements that make the table with its indexes; they are one unit. Throws OBS_SQL_PARSE, OBS_SQL_NOT_SUPPORTED. */
export function rewriteCreateTable(statement: StatementText): readonly string[] {
  const cursor = new TokenCursor(statement);
  cursor.expect('create');
  if (cursor.takeOne('temporary', 'temp') !== undefined)
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'CREATE TEMPORARY TABLE' });
  cursor.expect('table');
  const ifNotExists = cursor.take('if', 'not', 'exists');
  const table = cursor.qualifiedName().name;
  const head = `CREATE TABLE ${ifNotExists ? 'IF NOT EXISTS ' : ''}${quoteName(table)}`;
  if (cursor.word() === 'like' || (cursor.symbol() === '(' && cursor.word(1) === 'like'))
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'CREATE TABLE … LIKE' });
  if (cursor.symbol() !== '(' || cursor.word(1) === 'select') return [`${head} AS ${queryText(cursor)}`];
  const [from, to] = cursor.brackets();
  const definition = tableDefinition(statement, from, to);
  const select = statement.find(cursor.at, cursor.end, new Set(['select']));
  if (select < cursor.end)
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'CREATE TABLE with columns and a query' });
  return tableStatements(
    head,
    table,
    ifNotExists,
    definition,
    statement.find(cursor.at, cursor.end, new Set(['strict'])) < cursor.end,
  );
}

function queryText(cursor: TokenCursor): string {
  while (!cursor.done && cursor.word() !== 'as' && cursor.word() !== 'select' && cursor.symbol() !== '(')
    cursor.at++;
  cursor.take('as');
  if (cursor.done) throw cursor.error();
  const { sql, parameters } = finish(trimmed(new Rewriter(cursor.statement).range(cursor.at, cursor.end)));
  if (parameters.length > 0)
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'session values in CREATE TABLE … AS' });
  return sql;
}

function tableDefinition(statement: StatementText, from: number, to: number): TableDefinition {
  const definition: TableDefinition = { columns: [], keys: [], primaryKey: null, constraints: [] };
  for (const [start, end] of statement.list(from, to)) {
    const cursor = new TokenCursor(statement, start, end);
    if (cursor.done) throw cursor.error();
    if (!tableConstraint(cursor, definition)) definition.columns.push(columnDefinition(cursor));
    cursor.expectEnd();
  }
  if (definition.columns.length === 0) throw statement.errorAt(to);
  return definition;
}

const keyWords = new Set([
  'key',
  'index',
  'primary',
  'unique',
  'foreign',
  'check',
  'constraint',
  'fulltext',
  'spatial',
]);

/** A key or constraint; false when a column stands there. A bare word `key` may be a column: then a type follows. */
function tableConstraint(cursor: TokenCursor, definition: TableDefinition): boolean {
  if (!keyWords.has(cursor.word())) return false;
  let constraint: string | null = null;
  if (cursor.take('constraint') && !/^(primary|unique|foreign|check)$/.test(cursor.word()))
    constraint = cursor.name();
  const named = constraint === null ? '' : `CONSTRAINT ${quoteName(constraint)} `;
  switch (cursor.word()) {
    case 'primary':
      cursor.expect('primary', 'key');
      definition.primaryKey = keyRest(cursor, true, null);
      return true;
    case 'unique':
      cursor.at++;
      cursor.takeOne('key', 'index');
      definition.keys.push(keyRest(cursor, true, constraint));
      return true;
    case 'key':
    case 'index':
      cursor.at++;
      definition.keys.push(keyRest(cursor, false, null));
      return true;
    case 'fulltext':
    case 'spatial':
      throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: `${cursor.word().toUpperCase()} keys` });
    case 'foreign': {
      cursor.expect('foreign', 'key');
      if (cursor.symbol() !== '(') cursor.name();
      const columns = keyColumns(cursor).map(column => quoteName(column.name));
      definition.constraints.push(`${named}FOREIGN KEY (${columns.join(', ')}) ${referenceClause(cursor)}`);
      return true;
    }
    case 'check':
      cursor.at++;
      definition.constraints.push(`${named}${checkClause(cursor)}`);
      return true;
    default:
      throw cursor.error();
  }
}

/** `[name] [USING BTREE] (columns) [options]` behind KEY. */
export function keyRest(cursor: TokenCursor, unique: boolean, constraint: string | null): KeyDefinition {
  let name = constraint;
  if (cursor.symbol() !== '(' && cursor.word() !== 'using') name = cursor.name();
  if (cursor.take('using')) cursor.name();
  const columns = keyColumns(cursor);
  while (!cursor.done && cursor.symbol() !== ',') {
    if (cursor.takeOne('using', 'key_block_size') !== undefined) {
      cursor.takeSymbol('=');
      cursor.at++;
    } else if (cursor.take('comment')) {
      cursor.string();
    } else if (cursor.takeOne('visible', 'invisible', 'local', 'global') === undefined) {
      throw cursor.error();
    }
  }
  return { name, unique, columns };
}

function tableStatements(
  head: string,
  table: string,
  ifNotExists: boolean,
  definition: TableDefinition,
  strict: boolean,
): readonly string[] {
  const { columns, keys, constraints } = definition;
  const inline = columns.filter(column => column.primaryKey);
  const primary =
    definition.primaryKey?.columns.map(column => column.name) ?? inline.map(column => column.name);
  const generated = columns.filter(column => column.autoIncrement);
  if (generated.length > 1)
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'two AUTO_INCREMENT columns' });
  const isPrimary = (column: ColumnDefinition): boolean =>
    primary.some(name => name.toLowerCase() === column.name.toLowerCase());
  const rowId = rowIdColumn(columns, primary, generated[0]);
  const lines = columns.map(column => columnSql(column, column === rowId, isPrimary(column)));
  const allKeys = [...keys];
  const primarySql = definition.primaryKey?.columns.map(column => column.sql) ?? primary.map(quoteName);
  if (primary.length > 0 && rowId === undefined) lines.push(`PRIMARY KEY (${primarySql.join(', ')})`);
  else if (primary.length > 1 || (rowId !== undefined && primary.length === 1 && !isPrimary(rowId)))
    allKeys.unshift({
      name: 'primary_key',
      unique: true,
      columns: primary.map(name => ({ name, sql: quoteName(name) })),
    });
  for (const column of columns)
    if (column.unique && column !== rowId)
      allKeys.push({
        name: null,
        unique: true,
        columns: [{ name: column.name, sql: quoteName(column.name) }],
      });
  const statements = [`${head} (${[...lines, ...constraints].join(', ')})${strict ? ' STRICT' : ''}`];
  const taken = new Set<string>();
  for (const key of allKeys) {
    const name = freeKeyName(key, taken);
    statements.push(
      createIndexSql({
        table,
        key: name,
        unique: key.unique,
        ifNotExists,
        columns: key.columns.map(column => column.sql),
      }),
    );
  }
  const stamped = columns.filter(column => column.onUpdateNow).map(column => column.name);
  if (stamped.length > 0) {
    const trigger = onUpdateTrigger(table, stamped);
    statements.push(
      ifNotExists ? trigger.replace('CREATE TRIGGER', 'CREATE TRIGGER IF NOT EXISTS') : trigger,
    );
  }
  return statements;
}

/** The column that is the row id: the generated one, or a primary key of one integer column. */
function rowIdColumn(
  columns: readonly ColumnDefinition[],
  primary: readonly string[],
  generated: ColumnDefinition | undefined,
): ColumnDefinition | undefined {
  if (generated !== undefined) return generated;
  const only = primary.length === 1 ? primary[0]?.toLowerCase() : undefined;
  return columns.find(column => column.integer && column.name.toLowerCase() === only);
}

/** MySQL's rule: an unnamed key is called as its first column, with _2, _3 … when that is taken. */
function freeKeyName(key: KeyDefinition, taken: Set<string>): string {
  const base = key.name ?? key.columns[0]?.name ?? 'key';
  let name = base;
  for (let count = 2; taken.has(name.toLowerCase()); count++) name = `${base}_${count}`;
  taken.add(name.toLowerCase());
  return name;
}
