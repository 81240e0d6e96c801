/**
 * One region of the wal-index (`-shm`): the pages of up to 4096 frames and the hash table that finds them.
 *
 * Written only under SQLite's write lock. Entries behind the last committed frame are invisible to readers, but would
 * come to life when the WAL grows over them: so whatever a dead writer left there is cleared first. Writes start and
 * end on 8-byte borders: aligned words were never seen torn through a mapping, others are.
 */
import { assert } from '../../base/assert.ts';
import { ObError } from '../../base/errors.ts';
import type { DatabaseFiles } from './database-files.ts';
import {
  framesInRegion,
  hashSlot,
  pageNumbersAt,
  regionBytes,
  regionSlots,
  regionSlotsAt,
} from './wal-format.ts';

/** A private copy of one region, kept equal to the shared one up to the last committed frame. */
export class WalIndexRegion {
  readonly #region: number;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #pageNumbers: Uint32Array;
  readonly #slots: Uint16Array;
  #used = 0;
  /** entries and slots changed since the last write */
  #writtenUpTo = 0;
  #lowSlot = regionSlots;
  #highSlot = -1;

  constructor(region: number) {
    this.#region = region;
    const memory = new ArrayBuffer(regionBytes);
    this.#bytes = new Uint8Array(memory);
    this.#pageNumbers = new Uint32Array(memory, pageNumbersAt(region) * 4, framesInRegion(region));
    this.#slots = new Uint16Array(memory, regionSlotsAt, regionSlots);
  }

  get region(): number {
    return this.#region;
  }

  /** Frames indexed so far. */
  get used(): number {
    return this.#used;
  }

  get isFull(): boolean {
    return this.#used === framesInRegion(this.#region);
  }

  /**
   * Takes over the shared region with its first `used` entries. What a dead writer left behind them is cleared, here
   * and in the file, before it can come to life. Returns the page number of each entry.
   */
  load(files: DatabaseFiles, used: number): Uint32Array {
    assert(used <= framesInRegion(this.#region), 'a region indexes a bounded number of frames');
    const position = this.#region * regionBytes;
    this.#bytes.fill(0);
    files.readShm(this.#bytes, 0, regionBytes, position);
    let remnants = false;
    for (let index = used; index < this.#pageNumbers.length; index++) {
      if (this.#pageNumbers[index] !== 0) remnants = true;
    }
    this.#pageNumbers.fill(0, used);
    for (let slot = 0; slot < regionSlots; slot++) {
      if ((this.#slots[slot] as number) > used) {
        this.#slots[slot] = 0;
        remnants = true;
      }
    }
    for (let index = 0; index < used; index++) {
      if (this.#pageNumbers[index] === 0) {
        throw new ObError('OBS_TENANT_WAL_INDEX', {
          path: files.path,
          detail: `entry ${index + 1} of region ${this.#region} is empty`,
        });
      }
    }
    this.#used = used;
    this.#settled();
    if (remnants) this.#writeBehind(files, used);
    return this.#pageNumbers.subarray(0, used);
  }

  /** Indexes the next frame. */
  add(pgno: number): void {
    assert(!this.isFull, 'a frame goes to the region that has room for it');
    this.#pageNumbers[this.#used] = pgno;
    this.#used++;
    let slot = hashSlot(pgno);
    while (this.#slots[slot] !== 0) slot = (slot + 1) & (regionSlots - 1);
    this.#slots[slot] = this.#used;
    if (slot < this.#lowSlot) this.#lowSlot = slot;
    if (slot > this.#highSlot) this.#highSlot = slot;
  }

  /**
   * Writes what `add` changed: page numbers before the slots that point at them, so that a reader that finds a slot
   * finds its page. A region that was empty is written whole, which also clears what an older generation left there.
   */
  write(files: DatabaseFiles): void {
    if (this.#used === this.#writtenUpTo) return;
    const position = this.#region * regionBytes;
    const start = pageNumbersAt(this.#region) * 4;
    if (this.#writtenUpTo === 0) {
      files.writeShm(this.#bytes, start, regionBytes - start, position + start);
    } else {
      const from = (start + this.#writtenUpTo * 4) & ~7;
      const to = (start + this.#used * 4 + 7) & ~7;
      files.writeShm(this.#bytes, from, to - from, position + from);
      const low = (regionSlotsAt + this.#lowSlot * 2) & ~7;
      const high = (regionSlotsAt + this.#highSlot * 2 + 8) & ~7;
      files.writeShm(this.#bytes, low, high - low, position + low);
    }
    this.#settled();
  }

  /** Clears everything behind the first `used` entries in the shared region: slots first, then page numbers. */
  #writeBehind(files: DatabaseFiles, used: number): void {
    const position = this.#region * regionBytes;
    files.writeShm(this.#bytes, regionSlotsAt, regionBytes - regionSlotsAt, position + regionSlotsAt);
    const from = (pageNumbersAt(this.#region) * 4 + used * 4) & ~7;
    files.writeShm(this.#bytes, from, regionSlotsAt - from, position + from);
  }

  #settled(): void {
    this.#writtenUpTo = this.#used;
    this.#lowSlot = regionSlots;
    this.#highSlot = -1;
  }
}
