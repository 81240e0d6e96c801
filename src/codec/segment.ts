/**
 * An archive segment: a run of whole committed groups of one log stream as one immutable object. A fixed header says
 * which log of which tenant incarnation it is and where the run starts and ends; the stored body is the groups, zstd
 * compressed or plain.
 *
 * Decoding is total: foreign or damaged bytes give a problem, never a throw and never half a value.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../base/assert.ts';
import { segmentRawBytesMax } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import { type LogStreamId, logStreamId, lsn, type RoleEpoch, roleEpoch, scn } from '../base/scalars.ts';

const segmentHeaderBytes = 176;
const segmentVersion = 1;

const magic = 0x4753424f; // "OBSG"
const incarnationBytesMax = 64;

type SegmentCompression = 'none' | 'zstd';

export interface SegmentHeader {
  readonly stream: LogStreamId;
  readonly incarnation: string;
  readonly epoch: RoleEpoch;
  readonly start: LogPosition;
  readonly end: LogPosition;
  readonly compression: SegmentCompression;
  /** length of the groups, headers included: always `end.lsn - start.lsn` */
  readonly rawBytes: number;
}

export type SegmentDecoding =
  | { readonly kind: 'segment'; readonly header: SegmentHeader; readonly body: Uint8Array }
  | { readonly kind: 'newer'; readonly version: number }
  | { readonly kind: 'problem'; readonly why: string };

/** Header and stored body as one object. */
export function encodeSegment(header: SegmentHeader, body: Uint8Array): Uint8Array {
  assert(header.end.lsn - header.start.lsn === header.rawBytes, 'a segment holds exactly its LSN range');
  assert(header.rawBytes <= segmentRawBytesMax, 'a segment is bounded');
  const name = new TextEncoder().encode(header.incarnation);
  assert(name.length > 0 && name.length <= incarnationBytesMax, 'an incarnation has 1 to 64 bytes');
  const bytes = new Uint8Array(segmentHeaderBytes + body.length);
  const view = new DataView(bytes.buffer);
  const u64 = (at: number, value: number) => view.setBigUint64(at, BigInt(value), true);
  view.setUint32(0, magic, true);
  view.setUint16(4, segmentVersion, true);
  view.setUint8(6, header.compression === 'zstd' ? 1 : 0);
  u64(8, header.stream);
  u64(16, header.epoch);
  u64(24, header.start.lsn);
  u64(32, header.start.scn);
  u64(40, header.end.lsn);
  u64(48, header.end.scn);
  view.setUint32(56, header.start.checksum, true);
  view.setUint32(60, header.end.checksum, true);
  view.setUint32(64, header.rawBytes, true);
  view.setUint32(68, body.length, true);
  view.setUint32(72, crc32(body), true);
  view.setUint8(76, name.length);
  bytes.set(name, 77);
  view.setUint32(172, crc32(bytes.subarray(0, 172)), true);
  bytes.set(body, segmentHeaderBytes);
  return bytes;
}

export function decodeSegment(bytes: Uint8Array): SegmentDecoding {
  const problem = (why: string): SegmentDecoding => ({ kind: 'problem', why });
  if (bytes.length < segmentHeaderBytes) return problem(`only ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== magic) return problem('not a segment');
  if (view.getUint32(172, true) !== crc32(bytes.subarray(0, 172))) return problem('header checksum');
  const version = view.getUint16(4, true);
  if (version > segmentVersion) return { kind: 'newer', version };
  const compression = view.getUint8(6);
  if (version !== segmentVersion || compression > 1 || view.getUint8(7) !== 0)
    return problem('header fields');
  const u64 = (at: number) => view.getBigUint64(at, true);
  const numbers = [8, 16, 24, 32, 40, 48].map(u64);
  if (numbers.some(value => value > BigInt(Number.MAX_SAFE_INTEGER))) return problem('a number out of range');
  const [stream = 0, epoch = 0, startLsn = 0, startScn = 0, endLsn = 0, endScn = 0] = numbers.map(Number);
  const rawBytes = view.getUint32(64, true);
  const storedBytes = view.getUint32(68, true);
  const nameBytes = view.getUint8(76);
  if (endLsn - startLsn !== rawBytes || rawBytes > segmentRawBytesMax || endScn < startScn)
    return problem('positions');
  if (nameBytes < 1 || nameBytes > incarnationBytesMax) return problem('incarnation');
  if (bytes.length !== segmentHeaderBytes + storedBytes)
    return problem(`${bytes.length - segmentHeaderBytes} of ${storedBytes} body bytes`);
  const body = bytes.subarray(segmentHeaderBytes);
  if (crc32(body) !== view.getUint32(72, true)) return problem('body checksum');
  const header: SegmentHeader = {
    stream: logStreamId(stream),
    incarnation: new TextDecoder().decode(bytes.subarray(77, 77 + nameBytes)),
    epoch: roleEpoch(epoch),
    start: { lsn: lsn(startLsn), scn: scn(startScn), checksum: view.getUint32(56, true) },
    end: { lsn: lsn(endLsn), scn: scn(endScn), checksum: view.getUint32(60, true) },
    compression: compression === 1 ? 'zstd' : 'none',
    rawBytes,
  };
  return { kind: 'segment', header, body };
}
