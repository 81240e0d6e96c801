/**
 * When a tenant's committed pages are copied into its database file, and what that lets go of. A checkpoint holds the
 * writer for a moment (until everything in flight is committed, and while the worker copies), since the WAL can start
 * over only when it was copied to its end; the flush of the file runs beside new writes.
 *
 * Must never record a position before the file is durable up to it (L7): the worker records, this only asks.
 */
import { ObError } from '../base/errors.ts';
import type { LogPosition } from '../base/log-access.ts';
import { lsn, scn } from '../base/scalars.ts';
import type { Clock } from '../platform/clock.ts';
import type { EngineLimits } from './engine-limits.ts';
import type { LeaderEnd, StorageState } from './worker-messages.ts';
import type { WorkerChannel } from './worker-pool.ts';

/** The writer is held and nothing is in flight. */
export interface Quiet {
  /** null on a follower, whose worker knows */
  readonly end: LeaderEnd | null;
  release(): void;
}

/** Each attempt stops the writer: while readers hold one back, the next ones are this far apart. */
const heldBackRetryMs = 1_000;

export interface CheckpointScheduleOptions {
  readonly tenant: string;
  readonly channel: WorkerChannel;
  readonly clock: Clock;
  readonly limits: EngineLimits;
  readonly quiesce: () => Promise<Quiet>;
  readonly onStorage: (storage: StorageState) => void;
  /** The file is durable up to here. */
  readonly onCheckpoint: (position: LogPosition) => void;
  /** A checkpoint that nobody asked for has failed. */
  readonly onFailure: (error: unknown) => void;
}

export class CheckpointSchedule {
  readonly #options: CheckpointScheduleOptions;
  #position: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };
  #taken = false;
  #running: Promise<LogPosition> | undefined;
  #paused = false;
  #lastMs: number;
  /** the WAL has frames that no checkpoint has copied */
  #dirty = false;
  /** readers kept the last one from finishing */
  #heldBack = false;

  constructor(options: CheckpointScheduleOptions) {
    this.#options = options;
    this.#lastMs = options.clock.now();
  }

  /** The last durable checkpoint; LSN 0 if there is none. */
  get position(): LogPosition {
    return this.#position;
  }

  /** There is a durable checkpoint. */
  get taken(): boolean {
    return this.#taken;
  }

  /** The database was opened: its last checkpoint, and whether recovery has brought it further. */
  opened(checkpoint: LogPosition | undefined, recovered: LogPosition): void {
    if (checkpoint !== undefined) this.#position = checkpoint;
    this.#taken = checkpoint !== undefined;
    this.#dirty = checkpoint === undefined || recovered.lsn > checkpoint.lsn;
  }

  /** The WAL has grown to `walBytes`: starts a checkpoint if one is due. */
  grown(walBytes: number): void {
    this.#dirty = true;
    const { checkpointWalBytes, checkpointSpacingMs, walBytesMax } = this.#options.limits;
    const sinceMs = this.#options.clock.now() - this.#lastMs;
    const spaced = sinceMs >= checkpointSpacingMs;
    if (walBytes < walBytesMax) {
      if (walBytes >= checkpointWalBytes && spaced) this.#background(false);
    } else if (!this.#heldBack || sinceMs >= Math.min(heldBackRetryMs, checkpointSpacingMs)) {
      this.#background(spaced || this.#heldBack);
    }
  }

  /** Starts a checkpoint if the last one is long ago. */
  tick(): void {
    const { clock, limits } = this.#options;
    if (this.#dirty && clock.now() - this.#lastMs >= limits.checkpointIntervalMs) this.#background(false);
  }

  /** Takes a checkpoint now. Throws OBS_TENANT_CHECKPOINT_HELD if readers keep it from finishing. */
  async run(): Promise<LogPosition> {
    // one that is running may have begun before the caller's last write
    await this.#running?.catch(() => undefined);
    const { clock, limits, tenant } = this.#options;
    const deadline = clock.now() + limits.lockWaitMs;
    for (;;) {
      const position = await this.#start(false);
      if (position !== undefined) return position;
      if (clock.now() >= deadline) throw new ObError('OBS_TENANT_CHECKPOINT_HELD', { tenant });
      await new Promise<void>(resolve => clock.after(limits.readersWaitMs, resolve));
    }
  }

  /** Waits for a running checkpoint; none starts before `resume`. */
  async pause(): Promise<void> {
    this.#paused = true;
    // its failure is told to who asked for it
    await this.#running?.catch(() => undefined);
  }

  resume(): void {
    this.#paused = false;
  }

  #background(waitForReaders: boolean): void {
    if (this.#paused || this.#running !== undefined) return;
    this.#start(waitForReaders).catch((error: unknown) => this.#options.onFailure(error));
  }

  /** Undefined if readers held it back. One at a time. */
  async #start(waitForReaders: boolean): Promise<LogPosition | undefined> {
    if (this.#paused) {
      throw new ObError('OBS_TENANT_NOT_OPEN', { tenant: this.#options.tenant, state: 'changing its role' });
    }
    const before = this.#position;
    const running = (this.#running ?? Promise.resolve(before)).then(() => this.#copy(waitForReaders));
    const settled = running.then(position => position ?? before);
    this.#running = settled;
    // its failure is thrown to this caller, below
    settled.catch(() => undefined);
    try {
      return await running;
    } finally {
      if (this.#running === settled) this.#running = undefined;
    }
  }

  async #copy(waitForReaders: boolean): Promise<LogPosition | undefined> {
    const { channel, clock, limits, onStorage, quiesce } = this.#options;
    const quiet = await quiesce();
    try {
      const readersWaitMs = waitForReaders ? limits.readersWaitMs : 0;
      this.#lastMs = clock.now();
      this.#dirty = false;
      const copied = await channel.ask('copy', { end: quiet.end, readersWaitMs });
      onStorage(copied.storage);
      this.#heldBack = copied.kind === 'held-back';
      if (this.#heldBack) {
        this.#dirty = true;
        return undefined;
      }
    } finally {
      quiet.release();
    }
    this.#position = await channel.ask('makeDurable', {});
    this.#taken = true;
    this.#options.onCheckpoint(this.#position);
    return this.#position;
  }
}
