/**
 * Blocks: the fixed-size files a log lies in, and the 4 KiB header that says which.
 *
 * Block n holds the LSNs from n × (block bytes − 4096) on; a group never crosses a block. The header is durable before
 * the first group, and names stream, tenant incarnation, and the position the block's log begins at (later than the
 * block's own start only in a log that was opened in the middle of one).
 */
import { assert } from '../base/assert.ts';
import { blockBytesMax, blockBytesMin } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import { type LogStreamId, type Lsn, logStreamId, lsn, scn } from '../base/scalars.ts';
import { checksum } from './checksum.ts';
import { type ClogProblem, problem } from './clog.ts';
import { readU64, viewOf, writeU64 } from './u64.ts';

export const blockHeaderBytes = 4_096;
const blockVersion = 1;
const incarnationBytesMax = 64;
const blockMagic = 0x4243_424f; // 'OBCB'
const checksumAt = blockHeaderBytes - 4;

export interface BlockHeader {
  readonly stream: LogStreamId;
  readonly incarnation: string;
  readonly blockId: number;
  /** size of the file, header included */
  readonly blockBytes: number;
  /** where the log in this block begins */
  readonly start: LogPosition;
}

/** Log bytes a block holds. */
export const blockRoom = (blockBytes: number): number => blockBytes - blockHeaderBytes;

export const blockIdOf = (at: Lsn, blockBytes: number): number => Math.floor(at / blockRoom(blockBytes));

/** The first LSN of a block. */
export const blockStart = (blockId: number, blockBytes: number): Lsn => lsn(blockId * blockRoom(blockBytes));

/** Where the byte at `at` lies in its block's file. */
export const positionInBlock = (at: Lsn, blockBytes: number): number =>
  blockHeaderBytes + (at % blockRoom(blockBytes));

/** Fixed width, so that names sort as the log runs. */
export const blockFileName = (blockId: number): string => `${String(blockId).padStart(12, '0')}.clog`;

/** The block a file name stands for, or undefined. */
export function blockIdOfFileName(name: string): number | undefined {
  const match = /^(\d{12})\.clog$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}

export function encodeBlockHeader(header: BlockHeader): Uint8Array {
  const incarnation = Buffer.from(header.incarnation, 'utf8');
  assert(incarnation.length <= incarnationBytesMax, 'an incarnation has at most 64 bytes');
  assert(
    blockIdOf(header.start.lsn, header.blockBytes) === header.blockId,
    'a block begins inside its own range',
  );
  const bytes = new Uint8Array(blockHeaderBytes);
  const view = viewOf(bytes);
  view.setUint32(0, blockMagic, true);
  view.setUint16(4, blockVersion, true);
  view.setUint16(6, incarnation.length, true);
  view.setUint32(8, header.blockBytes, true);
  view.setUint32(12, header.start.checksum, true);
  writeU64(view, 16, header.stream);
  writeU64(view, 24, header.blockId);
  writeU64(view, 32, header.start.lsn);
  writeU64(view, 40, header.start.scn);
  bytes.set(incarnation, 48);
  view.setUint32(checksumAt, checksum(bytes.subarray(0, checksumAt)), true);
  return bytes;
}

/** Decodes a block's first 4 KiB. */
export function decodeBlockHeader(bytes: Uint8Array): BlockHeader | ClogProblem {
  const bad = (what: string) => problem(lsn(0), what);
  if (bytes.length < blockHeaderBytes) return problem(lsn(0), 'a block header is cut short', true);
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== blockMagic) return bad('this is no clog block');
  if (view.getUint32(checksumAt, true) !== checksum(bytes.subarray(0, checksumAt)))
    return bad('the block header fails its checksum');
  const version = view.getUint16(4, true);
  if (version !== blockVersion) return bad(`the block has version ${version}, not ${blockVersion}`);
  const incarnationBytes = view.getUint16(6, true);
  const blockBytes = view.getUint32(8, true);
  const stream = readU64(view, 16);
  const blockId = readU64(view, 24);
  const startLsn = readU64(view, 32);
  const startScn = readU64(view, 40);
  const sane =
    incarnationBytes <= incarnationBytesMax &&
    blockBytes >= blockBytesMin &&
    blockBytes <= blockBytesMax &&
    stream >= 0 &&
    blockId >= 0 &&
    startLsn >= 0 &&
    startScn >= 0 &&
    blockIdOf(lsn(startLsn), blockBytes) === blockId;
  if (!sane) return bad('the block header has a field out of range');
  return {
    stream: logStreamId(stream),
    incarnation: Buffer.from(bytes.subarray(48, 48 + incarnationBytes)).toString('utf8'),
    blockId,
    blockBytes,
    start: { lsn: lsn(startLsn), scn: scn(startScn), checksum: view.getUint32(12, true) },
  };
}
