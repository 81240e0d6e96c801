/**
 * Proves at start that this machine and this SQLite are what the page code was written for: byte order, file formats,
 * and that writes to the `-shm` reach connections that have it mapped. A machine that fails must not serve: it would
 * corrupt databases instead of failing.
 *
 * Takes some ten milliseconds in a scratch directory beside the data, because file systems differ.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { ObError } from '../../base/errors.ts';
import { type DecodedRedo, decodeRedo } from '../../codec/redo.ts';
import type { Connection } from './connection.ts';
import { DatabaseFiles, fileFailed } from './database-files.ts';
import { RawRedo } from './raw-redo.ts';
import { WalCapture } from './wal-capture.ts';
import { WalInjector } from './wal-injector.ts';
import { rewindWal } from './wal-rewind.ts';

/** Releases before this can corrupt a database when a WAL is reset while it is written. */
const oldestSqlite = [3, 51, 3];
const scratchPrefix = 'page-self-test-';

const noRoomCodes: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'SQLITE_FULL']);

/**
 * Throws OBS_TENANT_PLATFORM, saying what is wrong, if pages cannot be captured and applied in this directory;
 * OBS_TENANT_FILE_FAILED if the disk is full.
 */
export function provePages(directory: string): void {
  try {
    // What a process that was killed in here has left.
    for (const name of fs.readdirSync(directory)) {
      if (name.startsWith(scratchPrefix)) fs.rmSync(join(directory, name), { recursive: true, force: true });
    }
    const scratch = fs.mkdtempSync(join(directory, scratchPrefix));
    const test = new SelfTest(scratch);
    try {
      test.run();
    } finally {
      test.close();
      fs.rmSync(scratch, { recursive: true, force: true });
    }
  } catch (error) {
    // A disk without room says nothing of what this machine can do.
    if (noRoomCodes.has((error as { code?: string }).code ?? ''))
      throw fileFailed('the page self-test', directory, error);
    const detail = error instanceof Error ? error.message : String(error);
    throw new ObError('OBS_TENANT_PLATFORM', { directory, detail }, error);
  }
}

class SelfTest {
  readonly #directory: string;
  readonly #connections: Connection[] = [];
  readonly #files: DatabaseFiles[] = [];

  constructor(directory: string) {
    this.#directory = directory;
  }

  run(): void {
    const word = new Uint8Array(Uint32Array.of(1).buffer);
    expect(word[0] === 1, 'it is not little-endian');
    const leader = this.#connect('leader.db');
    this.#checkSqlite(leader);
    const leaderFiles = this.#open('leader.db');
    const capture = new WalCapture(leaderFiles);
    const records: DecodedRedo[] = [];
    const take = (sql: string) => {
      leader.exec(sql);
      const commit = capture.capture(1);
      expect(commit !== undefined, 'a commit left no trace in the WAL');
      const redo = decodeRedo(Buffer.concat([...commit.parts]));
      expect(redo.kind === 'redo', 'a captured record does not decode');
      records.push(redo);
    };
    take('CREATE TABLE t(a INTEGER PRIMARY KEY, b)');
    take('INSERT INTO t VALUES (1, 10)');
    this.#checkInjection(records, take);
    this.#checkRewind(leader, leaderFiles, capture);
    leader.pragma('wal_checkpoint(TRUNCATE)');
    this.close();
    const raw = join(this.#directory, 'raw.db');
    const redo = new RawRedo(raw, { pageBytes: leaderFiles.pageBytes, databasePages: 0 });
    redo.apply(records);
    redo.finish();
    const wanted = fs.readFileSync(join(this.#directory, 'leader.db'));
    for (const name of ['follower.db', 'raw.db']) {
      const same = fs.readFileSync(join(this.#directory, name)).equals(wanted);
      expect(same, `${name} is not byte for byte the leader's file`);
    }
  }

  close(): void {
    for (const connection of this.#connections.splice(0)) connection.close();
    for (const files of this.#files.splice(0)) files.close();
  }

  #checkSqlite(connection: Connection): void {
    const version = String(connection.prepare('SELECT sqlite_version()').pluck().get());
    const parts = version.split('.').map(Number);
    const order = oldestSqlite.map((part, index) => (parts[index] ?? 0) - part).find(step => step !== 0) ?? 0;
    expect(order >= 0, `SQLite ${version} is older than ${oldestSqlite.join('.')}`);
  }

  /** A reader with an open snapshot keeps it, and sees what was injected as soon as it ends it. */
  #checkInjection(records: DecodedRedo[], take: (sql: string) => void): void {
    const writer = this.#connect('follower.db');
    const files = this.#open('follower.db');
    const injector = new WalInjector(files, writer);
    injector.apply(records);
    const reader = this.#connect('follower.db');
    const read = reader.prepare('SELECT b FROM t WHERE a = 1').pluck();
    reader.exec('BEGIN');
    expect(read.get() === 10, 'injected pages are not seen');
    take('UPDATE t SET b = 20 WHERE a = 1');
    injector.apply(records.slice(-1));
    expect(read.get() === 10, 'an open snapshot moved');
    reader.exec('COMMIT');
    expect(read.get() === 20, 'a reader with a cache misses injected pages');
    writer.pragma('wal_checkpoint(PASSIVE)');
    expect(injector.restartLog(), 'a copied WAL does not start over');
    take('UPDATE t SET b = 30 WHERE a = 1');
    injector.apply(records.slice(-1));
    expect(read.get() === 30, 'pages injected into a restarted WAL are not seen');
    expect(reader.pragma('integrity_check', { simple: true }) === 'ok', 'an injected database is damaged');
    writer.pragma('wal_checkpoint(TRUNCATE)');
  }

  /** A commit that was taken back is gone for a reader that saw it. */
  #checkRewind(leader: Connection, files: DatabaseFiles, capture: WalCapture): void {
    const reader = this.#connect('leader.db');
    const read = reader.prepare('SELECT b FROM t WHERE a = 1').pluck();
    const mark = capture.position;
    leader.exec('UPDATE t SET b = 99 WHERE a = 1');
    expect(read.get() === 99, 'a commit is not seen');
    expect(rewindWal(files, leader, mark), 'the WAL cannot be rewound');
    expect(read.get() === 30, 'a commit that was taken back is still seen');
  }

  #connect(name: string): Connection {
    const connection = new Database(join(this.#directory, name));
    this.#connections.push(connection);
    connection.pragma('journal_mode = WAL');
    connection.pragma('synchronous = OFF');
    connection.pragma('wal_autocheckpoint = 0');
    connection.prepare('SELECT 1 FROM sqlite_schema').get();
    return connection;
  }

  #open(name: string): DatabaseFiles {
    const files = DatabaseFiles.open(join(this.#directory, name));
    this.#files.push(files);
    return files;
  }
}

function expect(condition: boolean, failure: string): asserts condition {
  if (!condition) throw new Error(failure);
}
