/**
 * Finds the byte ranges in which two images of a page differ. Pure and allocation-free, because it runs for every
 * page of every commit.
 *
 * A page is mostly equal: pieces of it are first compared by the runtime's own memory comparison, which passes over
 * equal bytes several times as fast as a loop does. What is left is compared as 32-bit integers, eight at a time: never
 * as floats, for which -0 equals 0 and NaN differs from itself. Little-endian only, which the page self-test proves at start.
 */
import { assert } from '../base/assert.ts';
import type { WordBuffer } from './word-buffer.ts';

const wordBytes = 4;
const wordsMax = 65_536 / wordBytes;
/** Words compared at once while nothing differs; a range that crosses from one piece to the next is found whole. */
const pieceWords = 256;

export class DeltaRanges {
  /** pairs of byte offset and end of each range found, ascending; two ranges never touch */
  readonly bounds = new Int32Array(wordsMax);
  count = 0;
  /** bytes inside the ranges */
  bytes = 0;

  /**
   * Compares `words` words of two images, which start at the given word indexes. Ranges are split at every word that
   * is equal: a range costs two bytes more, an equal word four. The ends are trimmed to the byte.
   */
  find(image: WordBuffer, nextAt: number, before: WordBuffer, previousAt: number, words: number): void {
    const next = image.words;
    const previous = before.words;
    assert(words % 8 === 0 && words <= wordsMax, 'a page is 512 to 65536 bytes');
    assert(nextAt + words <= next.length && previousAt + words <= previous.length, 'both images are whole');
    const bounds = this.bounds;
    const shift = previousAt - nextAt;
    const end = nextAt + words;
    let count = 0;
    let bytes = 0;
    let word = nextAt;
    let pieceEnd = nextAt;
    for (;;) {
      // At the beginning of a piece: pass over the equal ones.
      while (word >= pieceEnd && word < end) {
        const pieceFrom = word;
        pieceEnd = Math.min(end, word + pieceWords);
        if (isEqual(image, pieceFrom, before, pieceFrom + shift, pieceEnd - pieceFrom)) word = pieceEnd;
      }
      if (word >= end) break;
      while (word + 8 <= pieceEnd) {
        const old = word + shift;
        const difference =
          ((next[word] as number) ^ (previous[old] as number)) |
          ((next[word + 1] as number) ^ (previous[old + 1] as number)) |
          ((next[word + 2] as number) ^ (previous[old + 2] as number)) |
          ((next[word + 3] as number) ^ (previous[old + 3] as number)) |
          ((next[word + 4] as number) ^ (previous[old + 4] as number)) |
          ((next[word + 5] as number) ^ (previous[old + 5] as number)) |
          ((next[word + 6] as number) ^ (previous[old + 6] as number)) |
          ((next[word + 7] as number) ^ (previous[old + 7] as number));
        if (difference !== 0) break;
        word += 8;
      }
      while (word < pieceEnd && next[word] === previous[word + shift]) word++;
      if (word >= pieceEnd) continue;
      const first = (next[word] as number) ^ (previous[word + shift] as number);
      const start = (word - nextAt) * wordBytes + leadingEqualBytes(first);
      let last = first;
      word++;
      while (word < end) {
        const difference = (next[word] as number) ^ (previous[word + shift] as number);
        if (difference === 0) break;
        last = difference;
        word++;
      }
      const stop = (word - nextAt) * wordBytes - trailingEqualBytes(last);
      bounds[count * 2] = start;
      bounds[count * 2 + 1] = stop;
      count++;
      bytes += stop - start;
    }
    this.count = count;
    this.bytes = bytes;
  }
}

const isEqual = (one: WordBuffer, at: number, other: WordBuffer, otherAt: number, words: number): boolean =>
  one.bytes.compare(
    other.bytes,
    otherAt * wordBytes,
    (otherAt + words) * wordBytes,
    at * wordBytes,
    (at + words) * wordBytes,
  ) === 0;

/** Of a little-endian XOR that is not 0: bytes from the low (first) end that are 0. */
const leadingEqualBytes = (difference: number): number => (31 - Math.clz32(difference & -difference)) >> 3;

/** Of a little-endian XOR that is not 0: bytes from the high (last) end that are 0. */
const trailingEqualBytes = (difference: number): number => Math.clz32(difference) >> 3;
