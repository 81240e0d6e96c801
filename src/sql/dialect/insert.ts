/**
 * INSERT and REPLACE: modifiers, SET form, DEFAULT and 0 for generated ids, ON DUPLICATE KEY UPDATE. What a value means can
 * depend on its column (DEFAULT anywhere; 0 or a parameter for an AUTO_INCREMENT column), so the table may have to be seen first.
 */
import { must } from '../../base/assert.ts';
import type { TableColumn, TableShape } from '../plan.ts';
import { type Fragment, joined, quoteName, sql, trimmed } from './fragment.ts';
import { Rewriter } from './rewriter.ts';
import type { StatementText } from './statement-text.ts';
import { TokenCursor } from './token-cursor.ts';

/** Thrown to say that the statement cannot be understood without this table. */
export class TableNeeded extends Error {
  readonly table: string;
  constructor(table: string) {
    super('the shape of a table is needed');
    this.table = table;
  }
}

/** Undefined: not loaded; null: there is no such table. Records who was asked for. */
export type ShapeLookup = (name: string) => TableShape | null | undefined;

interface Target {
  readonly table: string;
  /** null: all columns, in the table's order */
  readonly columns: readonly string[] | null;
}

/** One INSERT or REPLACE as SQLite text. Throws TableNeeded, OBS_SQL_PARSE. */
export function rewriteInsert(statement: StatementText, shapeOf: ShapeLookup): Fragment {
  const cursor = new TokenCursor(statement);
  const rewriter = new Rewriter(statement);
  const verb = insertVerb(cursor);
  const table = cursor.qualifiedName().name;
  if (cursor.word() === 'partition' && cursor.symbol(1) === '(') {
    cursor.at++;
    cursor.brackets();
  }
  const head = sql`${verb} ${quoteName(table)}`;
  if (cursor.take('set')) return sql`${head} ${setForm(cursor, rewriter, table, shapeOf)}`;
  const columns = columnList(cursor);
  const columnText: Fragment = columns === null ? [] : sql` (${columns.map(quoteName).join(', ')})`;
  const target = { table, columns };
  if (cursor.take('default', 'values')) {
    cursor.expectEnd();
    return sql`${head} DEFAULT VALUES`;
  }
  if (cursor.word() === 'values' || cursor.word() === 'value') {
    cursor.at++;
    const rows = valueRows(cursor, rewriter, target, shapeOf);
    rowAlias(cursor, rewriter);
    const tail = conflictClause(cursor, rewriter, table, shapeOf);
    return rows === null
      ? sql`${head} DEFAULT VALUES${tail}`
      : sql`${head}${columnText} VALUES ${rows}${tail}`;
  }
  return sql`${head}${columnText} ${selectForm(cursor, rewriter, target, shapeOf)}`;
}

function insertVerb(cursor: TokenCursor): string {
  if (cursor.take('replace')) {
    cursor.takeOne('low_priority', 'delayed');
    cursor.take('into');
    return 'REPLACE INTO';
  }
  cursor.expect('insert');
  let or = '';
  if (cursor.take('or'))
    or = ` OR ${cursor.expectOne('replace', 'ignore', 'abort', 'fail', 'rollback').toUpperCase()}`;
  cursor.takeOne('low_priority', 'delayed', 'high_priority');
  if (cursor.take('ignore')) or = ' OR IGNORE';
  cursor.take('into');
  return `INSERT${or} INTO`;
}

/** `(a, b)` in front of VALUES; null without one. A bracket that opens a query is none. */
function columnList(cursor: TokenCursor): string[] | null {
  if (cursor.symbol() !== '(') return null;
  const first = cursor.word(1);
  if (first === 'select' || first === 'with' || cursor.symbol(1) === '(') return null;
  const [from, to] = cursor.brackets();
  const inner = new TokenCursor(cursor.statement, from, to);
  const columns: string[] = [];
  while (!inner.done) {
    if (columns.length > 0) inner.expectSymbol(',');
    columns.push(inner.qualifiedName().name);
  }
  return columns.length === 0 ? null : columns;
}

function setForm(cursor: TokenCursor, rewriter: Rewriter, table: string, shapeOf: ShapeLookup): Fragment {
  const { statement } = cursor;
  const end = statement.find(cursor.at, cursor.end, new Set(['on', 'as', 'returning']));
  const columns: string[] = [];
  const ranges: (readonly [number, number])[] = [];
  for (const [from, to] of statement.list(cursor.at, end)) {
    const assignment = new TokenCursor(statement, from, to);
    columns.push(assignment.qualifiedName().name);
    if (!assignment.takeSymbol(':=')) assignment.expectSymbol('=');
    if (assignment.done) throw assignment.error();
    ranges.push([assignment.at, to]);
  }
  cursor.at = end;
  rowAlias(cursor, rewriter);
  const row = valueRow(rewriter, ranges, { table, columns }, shapeOf);
  const tail = conflictClause(cursor, rewriter, table, shapeOf);
  return sql`(${columns.map(quoteName).join(', ')}) VALUES ${row}${tail}`;
}

/** The rows of VALUES; null for a single `()`, which is DEFAULT VALUES. */
function valueRows(
  cursor: TokenCursor,
  rewriter: Rewriter,
  target: Target,
  shapeOf: ShapeLookup,
): Fragment | null {
  const rows: Fragment[] = [];
  let empty = 0;
  do {
    cursor.take('row');
    const [from, to] = cursor.brackets();
    if (from === to) empty++;
    rows.push(
      from === to
        ? emptyRow(target, shapeOf)
        : valueRow(rewriter, cursor.statement.list(from, to), target, shapeOf),
    );
  } while (cursor.takeSymbol(','));
  if (empty > 0 && rows.length === 1) return null;
  return joined(rows, ', ');
}

/** `()` among other rows: every column's default. */
function emptyRow(target: Target, shapeOf: ShapeLookup): Fragment {
  const shape = shapeOf(target.table);
  if (shape === undefined) throw new TableNeeded(target.table);
  return sql`(${joined((shape?.columns ?? []).map(defaultOf), ', ')})`;
}

function valueRow(
  rewriter: Rewriter,
  ranges: readonly (readonly [number, number])[],
  target: Target,
  shapeOf: ShapeLookup,
): Fragment {
  const values = ranges.map(([from, to], index) => {
    const special = specialValue(rewriter.statement, from, to);
    if (special === null) return trimmed(rewriter.range(from, to));
    return valueFor(special, trimmed(rewriter.range(from, to)), index, target, shapeOf);
  });
  return sql`(${joined(values, ', ')})`;
}

type Special = 'default' | 'zero' | 'parameter';

/** A value whose meaning depends on its column. */
function specialValue(statement: StatementText, from: number, to: number): Special | null {
  if (to - from !== 1) return null;
  const token = must(statement.tokens[from], 'a token of the value');
  if (token.kind === 'parameter') return 'parameter';
  if (token.kind === 'number' && Number(token.text) === 0) return 'zero';
  return token.lower === 'default' ? 'default' : null;
}

function valueFor(
  special: Special,
  value: Fragment,
  index: number,
  target: Target,
  shapeOf: ShapeLookup,
): Fragment {
  const shape = shapeOf(target.table);
  if (shape === undefined) throw new TableNeeded(target.table);
  const name = target.columns?.[index]?.toLowerCase();
  const column =
    target.columns === null
      ? shape?.columns[index]
      : shape?.columns.find(candidate => candidate.name.toLowerCase() === name);
  if (special === 'default') return column === undefined ? ['NULL'] : defaultOf(column);
  if (column?.autoIncrement !== true) return value;
  return special === 'zero' ? ['NULL'] : sql`NULLIF(${value}, 0)`;
}

/** A column's default as a value. */
const defaultOf = (column: TableColumn): Fragment =>
  column.autoIncrement || column.defaultSql === null ? ['NULL'] : [`(${column.defaultSql})`];

/** `AS new` or `AS new(a, b)` behind the values. */
function rowAlias(cursor: TokenCursor, rewriter: Rewriter): void {
  if (!cursor.take('as')) return;
  rewriter.qualifiers.set(cursor.name().toLowerCase(), 'excluded');
  if (cursor.symbol() === '(') throw cursor.error();
}

/** ON DUPLICATE KEY UPDATE, or what SQLite itself knows (ON CONFLICT, RETURNING), to the end. */
function conflictClause(
  cursor: TokenCursor,
  rewriter: Rewriter,
  table: string,
  shapeOf: ShapeLookup,
): Fragment {
  if (cursor.done) return [];
  if (!cursor.take('on', 'duplicate', 'key', 'update')) {
    if (cursor.word() !== 'on' && cursor.word() !== 'returning') throw cursor.error();
    return sql` ${trimmed(rewriter.range(cursor.at, cursor.end))}`;
  }
  rewriter.upsertRow = 'excluded';
  return sql` ON CONFLICT DO UPDATE SET ${rewriteAssignments(rewriter, cursor.at, cursor.end, table, shapeOf)}`;
}

function selectForm(cursor: TokenCursor, rewriter: Rewriter, target: Target, shapeOf: ShapeLookup): Fragment {
  const { statement } = cursor;
  if (
    cursor.word() !== 'select' &&
    cursor.word() !== 'with' &&
    cursor.symbol() !== '(' &&
    cursor.word() !== 'table'
  )
    throw cursor.error();
  let end = cursor.end;
  for (let at = cursor.at; at < cursor.end; at++)
    if (statement.word(at) === 'on' && statement.word(at + 1) === 'duplicate') end = at;
  const query = trimmed(rewriter.range(cursor.at, end));
  cursor.at = end;
  if (cursor.done) return query;
  return sql`SELECT * FROM (${query}) WHERE true${conflictClause(cursor, rewriter, target.table, shapeOf)}`;
}

/** `a = 1, t.b = DEFAULT`: names lose their qualifiers, DEFAULT becomes the column's. */
export function rewriteAssignments(
  rewriter: Rewriter,
  from: number,
  to: number,
  table: string,
  shapeOf: ShapeLookup,
): Fragment {
  const { statement } = rewriter;
  const assignments = statement.list(from, to).map(([start, end]) => {
    const cursor = new TokenCursor(statement, start, end);
    let name = cursor.name();
    while (cursor.takeSymbol('.')) name = cursor.name();
    cursor.expectSymbol('=');
    if (cursor.done) throw cursor.error();
    if (end - cursor.at === 1 && cursor.word() === 'default') {
      const value = valueFor('default', [], 0, { table, columns: [name] }, shapeOf);
      return sql`${quoteName(name)} = ${value}`;
    }
    return sql`${quoteName(name)} = ${trimmed(rewriter.range(cursor.at, end))}`;
  });
  return joined(assignments, ', ');
}
