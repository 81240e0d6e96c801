/**
 * Recent page images of all tenants of a thread, so that a page that is changed again need not be read again: a read
 * costs more than everything else capture does for a page. Fixed memory, two places a page may be in, the one used last
 * stays.
 *
 * An image is found only under the key it was put with. A key stands for one database and one term of its log: whoever
 * forgets what he logged takes a new key, and the old images are out of reach.
 */
import { assert } from '../../base/assert.ts';
import { imageCacheBytes } from '../../base/limits.ts';
import { type WordBuffer, wordBuffer } from '../../codec/word-buffer.ts';

/** Bigger pages are not kept. */
const slotBytes = 4_096;
/** Places are in pairs: a page may be in either of its pair, the one used last stays. */
const pairBits = Math.floor(Math.log2(imageCacheBytes / slotBytes)) - 1;
const slots = 2 ** (pairBits + 1);

export class ImageCache {
  readonly memory: WordBuffer = wordBuffer(slots * slotBytes);
  readonly #keys = new Float64Array(slots);
  readonly #pages = new Uint32Array(slots);
  /** of each pair, the place used last */
  readonly #newest = new Uint8Array(slots / 2);
  #lastKey = 0;

  /** A key nobody had before. */
  newKey(): number {
    this.#lastKey++;
    assert(Number.isSafeInteger(this.#lastKey), 'keys do not come back');
    return this.#lastKey;
  }

  /** Where in `memory` the image of a page starts; -1 if it is not there. */
  find(key: number, pgno: number): number {
    const slot = this.#slotOf(key, pgno);
    return slot < 0 ? -1 : slot * slotBytes;
  }

  /** Keeps `image[at, at + pageBytes)` as the page's. */
  put(key: number, pgno: number, image: Uint8Array, at: number, pageBytes: number): void {
    if (pageBytes > slotBytes) return;
    const pair = pairOf(key, pgno);
    let slot = this.#slotOf(key, pgno);
    if (slot < 0) slot = pair * 2 + (1 - (this.#newest[pair] as number));
    this.#newest[pair] = slot & 1;
    this.#keys[slot] = key;
    this.#pages[slot] = pgno;
    this.memory.bytes.set(image.subarray(at, at + pageBytes), slot * slotBytes);
  }

  /** The place that holds the page's image, or -1. */
  #slotOf(key: number, pgno: number): number {
    const first = pairOf(key, pgno) * 2;
    if (this.#pages[first] === pgno && this.#keys[first] === key) return first;
    if (this.#pages[first + 1] === pgno && this.#keys[first + 1] === key) return first + 1;
    return -1;
  }
}

const pairOf = (key: number, pgno: number): number =>
  Math.imul(pgno ^ Math.imul(key, 0x85_eb_ca_6b), 0x9e_37_79_b1) >>> (32 - pairBits);
