/**
 * Group entries: the unit in which the clog is written, checked and shipped.
 *
 * A group is a 40-byte header and a payload of entries (`clog-entry.ts`), all little-endian:
 *
 *   0 magic 'GR' u16 · 2 version u8 · 3 flags u8 (1 padding, 2 raw write) · 4 payload bytes u32 · 8 proposal id u64
 *   16 committed end u64 · 24 max SCN u64 · 32 chained payload checksum u32 · 36 header checksum u32
 *
 * The chained checksum covers payload bytes only, from LSN 0 on, so that a site that stores another site's groups may
 * rewrite `committedEnd` and the raw-write flag without forking the chain. Padding groups (the end of a block) leave
 * the chain as it is. The header checksum is seeded with the group's LSN. `committedEnd` never exceeds the group's own
 * start: it proves which earlier bytes were once durable, which is how a scanner tells rot from a torn tail.
 *
 * Decoding never throws on foreign bytes; it returns a problem. Keeps L1, L2, L6.
 */
import { assert } from '../base/assert.ts';
import { groupBytesMax } from '../base/limits.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import { type Lsn, lsn, type ProposalId, proposalId, type Scn, scn } from '../base/scalars.ts';
import { chain, placedChecksum } from './checksum.ts';
import { readU64, viewOf, writeU64 } from './u64.ts';

export const groupHeaderBytes = 40;
const groupVersion = 1;
const groupMagic = 0x5247;
const flagPadding = 1;
const flagRawWrite = 2;

export interface GroupHeader {
  readonly padding: boolean;
  readonly rawWrite: boolean;
  readonly payloadBytes: number;
  /** of the primary that wrote the group, on every site */
  readonly proposalId: ProposalId;
  /** what the writing replica knew to be committed before this group */
  readonly committedEnd: Lsn;
  readonly maxScn: Scn;
  /** chained over all payloads up to and including this one */
  readonly checksum: number;
}

/** A group that passed every check. */
export interface Group {
  readonly kind: 'group';
  readonly header: GroupHeader;
  readonly start: LogPosition;
  readonly end: LogPosition;
  /** header and payload; a view into the decoded bytes */
  readonly bytes: Uint8Array;
  readonly payload: Uint8Array;
}

/** Why bytes are not what they should be. */
export interface ClogProblem {
  readonly kind: 'problem';
  readonly lsn: Lsn;
  /** true: well-formed as far as it goes, more bytes are needed */
  readonly incomplete: boolean;
  readonly what: string;
}

export const problem = (at: Lsn, what: string, incomplete = false): ClogProblem => ({
  kind: 'problem',
  lsn: at,
  what,
  incomplete,
});

/** Writes the header of a group that starts at `at` into the first 40 bytes of `target`. */
export function encodeGroupHeader(target: Uint8Array, at: Lsn, header: GroupHeader): void {
  assert(header.payloadBytes <= groupBytesMax - groupHeaderBytes, 'a group keeps to its size limit');
  assert(header.committedEnd <= at, 'a group knows commits before itself only');
  const view = viewOf(target);
  view.setUint16(0, groupMagic, true);
  view.setUint8(2, groupVersion);
  view.setUint8(3, (header.padding ? flagPadding : 0) | (header.rawWrite ? flagRawWrite : 0));
  view.setUint32(4, header.payloadBytes, true);
  writeU64(view, 8, header.proposalId);
  writeU64(view, 16, header.committedEnd);
  writeU64(view, 24, header.maxScn);
  view.setUint32(32, header.checksum, true);
  view.setUint32(36, placedChecksum(at, target.subarray(0, 36)), true);
}

/** The header of a group that starts at `at`, from bytes `offset` on; checks the header alone. */
export function decodeGroupHeader(bytes: Uint8Array, offset: number, at: Lsn): GroupHeader | ClogProblem {
  if (bytes.length - offset < groupHeaderBytes) return problem(at, 'a group header is cut short', true);
  const head = bytes.subarray(offset, offset + groupHeaderBytes);
  const view = viewOf(head);
  if (view.getUint16(0, true) !== groupMagic) return problem(at, 'no group begins here');
  if (view.getUint32(36, true) !== placedChecksum(at, head.subarray(0, 36)))
    return problem(at, 'the group header fails its checksum');
  const version = view.getUint8(2);
  if (version !== groupVersion) return problem(at, `the group has version ${version}, not ${groupVersion}`);
  const flags = view.getUint8(3);
  const payloadBytes = view.getUint32(4, true);
  const proposal = readU64(view, 8);
  const committedEnd = readU64(view, 16);
  const maxScn = readU64(view, 24);
  const sane =
    flags <= (flagPadding | flagRawWrite) &&
    payloadBytes <= groupBytesMax - groupHeaderBytes &&
    proposal > 0 &&
    committedEnd >= 0 &&
    committedEnd <= at &&
    maxScn >= 0;
  if (!sane) return problem(at, 'the group header has a field out of range');
  return {
    padding: (flags & flagPadding) !== 0,
    rawWrite: (flags & flagRawWrite) !== 0,
    payloadBytes,
    proposalId: proposalId(proposal),
    committedEnd: lsn(committedEnd),
    maxScn: scn(maxScn),
    checksum: view.getUint32(32, true),
  };
}

const isZero = (bytes: Uint8Array): boolean => Buffer.alloc(bytes.length).equals(bytes);

/** The group at `offset`, which must continue the log that ends at `start`. */
export function decodeGroup(bytes: Uint8Array, offset: number, start: LogPosition): Group | ClogProblem {
  const header = decodeGroupHeader(bytes, offset, start.lsn);
  if ('kind' in header) return header;
  const groupEnd = offset + groupHeaderBytes + header.payloadBytes;
  if (groupEnd > bytes.length) return problem(start.lsn, 'a group is cut short', true);
  const payload = bytes.subarray(offset + groupHeaderBytes, groupEnd);
  const expected = header.padding ? start.checksum : chain(start.checksum, payload);
  if (expected !== header.checksum) return problem(start.lsn, 'the payload fails the chained checksum');
  if (header.padding && !isZero(payload)) return problem(start.lsn, 'the padding is not empty');
  const ordered = header.padding ? header.maxScn === start.scn : header.maxScn > start.scn;
  if (!ordered) return problem(start.lsn, 'the SCN does not advance');
  return {
    kind: 'group',
    header,
    start,
    end: {
      lsn: lsn(start.lsn + groupHeaderBytes + header.payloadBytes),
      scn: header.maxScn,
      checksum: header.checksum,
    },
    bytes: bytes.subarray(offset, groupEnd),
    payload,
  };
}

/** All groups of `bytes`, which must be whole and continue the log that ends at `start`. */
export function decodeGroups(bytes: Uint8Array, start: LogPosition): readonly Group[] | ClogProblem {
  const groups: Group[] = [];
  let offset = 0;
  let position = start;
  while (offset < bytes.length) {
    const group = decodeGroup(bytes, offset, position);
    if (group.kind === 'problem') return group;
    groups.push(group);
    offset += group.bytes.length;
    position = group.end;
  }
  return groups;
}

/** True for the answer of a decoder that found something wrong. */
export const isProblem = (value: object): value is ClogProblem => 'kind' in value && value.kind === 'problem';

/** Checks a chunk against itself: every group, and that it ends where it says. Returns its groups. */
export function decodeChunk(chunk: LogChunk): readonly Group[] | ClogProblem {
  const groups = decodeGroups(chunk.bytes, chunk.start);
  if (isProblem(groups)) return groups;
  const end = groups.at(-1)?.end ?? chunk.start;
  return samePosition(end, chunk.end) ? groups : problem(end.lsn, 'a chunk does not end where it says');
}

export const samePosition = (a: LogPosition, b: LogPosition): boolean =>
  a.lsn === b.lsn && a.scn === b.scn && a.checksum === b.checksum;

/**
 * A copy of a group with the two fields a storing site owns rewritten: its own committed end, and the raw-write flag.
 * Payload, proposal id, SCN and chained checksum stay.
 */
export function adoptGroup(group: Group, committedEnd: Lsn): Uint8Array {
  const bytes = new Uint8Array(group.bytes);
  encodeGroupHeader(bytes, group.start.lsn, { ...group.header, committedEnd, rawWrite: true });
  return bytes;
}

/** The committed end a whole group's header names. */
export const committedEndOf = (group: Uint8Array): number => readU64(viewOf(group), 16);

/** A copy of a whole group that starts at `at`, with another committed end. Everything else stays. */
export function withCommittedEnd(group: Uint8Array, at: Lsn, committedEnd: Lsn): Uint8Array {
  const header = decodeGroupHeader(group, 0, at);
  assert(!isProblem(header), 'a group that was checked has a header');
  const bytes = new Uint8Array(group);
  encodeGroupHeader(bytes, at, { ...header, committedEnd });
  return bytes;
}

/** A padding group that starts at `start` and takes `bytes` bytes, header included. */
export function paddingGroup(
  start: LogPosition,
  bytes: number,
  owner: { readonly proposalId: ProposalId; readonly committedEnd: Lsn },
): Uint8Array {
  assert(bytes >= groupHeaderBytes, 'padding has room for its header');
  const group = new Uint8Array(bytes);
  encodeGroupHeader(group, start.lsn, {
    padding: true,
    rawWrite: false,
    payloadBytes: bytes - groupHeaderBytes,
    proposalId: owner.proposalId,
    committedEnd: owner.committedEnd,
    maxScn: start.scn,
    checksum: start.checksum,
  });
  return group;
}
