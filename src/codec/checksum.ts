/** Checksums of the clog: CRC-32 (native, about 6 GB/s), chained over payloads, seeded with the position for headers. */
import { crc32 } from 'node:zlib';
import type { Lsn } from '../base/scalars.ts';
import { writeU64 } from './u64.ts';

/** CRC-32 of `bytes`, continuing from `previous`. */
export const chain = (previous: number, bytes: Uint8Array): number => crc32(bytes, previous);

/** CRC-32 of `bytes`. */
export const checksum = (bytes: Uint8Array): number => crc32(bytes);

const seed = new Uint8Array(8);
const seedView = new DataView(seed.buffer);

/**
 * CRC-32 of bytes that belong at `lsn`. The position is part of it, so that a record that was written, or copied,
 * to a wrong place does not pass.
 */
export function placedChecksum(lsn: Lsn, bytes: Uint8Array): number {
  writeU64(seedView, 0, lsn);
  return crc32(bytes, crc32(seed));
}
