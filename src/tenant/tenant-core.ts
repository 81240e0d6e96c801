/**
 * One tenant's database inside its worker thread: the only owner of its connections and file descriptors. Recovers it
 * from the log, serves statements, captures what they commit (leader) or injects what the log brings (follower), takes
 * back what the log refused, copies committed pages into the file.
 *
 * Synchronous but for one flush. It never decides when something is committed: the main thread tells it what to undo
 * and what to copy. Keeps: each commit is captured before the next request runs (K4), only committed changes reach the
 * database file, a follower shows whole prefixes only (S2).
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { assert, must } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { writerCacheKibibytesMin } from '../base/limits.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import { type Lsn, lsn, scn } from '../base/scalars.ts';
import type { EngineMode } from './engine.ts';
import { CheckpointMeta } from './pages/checkpoint-meta.ts';
import { Checkpointer } from './pages/checkpointer.ts';
import { DatabaseFiles } from './pages/database-files.ts';
import { RawRedo } from './pages/raw-redo.ts';
import { dropSideFiles, refuseForeignHolders } from './pages/recovery-guard.ts';
import { SnapshotSource } from './pages/snapshot-source.ts';
import { type CapturedCommit, WalCapture } from './pages/wal-capture.ts';
import { WalInjector } from './pages/wal-injector.ts';
import { rewindWal } from './pages/wal-rewind.ts';
import { RedoReader } from './redo-reader.ts';
import { SqlConnection } from './sql-connection.ts';
import { StatementRunner } from './statement-runner.ts';
import { UndoMarks } from './undo-marks.ts';
import type {
  AppliedState,
  CopiedState,
  LeaderEnd,
  RecoveryStart,
  SnapshotEnd,
  SnapshotPiece,
  StorageState,
} from './worker-messages.ts';

/** A captured commit with its number. */
export interface NumberedCommit {
  readonly sequence: number;
  readonly commit: CapturedCommit;
}

const logStart: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };

/** Between `recover` and `start`: nobody reads, redo goes straight into the file. */
interface Recovery {
  readonly reader: RedoReader;
  raw: RawRedo | undefined;
}

/** From `start` to `close`. */
interface Serving {
  readonly files: DatabaseFiles;
  readonly writer: SqlConnection;
  readonly guard: SqlConnection;
  readonly checkpointer: Checkpointer;
  readonly runner: StatementRunner;
  /** leader */
  capture: WalCapture | undefined;
  /** follower */
  injector: WalInjector | undefined;
  redo: RedoReader | undefined;
}

export class TenantCore {
  readonly #path: string;
  readonly #tenant: string;
  readonly #incarnation: string;
  readonly #meta: CheckpointMeta;
  #recovery: Recovery | undefined;
  #serving: Serving | undefined;
  /** last number given to a commit */
  #lastSequence = 0;
  /** newest commit that is in the database */
  #visibleSequence = 0;
  readonly #undoMarks = new UndoMarks();
  /** log that recovery wrote into the file */
  #recoveredLsn: Lsn = lsn(0);
  #flush: Promise<LogPosition> | undefined;
  #cacheKibibytes = writerCacheKibibytesMin;
  /** of the writer, that capture knows of */
  #failedCommits = 0;
  readonly #snapshots = new Map<number, SnapshotSource>();
  #nextSnapshot = 1;

  /** Takes the database over. Throws OBS_TENANT_FILE_IN_USE, OBS_TENANT_CHECKPOINT_CORRUPT. */
  constructor(directory: string, tenant: string, incarnation: string) {
    const folder = join(directory, 'db');
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#path = join(folder, 'tenant.db');
    this.#incarnation = incarnation;
    this.#tenant = tenant;
    refuseForeignHolders(this.#path);
    dropSideFiles(this.#path);
    this.#meta = new CheckpointMeta(join(folder, 'checkpoint'), incarnation);
    this.#beginRecovery();
  }

  get mode(): EngineMode {
    if (this.#serving === undefined) return 'closed';
    return this.#serving.capture === undefined ? 'follower' : 'leader';
  }

  get visibleSequence(): number {
    return this.#visibleSequence;
  }

  get recoveryStart(): RecoveryStart {
    return { checkpoint: this.#meta.record?.position };
  }

  get runner(): StatementRunner {
    return this.#served().runner;
  }

  redo(chunk: LogChunk): void {
    const recovery = must(this.#recovery, 'redo runs in recovery');
    const records = recovery.reader.take(chunk);
    const first = records[0];
    if (first === undefined) return;
    recovery.raw ??= new RawRedo(this.#path, {
      pageBytes: this.#meta.record?.pageBytes ?? first.pageBytes,
      databasePages: this.#meta.record?.databasePages ?? 0,
    });
    recovery.raw.apply(records);
  }

  /** Opens the database at the end of the log fed to `redo`. `pageBytes` counts for a database that is made now. */
  start(mode: 'leader' | 'follower', pageBytes: number): AppliedState {
    const recovery = must(this.#recovery, 'a start ends a recovery');
    recovery.raw?.finish();
    this.#recoveredLsn = recovery.reader.position.lsn;
    this.#recovery = undefined;
    const writer = SqlConnection.openWriter(this.#path, pageBytes);
    writer.cacheKibibytes = this.#cacheKibibytes;
    const guard = SqlConnection.openReader(this.#path);
    const files = DatabaseFiles.open(this.#path);
    const checkpointer = new Checkpointer({
      files,
      guard: guard.connection,
      worker: writer.connection,
      meta: this.#meta,
      incarnation: this.#incarnation,
    });
    const leads = mode === 'leader';
    this.#serving = {
      files,
      writer,
      guard,
      checkpointer,
      runner: new StatementRunner({
        tenant: this.#tenant,
        writer,
        openReader: () => SqlConnection.openReader(this.#path),
        writerServes: leads,
      }),
      capture: leads ? new WalCapture(files) : undefined,
      injector: leads ? undefined : new WalInjector(files, writer.connection),
      redo: leads ? undefined : recovery.reader,
    };
    return this.#applied(recovery.reader);
  }

  /** What the last call committed, numbered. Call after each call that may have committed, before anything else. */
  capture(transactions: number): NumberedCommit | undefined {
    const { capture, writer } = this.#served();
    assert(capture !== undefined, 'a leader captures');
    if (writer.failedCommits !== this.#failedCommits) capture.commitFailed();
    this.#failedCommits = writer.failedCommits;
    const commit = capture.capture(transactions);
    if (commit === undefined) return undefined;
    const sequence = ++this.#lastSequence;
    this.#visibleSequence = sequence;
    this.#undoMarks.add(sequence, commit.frameStart);
    return { sequence, commit };
  }

  apply(chunk: LogChunk): AppliedState {
    const { injector, redo, runner } = this.#served();
    if (injector === undefined || redo === undefined) {
      throw new ObError('OBS_TENANT_NOT_OPEN', { tenant: this.#tenant, state: 'leading: it applies no log' });
    }
    const records = redo.take(chunk);
    if (records.length > 0) {
      injector.apply(records);
      runner.applied();
    }
    return this.#applied(redo);
  }

  promote(): StorageState {
    const serving = this.#served();
    assert(serving.injector !== undefined, 'a follower is promoted');
    serving.injector = undefined;
    serving.redo = undefined;
    serving.capture = new WalCapture(serving.files);
    serving.runner.serveFromWriter(true);
    return this.storage();
  }

  /** `position`: a group boundary to apply from; entries that end at or before `appliedLsn` are in the database. */
  demote(position: LogPosition, appliedLsn: Lsn): AppliedState {
    const serving = this.#served();
    assert(serving.capture !== undefined, 'a leader is demoted');
    assert(!serving.runner.inWriteTransaction, 'write transactions end before a demotion');
    serving.capture = undefined;
    serving.injector = new WalInjector(serving.files, serving.writer.connection);
    serving.redo = new RedoReader(this.#path, position, appliedLsn);
    serving.runner.serveFromWriter(false);
    return this.#applied(serving.redo);
  }

  /**
   * Takes back every commit after `sequence`, in place. Since only committed frames are ever copied, the WAL cannot have
   * been started over since the first of them, unless somebody else did it (OBS_TENANT_CAPTURE_LOST).
   */
  undo(sequence: number): void {
    const { capture, files, runner, writer } = this.#served();
    assert(capture !== undefined, 'a leader undoes its commits');
    runner.dropAfter(sequence);
    if (this.#visibleSequence <= sequence) return;
    const mark = this.#undoMarks.firstAfter(sequence);
    if (mark === undefined || !rewindWal(files, writer.connection, mark)) {
      const detail = 'the WAL was started over before its last commits could be taken back';
      throw new ObError('OBS_TENANT_CAPTURE_LOST', { path: this.#path, detail });
    }
    capture.rewound(mark);
    runner.forget();
    this.#visibleSequence = sequence;
    this.#undoMarks.cut(sequence);
  }

  /** Copies what is committed into the file. */
  copy(given: LeaderEnd | null, readersWaitMs: number): CopiedState {
    const { checkpointer, injector, redo, runner } = this.#served();
    assert(!runner.inWriteTransaction, 'a copy runs outside write transactions');
    const position = given?.position ?? must(redo, 'a follower knows its position').resume;
    checkpointer.pin(position, given?.committedLsn ?? must(redo, 'a follower').position.lsn);
    let { kind } = checkpointer.copy();
    if (kind !== 'complete') {
      checkpointer.release();
      // only a follower between two records has committed all it shows at a position it can start from
      const settled = redo === undefined || redo.resume.lsn === redo.position.lsn;
      if (readersWaitMs > 0 && settled) ({ kind } = checkpointer.copyAll(position, readersWaitMs));
    }
    if (kind === 'complete') injector?.restartLog();
    return { kind: kind === 'complete' ? 'complete' : 'held-back', position, storage: this.storage() };
  }

  /** Makes the last complete copy durable, and records it. */
  async makeDurable(): Promise<LogPosition> {
    assert(this.#flush === undefined, 'one flush at a time');
    try {
      this.#flush = this.#served().checkpointer.makeDurableLater();
      return await this.#flush;
    } finally {
      this.#flush = undefined;
    }
  }

  openSnapshot(): { snapshot: number; start: LogPosition; pageBytes: number } {
    const { files, checkpointer } = this.#served();
    const source = new SnapshotSource(files, checkpointer, this.#meta);
    const snapshot = this.#nextSnapshot++;
    this.#snapshots.set(snapshot, source);
    return { snapshot, start: source.start.position, pageBytes: files.pageBytes };
  }

  /** The next piece, or at the end of the file how far the log must be redone. */
  readSnapshot(snapshot: number): SnapshotPiece | SnapshotEnd {
    const source = this.#snapshots.get(snapshot);
    if (source === undefined) {
      throw new ObError('OBS_TENANT_NOT_OPEN', {
        tenant: this.#tenant,
        state: 'open anew: this snapshot ended',
      });
    }
    const piece = source.next();
    if (piece !== undefined) return { kind: 'piece', ...piece };
    const { minimumLsn, fileBytes } = source.finish();
    // recovery writes into the file as well
    const handed = Math.max(minimumLsn, this.#recoveredLsn);
    return { kind: 'end', minimumLsn: lsn(handed), fileBytes };
  }

  closeSnapshot(snapshot: number): void {
    this.#snapshots.delete(snapshot);
  }

  rest(): void {
    this.#serving?.runner.rest();
  }

  /** How much page cache the writer may take, now and after it is opened. */
  set cacheKibibytes(kibibytes: number) {
    this.#cacheKibibytes = kibibytes;
    if (this.#serving !== undefined) this.#serving.writer.cacheKibibytes = kibibytes;
  }

  /** Waits for a running flush, then closes everything without a checkpoint. */
  async close(): Promise<void> {
    await this.#flush;
    this.#recovery?.raw?.abandon();
    this.#recovery = undefined;
    if (this.#serving !== undefined) this.#closeConnections();
    this.#meta.close();
  }

  storage(): StorageState {
    const { files, capture, injector } = this.#served();
    const source = must(capture ?? injector, 'an open database is captured or injected');
    return {
      pageBytes: files.pageBytes,
      databasePages: source.position.databasePages,
      walBytes: source.walBytes,
    };
  }

  #served(): Serving {
    if (this.#serving === undefined)
      throw new ObError('OBS_TENANT_NOT_OPEN', { tenant: this.#tenant, state: 'closed' });
    return this.#serving;
  }

  #beginRecovery(): void {
    const start = this.#meta.record?.position;
    // without a record nothing in the file can be relied on: the log makes it anew
    if (start === undefined) fs.rmSync(this.#path, { force: true });
    this.#recovery = { reader: new RedoReader(this.#path, start ?? logStart), raw: undefined };
  }

  #applied(reader: RedoReader): AppliedState {
    return { position: reader.position, resume: reader.resume, storage: this.storage() };
  }

  /** The guard goes last: a connection that can only read leaves the WAL and the file as they are. */
  #closeConnections(): void {
    const { runner, writer, guard, files, checkpointer } = this.#served();
    checkpointer.release();
    runner.close();
    writer.close();
    guard.close();
    files.close();
    this.#snapshots.clear();
    this.#serving = undefined;
  }
}
