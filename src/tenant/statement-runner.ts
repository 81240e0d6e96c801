/**
 * Runs clients' statements on a tenant's connections, inside its worker: reads, batches of writes, explicit
 * transactions. One explicit write transaction at a time, on the writer; read transactions have a reader each.
 *
 * It knows nothing of the log: `tenant-core.ts` captures after each call that may have committed.
 */
import { assert, must } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { readTransactionsMax } from '../base/limits.ts';
import { bindable } from './cells.ts';
import type { StatementDescription, StatementResult } from './engine.ts';
import type { SqlConnection } from './sql-connection.ts';
import { statementError } from './sqlite-errors.ts';
import { GuardCache } from './statement-cache.ts';
import type { StatementKind } from './statement-guard.ts';
import type { SessionHandle, Statement } from './worker-messages.ts';
import {
  type BatchOutcome,
  type GuardedStatement,
  runBatch,
  runOneByOne,
  runUndoable,
} from './write-batch.ts';

interface ReadTransaction {
  readonly reader: SqlConnection;
  /** the newest commit its snapshot has */
  readonly sequence: number;
}

export class StatementRunner {
  readonly #tenant: string;
  readonly #writer: SqlConnection;
  readonly #openReader: () => SqlConnection;
  readonly #guard = new GuardCache();
  readonly #reads = new Map<SessionHandle, ReadTransaction>();
  readonly #freeReaders: SqlConnection[] = [];
  #writing: SessionHandle | undefined;
  #foreignKeys: boolean | undefined;
  /** false on a follower: there the writer belongs to the injector */
  #writerServes: boolean;
  /** the schema has deferred foreign keys; unknown after it may have changed */
  #defersForeignKeys: boolean | undefined;
  /** the open write transaction has changed the schema */
  #schemaTouched = false;

  constructor(options: {
    readonly tenant: string;
    readonly writer: SqlConnection;
    readonly openReader: () => SqlConnection;
    readonly writerServes: boolean;
  }) {
    this.#tenant = options.tenant;
    this.#writer = options.writer;
    this.#openReader = options.openReader;
    this.#writerServes = options.writerServes;
  }

  get inWriteTransaction(): boolean {
    return this.#writing !== undefined;
  }

  get idle(): boolean {
    return this.#writing === undefined && this.#reads.size === 0;
  }

  /** A statement outside transactions; undefined if it needs the writer. */
  read(statement: Statement): StatementResult | undefined {
    const kind = this.#guard.kind(statement.sql, statement.internal);
    if (kind === 'savepoint') throw this.#noTransaction();
    if (kind !== 'read' && kind !== 'with' && kind !== 'unknown') return undefined;
    return this.#outside(connection =>
      translated(statement.sql, () => {
        const prepared = connection.statement(statement.sql, kind);
        if (kind === 'unknown') throw unknownStatement();
        if (!prepared.readOnly) return undefined;
        return prepared.run(bindable(statement.parameters), statement.rowsMax);
      }),
    );
  }

  /** What a statement for `write` is. Throws what the guard throws. */
  guard(sql: string, internal: boolean): StatementKind {
    const kind = this.#guard.kind(sql, internal);
    if (kind === 'savepoint') throw this.#noTransaction();
    if (kind === 'unknown') {
      translated(sql, () => this.#writer.statement(sql, kind));
      throw unknownStatement();
    }
    return kind;
  }

  /** Writes that are ready together, of sessions with the same foreign key setting. */
  write(batch: readonly GuardedStatement[], foreignKeys: boolean): BatchOutcome {
    assert(this.#writerServes && this.#writing === undefined, 'the writer is free');
    this.#setForeignKeys(foreignKeys);
    const together = batch.length > 1 && !(foreignKeys && this.#hasDeferredForeignKeys());
    const outcome = together ? runBatch(this.#writer, batch) : runOneByOne(this.#writer, batch);
    for (const { kind } of batch) {
      if (!changesSchema(kind)) continue;
      this.#schemaChanged();
      break;
    }
    return outcome;
  }

  describe(sql: string, internal: boolean): StatementDescription {
    const kind = this.#guard.kind(sql, internal);
    return this.#outside(connection =>
      translated(sql, () => {
        const prepared = connection.statement(sql, kind);
        if (kind === 'unknown') throw unknownStatement();
        return {
          parameterCount: prepared.parameterCount(),
          columns: prepared.columns(),
          readOnly: prepared.readOnly,
        };
      }),
    );
  }

  beginWrite(session: SessionHandle, foreignKeys: boolean): void {
    assert(this.#writerServes && this.#writing === undefined, 'the writer is free');
    this.#setForeignKeys(foreignKeys);
    translated('BEGIN', () => this.#writer.beginWrite());
    this.#writing = session;
  }

  beginRead(session: SessionHandle, sequence: number): void {
    assert(!this.#reads.has(session), 'a session has one transaction');
    if (this.#reads.size >= readTransactionsMax) {
      throw new ObError('OBS_TENANT_OVERLOADED', {
        tenant: this.#tenant,
        count: readTransactionsMax,
        what: 'read transactions',
      });
    }
    const reader = this.#freeReaders.pop() ?? this.#openReader();
    reader.beginRead();
    this.#reads.set(session, { reader, sequence });
  }

  /** A statement of a session's transaction. */
  step(session: SessionHandle, statement: Statement): StatementResult {
    const kind = this.#guard.kind(statement.sql, statement.internal);
    return translated(statement.sql, () => {
      const reading = this.#reads.get(session);
      const connection = reading?.reader ?? this.#writerOf(session);
      const prepared = connection.statement(statement.sql, kind);
      if (kind === 'unknown') throw unknownStatement();
      if (reading !== undefined) {
        if (!prepared.readOnly) throw new ObError('OBS_TENANT_READ_TRANSACTION');
        return prepared.run(bindable(statement.parameters), statement.rowsMax);
      }
      try {
        return runUndoable(connection, prepared, statement);
      } finally {
        if (changesSchema(kind)) this.#schemaTouched = true;
        // ROLLBACK TO may have taken a schema change back
        if (this.#schemaTouched && (kind === 'savepoint' || changesSchema(kind))) this.#writer.forget();
        if (!connection.inTransaction) this.#ended();
      }
    });
  }

  /** True while the session has a transaction open: a statement may have ended it. */
  has(session: SessionHandle): boolean {
    return this.#writing === session || this.#reads.has(session);
  }

  /** Returns true if it was a write transaction: something may have been committed. Stays open if COMMIT fails. */
  commit(session: SessionHandle): boolean {
    if (this.#endRead(session)) return false;
    const writer = this.#writerOf(session);
    translated('COMMIT', () => writer.commit());
    this.#ended();
    return true;
  }

  rollback(session: SessionHandle): void {
    if (this.#endRead(session)) return;
    const writer = this.#writerOf(session);
    writer.exec('ROLLBACK');
    this.#ended();
  }

  /** Before an undo: ends the write transaction, and reads that have seen more than `sequence`. */
  dropAfter(sequence: number): void {
    if (this.#writing !== undefined) this.rollback(this.#writing);
    for (const [session, { sequence: seen }] of this.#reads) {
      if (seen > sequence) this.#endRead(session);
    }
  }

  /** After an undo, or when the database was changed below the connections. */
  forget(): void {
    this.#writer.forget();
    this.#defersForeignKeys = undefined;
    for (const reader of this.#freeReaders) reader.forget();
  }

  /** The injector has changed the database: schemas are looked at again. */
  applied(): void {
    for (const reader of this.#freeReaders) reader.schemaMayHaveChanged();
  }

  /** Leader: the writer serves reads too (its page cache stays warm). Follower: it is the injector's. */
  serveFromWriter(serves: boolean): void {
    this.#writerServes = serves;
    this.forget();
  }

  /** Gives memory back; the next statement opens and prepares again. */
  rest(): void {
    for (const reader of this.#freeReaders.splice(0)) reader.close();
    if (this.#writing === undefined) this.#writer.shrink();
  }

  close(): void {
    for (const { reader } of this.#reads.values()) reader.close();
    this.#reads.clear();
    for (const reader of this.#freeReaders.splice(0)) reader.close();
    if (this.#writing !== undefined) this.rollback(this.#writing);
  }

  /** Runs `work` on a connection that is in no transaction. */
  #outside<Result>(work: (connection: SqlConnection) => Result): Result {
    if (this.#writerServes && this.#writing === undefined) return work(this.#writer);
    const reader = this.#freeReaders.pop() ?? this.#openReader();
    try {
      return work(reader);
    } finally {
      this.#freeReaders.push(reader);
    }
  }

  #endRead(session: SessionHandle): boolean {
    const reading = this.#reads.get(session);
    if (reading === undefined) return false;
    reading.reader.commit();
    reading.reader.schemaMayHaveChanged();
    this.#reads.delete(session);
    this.#freeReaders.push(reading.reader);
    return true;
  }

  #writerOf(session: SessionHandle): SqlConnection {
    if (this.#writing !== session) {
      throw new ObError('OBS_TENANT_TRANSACTION_ENDED', { why: 'the tenant took its last changes back' });
    }
    return this.#writer;
  }

  #noTransaction(): ObError {
    return new ObError('OBS_TENANT_TRANSACTION_STATE', { wanted: 'an open transaction' });
  }

  #setForeignKeys(on: boolean): void {
    if (this.#foreignKeys === on) return;
    assert(!this.#writer.inTransaction, 'foreign keys are switched outside transactions');
    this.#writer.connection.pragma(`foreign_keys = ${on ? 'ON' : 'OFF'}`);
    this.#foreignKeys = on;
  }

  #hasDeferredForeignKeys(): boolean {
    this.#defersForeignKeys ??=
      must(
        this.#writer.connection
          .prepare("SELECT count(*) FROM sqlite_schema WHERE sql LIKE '%deferrable%initially%deferred%'")
          .pluck(true)
          .get() as number | undefined,
        'a count',
      ) > 0;
    return this.#defersForeignKeys;
  }

  /** The write transaction is over, either way. */
  #ended(): void {
    this.#writing = undefined;
    if (!this.#schemaTouched) return;
    this.#schemaTouched = false;
    this.#writer.forget();
    this.#schemaChanged();
  }

  #schemaChanged(): void {
    this.#writer.schemaMayHaveChanged();
    this.#defersForeignKeys = undefined;
    for (const reader of this.#freeReaders) reader.schemaMayHaveChanged();
  }
}

const changesSchema = (kind: StatementKind): boolean => kind === 'schema' || kind === 'alone';

/** Preparing it should have failed: what is not known is not run. */
const unknownStatement = (): ObError =>
  new ObError('OBS_SQL_FORBIDDEN', {
    what: 'this statement',
    instead: 'Use the data, schema and transaction statements of SQLite.',
  });

function translated<Result>(sql: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw statementError(error, sql);
  }
}
