/**
 * Prepared statements of one connection, by text, for one schema: the connection clears them when it changes. A text is kept from its second use on: most texts of clients without
 * parameters come once, and a kept statement holds SQLite memory until it is evicted.
 *
 * What a statement returns is bounded: rows by the caller's limit, bytes by `resultBytesMax`, and never cut silently.
 */
import type Database from 'better-sqlite3';
import { ObError } from '../base/errors.ts';
import {
  engineResultBytesMax,
  fastRowsMax,
  statementsCachedMax,
  statementTextCachedMax,
} from '../base/limits.ts';
import { exact, mayHaveLostDigits, rowBytes, shrinkIntegers } from './cells.ts';
import type { Cell, Column, StatementResult } from './engine.ts';
import type { Connection } from './pages/connection.ts';
import { firstWord, guardStatement, type StatementKind } from './statement-guard.ts';

/** Writes that give a row id: only their results carry one, since the connection is shared. */
const insertingWords = new Set(['INSERT', 'REPLACE', 'WITH']);

export class PreparedStatement {
  readonly sql: string;
  readonly kind: StatementKind;
  /** changes nothing, by what SQLite says and by what the statement is */
  readonly readOnly: boolean;
  readonly #statement: Database.Statement;
  /** the same with a row limit: the quick way to a small result; undefined when it cannot be had, or was too small */
  #limited: Database.Statement | undefined;
  readonly #connection: Connection;
  readonly #inserts: boolean;
  #columns: readonly Column[] | undefined;
  #bigIntegers = false;

  constructor(connection: Connection, sql: string, kind: StatementKind) {
    this.sql = sql;
    this.kind = kind;
    this.#connection = connection;
    this.#statement = connection.prepare(sql);
    if (this.#statement.reader) this.#statement.raw(true);
    this.readOnly = kind === 'read' || (kind === 'with' && this.#statement.readonly);
    this.#inserts = insertingWords.has(firstWord(sql));
  }

  /** Called once the text has come again. */
  prepareLimited(): void {
    if (!this.readOnly || !this.#statement.reader || !limitable.test(this.sql)) return;
    const text = this.sql.replace(/;\s*$/, '');
    if (unlimitable.test(text)) return;
    this.#limited = this.#connection.prepare(`${text}\nLIMIT ${fastRowsMax + 1}`).raw(true);
  }

  get returnsRows(): boolean {
    return this.#statement.reader;
  }

  columns(): readonly Column[] {
    if (!this.#statement.reader) return [];
    this.#columns ??= this.#statement.columns().map(column => ({
      name: column.name,
      declaredType: column.type?.toUpperCase() ?? null,
      table: column.table,
      originColumn: column.column,
    }));
    return this.#columns;
  }

  /**
   * Runs it. `bound` comes from `bindable`. Throws SQLite's errors as they are, and OBS_SQL_RESULT_TOO_LARGE; a writing
   * statement whose result is too large has written: the caller undoes it.
   */
  run(bound: readonly unknown[], rowsMax: number): StatementResult {
    const statement = this.#statement;
    if (!statement.reader) {
      const { changes, lastInsertRowid } = statement.run(bound);
      const rowid = this.#inserts && changes > 0 ? this.#exactRowid(lastInsertRowid) : 0;
      return { kind: 'done', changes, lastInsertRowid: rowid };
    }
    const rows = this.readOnly ? this.#read(bound, rowsMax) : this.#collectExact(bound, rowsMax);
    return { kind: 'rows', columns: this.columns(), rows };
  }

  #read(bound: readonly unknown[], rowsMax: number): Cell[][] {
    if (this.#bigIntegers) return this.#collectExact(bound, rowsMax);
    const rows = this.#readNumbers(bound, rowsMax);
    if (!mayHaveLostDigits(rows)) return rows;
    this.#bigIntegers = true;
    return this.#collectExact(bound, rowsMax);
  }

  #readNumbers(bound: readonly unknown[], rowsMax: number): Cell[][] {
    if (this.#limited !== undefined && rowsMax >= fastRowsMax) {
      const rows = this.#limited.all(bound) as Cell[][];
      if (rows.length <= fastRowsMax) return rows;
      this.#limited = undefined;
    }
    return this.#collect(bound, rowsMax);
  }

  #collectExact(bound: readonly unknown[], rowsMax: number): Cell[][] {
    this.#statement.safeIntegers(true);
    try {
      const rows = this.#collect(bound, rowsMax);
      shrinkIntegers(rows);
      return rows;
    } finally {
      this.#statement.safeIntegers(false);
    }
  }

  #collect(bound: readonly unknown[], rowsMax: number): Cell[][] {
    const rows: Cell[][] = [];
    let bytes = 0;
    for (const row of this.#statement.iterate(bound) as Iterable<Cell[]>) {
      if (rows.length >= rowsMax)
        throw new ObError('OBS_SQL_RESULT_TOO_LARGE', { max: rowsMax, unit: 'rows' });
      bytes += rowBytes(row);
      if (bytes > engineResultBytesMax) {
        throw new ObError('OBS_SQL_RESULT_TOO_LARGE', { max: engineResultBytesMax, unit: 'bytes' });
      }
      rows.push(row);
    }
    return rows;
  }

  /** The binding rounds row ids above 2^53: those are asked for again. */
  #exactRowid(rowid: number | bigint): number | bigint {
    if (typeof rowid === 'number' && Number.isSafeInteger(rowid)) return rowid;
    const ask = this.#connection.prepare('SELECT last_insert_rowid()').pluck(true).safeIntegers(true);
    return exact(ask.get() as bigint);
  }

  /** `?` markers. SQLite is asked by binding nulls, since the binding does not tell. */
  parameterCount(): number {
    const binds = (count: number): 'fits' | 'few' | 'many' => {
      try {
        this.#connection.prepare(this.sql).bind(Array.from({ length: count }, () => null));
        return 'fits';
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        return error.message.startsWith('Too few') ? 'few' : 'many';
      }
    };
    const guess = this.sql.split('?').length - 1;
    if (binds(guess) === 'fits') return guess;
    // a question mark in a text or a name was counted: there are fewer
    let low = 0;
    let high = guess;
    while (low < high) {
      const middle = (low + high) >> 1;
      const answer = binds(middle);
      if (answer === 'fits') return middle;
      if (answer === 'few') low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** A plain SELECT takes a LIMIT at its end unless it has one, or something that may swallow it. */
const limitable = /^\s*select\b/i;
const unlimitable = /\blimit\b|--|\/\*|;/i;

export class StatementCache {
  readonly #connection: Connection;
  readonly #kept = new Map<string, PreparedStatement>();
  /** the newest of them */
  #last: PreparedStatement | undefined;
  /** texts seen once */
  readonly #seen = new Set<string>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The statement for a text that passed the guard as `kind`. Throws SQLite's errors of preparing it. */
  get(sql: string, kind: StatementKind): PreparedStatement {
    if (this.#last?.sql === sql) return this.#last;
    const kept = this.#kept.get(sql);
    if (kept !== undefined) {
      this.#last = kept;
      // newest last: the order of a Map is the order of use
      this.#kept.delete(sql);
      this.#kept.set(sql, kept);
      return kept;
    }
    const statement = new PreparedStatement(this.#connection, sql, kind);
    if (sql.length > statementTextCachedMax) return statement;
    if (this.#seen.delete(sql)) {
      statement.prepareLimited();
      this.#kept.set(sql, statement);
      this.#last = statement;
      if (this.#kept.size > statementsCachedMax) this.#kept.delete(oldest(this.#kept.keys()));
    } else {
      this.#seen.add(sql);
      if (this.#seen.size > statementsCachedMax) this.#seen.delete(oldest(this.#seen));
    }
    return statement;
  }

  clear(): void {
    this.#kept.clear();
    this.#last = undefined;
    this.#seen.clear();
  }
}

/** Guard verdicts by text, so that a repeated statement is read once. Shared by a tenant's connections. */
export class GuardCache {
  readonly #clients = new Map<string, StatementKind>();

  kind(sql: string, internal: boolean): StatementKind {
    if (internal || sql.length > statementTextCachedMax) return guardStatement(sql, { internal });
    const known = this.#clients.get(sql);
    if (known !== undefined) return known;
    const kind = guardStatement(sql, { internal });
    this.#clients.set(sql, kind);
    if (this.#clients.size > statementsCachedMax) this.#clients.delete(oldest(this.#clients.keys()));
    return kind;
  }
}

const oldest = (keys: Iterable<string>): string => {
  for (const key of keys) return key;
  return '';
};
