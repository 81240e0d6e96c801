/**
 * The byte layout of SQLite's `-wal` and of the page index in its `-shm` (format 3007000). Pure.
 *
 * WAL: a header of 32 bytes, then frames of 24 bytes and a page; numbers are big-endian, checksums run over
 * little-endian words. Index: regions of 32 KiB, each 4096 page numbers and a hash table of 8192 two-byte slots; the
 * first region gives 136 bytes of its page numbers to the header.
 */

export const walHeaderBytes = 32;
export const frameHeaderBytes = 24;
/** checksums over little-endian words */
export const walMagic = 0x37_7f_06_82;
export const walVersion = 3_007_000;

export const regionBytes = 32_768;
export const regionSlots = 8_192;
export const regionSlotsAt = 16_384;
const regionFrames = 4_096;
const firstRegionFrames = 4_062;
/** bytes of the index header, all of it: two copies, checkpoint info, locks */
export const indexHeaderBytes = 136;

/**
 * A place in a WAL: everything up to `frame` (counted from 1; 0 is the start) in the generation that the salts name.
 * The salts are words as they lie in memory. `databasePages` is the size of the database there.
 */
export interface WalMark {
  readonly salt1: number;
  readonly salt2: number;
  readonly frame: number;
  readonly databasePages: number;
}

/** Where frame number `frame` (from 1) starts in the `-wal`. */
export const framePosition = (frame: number, frameBytes: number): number =>
  walHeaderBytes + (frame - 1) * frameBytes;

/** The region that indexes a frame (from 1). */
export const regionOfFrame = (frame: number): number =>
  frame <= firstRegionFrames ? 0 : 1 + Math.floor((frame - firstRegionFrames - 1) / regionFrames);

/** Frames before a region's first one. */
export const framesBeforeRegion = (region: number): number =>
  region === 0 ? 0 : firstRegionFrames + (region - 1) * regionFrames;

/** Frames a region can index. */
export const framesInRegion = (region: number): number => (region === 0 ? firstRegionFrames : regionFrames);

/** The word of a region at which its page numbers start. */
export const pageNumbersAt = (region: number): number => (region === 0 ? indexHeaderBytes / 4 : 0);

export const hashSlot = (pgno: number): number => Math.imul(pgno, 383) & (regionSlots - 1);

export const readUint32BigEndian = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)) >>>
  0;

export const writeUint32BigEndian = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
};

/** SQLite's running checksum: two sums, each fed by the other. Kept as signed words. */
export class WalChecksum {
  sum1 = 0;
  sum2 = 0;

  set(sum1: number, sum2: number): void {
    this.sum1 = sum1 | 0;
    this.sum2 = sum2 | 0;
  }

  /** Adds `count` words (an even number) from word `from` on. */
  add(words: Int32Array, from: number, count: number): void {
    let { sum1, sum2 } = this;
    const end = from + count;
    for (let index = from; index < end; index += 2) {
      sum1 = (sum1 + (words[index] as number) + sum2) | 0;
      sum2 = (sum2 + (words[index + 1] as number) + sum1) | 0;
    }
    this.sum1 = sum1;
    this.sum2 = sum2;
  }
}
