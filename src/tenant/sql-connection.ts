/**
 * One SQLite connection of a tenant with its prepared statements, as the worker uses it. Opens with the settings that
 * capture and apply rely on: no checkpoint of its own, no fsync (the clog is what is durable), no waiting for locks
 * (the thread that would wait is the one that holds them).
 */
import Database from 'better-sqlite3';
import { assert } from '../base/assert.ts';
import { readerCacheKibibytes, writerCacheKibibytesMin } from '../base/limits.ts';
import type { Connection } from './pages/connection.ts';
import { type PreparedStatement, StatementCache } from './statement-cache.ts';
import type { StatementKind } from './statement-guard.ts';

export class SqlConnection {
  readonly connection: Connection;
  readonly #statements: StatementCache;
  readonly #schemaVersion: Database.Statement;
  /** prepared at their first use: most connections of an idle tenant never need them */
  #failedCommits = 0;
  #begin: Database.Statement | undefined;
  #commit: Database.Statement | undefined;
  #schema = 0;
  #schemaKnown = false;

  private constructor(connection: Connection) {
    this.connection = connection;
    this.#statements = new StatementCache(connection);
    this.#schemaVersion = connection.prepare('PRAGMA schema_version').pluck(true);
  }

  /** The connection that writes, or applies. Creates the database, in WAL mode, if there is none. */
  static openWriter(path: string, pageBytes: number): SqlConnection {
    const connection = new Database(path, { timeout: 0 });
    // has an effect on a database without pages only
    connection.pragma(`page_size = ${pageBytes}`);
    const journal = connection.pragma('journal_mode = WAL', { simple: true });
    assert(journal === 'wal', 'a tenant database is in WAL mode');
    connection.pragma('synchronous = OFF');
    connection.pragma('wal_autocheckpoint = 0');
    connection.pragma('journal_size_limit = -1');
    connection.pragma(`cache_size = -${writerCacheKibibytesMin}`);
    return new SqlConnection(connection);
  }

  /** A connection that can only read. Closed last, it leaves the WAL and the database as they are. */
  static openReader(path: string): SqlConnection {
    const connection = new Database(path, { readonly: true, fileMustExist: true, timeout: 0 });
    connection.pragma(`cache_size = -${readerCacheKibibytes}`);
    return new SqlConnection(connection);
  }

  get inTransaction(): boolean {
    return this.connection.inTransaction;
  }

  statement(sql: string, kind: StatementKind): PreparedStatement {
    this.#followSchema();
    return this.#statements.get(sql, kind);
  }

  /** The schema may be another one from here on. */
  schemaMayHaveChanged(): void {
    this.#schemaKnown = false;
  }

  /** What was committed was taken back: numbers of schemas may come again with another meaning. */
  forget(): void {
    this.#schemaKnown = false;
    this.#statements.clear();
  }

  /** Begins a read transaction and takes its snapshot now. */
  beginRead(): void {
    this.connection.exec('BEGIN');
    this.#schemaKnown = false;
    this.#followSchema();
  }

  /** BEGIN IMMEDIATE, prepared once: it and COMMIT run for every batch. */
  beginWrite(): void {
    this.#begin ??= this.connection.prepare('BEGIN IMMEDIATE');
    this.#begin.run();
  }

  commit(): void {
    this.#commit ??= this.connection.prepare('COMMIT');
    try {
      this.#commit.run();
    } catch (error) {
      this.commitFailed();
      throw error;
    }
  }

  /** Commits that failed, of COMMIT and of statements by themselves, for whatever reason. */
  get failedCommits(): number {
    return this.#failedCommits;
  }

  commitFailed(): void {
    this.#failedCommits += 1;
  }

  exec(sql: string): void {
    this.connection.exec(sql);
  }

  /** How much page cache it may take. */
  set cacheKibibytes(kibibytes: number) {
    this.connection.pragma(`cache_size = -${kibibytes}`);
  }

  /** Gives page cache and statements back. */
  shrink(): void {
    this.#statements.clear();
    this.#begin = undefined;
    this.#commit = undefined;
    this.connection.pragma('shrink_memory');
  }

  close(): void {
    this.connection.close();
  }

  /** What was prepared for another schema would tell of its columns. */
  #followSchema(): void {
    if (this.#schemaKnown) return;
    const schema = this.#schemaVersion.get() as number;
    if (schema !== this.#schema) this.#statements.clear();
    this.#schema = schema;
    this.#schemaKnown = true;
  }
}
