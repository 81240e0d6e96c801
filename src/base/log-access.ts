/**
 * What the layers above a log stream may do with its log. `logstream` implements these; `tenant`, `archive` and
 * `standby` ask for the narrowest one they need, so that none of them depends on how the log is replicated.
 *
 * Invariants: only committed bytes are ever read (R1, S1); positions never go back except by flashback (L5).
 */
import type { LogStreamId, Lsn, NodeId, ProposalId, Scn } from './scalars.ts';

/**
 * Who may append (PALF's access modes). PREPARE_FLASHBACK: replicas may still equalise, nothing new is taken.
 * FLASHBACK: nothing is taken; the log may be cut.
 */
export type AccessMode = 'APPEND' | 'RAW_WRITE' | 'PREPARE_FLASHBACK' | 'FLASHBACK';

/** A committed group boundary: the byte, the SCN of everything before it, and the chained checksum up to it. */
export interface LogPosition {
  readonly lsn: Lsn;
  readonly scn: Scn;
  /** CRC-32 chained over all payload bytes from LSN 0; equal positions with unequal checksums mean a fork */
  readonly checksum: number;
}

/** From `startLsn` on, the log was written under `proposalId` (of the primary that wrote it: survives RAW_WRITE). */
export interface ProposalEra {
  readonly proposalId: ProposalId;
  readonly startLsn: Lsn;
}

/** Orders the configurations of a log stream: by proposal id, then by sequence. */
export interface ConfigVersion {
  readonly proposalId: ProposalId;
  readonly sequence: number;
}

/** Who takes part in a log stream. */
interface LogMembership {
  readonly version: ConfigVersion;
  /** F replicas: their flushed log counts for commit, they vote and may lead */
  readonly members: readonly NodeId[];
  /** R replicas: get the log, count for nothing */
  readonly learners: readonly NodeId[];
  /** F replicas whose log does not count at the moment */
  readonly degraded: readonly NodeId[];
  /** votes, keeps no log; null where there is none */
  readonly arbiter: NodeId | null;
}

export interface LogState {
  readonly stream: LogStreamId;
  /** `leader`: of this log stream, and its log was brought up to date: it takes entries (while `holdsLease`) */
  readonly role: 'leader' | 'follower';
  /** who leads, as far as this replica knows */
  readonly leader: NodeId | null;
  /** leads, and the lease holds now */
  readonly isActive: boolean;
  /** damaged or being rebuilt: gets log, neither votes nor leads */
  readonly isImpaired: boolean;
  /** its disk has not finished a write for a lease: acknowledges nothing, and does not lead */
  readonly isStuck: boolean;
  readonly config: LogMembership;
  readonly proposalId: ProposalId;
  readonly accessMode: AccessMode;
  /** counts access-mode changes; compare-and-set key of `changeMode` */
  readonly modeVersion: number;
  /** below this the database holds everything and the log may be recycled */
  readonly baseLsn: Lsn;
  /** oldest byte still on disk */
  readonly beginLsn: Lsn;
  /** committed end */
  readonly end: LogPosition;
  /** appended end; `end.lsn <= maxLsn` */
  readonly maxLsn: Lsn;
  readonly maxScn: Scn;
  /** bounded list, oldest first; the last era is the current one */
  readonly proposalHistory: readonly ProposalEra[];
}

/** Whole committed groups, headers included, starting at a group boundary. */
export interface LogChunk {
  readonly start: LogPosition;
  readonly end: LogPosition;
  readonly bytes: Uint8Array;
}

/** Keeps log from `lsn` on from being recycled until released. Named, so that a full disk can say who holds it. */
export interface LogHold {
  advance(lsn: Lsn): void;
  release(): void;
}

export interface LogTailReader {
  /**
   * Like `read`, but at once and only from the part of the log that is held in memory: inside a committed listener it
   * sees what was just committed, so that a follower's socket gets it in the same turn. Undefined when `from` is not in
   * memory any more; a chunk without bytes at the committed end.
   */
  readRecent(from: Lsn, bytesMax: number): LogChunk | undefined;
}

export interface LogReader {
  state(): LogState;
  /**
   * Reads committed groups, the one that holds byte `from` first; at least one group if there is one, else no bytes.
   * At a group boundary `chunk.start.lsn` is `from`. Inside a group (an entry's end) it is the group's start: give
   * `from` to the `EntryAssembler` too, which passes over what ends before it. The bytes are shared: do not change them.
   * Throws OBS_LOG_RECYCLED below `beginLsn`, OBS_LOG_POSITION_INVALID beyond the end, OBS_LOG_CORRUPT for a block
   * that fails its checksum.
   */
  read(from: Lsn, bytesMax: number): Promise<LogChunk>;
  /** Called after each advance of the committed end, never re-entrantly. Returns the unsubscribe function. */
  onCommitted(listener: (end: LogPosition) => void): () => void;
  hold(name: string, from: Lsn): LogHold;
}

export type EntryKind =
  /** page changes of one or more transactions (`codec/redo.ts`) */
  | 'redo'
  /** advances the SCN while a tenant is idle; no body */
  | 'keep-alive'
  /** a role change of the tenant (`codec/role-entry.ts`) */
  | 'role';

export interface NewEntry {
  readonly kind: EntryKind;
  /** fragments are concatenated; bodies over the entry limit are split into parts that replay as one */
  readonly body: readonly Uint8Array[];
}

export interface AppendedEntry {
  /** the entry is committed when the committed end reaches this */
  readonly endLsn: Lsn;
  readonly scn: Scn;
}

export interface LogAppender {
  state(): LogState;
  /**
   * Orders an entry at once (leader in APPEND, inside its lease). Throws OBS_LOG_NOT_LEADER, OBS_LOG_NOT_APPENDABLE,
   * OBS_LOG_WINDOW_FULL.
   */
  append(entry: NewEntry): AppendedEntry;
  /**
   * Resolves when the committed end has reached `lsn`; rejects with OBS_LOG_OUTCOME_UNKNOWN when leadership or the
   * process's right to the log ended before. Ask in the same turn as `append`, or not at all after a change of role:
   * another leader's entries may stand at that LSN by then.
   */
  committed(lsn: Lsn): Promise<void>;
  /** This replica leads, and nobody else can at this very instant: what it answers now is current. */
  holdsLease(): boolean;
  onCommitted(listener: (end: LogPosition) => void): () => void;
}

export interface LogRawWriter {
  state(): LogState;
  /**
   * Appends groups as another site wrote them; `chunk.start` must be the end of this log, checksum included.
   * Resolves when they are durable and committed here. Throws OBS_STANDBY_DIVERGED, OBS_LOG_NOT_APPENDABLE,
   * OBS_LOG_CORRUPT (a group fails its checksum).
   */
  rawWrite(chunk: LogChunk): Promise<LogPosition>;
}

/** The whole of it: what the composition root holds per log stream. */
export interface LogAccess extends LogReader, LogTailReader, LogAppender, LogRawWriter {
  /**
   * Compare-and-set of the access mode; resolves with the new mode version once durable (on a majority).
   * Entering APPEND starts a new proposal and raises the SCN base above `referenceScn`.
   */
  changeMode(change: { to: AccessMode; expectedModeVersion: number; referenceScn: Scn }): Promise<number>;
  /**
   * FLASHBACK only: cuts the log behind the last entry group whose SCN is at most `scn` (padding behind it goes too).
   * Idempotent. Throws OBS_LOG_FLASHBACK_REFUSED below what `advanceBase` was told.
   */
  flashback(to: Scn): Promise<LogPosition>;
  /**
   * The database is durable up to `lsn` (any entry's end): log below it and below every hold may go, and the log is
   * never cut below it. Tell it at every start too, before anything may cut the log: a crash can come between a
   * checkpoint and this call.
   */
  advanceBase(lsn: Lsn): Promise<void>;
}
