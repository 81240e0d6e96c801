/**
 * The checkpoint record: up to which LSN a tenant's database file is durable, and what the log looked like there.
 * Recovery and rebuild start from it.
 *
 * On disk it is a file of two slots, 4 KiB apart, written in turn: a torn write leaves the older slot. A slot:
 *
 *   magic 'OBCK' · version u8 · incarnation length u8 · 0 u16 · sequence u64 · lsn u64 · scn u64 · log checksum u32 ·
 *   databasePages u32 · pageBytes u32 · incarnation (UTF-8) · CRC-32 of all before u32
 *
 * Pure. A damaged slot is ignored while the other is whole; two damaged slots are a problem, never "no checkpoint".
 */
import { crc32 } from 'node:zlib';
import { assert } from '../base/assert.ts';
import type { LogPosition } from '../base/log-access.ts';
import { lsn, scn } from '../base/scalars.ts';

export interface CheckpointRecord {
  /** everything before this LSN is durable in the database file */
  readonly position: LogPosition;
  readonly databasePages: number;
  readonly pageBytes: number;
  /** of the tenant: a file of another one is refused */
  readonly incarnation: string;
}

export interface StoredCheckpoint {
  readonly kind: 'checkpoint';
  readonly record: CheckpointRecord;
  /** counts the records written; the higher of two slots is the newer */
  readonly sequence: number;
}

export interface CheckpointProblem {
  readonly kind: 'problem';
  readonly problem: string;
}

const magic = 0x4b_43_42_4f;
const version = 1;
const fixedBytes = 48;
const incarnationBytesMax = 64;

/** Distance of the two slots: two sectors of any disk. */
const checkpointSlotBytes = 4_096;
export const checkpointFileBytes = 2 * checkpointSlotBytes;

/** Where the record with this sequence number goes. */
export const checkpointSlotPosition = (sequence: number): number => (sequence % 2) * checkpointSlotBytes;

/** One slot, to be written at `checkpointSlotPosition(sequence)`. */
export function encodeCheckpointSlot(record: CheckpointRecord, sequence: number): Uint8Array<ArrayBuffer> {
  const incarnation = new TextEncoder().encode(record.incarnation);
  assert(incarnation.length <= incarnationBytesMax, 'an incarnation has at most 64 bytes');
  assert(record.databasePages <= 0xff_ff_ff_fe, 'a database has fewer than 2^32 pages');
  const bytes = new Uint8Array(fixedBytes + incarnation.length + 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  bytes[4] = version;
  bytes[5] = incarnation.length;
  view.setBigUint64(8, BigInt(sequence), true);
  view.setBigUint64(16, BigInt(record.position.lsn), true);
  view.setBigUint64(24, BigInt(record.position.scn), true);
  view.setUint32(32, record.position.checksum, true);
  view.setUint32(36, record.databasePages, true);
  view.setUint32(40, record.pageBytes, true);
  bytes.set(incarnation, fixedBytes);
  view.setUint32(bytes.length - 4, crc32(bytes.subarray(0, bytes.length - 4)), true);
  return bytes;
}

/** A whole file with one record: how a new replica's first checkpoint is made. */
export function encodeCheckpointFile(record: CheckpointRecord): Uint8Array<ArrayBuffer> {
  const file = new Uint8Array(checkpointFileBytes);
  file.set(encodeCheckpointSlot(record, 0), checkpointSlotPosition(0));
  return file;
}

/** The newer whole slot of a file. */
export function decodeCheckpointFile(file: Uint8Array): StoredCheckpoint | CheckpointProblem {
  const slots = [0, checkpointSlotBytes].map(at => decodeSlot(file.subarray(at, at + checkpointSlotBytes)));
  const [first, second] = slots;
  if (first?.kind === 'checkpoint' && second?.kind === 'checkpoint') {
    return first.sequence > second.sequence ? first : second;
  }
  if (first?.kind === 'checkpoint') return first;
  if (second?.kind === 'checkpoint') return second;
  return {
    kind: 'problem',
    problem: `slot 0: ${first?.problem ?? 'none'}; slot 1: ${second?.problem ?? 'none'}`,
  };
}

function decodeSlot(slot: Uint8Array): StoredCheckpoint | CheckpointProblem {
  if (slot.length < fixedBytes + 4) return { kind: 'problem', problem: `${slot.length} bytes` };
  const view = new DataView(slot.buffer, slot.byteOffset, slot.byteLength);
  if (view.getUint32(0, true) !== magic) return { kind: 'problem', problem: 'no magic' };
  if (slot[4] !== version) return { kind: 'problem', problem: `version ${slot[4]}` };
  const incarnationBytes = slot[5] as number;
  const end = fixedBytes + incarnationBytes;
  if (incarnationBytes > incarnationBytesMax || end + 4 > slot.length) {
    return { kind: 'problem', problem: 'incarnation too long' };
  }
  if (view.getUint32(end, true) !== crc32(slot.subarray(0, end))) {
    return { kind: 'problem', problem: 'checksum' };
  }
  const numbers = [8, 16, 24].map(at => Number(view.getBigUint64(at, true)));
  const [sequence = 0, lsnValue = 0, scnValue = 0] = numbers;
  if (!numbers.every(Number.isSafeInteger)) return { kind: 'problem', problem: 'a number above 2^53' };
  return {
    kind: 'checkpoint',
    sequence,
    record: {
      position: { lsn: lsn(lsnValue), scn: scn(scnValue), checksum: view.getUint32(32, true) },
      databasePages: view.getUint32(36, true),
      pageBytes: view.getUint32(40, true),
      incarnation: new TextDecoder().decode(slot.subarray(fixedBytes, end)),
    },
  };
}
