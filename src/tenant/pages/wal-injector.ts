/**
 * Apply on a follower that serves reads: redo becomes WAL frames, appended under SQLite's own write lock, and becomes
 * visible to all readers at once when the wal-index header is published. Readers, in this process or another, keep
 * their snapshots, never wait for this and never make it wait.
 *
 * Several records become one commit, and a page they all touch becomes one frame. Until the header is written nothing
 * is visible: whatever throws before leaves the database as it was, and the next call starts by reading the shared
 * state again (which also clears what the failed one left in the index).
 *
 * Only committed log may be given to `apply` (S1), and every record in order (S3).
 */
import type Database from 'better-sqlite3';
import { assert, must } from '../../base/assert.ts';
import { ObError } from '../../base/errors.ts';
import type { DecodedRedo } from '../../codec/redo.ts';
import type { Connection } from './connection.ts';
import type { DatabaseFiles } from './database-files.ts';
import { type PageImageOwner, PageImages } from './page-images.ts';
import { PageTable } from './page-table.ts';
import { threadScratch } from './scratch.ts';
import { wordBuffer } from '../../codec/word-buffer.ts';
import {
  frameHeaderBytes,
  framePosition,
  framesBeforeRegion,
  framesInRegion,
  readUint32BigEndian,
  regionOfFrame,
  WalChecksum,
  type WalMark,
  walHeaderBytes,
  walMagic,
  walVersion,
  writeUint32BigEndian,
} from './wal-format.ts';
import { WalIndexHeader } from './wal-index-header.ts';
import { WalIndexRegion } from './wal-index-region.ts';
import { isBusy, takeWriteLock } from './write-lock.ts';

/** Groups of more pages leave no images in the cache. */
const cachedGroupPagesMax = 512;

export class WalInjector implements PageImageOwner {
  readonly #files: DatabaseFiles;
  readonly #connection: Connection;
  readonly #begin: Database.Statement;
  readonly #commit: Database.Statement;
  readonly #header: WalIndexHeader;
  readonly #images: PageImages;
  /** newest frame of each page, those of the running group included; 0: the page is in the database file */
  readonly #frameOf = new PageTable();
  /** of the images in the thread's cache that are this database's */
  #imageKey = threadScratch().images.newKey();
  readonly #checksum = new WalChecksum();
  /** the region of the last visible frame */
  #region: WalIndexRegion | undefined;
  /** what this object left in the wal-index; undefined: read everything again */
  #known: (WalMark & { readonly change: number }) | undefined;
  /** page 1 as the log has it, while a failed `restartLog` left another one in the WAL */
  #truePageOne: Uint8Array | undefined;

  // The running group: last frame written, its salts, and the page of each frame that is not visible yet.
  #frame = 0;
  #salt1 = 0;
  #salt2 = 0;
  #hidden: number[] = [];

  /** `connection`: read-write, of this thread, and in no transaction whenever a method here is called. */
  constructor(files: DatabaseFiles, connection: Connection) {
    this.#files = files;
    this.#connection = connection;
    this.#begin = connection.prepare('BEGIN IMMEDIATE');
    this.#commit = connection.prepare('COMMIT');
    this.#header = new WalIndexHeader(files);
    this.#header.read();
    this.#images = new PageImages(this, { pageBytes: files.pageBytes, headroom: frameHeaderBytes });
  }

  /** The last visible frame, as this object knows it after its last call. */
  get position(): WalMark {
    return this.#header.mark();
  }

  /** Bytes of the WAL in use. */
  get walBytes(): number {
    return framePosition(this.#header.maxFrame + 1, this.#files.frameBytes);
  }

  /**
   * Makes the records visible as one commit. Throws OBS_TENANT_REDO_CORRUPT if one does not fit this database,
   * OBS_TENANT_FILE_FAILED if a file cannot be written; then nothing is visible.
   */
  apply(records: readonly DecodedRedo[]): void {
    const last = records.at(-1);
    if (last === undefined) return;
    const { pageBytes } = this.#files;
    for (const record of records) {
      if (record.pageBytes !== pageBytes) {
        throw this.#misfit(`pages of ${record.pageBytes} bytes in a database with ${pageBytes}`);
      }
    }
    this.#locked(() => {
      for (const record of records) this.#images.apply(record);
    });
  }

  /**
   * Lets SQLite start the WAL again at its first frame, once a checkpoint has copied all of it. Returns false if it did
   * not, because readers still use it (call again later) or because it is not all copied.
   *
   * Only SQLite can take the locks for that, so this makes it write: a page 1 with another change counter. The true
   * page 1 follows at once as the next frame.
   */
  restartLog(): boolean {
    const header = this.#header;
    if (this.#truePageOne !== undefined) this.#locked(() => {});
    header.read();
    if (header.maxFrame === 0) return true;
    if (header.backfilled !== header.maxFrame) return false;
    const { salt1, salt2 } = header;
    const pageOne = new Uint8Array(this.#files.pageBytes);
    this.#locked(() => this.readBase(1, pageOne, 0));
    this.#truePageOne = pageOne;
    this.#rewriteUserVersion();
    this.#locked(() => {});
    return header.salt1 !== salt1 || header.salt2 !== salt2;
  }

  /** A write of SQLite's own, of page 1 alone. */
  #rewriteUserVersion(): void {
    const version = String(this.#connection.pragma('user_version', { simple: true }));
    try {
      this.#connection.pragma(`user_version = ${version}`);
    } catch (error) {
      // A reader of another process has the lock for a moment: the WAL starts over another time.
      if (!isBusy(error)) throw error;
    }
  }

  /** Reads the page as of the last frame written. */
  readBase(pgno: number, into: Uint8Array, at: number): void {
    const { pageBytes, frameBytes } = this.#files;
    const { images } = threadScratch();
    const cached = images.find(this.#imageKey, pgno);
    if (cached >= 0) {
      into.set(images.memory.bytes.subarray(cached, cached + pageBytes), at);
      return;
    }
    const frame = this.#frameOf.get(pgno);
    let got = 0;
    if (frame > 0) {
      const position = framePosition(frame, frameBytes) + frameHeaderBytes;
      got = this.#files.readWal(into, at, pageBytes, position);
    } else if (pgno <= this.#images.databasePages) {
      got = this.#files.readDatabase(into, at, pageBytes, (pgno - 1) * pageBytes);
    }
    if (got !== pageBytes) {
      throw this.#misfit(
        `it changes page ${pgno}, of which this database of ${this.#images.databasePages} has no image`,
      );
    }
  }

  spill(): void {
    this.#writeFrames(0);
  }

  cut(databasePages: number): void {
    this.#frameOf.cut(databasePages);
    this.#imageKey = threadScratch().images.newKey();
  }

  /** Runs `work`, which changes page images, under the write lock, and makes the outcome visible. */
  #locked(work: () => void): void {
    this.#images.group(() => {
      takeWriteLock(this.#begin, this.#files.path);
      let done = false;
      try {
        this.#attach();
        if (this.#truePageOne !== undefined) this.#images.wholePage(1, this.#truePageOne, 0);
        work();
        this.#publish();
        done = true;
      } finally {
        if (!done) this.#known = undefined;
        // Never ROLLBACK: it would make this connection take our header for its own and keep its old page cache.
        this.#commit.run();
      }
    });
  }

  /** Takes over the shared state, if it is not what the last call left. Under the write lock. */
  #attach(): void {
    const header = this.#header;
    header.read();
    this.#frame = header.maxFrame;
    this.#hidden.length = 0;
    this.#images.databasePages = header.databasePages;
    this.#salt1 = header.salt1;
    this.#salt2 = header.salt2;
    this.#checksum.set(header.checksum1, header.checksum2);
    const known = this.#known;
    if (
      known !== undefined &&
      known.frame === header.maxFrame &&
      known.change === header.change &&
      known.salt1 === header.salt1 &&
      known.salt2 === header.salt2
    ) {
      return;
    }
    this.#frameOf.clear();
    this.#imageKey = threadScratch().images.newKey();
    this.#region = undefined;
    if (header.maxFrame === 0) return;
    const lastRegion = regionOfFrame(header.maxFrame);
    for (let region = 0; region <= lastRegion; region++) {
      const before = framesBeforeRegion(region);
      const used = Math.min(header.maxFrame - before, framesInRegion(region));
      this.#region = new WalIndexRegion(region);
      const pageNumbers = this.#region.load(this.#files, used);
      for (let index = 0; index < used; index++) {
        const pgno = pageNumbers[index] as number;
        // Frames of pages that were cut off again are never a base.
        if (pgno <= header.databasePages) this.#frameOf.set(pgno, before + index + 1);
      }
    }
  }

  /** Writes what is left of the group, then the index, then the header. */
  #publish(): void {
    const images = this.#images;
    const { databasePages } = images;
    if (images.pages.length === 0) {
      if (this.#hidden.length === 0 && databasePages === this.#header.databasePages) {
        this.#remember();
        return;
      }
      // A commit needs a last frame.
      images.touch(1);
    }
    this.#writeFrames(databasePages);
    let region = this.#region;
    for (const pgno of this.#hidden) {
      if (region === undefined || region.isFull) {
        region?.write(this.#files);
        region = new WalIndexRegion(region === undefined ? 0 : region.region + 1);
      }
      region.add(pgno);
    }
    must(region, 'the region of the last frame').write(this.#files);
    this.#region = region;
    this.#header.publish(
      { salt1: this.#salt1, salt2: this.#salt2, frame: this.#frame, databasePages },
      this.#checksum.sum1,
      this.#checksum.sum2,
    );
    this.#truePageOne = undefined;
    this.#remember();
  }

  #remember(): void {
    this.#known = { ...this.#header.mark(), change: this.#header.change };
  }

  /** Appends the images as frames, the last one with the database size if they end the commit (else 0). */
  #writeFrames(databasePages: number): void {
    const { pages, memory, slotBytes } = this.#images;
    const { bytes, words } = memory;
    const { frameBytes, pageBytes } = this.#files;
    assert(slotBytes === frameBytes && pages.length > 0, 'slots are laid out as frames');
    if (this.#frame === 0) this.#writeWalHeader();
    const first = this.#frame + 1;
    const checksum = this.#checksum;
    const { images: cache } = threadScratch();
    // A group of many pages would push out what it puts in: then the cache only costs.
    const keep = pages.length <= cachedGroupPagesMax;
    if (!keep) this.#imageKey = cache.newKey();
    for (let slot = 0; slot < pages.length; slot++) {
      const at = slot * frameBytes;
      const word = at >> 2;
      const pgno = pages[slot] as number;
      writeUint32BigEndian(bytes, at, pgno);
      writeUint32BigEndian(bytes, at + 4, slot === pages.length - 1 ? databasePages : 0);
      words[word + 2] = this.#salt1;
      words[word + 3] = this.#salt2;
      checksum.add(words, word, 2);
      checksum.add(words, word + frameHeaderBytes / 4, pageBytes / 4);
      writeUint32BigEndian(bytes, at + 16, checksum.sum1);
      writeUint32BigEndian(bytes, at + 20, checksum.sum2);
      this.#frame++;
      this.#frameOf.set(pgno, this.#frame);
      this.#hidden.push(pgno);
      if (keep) cache.put(this.#imageKey, pgno, bytes, at + frameHeaderBytes, pageBytes);
    }
    this.#files.writeWal(bytes, 0, pages.length * frameBytes, framePosition(first, frameBytes));
  }

  /** Starts a generation of the WAL with the salts SQLite chose for it, or new ones if it never had any. */
  #writeWalHeader(): void {
    const { bytes, words } = wordBuffer(walHeaderBytes);
    const got = this.#files.readWal(bytes, 0, walHeaderBytes, 0);
    const sequence = got === walHeaderBytes ? readUint32BigEndian(bytes, 12) + 1 : 0;
    if (this.#salt1 === 0 && this.#salt2 === 0) {
      const random = this.#connection.prepare('SELECT randomblob(8)').pluck().get() as Uint8Array;
      const salts = new DataView(random.buffer, random.byteOffset, 8);
      this.#salt1 = salts.getInt32(0, true);
      this.#salt2 = salts.getInt32(4, true);
    }
    writeUint32BigEndian(bytes, 0, walMagic);
    writeUint32BigEndian(bytes, 4, walVersion);
    writeUint32BigEndian(bytes, 8, this.#files.pageBytes);
    writeUint32BigEndian(bytes, 12, sequence >>> 0);
    words[4] = this.#salt1;
    words[5] = this.#salt2;
    this.#checksum.set(0, 0);
    this.#checksum.add(words, 0, 6);
    writeUint32BigEndian(bytes, 24, this.#checksum.sum1);
    writeUint32BigEndian(bytes, 28, this.#checksum.sum2);
    this.#files.writeWal(bytes, 0, walHeaderBytes, 0);
  }

  #misfit(detail: string): ObError {
    return new ObError('OBS_TENANT_REDO_CORRUPT', { path: this.#files.path, detail });
  }
}
