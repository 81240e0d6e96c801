/**
 * The thread that runs queries over the views: an in-memory SQLite database which holds a request's rows while it runs, and nothing between
 * requests. A thread of its own because SQLite cannot be interrupted: a query without end must not hold up leases.
 *
 * It must never keep rows of one session for another, and never run anything but a query.
 */
import { parentPort } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { must } from '../../base/assert.ts';
import { ObError } from '../../base/errors.ts';
import type { Cell, Column } from '../../tenant/engine.ts';
import { statementError } from '../../tenant/sqlite-errors.ts';
import { viewTables } from './view-definitions.ts';
import type { ViewReply, ViewRequest } from './view-messages.ts';

const database = new Database(':memory:');
database.exec("ATTACH ':memory:' AS oceanbase");

const quoted = (name: string): string => `"${name}"`;

for (const table of viewTables.values()) {
  const columns = table.columns.map(column => {
    const space = column.indexOf(' ');
    return `${quoted(column.slice(0, space))} ${column.slice(space + 1)}`;
  });
  database.exec(`CREATE TABLE oceanbase.${quoted(table.name)} (${columns.join(', ')})`);
}

function fill(request: ViewRequest): void {
  for (const { name, rows } of request.tables) {
    const table = must(viewTables.get(name), 'a view of that name');
    const marks = table.columns.map(() => '?').join(', ');
    const insert = database.prepare(`INSERT INTO oceanbase.${quoted(table.name)} VALUES (${marks})`);
    for (const row of rows) insert.run(row.map(integersExact));
  }
}

function empty(request: ViewRequest): void {
  for (const { name } of request.tables) {
    const table = must(viewTables.get(name), 'a view of that name');
    database.exec(`DELETE FROM oceanbase.${quoted(table.name)}`);
  }
}

/** SQLite would keep a JS number as a float. */
const integersExact = (cell: Cell): Cell =>
  typeof cell === 'number' && Number.isInteger(cell) ? BigInt(cell) : cell;

/** Safe integers as numbers, the others exact. */
const asCell = (value: unknown): Cell => {
  if (typeof value !== 'bigint') return value as Cell;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
};

function query(request: ViewRequest): {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
} {
  const statement = database.prepare<unknown[], unknown[]>(request.sql);
  if (!statement.reader || !statement.readonly)
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'anything but SELECT on the views' });
  statement.raw(true).safeIntegers(true);
  const columns = statement.columns().map(column => ({
    name: column.name,
    declaredType: column.type,
    table: column.table,
    originColumn: column.column,
  }));
  const rows: Cell[][] = [];
  for (const row of statement.iterate(request.parameters.map(integersExact))) {
    if (rows.length >= request.rowsMax)
      throw new ObError('OBS_SQL_RESULT_TOO_LARGE', { max: request.rowsMax, unit: 'rows' });
    rows.push(row.map(asCell));
  }
  return { columns, rows };
}

function answer(request: ViewRequest): ViewReply {
  database.exec('BEGIN');
  try {
    fill(request);
    return { id: request.id, kind: 'rows', ...query(request) };
  } catch (error) {
    const known = statementError(error, request.sql);
    if (known instanceof ObError) return { id: request.id, kind: 'error', error: known.toJSON() };
    throw error;
  } finally {
    empty(request);
    database.exec('COMMIT');
  }
}

const port = must(parentPort, 'the parent of this worker');
port.on('message', (request: ViewRequest) => port.postMessage(answer(request)));
