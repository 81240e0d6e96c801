/**
 * The header of the wal-index (`-shm`) of a database that SQLite has mapped at the same time.
 *
 * Everything read is checked: version, byte order, both copies equal, own checksum. Nothing may be written without
 * SQLite's write lock (an open BEGIN IMMEDIATE); the lock bytes are never written at all. Readers see a new state
 * when copy 0 is complete, because they read copy 0, then copy 1, and want them equal: so copy 1 is written first.
 */
import { ObError } from '../../base/errors.ts';
import { indexHeaderReadsMax } from '../../base/limits.ts';
import type { DatabaseFiles } from './database-files.ts';
import { wordBuffer } from '../../codec/word-buffer.ts';
import { indexHeaderBytes, WalChecksum, type WalMark, walVersion } from './wal-format.ts';

const copyBytes = 48;
const copyWords = copyBytes / 4;

// word offsets in a copy of the header
const versionWord = 0;
const changeWord = 2;
const flagsWord = 3;
const maxFrameWord = 4;
const databasePagesWord = 5;
const checksum1Word = 6;
const checksum2Word = 7;
const salt1Word = 8;
const salt2Word = 9;
const ownChecksumWord = 10;
// behind both copies
const backfilledWord = 24;

/** The header as last read. */
export class WalIndexHeader {
  readonly #files: DatabaseFiles;
  readonly #memory = wordBuffer(indexHeaderBytes);
  readonly #own = new WalChecksum();
  /** isInit 1, little-endian checksums, and the page size with 65536 as 1 */
  readonly #flags: number;

  constructor(files: DatabaseFiles) {
    this.#files = files;
    const { pageBytes } = files;
    this.#flags = 1 | (((pageBytes & 0xff00) | (pageBytes >>> 16)) << 16);
  }

  /** grows by one with every commit */
  get change(): number {
    return (this.#memory.words[changeWord] as number) >>> 0;
  }
  /** last committed frame; 0 for an empty WAL */
  get maxFrame(): number {
    return (this.#memory.words[maxFrameWord] as number) >>> 0;
  }
  /** Before the first frame of a new `-shm` SQLite leaves it 0: then it is what the file has. */
  get databasePages(): number {
    const pages = (this.#memory.words[databasePagesWord] as number) >>> 0;
    return pages === 0 ? Math.floor(this.#files.databaseBytes() / this.#files.pageBytes) : pages;
  }
  get checksum1(): number {
    return this.#memory.words[checksum1Word] as number;
  }
  get checksum2(): number {
    return this.#memory.words[checksum2Word] as number;
  }
  get salt1(): number {
    return this.#memory.words[salt1Word] as number;
  }
  get salt2(): number {
    return this.#memory.words[salt2Word] as number;
  }
  /** frames that are in the database file already; may grow at any time */
  get backfilled(): number {
    return (this.#memory.words[backfilledWord] as number) >>> 0;
  }

  mark(): WalMark {
    return {
      salt1: this.salt1,
      salt2: this.salt2,
      frame: this.maxFrame,
      databasePages: this.databasePages,
    };
  }

  /** Reads the shared header. Throws OBS_TENANT_WAL_INDEX if it is not one this code understands. */
  read(): void {
    for (let attempt = 0; attempt < indexHeaderReadsMax; attempt++) {
      const { bytes } = this.#memory;
      const got = this.#files.readShm(bytes, 0, indexHeaderBytes, 0);
      if (got !== indexHeaderBytes) throw this.#refuse(`it has ${got} bytes`);
      // Two copies that differ: another connection is between its two writes.
      if (this.#copiesEqual()) {
        this.#check();
        return;
      }
    }
    throw this.#refuse('its two headers stay different');
  }

  /**
   * Makes a new last frame visible to every reader of the file. Only under the write lock, after `read`.
   * The checksum is the one stored in that frame.
   */
  publish(next: WalMark, checksum1: number, checksum2: number): void {
    const { words, bytes } = this.#memory;
    words[versionWord] = walVersion;
    words[changeWord] = (this.change + 1) | 0;
    words[flagsWord] = this.#flags;
    words[maxFrameWord] = next.frame;
    words[databasePagesWord] = next.databasePages;
    words[checksum1Word] = checksum1;
    words[checksum2Word] = checksum2;
    words[salt1Word] = next.salt1;
    words[salt2Word] = next.salt2;
    this.#own.set(0, 0);
    this.#own.add(words, 0, ownChecksumWord);
    words[ownChecksumWord] = this.#own.sum1;
    words[ownChecksumWord + 1] = this.#own.sum2;
    words.copyWithin(copyWords, 0, copyWords);
    this.#files.writeShm(bytes, copyBytes, copyBytes, copyBytes);
    this.#files.writeShm(bytes, 0, copyBytes, 0);
  }

  #copiesEqual(): boolean {
    const { words } = this.#memory;
    for (let word = 0; word < copyWords; word++) {
      if (words[word] !== words[copyWords + word]) return false;
    }
    return true;
  }

  #check(): void {
    const { words } = this.#memory;
    const version = (words[versionWord] as number) >>> 0;
    if (version !== walVersion) throw this.#refuse(`version ${version}, not ${walVersion}`);
    // Before the first frame SQLite leaves the page size 0.
    if (words[flagsWord] !== this.#flags && !(words[flagsWord] === 1 && words[maxFrameWord] === 0)) {
      throw this.#refuse(
        `flags 0x${((words[flagsWord] as number) >>> 0).toString(16)}, not 0x${this.#flags.toString(16)}`,
      );
    }
    this.#own.set(0, 0);
    this.#own.add(words, 0, ownChecksumWord);
    if (words[ownChecksumWord] !== this.#own.sum1 || words[ownChecksumWord + 1] !== this.#own.sum2) {
      throw this.#refuse('its checksum is wrong');
    }
  }

  #refuse(detail: string): ObError {
    return new ObError('OBS_TENANT_WAL_INDEX', { path: this.#files.path, detail });
  }
}
