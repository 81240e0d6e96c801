/**
 * What the main thread and a worker say to each other. Both ends are of one process and one version: the messages are
 * plain data for the structured clone, sent as arrays, one array an event-loop turn.
 *
 * A *sequence* counts a tenant's captured commits in its worker, from 1, and is never used twice. Each reply carries
 * the sequence whose effects its session may have seen; it leaves the process when that one is committed (K4).
 */
import type { ErrorCode } from '../base/catalogue.ts';
import type { ErrorDetails, ObError } from '../base/errors.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import type { Lsn, Scn } from '../base/scalars.ts';
import type { Cell, StatementDescription, StatementResult } from './engine.ts';

/** A tenant inside the pool; a closed engine's handle is not used again. */
export type TenantHandle = number;
/** A session inside its tenant. */
export type SessionHandle = number;

export interface Statement {
  readonly sql: string;
  readonly parameters: readonly Cell[];
  readonly rowsMax: number;
  readonly internal: boolean;
}

/** How a tenant's database starts: nothing, or a durable checkpoint. */
export interface RecoveryStart {
  /** undefined: no database yet */
  readonly checkpoint: LogPosition | undefined;
}

export interface StorageState {
  readonly pageBytes: number;
  readonly databasePages: number;
  readonly walBytes: number;
}

export interface AppliedState {
  /** behind the last group applied */
  readonly position: LogPosition;
  /** where reading must start again after a stop: before a body that is not complete */
  readonly resume: LogPosition;
  readonly storage: StorageState;
}

/** Where a leader's log is when nothing is in flight. */
export interface LeaderEnd {
  /** a group boundary to start redo from */
  readonly position: LogPosition;
  /** everything in the database is committed up to here; not before `position` */
  readonly committedLsn: Lsn;
}

export interface CopiedState {
  /** `held-back`: a reader still needs older pages; nothing is recorded, try again later */
  readonly kind: 'complete' | 'held-back';
  /** what the file has now */
  readonly position: LogPosition;
  readonly storage: StorageState;
}

export interface SnapshotPiece {
  readonly kind: 'piece';
  readonly position: number;
  readonly bytes: Uint8Array;
}

export interface SnapshotEnd {
  readonly kind: 'end';
  /** log must be redone at least up to here */
  readonly minimumLsn: Lsn;
  readonly fileBytes: number;
}

/** Each operation with what it answers. */
export interface WorkerOperations {
  /** Takes the database over: refuses other processes, drops side files. */
  recover: { request: { directory: string; tenantName: string; incarnation: string }; answer: RecoveryStart };
  /** Redo with nobody reading, from the checkpoint on. */
  redo: { request: { chunk: LogChunk }; answer: null };
  /** Ends recovery; opens connections. */
  start: {
    request: { mode: 'leader' | 'follower'; pageBytes: number };
    answer: AppliedState;
  };
  /** One statement outside transactions that may only read; `needs-writer` if it turns out to write. */
  read: {
    request: { statement: Statement };
    answer: StatementResult | { readonly kind: 'needs-writer' };
  };
  /** One statement outside transactions that may write; shares its commit with its neighbours in the message. */
  write: { request: { statement: Statement; foreignKeys: boolean }; answer: StatementResult };
  describe: { request: { sql: string; internal: boolean }; answer: StatementDescription };
  begin: {
    request: { session: SessionHandle; access: 'read' | 'write'; foreignKeys: boolean };
    answer: null;
  };
  /** A statement of the session's transaction. */
  step: {
    request: { session: SessionHandle; statement: Statement };
    answer: StatementResult;
  };
  commit: { request: { session: SessionHandle }; answer: null };
  rollback: { request: { session: SessionHandle }; answer: null };
  /** Follower: shows committed groups to readers. */
  apply: { request: { chunk: LogChunk }; answer: AppliedState };
  promote: { request: Record<never, never>; answer: StorageState };
  /** Leader to follower, after `undo`; entries that end at or before `appliedLsn` are in the database already. */
  demote: { request: { position: LogPosition; appliedLsn: Lsn }; answer: AppliedState };
  /** Takes back every commit after `sequence`; ends write transactions, and reads that have seen more. */
  undo: { request: { sequence: number }; answer: null };
  /**
   * Copies everything committed into the database file. Leader: with the writer held and nothing in flight, `end`
   * says where the log is. Follower: null, it knows itself. `readersWaitMs` above 0 blocks the thread for readers to end.
   */
  copy: { request: { end: LeaderEnd | null; readersWaitMs: number }; answer: CopiedState };
  /** Makes the last complete copy durable and records it; in the thread pool, other requests go on. */
  makeDurable: { request: Record<never, never>; answer: LogPosition };
  /** The database must have been checkpointed once. */
  openSnapshot: {
    request: Record<never, never>;
    answer: { readonly snapshot: number; readonly start: LogPosition; readonly pageBytes: number };
  };
  readSnapshot: { request: { snapshot: number }; answer: SnapshotPiece | SnapshotEnd };
  closeSnapshot: { request: { snapshot: number }; answer: null };
  /** Answers when everything sent before has run. */
  barrier: { request: Record<never, never>; answer: null };
  /** An idle moment: gives memory back. */
  rest: { request: Record<never, never>; answer: null };
  close: { request: Record<never, never>; answer: null };
}

export type OperationName = keyof WorkerOperations;

/**
 * Writes that follow each other and differ in their parameters alone. Sent flat: each object and each name in a message
 * costs on both sides.
 */
export interface WriteRun {
  readonly kind: 'writes';
  readonly tenant: TenantHandle;
  /** of texts and parameters */
  bytes: number;
  readonly sql: string;
  readonly rowsMax: number;
  readonly internal: boolean;
  readonly foreignKeys: boolean;
  /** of the requests, in order */
  readonly ids: number[];
  /** of all of them, one request after the other, the same number for each */
  readonly parameters: Cell[];
}

export type WorkerRequest =
  | WriteRun
  | {
      [Name in Exclude<OperationName, 'write'>]: WorkerOperations[Name]['request'] & {
        readonly kind: Name;
        readonly id: number;
        readonly tenant: TenantHandle;
      };
    }[Exclude<OperationName, 'write'>];

export interface ErrorMessage {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
}

export type WorkerReply =
  | {
      readonly kind: 'answer';
      readonly id: number;
      readonly tenant: TenantHandle;
      readonly sequence: number;
      readonly value: WorkerOperations[OperationName]['answer'];
    }
  | {
      readonly kind: 'failure';
      readonly id: number;
      readonly tenant: TenantHandle;
      readonly sequence: number;
      readonly error: ErrorMessage;
      /** the statement took its whole transaction with it */
      readonly transactionEnded: boolean;
    }
  /** Answers to writes that returned no rows. */
  | {
      readonly kind: 'written';
      readonly tenant: TenantHandle;
      readonly sequence: number;
      readonly ids: number[];
      readonly changes: number[];
      /** null: none of them gave a row id */
      readonly rowids: (number | bigint)[] | null;
    }
  /** Comes before every reply that depends on it. */
  | {
      readonly kind: 'captured';
      readonly tenant: TenantHandle;
      readonly sequence: number;
      readonly body: readonly Uint8Array<ArrayBuffer>[];
      readonly bytes: number;
      readonly storage: StorageState;
    };

/** What a worker sends. */
export interface WorkerMessage {
  /** the last message of requests has been served: the next one may come */
  readonly finished: boolean;
  readonly replies: readonly WorkerReply[];
}

export const errorMessage = (error: ObError): ErrorMessage => ({
  code: error.code,
  message: error.message,
  details: error.details,
});

/** Readable SCN and applied LSN of an applied position. */
export const appliedEnd = (state: AppliedState): { appliedLsn: Lsn; readableScn: Scn } => ({
  appliedLsn: state.position.lsn,
  readableScn: state.position.scn,
});
