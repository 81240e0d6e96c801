/**
 * Recent page images of all tenants of a thread, so that a page that is changed again need not be read again: a read
 * costs more than everything else capture does for a page. Fixed memory, one place per page, the last one stays.
 *
 * An image is found only under the key it was put with. A key stands for one database and one term of its log: whoever
 * forgets what he logged takes a new key, and the old images are out of reach.
 */
import { assert } from '../../base/assert.ts';
import { imageCacheBytes } from '../../base/limits.ts';
import { type WordBuffer, wordBuffer } from './word-buffer.ts';

/** Bigger pages are not kept. */
const slotBytes = 4_096;
const slotBits = Math.floor(Math.log2(imageCacheBytes / slotBytes));
const slots = 2 ** slotBits;

export class ImageCache {
  readonly memory: WordBuffer = wordBuffer(slots * slotBytes);
  readonly #keys = new Float64Array(slots);
  readonly #pages = new Uint32Array(slots);
  #lastKey = 0;

  /** A key nobody had before. */
  newKey(): number {
    this.#lastKey++;
    assert(Number.isSafeInteger(this.#lastKey), 'keys do not come back');
    return this.#lastKey;
  }

  /** Where in `memory` the image of a page starts; -1 if it is not there. */
  find(key: number, pgno: number): number {
    const slot = slotOf(key, pgno);
    return this.#keys[slot] === key && this.#pages[slot] === pgno ? slot * slotBytes : -1;
  }

  /** Keeps `image[at, at + pageBytes)` as the page's. */
  put(key: number, pgno: number, image: Uint8Array, at: number, pageBytes: number): void {
    if (pageBytes > slotBytes) return;
    const slot = slotOf(key, pgno);
    this.#keys[slot] = key;
    this.#pages[slot] = pgno;
    this.memory.bytes.set(image.subarray(at, at + pageBytes), slot * slotBytes);
  }
}

const slotOf = (key: number, pgno: number): number =>
  Math.imul(pgno ^ Math.imul(key, 0x85_eb_ca_6b), 0x9e_37_79_b1) >>> (32 - slotBits);
