/**
 * What the role manager needs from the rest of a site. The composition root implements these over the sys tenant, the
 * tenant's engine and log, the peer transport and the archive; the simulator implements them over a model.
 *
 * Every method may reject with an `ObError`; none may be retried inside an implementation beyond its own deadline. All
 * are idempotent as far as their docstrings say, because a step that was interrupted is run again from its start.
 */
import type { AccessMode, LogPosition } from '../base/log-access.ts';
import type { Lsn, RoleEpoch, Scn, WallMicros } from '../base/scalars.ts';
import type { RoleEntry } from '../codec/role-entry.ts';
import type { ControlReply, ControlRequest } from './control-ops.ts';
import type { EpochStart, LogSuffix, RoleRow, SealRecord, SourceContact } from './row.ts';
import type { JournalEntry } from './steps.ts';

export interface RoleStore {
  load(): Promise<RoleRow>;
  /**
   * Stores `next` and the journal entries in one transaction if the stored row still has `expected`'s revision, role,
   * status, epoch and step; resolves when durable and committed. `stored: false` comes with the row that is there.
   */
  compareAndSet(
    expected: RoleRow,
    next: RoleRow,
    journal: readonly JournalEntry[],
  ): Promise<{ readonly stored: boolean; readonly row: RoleRow }>;
  /** Journal entries outside a change of the row: a step that failed. */
  writeJournal(entries: readonly JournalEntry[]): Promise<void>;
  /** The steps of one operation on this site, in the order they were first begun. */
  readJournal(operationId: string): Promise<readonly JournalEntry[]>;
}

export interface LocalObservation {
  readonly end: LogPosition;
  readonly accessMode: AccessMode;
  readonly modeVersion: number;
  /** everything up to here is in the database and visible */
  readonly appliedLsn: Lsn;
  /** whole transactions end here: a failover cuts the log after it */
  readonly replayableScn: Scn;
  /** why log that is here is not applied, although it should be; null while all is well */
  readonly applyProblem: string | null;
  readonly writable: boolean;
  readonly contact: SourceContact;
}

export interface LocalTenant {
  /** The state of this moment: read before anything is awaited. */
  observe(): Promise<LocalObservation>;
  /** Refuses writes from this moment on, in memory only; nothing is awaited before it takes effect. */
  refuseWrites(why: string): Promise<void>;
  /** Refuses new writes, lets running ones finish within `drainMs`, rolls back the rest. Nothing to do when not writable. */
  drainWrites(why: string, drainMs: number): Promise<void>;
  /** Appends a role entry and resolves with the committed end after it. A repeat appends a second, equal entry. */
  appendRoleEntry(entry: RoleEntry): Promise<LogPosition>;
  /** No effect when the log is in that mode already. */
  changeMode(to: AccessMode, referenceScn: Scn): Promise<void>;
  /** FLASHBACK mode: cuts the log after the last group whose SCN is at most `to`. */
  flashback(to: Scn): Promise<LogPosition>;
  /** Opens the engine for writes. No effect when it is open. */
  promote(): Promise<void>;
  /** Closes the engine for writes; unshipped local commits are undone. No effect when it is closed. */
  demote(): Promise<void>;
  /** Resolves when no more log will be taken from the source. */
  stopPulling(): Promise<void>;
  /** Pulls from the restore source, if one is set. */
  startPulling(): Promise<void>;
  /** Makes that site the restore source (durably), with the credential of its last handshake, and starts pulling. */
  follow(address: string): Promise<void>;
  /** Resolves when log up to `end` is here and applied, rejects with OBS_ROLE_NOT_SYNCED after `waitMs`. */
  caughtUpTo(end: Lsn, waitMs: number): Promise<void>;
  /** Counts what the log holds after `cut`. */
  countSuffix(cut: LogPosition): Promise<LogSuffix>;
}

export interface Peers {
  /** Addresses of the restore source; empty when there is none or it is an archive. */
  sourceAddresses(): Promise<readonly string[]>;
  /** Every site that pulls from this tenant, or was registered as one. */
  followerAddresses(): Promise<readonly string[]>;
  /** One request over an authenticated connection. Rejects with kind `unavailable` when no answer came: it may have been done. */
  control(address: string, request: ControlRequest): Promise<ControlReply>;
}

/** The owner of an epoch in an archive's manifest chain. */
export interface EpochClaim {
  readonly epoch: RoleEpoch;
  readonly site: string;
  /** null for an epoch that began with the chain itself */
  readonly operationId: string | null;
}

/** The chain this site can claim an epoch in: that of its restore source's LOCATION, else of its own archive dest. */
export interface ArchiveFence {
  /** Secret-free name of the chain, or null when there is none. Never asks the media. */
  configured(): Promise<string | null>;
  /**
   * The newest claim, and where each epoch of the chain began as far as it tells. Rejects with kind `unavailable` when the
   * media does not answer.
   */
  head(): Promise<EpochClaim & { readonly openings: readonly EpochStart[] }>;
  /**
   * Claims an epoch if it is above the head's. `lost` names the head that was there. Claiming again what is the head is
   * `claimed`. After a rejection the claim may or may not be there: claim again.
   */
  claim(
    claim: EpochClaim,
  ): Promise<{ readonly kind: 'claimed' } | { readonly kind: 'lost'; readonly to: EpochClaim }>;
  /**
   * Flushes the archiver to the sealed end and writes the seal into the chain. A seal of that operation that is there
   * already is enough, even when the next epoch has been claimed since.
   */
  seal(record: SealRecord): Promise<void>;
  /** The newest seal in the chain, if no newer epoch has been opened after it. */
  sealed(): Promise<SealRecord | null>;
}

interface Timer {
  /** Resolves after `ms`, or when the manager closes. */
  sleep(ms: number): Promise<void>;
}

export interface RolePorts {
  readonly store: RoleStore;
  readonly local: LocalTenant;
  readonly peers: Peers;
  readonly archive: ArchiveFence;
  readonly timer: Timer;
}

export interface RoleClock {
  wall(): WallMicros;
}
