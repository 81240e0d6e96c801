/**
 * A tenant's SQLite engine as the rest of the process sees it: sessions that run SQL, a follower side that applies
 * redo, checkpoints and snapshots. Free of any client dialect. The implementation runs SQLite in worker threads; this
 * file is the contract between the threads' owner and the front-ends.
 *
 * Invariants: a reply, or a read that saw a page, leaves only when the LSN it depends on is committed (K4, promise 1), a
 * leader's read only while it holds the lease of its log; only committed changes reach the database file; a standby shows
 * whole prefixes only (S2).
 */
import type { LogChunk } from '../base/log-access.ts';
import type { Lsn, Scn } from '../base/scalars.ts';

export type Cell = null | number | bigint | string | Uint8Array;

export interface Column {
  readonly name: string;
  /** declared type of the origin column, upper case, or null for an expression */
  readonly declaredType: string | null;
  readonly table: string | null;
  readonly originColumn: string | null;
}

export interface StatementRequest {
  /** one statement in SQLite's dialect */
  readonly sql: string;
  readonly parameters: readonly Cell[];
  /** a result with more rows is an error (OBS_SQL_RESULT_TOO_LARGE), never cut silently */
  readonly rowsMax: number;
  /** what it reads may be old: its answer needs no lease. Absent: as the session */
  readonly weak?: boolean;
}

export type StatementResult =
  | {
      readonly kind: 'rows';
      readonly columns: readonly Column[];
      readonly rows: readonly (readonly Cell[])[];
    }
  | { readonly kind: 'done'; readonly changes: number; readonly lastInsertRowid: number | bigint };

/** What a statement is, learned by preparing it without running it. */
export interface StatementDescription {
  readonly parameterCount: number;
  /** empty for statements without a result */
  readonly columns: readonly Column[];
  readonly readOnly: boolean;
}

/**
 * One client's conversation. Calls run in order. Writes outside a transaction may share a SQLite commit with other
 * sessions' (each stays atomic by itself). A write transaction holds the tenant's writer from `begin` on.
 */
export interface EngineSession {
  readonly inTransaction: boolean;
  execute(request: StatementRequest): Promise<StatementResult>;
  describe(sql: string): Promise<StatementDescription>;
  /** `read`: a snapshot without the writer. `write`: waits for the writer, at most `lockWaitMs` (error 1205). */
  begin(kind: 'read' | 'write', options?: { lockWaitMs?: number }): Promise<void>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
  /** SQLite's foreign key enforcement for this session; outside transactions only. */
  setForeignKeys(on: boolean): Promise<void>;
  /** Rolls back what is open and frees everything. Never rejects. */
  close(): Promise<void>;
}

export interface SessionOptions {
  /** internal work (users, grants): may touch tables hidden from clients, skips the statement guard's table filter */
  readonly internal?: boolean;
  /** a write transaction idle for longer is rolled back and the session told so at its next call */
  readonly idleInTransactionMs?: number;
  /** what its statements read may be old, unless they say otherwise */
  readonly weak?: boolean;
}

export type EngineMode =
  /** primary: takes writes */
  | 'leader'
  /** standby: applies redo, serves reads at the readable SCN */
  | 'follower'
  | 'closed';

export interface EngineState {
  readonly mode: EngineMode;
  readonly pageBytes: number;
  readonly databasePages: number;
  /** everything up to here is visible to readers; a follower's next `apply` starts here */
  readonly appliedLsn: Lsn;
  readonly readableScn: Scn;
  /** the database file is durable up to here */
  readonly checkpointLsn: Lsn;
  readonly walBytes: number;
  readonly sessions: number;
}

/** A hot snapshot: file bytes (fuzzy) that become consistent with the log from `startLsn` to at least `minimumLsn`. */
export interface EngineSnapshot {
  readonly startLsn: Lsn;
  readonly startScn: Scn;
  /** chained log checksum at `startLsn`, so that the copy can check what it continues from */
  readonly startChecksum: number;
  readonly pageBytes: number;
  /** next piece of the file, or undefined at its end; then `minimumLsn` is known */
  next(): Promise<{ readonly position: number; readonly bytes: Uint8Array } | undefined>;
  /** throws before the end was reached */
  finish(): { readonly minimumLsn: Lsn; readonly fileBytes: number };
  close(): Promise<void>;
}

export interface TenantEngine {
  state(): EngineState;
  /** the leader's, as far as it knows: its strong answers are current */
  readonly leads: boolean;
  openSession(options?: SessionOptions): EngineSession;
  /**
   * Follower: applies committed groups that start where the last ones ended; resolves when readers see them.
   * Several calls may be pipelined; they apply in order.
   */
  apply(chunk: LogChunk): Promise<{ readonly appliedLsn: Lsn; readonly readableScn: Scn }>;
  /** Follower to leader, after the last apply: takes writes from here on. */
  promote(): Promise<void>;
  /**
   * Leader: refuses new writes at once (with `why`), lets running ones finish within `drainMs`, rolls back the rest.
   * Resolves when nothing more will be appended; `resumeWrites` undoes it.
   */
  drainWrites(why: string, drainMs: number): Promise<void>;
  resumeWrites(): void;
  /**
   * The log is not led here any more, whatever it does next: from this call on nothing is appended, and what is not known
   * to be kept is taken back, its clients told `unknown`. Nothing more than a note for an engine that does not lead;
   * `demote` makes it follow.
   */
  leadershipEnded(): void;
  /** Leader to follower. Local commits the log never took are undone physically; their clients get `unknown`. */
  demote(): Promise<void>;
  /** Copies committed pages into the database file and makes it durable. Returns the new checkpoint LSN. */
  checkpoint(): Promise<Lsn>;
  snapshot(): Promise<EngineSnapshot>;
  close(): Promise<void>;
}
