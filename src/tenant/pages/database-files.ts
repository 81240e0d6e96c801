/**
 * The file descriptors of one tenant's database, `-wal` and `-shm`: the only ones this process has beside SQLite's own.
 *
 * Closing any descriptor of the database or the `-shm` drops every POSIX lock this process holds on that file, in all
 * threads: another program could then take over locks we believe to have. So these are opened once, after the first
 * connection (the guard), and closed after the last one; nothing else may ever open those paths, not even to read.
 *
 * The database file is opened for reading only: while it is served, SQLite's checkpoints alone write to it.
 */
import fs from 'node:fs';
import { assert } from '../../base/assert.ts';
import { ObError } from '../../base/errors.ts';

export class DatabaseFiles {
  readonly path: string;
  readonly pageBytes: number;
  readonly #database: number;
  readonly #wal: number;
  readonly #shm: number;
  #open = true;

  private constructor(path: string, pageBytes: number, fds: { database: number; wal: number; shm: number }) {
    this.path = path;
    this.pageBytes = pageBytes;
    this.#database = fds.database;
    this.#wal = fds.wal;
    this.#shm = fds.shm;
  }

  /**
   * Opens the files of a database in WAL mode that a connection of this process has open and has read from.
   * Throws OBS_TENANT_FILE_FAILED if one of them cannot be opened.
   */
  static open(path: string): DatabaseFiles {
    const fds: number[] = [];
    try {
      const database = fs.openSync(path, 'r');
      fds.push(database);
      const wal = fs.openSync(`${path}-wal`, 'r+');
      fds.push(wal);
      const shm = fs.openSync(`${path}-shm`, 'r+');
      fds.push(shm);
      const header = new Uint8Array(2);
      const got = fs.readSync(database, header, 0, 2, 16);
      assert(got === 2, 'a database in WAL mode has its first page in the file');
      const stored = (header[0] as number) * 256 + (header[1] as number);
      return new DatabaseFiles(path, stored === 1 ? 65_536 : stored, { database, wal, shm });
    } catch (error) {
      // The process ends over this (kind disk): locks lost by these closes are lost with it.
      for (const fd of fds) fs.closeSync(fd);
      throw fileFailed('open', path, error);
    }
  }

  /** Bytes of one WAL frame. */
  get frameBytes(): number {
    return this.pageBytes + 24;
  }

  /** Bytes read into `into[at, at + length)`; fewer only at the end of the file. */
  readDatabase(into: Uint8Array, at: number, length: number, position: number): number {
    return this.#read(this.#database, '', into, at, length, position);
  }

  readWal(into: Uint8Array, at: number, length: number, position: number): number {
    return this.#read(this.#wal, '-wal', into, at, length, position);
  }

  readShm(into: Uint8Array, at: number, length: number, position: number): number {
    return this.#read(this.#shm, '-shm', into, at, length, position);
  }

  writeWal(from: Uint8Array, at: number, length: number, position: number): void {
    this.#write(this.#wal, '-wal', from, at, length, position);
  }

  writeShm(from: Uint8Array, at: number, length: number, position: number): void {
    this.#write(this.#shm, '-shm', from, at, length, position);
  }

  truncateWal(length: number): void {
    assert(this.#open, 'the files are open');
    try {
      fs.ftruncateSync(this.#wal, length);
    } catch (error) {
      throw fileFailed('truncate', `${this.path}-wal`, error);
    }
  }

  databaseBytes(): number {
    assert(this.#open, 'the files are open');
    return fs.fstatSync(this.#database).size;
  }

  /** Makes what checkpoints have copied durable. Blocks for the time of the flush. */
  syncDatabase(): void {
    assert(this.#open, 'the files are open');
    try {
      fs.fdatasyncSync(this.#database);
    } catch (error) {
      throw fileFailed('fdatasync', this.path, error);
    }
  }

  /** The same in the thread pool, so that the other tenants of the thread go on. */
  syncDatabaseLater(): Promise<void> {
    assert(this.#open, 'the files are open');
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.#database, error => {
        if (error === null) resolve();
        else reject(fileFailed('fdatasync', this.path, error));
      });
    });
  }

  /** Call after the last connection of this process to the database has been closed. */
  close(): void {
    assert(this.#open, 'the files are closed once');
    this.#open = false;
    fs.closeSync(this.#database);
    fs.closeSync(this.#wal);
    fs.closeSync(this.#shm);
  }

  #read(fd: number, suffix: string, into: Uint8Array, at: number, length: number, position: number): number {
    assert(this.#open, 'the files are open');
    try {
      let got = fs.readSync(fd, into, at, length, position);
      // A read may be cut by a signal or a size limit of the kernel: go on until the end of the file.
      while (got < length) {
        const more = fs.readSync(fd, into, at + got, length - got, position + got);
        if (more === 0) break;
        got += more;
      }
      return got;
    } catch (error) {
      throw fileFailed('read', `${this.path}${suffix}`, error);
    }
  }

  #write(fd: number, suffix: string, from: Uint8Array, at: number, length: number, position: number): void {
    assert(this.#open, 'the files are open');
    try {
      let put = fs.writeSync(fd, from, at, length, position);
      while (put < length) put += fs.writeSync(fd, from, at + put, length - put, position + put);
    } catch (error) {
      throw fileFailed('write', `${this.path}${suffix}`, error);
    }
  }
}

/** The error of a failed file operation; the process must end over it. */
export const fileFailed = (operation: string, path: string, cause: unknown): ObError =>
  new ObError(
    'OBS_TENANT_FILE_FAILED',
    { operation, path, detail: cause instanceof Error ? cause.message : String(cause) },
    cause,
  );
