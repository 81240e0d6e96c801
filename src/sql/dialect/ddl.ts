/** CREATE, DROP, RENAME, TRUNCATE of tables, indexes, views and triggers. Several statements of the result are one unit. */
import { ObError } from '../../base/errors.ts';
import { dropIndexSql, rewriteAlterTable, shapeOrThrow } from './alter-table.ts';
import { createIndexSql, keyRest, rewriteCreateTable } from './create-table.ts';
import { finish, quoteName, quoteText, trimmed } from './fragment.ts';
import { type ShapeLookup, TableNeeded } from './insert.ts';
import { Rewriter } from './rewriter.ts';
import type { StatementText } from './statement-text.ts';
import { renameTable } from './table-shape.ts';
import { TokenCursor } from './token-cursor.ts';

const notSupported = (what: string): ObError => new ObError('OBS_SQL_NOT_SUPPORTED', { what });

/** Null when the statement is none of these. An empty list is a statement that has nothing to do here. */
export function rewriteDdl(statement: StatementText, shapeOf: ShapeLookup): readonly string[] | null {
  const cursor = new TokenCursor(statement);
  switch (cursor.word()) {
    case 'create':
      return create(cursor, shapeOf);
    case 'drop':
      return drop(cursor, shapeOf);
    case 'alter':
      return cursor.word(1) === 'table' ? rewriteAlterTable(statement, shapeOf) : null;
    case 'rename':
      return cursor.word(1) === 'table' ? rename(cursor, shapeOf) : null;
    case 'truncate':
      return truncate(cursor, shapeOf);
    default:
      return null;
  }
}

function create(cursor: TokenCursor, shapeOf: ShapeLookup): readonly string[] | null {
  const { statement } = cursor;
  const second = cursor.word(1);
  if (second === 'table' || second === 'temporary' || second === 'temp') return rewriteCreateTable(statement);
  if (second === 'unique' || second === 'index') return createIndex(cursor);
  if (second === 'database' || second === 'schema') return createDatabase(cursor);
  const view = statement.find(1, Math.min(12, cursor.end), new Set(['view']));
  if (view < Math.min(12, cursor.end) && /^(view|or|algorithm|definer|sql)$/.test(second))
    return createView(cursor, view, shapeOf);
  if (second === 'trigger') throw notSupported('CREATE TRIGGER');
  if (/^(procedure|function|event|server|fulltext|spatial)$/.test(second))
    throw notSupported(`CREATE ${second.toUpperCase()}`);
  return null;
}

function createIndex(cursor: TokenCursor): readonly string[] {
  cursor.expect('create');
  const unique = cursor.take('unique');
  cursor.expect('index');
  const ifNotExists = cursor.take('if', 'not', 'exists');
  const key = cursor.name();
  if (cursor.take('using')) cursor.name();
  cursor.expect('on');
  const table = cursor.qualifiedName().name;
  const { columns } = keyRest(new TokenCursor(cursor.statement, cursor.at, indexEnd(cursor)), unique, key);
  return [createIndexSql({ table, key, unique, ifNotExists, columns: columns.map(column => column.sql) })];
}

/** ALGORITHM= and LOCK= behind an index say how, not what. */
const indexEnd = (cursor: TokenCursor): number =>
  cursor.statement.find(cursor.at, cursor.end, new Set(['algorithm', 'lock']));

/** A tenant is one database: another name for it is taken and means nothing. */
function createDatabase(cursor: TokenCursor): readonly string[] {
  cursor.at += 2;
  cursor.take('if', 'not', 'exists');
  cursor.name();
  return [];
}

function createView(cursor: TokenCursor, viewAt: number, shapeOf: ShapeLookup): readonly string[] {
  const { statement } = cursor;
  const replace = cursor.word(1) === 'or' && cursor.word(2) === 'replace';
  cursor.at = viewAt + 1;
  const ifNotExists = cursor.take('if', 'not', 'exists');
  const name = cursor.qualifiedName().name;
  const columns =
    cursor.symbol() === '(' ? ` (${statement.source(cursor.at + 1, statement.partner(cursor.at))})` : '';
  if (columns !== '') cursor.brackets();
  cursor.expect('as');
  let end = cursor.end;
  if (statement.word(end - 1) === 'option' && statement.word(end - 2) === 'check')
    end = statement.find(cursor.at, end, new Set(['with']));
  const { sql, parameters } = finish(trimmed(new Rewriter(statement).range(cursor.at, end)));
  if (parameters.length > 0) throw notSupported('parameters and session values in a view');
  const made = `CREATE VIEW ${ifNotExists ? 'IF NOT EXISTS ' : ''}${quoteName(name)}${columns} AS ${sql}`;
  if (!replace) return [made];
  const shape = shapeOf(name);
  return shape?.view === false ? [made] : [`DROP VIEW IF EXISTS ${quoteName(name)}`, made];
}

function drop(cursor: TokenCursor, shapeOf: ShapeLookup): readonly string[] | null {
  cursor.expect('drop');
  cursor.takeOne('temporary');
  const kind = cursor.takeOne(
    'table',
    'tables',
    'view',
    'index',
    'trigger',
    'database',
    'schema',
    'procedure',
    'function',
    'event',
  );
  switch (kind) {
    case 'table':
    case 'tables':
      return dropNames(cursor, 'TABLE', shapeOf);
    case 'view':
      return dropNames(cursor, 'VIEW', shapeOf);
    case 'trigger':
      return dropNames(cursor, 'TRIGGER', shapeOf);
    case 'index': {
      const key = cursor.name();
      cursor.expect('on');
      return [dropIndexSql(shapeOf, cursor.qualifiedName().name, key)];
    }
    case 'database':
    case 'schema':
      throw notSupported('DROP DATABASE');
    case undefined:
      return null;
    default:
      if (cursor.take('if', 'exists')) return [];
      throw notSupported(`DROP ${kind.toUpperCase()}`);
  }
}

/** With IF EXISTS a view is no table and a table no view: nothing is there to drop. Dumps count on it. */
function dropNames(
  cursor: TokenCursor,
  kind: 'TABLE' | 'VIEW' | 'TRIGGER',
  shapeOf: ShapeLookup,
): readonly string[] {
  const ifExists = cursor.take('if', 'exists');
  const names: string[] = [];
  do names.push(cursor.qualifiedName().name);
  while (cursor.takeSymbol(','));
  cursor.takeOne('restrict', 'cascade');
  cursor.expectEnd();
  const meant = names.filter(name => {
    if (!ifExists || kind === 'TRIGGER') return true;
    const shape = shapeOf(name);
    if (shape === undefined) throw new TableNeeded(name);
    return shape === null || shape.view === (kind === 'VIEW');
  });
  return meant.map(name => `DROP ${kind} ${ifExists ? 'IF EXISTS ' : ''}${quoteName(name)}`);
}

/** RENAME TABLE a TO b, c TO d. A table renamed twice in one statement (a swap) is followed by its new name. */
function rename(cursor: TokenCursor, shapeOf: ShapeLookup): readonly string[] {
  cursor.expect('rename', 'table');
  const statements: string[] = [];
  const moved = new Map<string, string>();
  do {
    const from = cursor.qualifiedName().name;
    cursor.expect('to');
    const to = cursor.qualifiedName().name;
    const original = moved.get(from.toLowerCase()) ?? from;
    const shape = shapeOrThrow(shapeOf, original);
    statements.push(...renameTable(original === from ? shape : renamedShape(shape, from), to));
    moved.delete(from.toLowerCase());
    moved.set(to.toLowerCase(), original);
  } while (cursor.takeSymbol(','));
  cursor.expectEnd();
  return statements;
}

/** The shape as it is after an earlier rename of the same statement. */
function renamedShape(shape: ReturnType<typeof shapeOrThrow>, name: string): ReturnType<typeof shapeOrThrow> {
  const before = quoteName(shape.name);
  const after = quoteName(name);
  return {
    ...shape,
    name,
    attached: shape.attached.map(item => {
      const newName = item.name.startsWith(`${shape.name}$`)
        ? name + item.name.slice(shape.name.length)
        : item.name;
      return {
        ...item,
        name: newName,
        sql: item.sql
          .replace(quoteName(item.name), quoteName(newName))
          .replaceAll(` ON ${before} `, ` ON ${after} `)
          .replaceAll(` UPDATE ${before} SET `, ` UPDATE ${after} SET `),
      };
    }),
  };
}

function truncate(cursor: TokenCursor, shapeOf: ShapeLookup): readonly string[] {
  cursor.expect('truncate');
  cursor.take('table');
  const table = cursor.qualifiedName().name;
  cursor.expectEnd();
  const shape = shapeOrThrow(shapeOf, table);
  const emptied = `DELETE FROM ${quoteName(shape.name)}`;
  const generates = shape.columns.some(column => column.autoIncrement);
  return generates
    ? [emptied, `DELETE FROM sqlite_sequence WHERE name = ${quoteText(shape.name)}`]
    : [emptied];
}
