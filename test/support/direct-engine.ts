/**
 * A tenant engine without a log: sessions straight on better-sqlite3, in this thread. For tests of the front-end alone,
 * and as the bare side of its measurements. Replies as soon as SQLite committed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { ObError } from '../../src/base/errors.ts';
import { lsn, scn } from '../../src/base/scalars.ts';
import { bindable, mayHaveLostDigits, shrinkIntegers } from '../../src/tenant/cells.ts';
import type {
  Cell,
  Column,
  EngineSession,
  EngineState,
  StatementDescription,
  StatementRequest,
  StatementResult,
  TenantEngine,
} from '../../src/tenant/engine.ts';
import { statementError } from '../../src/tenant/sqlite-errors.ts';

type Handle = InstanceType<typeof Database>;
type Prepared = Database.Statement<unknown[]>;

class CachedHandle {
  readonly handle: Handle;
  readonly #statements = new Map<string, Prepared>();

  constructor(path: string) {
    this.handle = new Database(path);
    this.handle.pragma('journal_mode = WAL');
    this.handle.pragma('synchronous = NORMAL');
    this.handle.pragma('busy_timeout = 0');
  }

  prepare(sql: string): Prepared {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const made = this.handle.prepare<unknown[]>(sql);
    if (made.reader) made.raw(true);
    if (this.#statements.size > 500) this.#statements.clear();
    this.#statements.set(sql, made);
    return made;
  }

  run(request: StatementRequest): StatementResult {
    try {
      return this.#run(request);
    } catch (error) {
      throw statementError(error, request.sql);
    }
  }

  #run(request: StatementRequest): StatementResult {
    const statement = this.prepare(request.sql);
    const parameters = bindable(request.parameters);
    if (!statement.reader) {
      const { changes, lastInsertRowid } = statement.run(...parameters);
      return { kind: 'done', changes, lastInsertRowid };
    }
    let rows = statement.all(...parameters) as Cell[][];
    if (statement.readonly && mayHaveLostDigits(rows)) {
      rows = statement.safeIntegers(true).all(...parameters) as Cell[][];
      statement.safeIntegers(false);
      shrinkIntegers(rows);
    }
    if (rows.length > request.rowsMax)
      throw new ObError('OBS_SQL_RESULT_TOO_LARGE', { max: request.rowsMax });
    return { kind: 'rows', columns: columnsOf(statement), rows };
  }
}

const columnsOf = (statement: Prepared): Column[] =>
  statement.columns().map(column => ({
    name: column.name,
    declaredType: column.type,
    table: column.table,
    originColumn: column.column,
  }));

export class DirectEngine {
  readonly #directory = mkdtempSync(join(tmpdir(), 'obstandby-direct-'));
  readonly #shared: CachedHandle;
  readonly #handles: CachedHandle[] = [];
  #writer: Promise<void> = Promise.resolve();
  mode: EngineState['mode'] = 'leader';
  openSessions = 0;
  readonly #open = new Set<DirectSession>();

  constructor() {
    this.#shared = new CachedHandle(this.path);
  }

  get path(): string {
    return join(this.#directory, 'tenant.db');
  }

  /** The part of the contract that a front-end uses. */
  get engine(): TenantEngine {
    return this as unknown as TenantEngine;
  }

  state(): EngineState {
    return {
      mode: this.mode,
      pageBytes: 4096,
      databasePages: 1,
      appliedLsn: lsn(0),
      readableScn: scn(0),
      checkpointLsn: lsn(0),
      walBytes: 0,
      sessions: this.openSessions,
    };
  }

  openSession(): EngineSession {
    this.openSessions++;
    const session = new DirectSession(this, this.#shared);
    this.#open.add(session);
    return session;
  }

  /** Rolls back every open transaction; its session is told at its next call. */
  endTransactions(): void {
    for (const session of this.#open) session.endTransaction();
  }

  forget(session: DirectSession): void {
    this.openSessions--;
    this.#open.delete(session);
  }

  takeHandle(): CachedHandle {
    return this.#handles.pop() ?? new CachedHandle(this.path);
  }

  giveBack(handle: CachedHandle): void {
    this.#handles.push(handle);
  }

  /** Waits for the writer; resolves with what gives it up. */
  async lockWriter(): Promise<() => void> {
    const before = this.#writer;
    let release = () => {};
    this.#writer = new Promise(resolve => {
      release = resolve;
    });
    await before;
    return release;
  }

  async close(): Promise<void> {
    for (const handle of [this.#shared, ...this.#handles]) handle.handle.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

class DirectSession implements EngineSession {
  readonly #engine: DirectEngine;
  readonly #shared: CachedHandle;
  #own: CachedHandle | undefined;
  #release: (() => void) | undefined;
  #closed = false;
  #notice: ObError | undefined;

  constructor(engine: DirectEngine, shared: CachedHandle) {
    this.#engine = engine;
    this.#shared = shared;
  }

  get inTransaction(): boolean {
    return this.#own !== undefined;
  }

  async execute(request: StatementRequest): Promise<StatementResult> {
    this.#throwNotice();
    if (this.#own !== undefined) return this.#own.run(request);
    if (this.#engine.mode !== 'leader' && !this.#shared.prepare(request.sql).readonly) {
      throw new ObError('OBS_TENANT_READ_ONLY', { tenant: 'test' });
    }
    if (/^\s*(select|pragma|explain|with|values)/i.test(request.sql)) return this.#shared.run(request);
    const release = await this.#engine.lockWriter();
    try {
      return this.#shared.run(request);
    } finally {
      release();
    }
  }

  async describe(sql: string): Promise<StatementDescription> {
    try {
      const statement = this.#shared.prepare(sql);
      return {
        parameterCount: 0,
        columns: statement.reader ? columnsOf(statement) : [],
        readOnly: statement.readonly,
      };
    } catch (error) {
      throw statementError(error, sql);
    }
  }

  async begin(kind: 'read' | 'write'): Promise<void> {
    this.#throwNotice();
    if (kind === 'write') this.#release = await this.#engine.lockWriter();
    if (this.#closed) return this.#end(undefined);
    this.#own = this.#engine.takeHandle();
    this.#own.handle.exec(kind === 'write' ? 'BEGIN IMMEDIATE' : 'BEGIN');
  }

  async commit(): Promise<void> {
    this.#throwNotice();
    this.#end('COMMIT');
  }

  async rollback(): Promise<void> {
    this.#throwNotice();
    this.#end('ROLLBACK');
  }

  endTransaction(): void {
    if (this.#own === undefined) return;
    this.#notice = new ObError('OBS_TENANT_TRANSACTION_IDLE', { ms: 1 });
    this.#end('ROLLBACK');
  }

  #throwNotice(): void {
    const notice = this.#notice;
    this.#notice = undefined;
    if (notice !== undefined) throw notice;
  }

  #end(sql: string | undefined): void {
    const own = this.#own;
    this.#own = undefined;
    if (own !== undefined && sql !== undefined) own.handle.exec(sql);
    if (own !== undefined) this.#engine.giveBack(own);
    this.#release?.();
    this.#release = undefined;
  }

  async setForeignKeys(on: boolean): Promise<void> {
    this.#shared.handle.pragma(`foreign_keys = ${on ? 'ON' : 'OFF'}`);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#engine.forget(this);
    this.#end('ROLLBACK');
  }
}
