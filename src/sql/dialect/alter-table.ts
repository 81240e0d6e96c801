/** ALTER TABLE, as far as SQLite changes a table in place: columns, indexes, names. What needs the table rewritten is refused by name. */
import { ObError } from '../../base/errors.ts';
import type { TableShape } from '../plan.ts';
import { columnDefinition, type ColumnDefinition, columnSql } from './column-definition.ts';
import {
  createIndexSql,
  indexName,
  keyRest,
  onUpdateTrigger,
  stampedColumns,
  stampName,
} from './create-table.ts';
import { quoteName, quoteText } from './fragment.ts';
import { type ShapeLookup, TableNeeded } from './insert.ts';
import type { StatementText } from './statement-text.ts';
import { findKey, renameTable } from './table-shape.ts';
import { TokenCursor } from './token-cursor.ts';

const notSupported = (what: string): ObError => new ObError('OBS_SQL_NOT_SUPPORTED', { what });

/** The shape, which must have been loaded and exist. Throws TableNeeded, OBS_SQL_NO_SUCH_TABLE. */
export function shapeOrThrow(shapeOf: ShapeLookup, table: string): TableShape {
  const shape = shapeOf(table);
  if (shape === undefined) throw new TableNeeded(table);
  if (shape === null) throw new ObError('OBS_SQL_NO_SUCH_TABLE', { table });
  return shape;
}

/** The statements of one ALTER TABLE, in order; they are one unit. None for options that mean nothing here. */
export function rewriteAlterTable(statement: StatementText, shapeOf: ShapeLookup): readonly string[] {
  const cursor = new TokenCursor(statement);
  cursor.expect('alter', 'table');
  const table = cursor.qualifiedName().name;
  const statements: string[] = [];
  const shapeNow: ShapeLookup = name => {
    const shape = shapeOf(name);
    return shape === undefined || shape === null ? shape : shapeAfter(shape, statements);
  };
  for (const [from, to] of statement.list(cursor.at, cursor.end)) {
    const change = new TokenCursor(statement, from, to);
    statements.push(...oneChange(change, table, shapeNow));
    change.expectEnd();
  }
  return statements;
}

const attachedStatement = /^(CREATE|DROP) (?:UNIQUE )?(INDEX|TRIGGER) ("(?:[^"]|"")+")/;

/** The indexes and triggers of a table after some statements of this file, so that a later change sees the earlier ones. */
function shapeAfter(shape: TableShape, statements: readonly string[]): TableShape {
  let { attached, keys } = shape;
  for (const sql of statements) {
    const match = attachedStatement.exec(sql);
    if (match === null) continue;
    const name = (match[3] ?? '').slice(1, -1).replaceAll('""', '"');
    attached = attached.filter(item => item.name !== name);
    keys = keys.filter(key => key.index !== name);
    if (match[1] === 'CREATE')
      attached = [...attached, { kind: match[2] === 'INDEX' ? 'index' : 'trigger', name, sql }];
  }
  return { ...shape, attached, keys };
}

function oneChange(cursor: TokenCursor, table: string, shapeOf: ShapeLookup): readonly string[] {
  const verb = cursor.word();
  switch (verb) {
    case 'add':
      cursor.at++;
      return addPart(cursor, table, shapeOf);
    case 'drop':
      cursor.at++;
      return dropPart(cursor, table, shapeOf);
    case 'rename':
      cursor.at++;
      return renamePart(cursor, table, shapeOf);
    case 'modify':
    case 'change':
      throw notSupported(`ALTER TABLE … ${verb.toUpperCase()}`);
    case 'alter':
      throw notSupported('ALTER TABLE … ALTER COLUMN');
    case 'auto_increment': {
      cursor.at++;
      cursor.takeSymbol('=');
      const next = cursor.integer();
      const { name } = shapeOrThrow(shapeOf, table);
      const stored = quoteText(name);
      return [
        `UPDATE sqlite_sequence SET seq = max(seq, ${next - 1}) WHERE name = ${stored}`,
        `INSERT INTO sqlite_sequence (name, seq) SELECT ${stored}, ${next - 1} WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ${stored})`,
      ];
    }
    default:
      return tableOption(cursor);
  }
}

const options =
  /^(engine|default|charset|character|collate|comment|row_format|convert|enable|disable|order|algorithm|lock|force|key_block_size|stats_persistent|stats_auto_recalc|checksum|compression)$/;

function tableOption(cursor: TokenCursor): readonly string[] {
  if (!options.test(cursor.word())) throw cursor.error();
  cursor.at = cursor.end;
  return [];
}

function addPart(cursor: TokenCursor, table: string, shapeOf: ShapeLookup): readonly string[] {
  let constraint: string | null = null;
  if (cursor.take('constraint') && !/^(primary|unique|foreign|check)$/.test(cursor.word()))
    constraint = cursor.name();
  switch (cursor.word()) {
    case 'unique':
      cursor.at++;
      cursor.takeOne('index', 'key');
      return addKey(cursor, table, true, constraint);
    case 'index':
    case 'key':
      cursor.at++;
      return addKey(cursor, table, false, null);
    case 'primary':
    case 'foreign':
    case 'check':
    case 'fulltext':
    case 'spatial':
    case 'partition':
      throw notSupported(`ALTER TABLE … ADD ${cursor.word().toUpperCase()}`);
    default:
  }
  cursor.take('column');
  cursor.take('if', 'not', 'exists');
  if (cursor.symbol() !== '(') return addColumn(cursor, table, shapeOf);
  const [from, to] = cursor.brackets();
  return cursor.statement
    .list(from, to)
    .flatMap(([start, end]) => addColumn(new TokenCursor(cursor.statement, start, end), table, shapeOf));
}

function addKey(
  cursor: TokenCursor,
  table: string,
  unique: boolean,
  constraint: string | null,
): readonly string[] {
  const key = keyRest(cursor, unique, constraint);
  const name = key.name ?? key.columns[0]?.name ?? 'key';
  return [
    createIndexSql({
      table,
      key: name,
      unique,
      ifNotExists: false,
      columns: key.columns.map(column => column.sql),
    }),
  ];
}

/** The zero value MySQL gives rows that exist already. */
function implicitDefault(column: ColumnDefinition): string {
  if (column.integer || /^(DECIMAL|NUMERIC|FLOAT|DOUBLE|REAL|BIT)/.test(column.type)) return '0';
  if (column.type === 'DATE') return "'0000-00-00'";
  return /^(DATETIME|TIMESTAMP)/.test(column.type) ? "'0000-00-00 00:00:00'" : "''";
}

/** The ON UPDATE trigger with one more column. */
function addStamp(shape: TableShape, column: string): readonly string[] {
  const trigger = shape.attached.find(item => item.kind === 'trigger' && item.name === stampName(shape.name));
  if (trigger === undefined) return [onUpdateTrigger(shape.name, [column])];
  const columns = [...stampedColumns(trigger.sql), column];
  return [`DROP TRIGGER ${quoteName(trigger.name)}`, onUpdateTrigger(shape.name, columns)];
}

function addColumn(cursor: TokenCursor, table: string, shapeOf: ShapeLookup): readonly string[] {
  const end = cursor.statement.find(cursor.at + 1, cursor.end, new Set(['first', 'after']));
  const column = columnDefinition(new TokenCursor(cursor.statement, cursor.at, end));
  cursor.at = end;
  if (!cursor.take('first') && cursor.take('after')) cursor.name();
  if (column.autoIncrement || column.primaryKey)
    throw notSupported('ALTER TABLE … ADD a column as primary key');
  const mustFill =
    column.notNull && column.defaultSql === null && !column.clauses.some(clause => clause.startsWith('GEN'));
  if (column.defaultSql !== null && /^\(|^current_/i.test(column.defaultSql))
    throw notSupported('ALTER TABLE … ADD a column whose default is an expression');
  const filled = mustFill ? { ...column, defaultSql: implicitDefault(column) } : column;
  const statements = [`ALTER TABLE ${quoteName(table)} ADD COLUMN ${columnSql(filled, false, false)}`];
  if (column.unique)
    statements.push(
      createIndexSql({
        table,
        key: column.name,
        unique: true,
        ifNotExists: false,
        columns: [quoteName(column.name)],
      }),
    );
  if (column.onUpdateNow) statements.push(...addStamp(shapeOrThrow(shapeOf, table), column.name));
  return statements;
}

function dropPart(cursor: TokenCursor, table: string, shapeOf: ShapeLookup): readonly string[] {
  if (cursor.takeOne('index', 'key') !== undefined) return [dropIndexSql(shapeOf, table, cursor.name())];
  const refused = cursor.takeOne('primary', 'foreign', 'check', 'constraint', 'partition');
  if (refused !== undefined) throw notSupported(`ALTER TABLE … DROP ${refused.toUpperCase()}`);
  cursor.take('column');
  const ifExists = cursor.take('if', 'exists');
  const column = cursor.name();
  cursor.takeOne('restrict', 'cascade');
  const shape = shapeOrThrow(shapeOf, table);
  const exists = shape.columns.some(candidate => candidate.name.toLowerCase() === column.toLowerCase());
  if (!exists && ifExists) return [];
  return [
    ...dropKeysOf(shape, column),
    ...dropStamp(shape, column),
    `ALTER TABLE ${quoteName(table)} DROP COLUMN ${quoteName(column)}`,
  ];
}

/** The ON UPDATE trigger without that column; SQLite would refuse to drop a column a trigger names. */
function dropStamp(shape: TableShape, column: string): readonly string[] {
  const trigger = shape.attached.find(item => item.kind === 'trigger' && item.name === stampName(shape.name));
  if (trigger === undefined) return [];
  const stamped = stampedColumns(trigger.sql);
  const kept = stamped.filter(name => name.toLowerCase() !== column.toLowerCase());
  if (kept.length === stamped.length) return [];
  const dropped = `DROP TRIGGER ${quoteName(trigger.name)}`;
  return kept.length === 0 ? [dropped] : [dropped, onUpdateTrigger(shape.name, kept)];
}

/** An index of that column alone goes with it, as in MySQL; SQLite would refuse to drop an indexed column. */
const dropKeysOf = (shape: TableShape, column: string): readonly string[] =>
  shape.keys
    .filter(
      key =>
        !key.index.startsWith('sqlite_autoindex_') &&
        key.columns.length === 1 &&
        key.columns[0]?.name?.toLowerCase() === column.toLowerCase(),
    )
    .map(key => `DROP INDEX ${quoteName(key.index)}`);

/** Throws OBS_SQL_NO_SUCH_INDEX when the table has no such index. */
export function dropIndexSql(shapeOf: ShapeLookup, table: string, key: string): string {
  const shape = shapeOrThrow(shapeOf, table);
  const found = findKey(shape, key);
  if (found === undefined) throw new ObError('OBS_SQL_NO_SUCH_INDEX', { index: key });
  if (found.index.startsWith('sqlite_autoindex_'))
    throw notSupported('DROP INDEX of a key that is part of the table');
  return `DROP INDEX ${quoteName(found.index)}`;
}

function renamePart(cursor: TokenCursor, table: string, shapeOf: ShapeLookup): readonly string[] {
  if (cursor.take('column')) {
    const from = cursor.name();
    cursor.expect('to');
    return [
      `ALTER TABLE ${quoteName(table)} RENAME COLUMN ${quoteName(from)} TO ${quoteName(cursor.name())}`,
    ];
  }
  const shape = shapeOrThrow(shapeOf, table);
  if (cursor.takeOne('index', 'key') !== undefined) {
    const from = cursor.name();
    cursor.expect('to');
    const to = cursor.name();
    const drop = dropIndexSql(shapeOf, table, from);
    const index = findKey(shape, from)?.index ?? '';
    const created = shape.attached.find(item => item.name === index)?.sql ?? '';
    return [drop, created.replace(quoteName(index), quoteName(indexName(shape.name, to)))];
  }
  cursor.takeOne('to', 'as');
  return renameTable(shape, cursor.qualifiedName().name);
}
