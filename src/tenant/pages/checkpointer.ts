/**
 * Copies committed pages from the WAL into the database file, and no others.
 *
 * A leader's WAL runs ahead of what the majority has, and an uncommitted page in the file could never be taken out
 * again. A read transaction that keeps SQLite from copying newer frames is not enough: SQLite then leaves out every page
 * that has a newer frame, also in its older state, and counts it as copied. The file would lack changes that the
 * checkpoint record claims, and a WAL rewound to that commit would miss them. So a checkpoint copies all or nothing:
 * `pin` takes down the position when everything in the WAL is (about to be) the log's, `copy` runs once that position
 * is committed, and only if no commit came after it. The engine holds its writer for that moment.
 *
 * `makeDurable` then flushes the file and writes the checkpoint record; writes go on meanwhile. SQLite restarts the WAL
 * at the next write of a leader; a follower calls `WalInjector.restartLog`.
 */
import type Database from 'better-sqlite3';
import { assert, must } from '../../base/assert.ts';
import type { LogPosition } from '../../base/log-access.ts';
import { type Lsn, lsn as asLsn } from '../../base/scalars.ts';
import type { CheckpointRecord } from '../../codec/checkpoint-record.ts';
import type { CheckpointMeta } from './checkpoint-meta.ts';
import type { Connection } from './connection.ts';
import type { DatabaseFiles } from './database-files.ts';
import type { WalMark } from './wal-format.ts';
import { WalIndexHeader } from './wal-index-header.ts';

interface Pin {
  readonly position: LogPosition;
  readonly lsn: Lsn;
  readonly mark: WalMark;
  /** nothing in the WAL was missing in the file already then */
  readonly copied: boolean;
}

export type CopyOutcome =
  /** the file holds everything up to the pin, which is released */
  | { readonly kind: 'complete' }
  /** a reader still needs older pages: try again later; the pin stays */
  | { readonly kind: 'held-back'; readonly copiedFrames: number; readonly wantedFrames: number }
  /** there were commits after the pin, which was released; nothing was copied */
  | { readonly kind: 'outdated' };

interface CheckpointResult {
  readonly busy: number;
  readonly log: number;
  readonly checkpointed: number;
}

export class Checkpointer {
  readonly #files: DatabaseFiles;
  readonly #guard: Connection;
  readonly #worker: Connection;
  readonly #meta: CheckpointMeta;
  readonly #incarnation: string;
  readonly #header: WalIndexHeader;
  readonly #begin: Database.Statement;
  readonly #look: Database.Statement;
  readonly #end: Database.Statement;
  #pin: Pin | undefined;
  #copied: Pin | undefined;
  #handedLsn: Lsn;

  /**
   * `guard`: a connection that is used for nothing but pins (and for being the one that is always open). `worker`: one
   * that is in no transaction whenever `copy` is called; it may be the writer.
   */
  constructor(options: {
    readonly files: DatabaseFiles;
    readonly guard: Connection;
    readonly worker: Connection;
    readonly meta: CheckpointMeta;
    readonly incarnation: string;
  }) {
    this.#files = options.files;
    this.#guard = options.guard;
    this.#worker = options.worker;
    this.#meta = options.meta;
    this.#incarnation = options.incarnation;
    this.#header = new WalIndexHeader(options.files);
    this.#begin = options.guard.prepare('BEGIN');
    this.#look = options.guard.prepare('SELECT 1 FROM sqlite_schema LIMIT 1');
    this.#end = options.guard.prepare('COMMIT');
    this.#handedLsn = options.meta.record?.position.lsn ?? asLsn(0);
  }

  /** The newest LSN whose pages may be in the file; a snapshot or recovery must redo at least up to it. */
  get handedLsn(): Lsn {
    return this.#handedLsn;
  }

  /** The newest LSN waiting to be copied: `copy` may be called when it is committed. */
  get pinnedLsn(): Lsn | undefined {
    return this.#pin?.lsn;
  }

  /**
   * Takes down where the database is now. `lsn`: the log's end after the last captured (or applied) commit. `position`:
   * what the checkpoint record will say, a committed position not after it. Call while no write transaction is open. An
   * older pin is replaced.
   */
  pin(position: LogPosition, lsn: Lsn): void {
    assert(position.lsn <= lsn, 'the record starts redo no later than what was copied');
    this.release();
    this.#begin.run();
    this.#look.get();
    this.#header.read();
    const copied = this.#header.backfilled >= this.#header.maxFrame;
    this.#pin = { position, lsn, mark: this.#header.mark(), copied };
  }

  /** Gives the pin up. */
  release(): void {
    this.#pin = undefined;
    if (this.#guard.inTransaction) this.#end.run();
  }

  /** Copies everything up to the pin, whose LSN the majority must have committed. */
  copy(): CopyOutcome {
    const pin = must(this.#pin, 'a checkpoint is pinned before it copies');
    assert(this.#guard.inTransaction, 'the pin is held');
    assert(!this.#worker.inTransaction, 'a checkpoint runs outside transactions');
    const header = this.#header;
    // A WAL that was all copied when it was pinned needs nothing, whatever was written since.
    if (!pin.copied) {
      header.read();
      if (!samePlace(header.mark(), pin.mark)) {
        this.release();
        return { kind: 'outdated' };
      }
      this.#handedLsn = pin.lsn;
      this.#worker.pragma('wal_checkpoint(PASSIVE)');
      header.read();
      assert(samePlace(header.mark(), pin.mark), 'nobody else commits while a checkpoint copies');
      if (header.backfilled < pin.mark.frame) {
        return { kind: 'held-back', copiedFrames: header.backfilled, wantedFrames: pin.mark.frame };
      }
    }
    this.#copied = pin;
    this.release();
    return { kind: 'complete' };
  }

  /**
   * Waits up to `waitMs` (blocking the thread) for readers to end, copies everything and empties the WAL: for a WAL
   * above its limit. Only while all that was ever committed locally is committed by the majority, at `position`.
   */
  copyAll(position: LogPosition, waitMs: number): CopyOutcome {
    this.release();
    assert(!this.#worker.inTransaction, 'a checkpoint runs outside transactions');
    this.#header.read();
    const mark = this.#header.mark();
    this.#handedLsn = position.lsn;
    const [result] = this.#withTimeout(waitMs, () => this.#worker.pragma('wal_checkpoint(TRUNCATE)'));
    const { log, checkpointed } = must(result, 'a checkpoint answers with one row');
    if (checkpointed < log) {
      return { kind: 'held-back', copiedFrames: checkpointed, wantedFrames: log };
    }
    this.#copied = { position, lsn: position.lsn, mark, copied: true };
    return { kind: 'complete' };
  }

  /** Flushes the file and writes the record of the last complete copy. Blocks for the time of two flushes. */
  makeDurable(): LogPosition {
    const copied = must(this.#copied, 'a copy was completed');
    this.#files.syncDatabase();
    this.#meta.write(this.#recordOf(copied));
    return copied.position;
  }

  /** The same, with both flushes in the thread pool. */
  async makeDurableLater(): Promise<LogPosition> {
    const copied = must(this.#copied, 'a copy was completed');
    await this.#files.syncDatabaseLater();
    await this.#meta.writeLater(this.#recordOf(copied));
    return copied.position;
  }

  #recordOf(copied: Pin): CheckpointRecord {
    return {
      position: copied.position,
      databasePages: copied.mark.databasePages,
      pageBytes: this.#files.pageBytes,
      incarnation: this.#incarnation,
    };
  }

  #withTimeout(waitMs: number, run: () => unknown): CheckpointResult[] {
    const before = this.#worker.pragma('busy_timeout', { simple: true });
    this.#worker.pragma(`busy_timeout = ${Math.floor(waitMs)}`);
    try {
      return run() as CheckpointResult[];
    } finally {
      this.#worker.pragma(`busy_timeout = ${String(before)}`);
    }
  }
}

const samePlace = (one: WalMark, other: WalMark): boolean =>
  one.frame === other.frame && one.salt1 === other.salt1 && one.salt2 === other.salt2;
