/**
 * One leader with capture, and the two kinds of followers, over files in a scratch directory: what the page tests
 * compare.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import { concatenate } from './bytes.ts';
import { must } from '../../src/base/assert.ts';
import { decodeRedo, type DecodedRedo } from '../../src/codec/redo.ts';
import { DatabaseFiles } from '../../src/tenant/pages/database-files.ts';
import { RawRedo } from '../../src/tenant/pages/raw-redo.ts';
import { dropSideFiles } from '../../src/tenant/pages/recovery-guard.ts';
import { WalCapture } from '../../src/tenant/pages/wal-capture.ts';
import { WalInjector } from '../../src/tenant/pages/wal-injector.ts';

export type Connection = Database.Database;

export const scratchDirectory = (name: string): { path: string; remove: () => void } => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), `obstandby-${name}-`));
  return { path: directory, remove: () => fs.rmSync(directory, { recursive: true, force: true }) };
};

/** A connection set up as the engine does: no checkpoints but ours, no flushes but the log's. */
export function connect(file: string, options: { cachePages?: number; readonly?: boolean } = {}): Connection {
  const connection = new Database(file, { readonly: options.readonly ?? false });
  connection.pragma('busy_timeout = 0');
  if (options.readonly !== true) {
    connection.pragma('synchronous = OFF');
    connection.pragma('wal_autocheckpoint = 0');
  }
  connection.pragma(`cache_size = ${options.cachePages ?? 2000}`);
  connection.prepare('SELECT count(*) FROM sqlite_schema').get();
  return connection;
}

/** An empty database in WAL mode. */
export function createDatabase(
  file: string,
  options: { pageBytes?: number; autoVacuum?: number } = {},
): void {
  const connection = new Database(file);
  connection.pragma(`page_size = ${options.pageBytes ?? 4096}`);
  connection.pragma(`auto_vacuum = ${options.autoVacuum ?? 0}`);
  connection.pragma('journal_mode = WAL');
  connection.close();
}

/** A database with its guard, its writer and the descriptors, in the order in which they must be opened. */
export class OpenDatabase {
  readonly path: string;
  readonly guard: Connection;
  readonly writer: Connection;
  readonly files: DatabaseFiles;

  constructor(file: string, options: { cachePages?: number } = {}) {
    this.path = file;
    this.guard = connect(file, { cachePages: 10 });
    this.files = DatabaseFiles.open(file);
    this.writer = connect(file, options);
  }

  close(): void {
    this.writer.close();
    this.guard.close();
    this.files.close();
  }

  /** Closes without SQLite's checkpoint at the end: what a crash leaves. */
  abandon(): void {
    const witness = connect(this.path, { readonly: true });
    this.writer.close();
    this.guard.close();
    witness.close();
    this.files.close();
  }

  checkpointFully(): void {
    const [row] = this.writer.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
    if (must(row, 'a checkpoint answers').busy !== 0) throw new Error(`${this.path} is busy`);
  }
}

export class Leader extends OpenDatabase {
  readonly capture: WalCapture;
  readonly records: DecodedRedo[] = [];
  bytes = 0;

  constructor(file: string, options: { cachePages?: number } = {}) {
    super(file, options);
    this.capture = new WalCapture(this.files);
  }

  /** Captures what was committed since the last call. */
  take(transactions = 1): DecodedRedo | undefined {
    const commit = this.capture.capture(transactions);
    if (commit === undefined) return undefined;
    const redo = decodeRedo(concatenate(commit.parts));
    if (redo.kind === 'problem') throw new Error(`captured a bad record: ${redo.problem}`);
    this.records.push(redo);
    this.bytes += commit.bytes;
    return redo;
  }

  /** Runs SQL and captures it. */
  run(sql: string): DecodedRedo | undefined {
    this.writer.exec(sql);
    return this.take();
  }
}

export class Follower extends OpenDatabase {
  readonly injector: WalInjector;

  constructor(file: string) {
    super(file, { cachePages: 10 });
    this.injector = new WalInjector(this.files, this.writer);
  }
}

/** Redo into a file that nobody has open. */
export function redoRaw(file: string, records: readonly DecodedRedo[], databasePages: number): void {
  dropSideFiles(file);
  const pageBytes = must(records[0], 'there is redo').pageBytes;
  const redo = new RawRedo(file, { pageBytes, databasePages });
  redo.apply(records);
  redo.finish();
}

/** Empty if the files are equal, else where they differ. Only for files nobody in this process has open. */
export function difference(one: string, other: string): string {
  const first = fs.readFileSync(one);
  const second = fs.readFileSync(other);
  if (first.equals(second)) return '';
  const at: number[] = [];
  let count = 0;
  for (let index = 0; index < Math.max(first.length, second.length); index++) {
    if (first[index] === second[index]) continue;
    count++;
    if (at.length < 8) at.push(index);
  }
  return `${count} bytes differ at ${at.join(', ')}; ${first.length} and ${second.length} bytes`;
}
