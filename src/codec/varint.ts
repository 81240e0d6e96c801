/**
 * Varints of the clog: 7 bits a byte, lowest first, at most 8 bytes, values up to 2^53 − 1. Only the shortest form
 * decodes, so that equal values have equal bytes.
 */
import { assert } from '../base/assert.ts';

export const varintBytesMax = 8;

/** Bytes `value` takes. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}

/** Writes `value` at `offset`; returns the offset after it. */
export function writeVarint(target: Uint8Array, offset: number, value: number): number {
  assert(Number.isSafeInteger(value) && value >= 0, 'a varint holds a whole number up to 2^53');
  let at = offset;
  let rest = value;
  while (rest >= 128) {
    target[at++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  target[at++] = rest;
  assert(at <= target.length, 'a varint fits its buffer');
  return at;
}

/** Where a decoder stands in foreign bytes; it never reads at or after `end`. */
export interface Cursor {
  readonly bytes: Uint8Array;
  offset: number;
  readonly end: number;
}

/** The varint at the cursor, which moves behind it; -1 (cursor undefined) if there is no well-formed one. */
export function readVarint(cursor: Cursor): number {
  let value = 0;
  let scale = 1;
  for (let count = 0; count < varintBytesMax && cursor.offset < cursor.end; count++) {
    const byte = cursor.bytes[cursor.offset++] ?? 0;
    value += (byte & 127) * scale;
    if (byte < 128) {
      const canonical = byte > 0 || count === 0;
      return canonical && Number.isSafeInteger(value) ? value : -1;
    }
    scale *= 128;
  }
  return -1;
}
