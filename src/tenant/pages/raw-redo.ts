/**
 * Recovery with nobody reading: redo is written straight into the database file, without SQLite. Redo is idempotent,
 * so whatever a crash tore before is overwritten, as long as it starts at the last durable checkpoint and ends at or
 * after the newest LSN whose pages may have reached the file; the whole committed log satisfies that. Pages that a failed sync left in
 * the page cache alone are written again for the same reason: redo starts no later than the last sync that succeeded.
 *
 * Must never run while a connection, of this process or another, has the file open, nor while a `-wal` lies beside it:
 * `dropSideFiles` and `refuseForeignHolders` (recovery-guard.ts) come first.
 */
import fs from 'node:fs';
import { dirname } from 'node:path';
import { assert } from '../../base/assert.ts';
import { ObError } from '../../base/errors.ts';
import type { DecodedRedo } from '../../codec/redo.ts';
import { fileFailed } from './database-files.ts';
import { type PageImageOwner, PageImages } from './page-images.ts';
import { syncDirectory } from './recovery-guard.ts';

export class RawRedo implements PageImageOwner {
  readonly #path: string;
  readonly #pageBytes: number;
  readonly #images: PageImages;
  readonly #fd: number;
  readonly #created: boolean;
  #finished = false;

  /**
   * Opens the file, or creates it (mode 0600). `databasePages`: its size at the checkpoint that redo starts from; 0 for
   * a file made from the log alone. Close with `finish` or `abandon`.
   */
  constructor(path: string, options: { readonly pageBytes: number; readonly databasePages: number }) {
    this.#path = path;
    this.#pageBytes = options.pageBytes;
    this.#images = new PageImages(this, { pageBytes: options.pageBytes, headroom: 0 });
    this.#images.databasePages = options.databasePages;
    this.#created = !fs.existsSync(path);
    try {
      this.#fd = fs.openSync(path, this.#created ? 'wx+' : 'r+', 0o600);
    } catch (error) {
      throw fileFailed('open', path, error);
    }
  }

  /** Writes the records, in the order of the log. The file holds all of them only after `finish`. */
  apply(records: readonly DecodedRedo[]): void {
    for (const record of records) {
      if (record.pageBytes !== this.#pageBytes) {
        throw new ObError('OBS_TENANT_REDO_CORRUPT', {
          path: this.#path,
          detail: `pages of ${record.pageBytes} bytes in a database with ${this.#pageBytes}`,
        });
      }
    }
    this.#images.group(() => {
      for (const record of records) this.#images.apply(record);
      if (this.#images.pages.length > 0) this.spill();
    });
  }

  /** Sets the final length, makes everything durable and closes the file. */
  finish(): { readonly databasePages: number } {
    const { databasePages } = this.#images;
    try {
      const wanted = databasePages * this.#pageBytes;
      if (fs.fstatSync(this.#fd).size !== wanted) fs.ftruncateSync(this.#fd, wanted);
      fs.fdatasyncSync(this.#fd);
    } catch (error) {
      throw fileFailed('flush', this.#path, error);
    }
    this.abandon();
    if (this.#created) syncDirectory(dirname(this.#path));
    return { databasePages };
  }

  /** Closes the file as it is; a later recovery starts over. */
  abandon(): void {
    assert(!this.#finished, 'redo is finished once');
    this.#finished = true;
    fs.closeSync(this.#fd);
  }

  /** The page as the file has it; zeroes where the file ends (it may have been cut short by the crash). */
  readBase(pgno: number, into: Uint8Array, at: number): void {
    let got = 0;
    try {
      got = fs.readSync(this.#fd, into, at, this.#pageBytes, (pgno - 1) * this.#pageBytes);
    } catch (error) {
      throw fileFailed('read', this.#path, error);
    }
    if (got < this.#pageBytes) into.fill(0, at + got, at + this.#pageBytes);
  }

  spill(): void {
    const { pages, memory } = this.#images;
    try {
      for (let slot = 0; slot < pages.length; ) {
        // Pages that follow each other in the file and in memory go out in one write.
        const first = pages[slot] as number;
        let count = 1;
        while (pages[slot + count] === first + count) count++;
        this.#write(
          memory.bytes,
          slot * this.#pageBytes,
          count * this.#pageBytes,
          (first - 1) * this.#pageBytes,
        );
        slot += count;
      }
    } catch (error) {
      throw fileFailed('write', this.#path, error);
    }
  }

  cut(databasePages: number): void {
    try {
      const length = databasePages * this.#pageBytes;
      if (fs.fstatSync(this.#fd).size > length) fs.ftruncateSync(this.#fd, length);
    } catch (error) {
      throw fileFailed('truncate', this.#path, error);
    }
  }

  #write(bytes: Uint8Array, at: number, length: number, position: number): void {
    let put = 0;
    while (put < length) put += fs.writeSync(this.#fd, bytes, at + put, length - put, position + put);
  }
}
