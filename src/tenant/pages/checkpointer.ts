/**
 * Copies committed pages from the WAL into the database file, and no others.
 *
 * A leader's WAL runs ahead of what the majority has. So a checkpoint is pinned: a read transaction opened right after
 * a commit keeps SQLite's PASSIVE checkpoint from copying anything newer. `pin` at a log position; when that position
 * is committed by the majority, `copy`; when the copy is complete, `makeDurable`, which flushes the file and then
 * writes the checkpoint record. What must never happen is an uncommitted page in the file: redo could not take it out
 * again. `copy` asserts it afterwards. Nor may a pin be copied after the database shrank: SQLite would skip the pages
 * that a commit not yet in the log's safety has cut off, and count them as copied.
 *
 * The WAL starts again at its first frame only when a checkpoint caught up with the last commit. A leader that is
 * written to all the time never gets there by itself: above its WAL limit the engine holds new writes, waits until all
 * is committed, pins, copies, and lets them go; SQLite restarts the WAL at the next write. A follower calls
 * `WalInjector.restartLog` after a complete copy.
 */
import type Database from 'better-sqlite3';
import { assert, must } from '../../base/assert.ts';
import type { LogPosition } from '../../base/log-access.ts';
import { type Lsn, lsn as asLsn } from '../../base/scalars.ts';
import type { CheckpointMeta } from './checkpoint-meta.ts';
import type { Connection } from './connection.ts';
import type { DatabaseFiles } from './database-files.ts';
import type { WalMark } from './wal-format.ts';
import { WalIndexHeader } from './wal-index.ts';

interface Pin {
  readonly position: LogPosition;
  readonly lsn: Lsn;
  readonly mark: WalMark;
}

export type CopyOutcome =
  /** the file holds everything up to the pin, which is released */
  | { readonly kind: 'complete' }
  /** a reader still needs older pages: try again later; the pin stays */
  | { readonly kind: 'held-back'; readonly copiedFrames: number; readonly wantedFrames: number }
  /** the database has become smaller since: pin again; this one was released and nothing was copied */
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
   * Pins the database as it is now. `lsn`: the log's end after the last captured (or applied) commit. `position`: what
   * the checkpoint record will say, a committed position not after it. Call while no write transaction is open. An older
   * pin is replaced.
   */
  pin(position: LogPosition, lsn: Lsn): void {
    assert(position.lsn <= lsn, 'the record starts redo no later than what was copied');
    this.release();
    this.#begin.run();
    this.#look.get();
    this.#header.read();
    this.#pin = { position, lsn, mark: this.#header.mark() };
  }

  /** Gives the pin up. */
  release(): void {
    this.#pin = undefined;
    if (this.#guard.inTransaction) this.#end.run();
  }

  /** Copies up to the pin, whose LSN the majority must have committed. */
  copy(): CopyOutcome {
    const pin = must(this.#pin, 'a checkpoint is pinned before it copies');
    assert(this.#guard.inTransaction, 'the pin is held');
    assert(!this.#worker.inTransaction, 'a checkpoint runs outside transactions');
    const header = this.#header;
    header.read();
    // A pin in a WAL that was all copied already does not keep SQLite from restarting it: then nothing is left to copy.
    const copied = header.salt1 !== pin.mark.salt1 || header.backfilled >= pin.mark.frame;
    if (!copied) {
      if (header.databasePages < pin.mark.databasePages) {
        this.release();
        return { kind: 'outdated' };
      }
      this.#handedLsn = pin.lsn;
      this.#worker.pragma('wal_checkpoint(PASSIVE)');
      header.read();
      assert(header.salt1 === pin.mark.salt1, 'a pinned WAL does not restart');
      assert(
        header.backfilled <= pin.mark.frame,
        `only committed frames reach the database file (${header.backfilled} > ${pin.mark.frame})`,
      );
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
    this.#copied = { position, lsn: position.lsn, mark };
    return { kind: 'complete' };
  }

  /** Flushes the file and writes the record of the last complete copy. Blocks for the time of two flushes. */
  makeDurable(): LogPosition {
    const copied = must(this.#copied, 'a copy was completed');
    this.#files.syncDatabase();
    return this.#record(copied);
  }

  /** The same, with the long flush in the thread pool. */
  async makeDurableLater(): Promise<LogPosition> {
    const copied = must(this.#copied, 'a copy was completed');
    await this.#files.syncDatabaseLater();
    return this.#record(copied);
  }

  #record(copied: Pin): LogPosition {
    this.#meta.write({
      position: copied.position,
      databasePages: copied.mark.databasePages,
      pageBytes: this.#files.pageBytes,
      incarnation: this.#incarnation,
    });
    return copied.position;
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
