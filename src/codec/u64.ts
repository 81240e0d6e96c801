/**
 * 64-bit little-endian fields as JS numbers: positions and clocks fit in 53 bits, so no bigint is allocated per field.
 * A stored value above 2^53 is foreign: it reads as -1, which no field allows.
 */
import { assert } from '../base/assert.ts';

const two32 = 4_294_967_296;

/** Writes a whole number of 0 to 2^53 − 1 at `offset`. */
export function writeU64(view: DataView, offset: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, 'a 64-bit field holds a whole number up to 2^53');
  view.setUint32(offset, value % two32, true);
  view.setUint32(offset + 4, Math.floor(value / two32), true);
}

/** The number at `offset`, or -1 if it is above 2^53 − 1. */
export function readU64(view: DataView, offset: number): number {
  const high = view.getUint32(offset + 4, true);
  return high > 0x1f_ff_ff ? -1 : high * two32 + view.getUint32(offset, true);
}

/** A view of exactly these bytes. */
export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
