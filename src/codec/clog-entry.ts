/**
 * Entries: what a group's payload is made of. One entry = a head and (a part of) a body:
 *
 *   varint(body bytes × 8 + flags: 1 first part, 2 last part) · varint(SCN − SCN of the entry before it in this group; 0
 *   for the group's first) · kind u8, never 0 · body
 *
 * SCNs count from the entry before, not from the group's maximum, so that an entry's size, and with it its LSN, is
 * known the moment it is ordered, while its group is still open. The last entry has the group's max SCN.
 *
 * Bodies above a group's room are split; the parts follow each other, each with an SCN of its own, and count as one
 * entry with the SCN of the last. Never throws on foreign bytes.
 */
import { assert, must } from '../base/assert.ts';
import type { EntryKind } from '../base/log-access.ts';
import { type Lsn, lsn, type Scn, scn } from '../base/scalars.ts';
import { type ClogProblem, type Group, groupHeaderBytes, problem } from './clog.ts';
import { type Cursor, readVarint, varintBytes, writeVarint } from './varint.ts';

const kindCodes = { redo: 1, 'keep-alive': 2, role: 3 } as const satisfies Record<EntryKind, number>;
const kindsByCode: readonly (EntryKind | undefined)[] = [undefined, 'redo', 'keep-alive', 'role'];
const flagFirst = 1;
const flagLast = 2;

/** More bytes than any entry head takes. */
export const entryHeadBytesMax = 17;

/** One part of an entry, as it stands in a group. */
export interface EntryPart {
  readonly kind: EntryKind;
  readonly first: boolean;
  readonly last: boolean;
  readonly scn: Scn;
  /** behind its body */
  readonly endLsn: Lsn;
  readonly body: Uint8Array;
}

export interface EntryHead {
  readonly kind: EntryKind;
  readonly first: boolean;
  readonly last: boolean;
  readonly bodyBytes: number;
  /** SCN − SCN of the entry before it in the group; 0 for the first */
  readonly scnStep: number;
}

export const entryHeadBytes = (head: EntryHead): number =>
  varintBytes(head.bodyBytes * 8) + 1 + varintBytes(head.scnStep);

/** Writes an entry's head at `offset`; returns where its body begins. */
export function writeEntryHead(target: Uint8Array, offset: number, head: EntryHead): number {
  const flags = (head.first ? flagFirst : 0) | (head.last ? flagLast : 0);
  const stepAt = writeVarint(target, offset, head.bodyBytes * 8 + flags);
  const kindAt = writeVarint(target, stepAt, head.scnStep);
  target[kindAt] = kindCodes[head.kind];
  return kindAt + 1;
}

/** The entries of a group, in order. */
export function decodeEntries(group: Group): readonly EntryPart[] | ClogProblem {
  if (group.header.padding) return [];
  const { payload, start, header } = group;
  const cursor: Cursor = { bytes: payload, offset: 0, end: payload.length };
  const heads: { kind: EntryKind; flags: number; step: number; body: Uint8Array; end: number }[] = [];
  const bad = (what: string) => problem(lsn(start.lsn + groupHeaderBytes + cursor.offset), what);
  while (cursor.offset < cursor.end) {
    const sizeAndFlags = readVarint(cursor);
    const step = readVarint(cursor);
    const kind = kindsByCode[payload[cursor.offset++] ?? 0];
    if (sizeAndFlags < 0 || step < 0 || kind === undefined) return bad('an entry head is malformed');
    const flags = sizeAndFlags % 8;
    const bodyBytes = Math.floor(sizeAndFlags / 8);
    if (flags > (flagFirst | flagLast) || bodyBytes > cursor.end - cursor.offset)
      return bad('an entry is longer than its group');
    if (heads.length === 0 ? step !== 0 : step === 0) return bad('the SCN of an entry does not advance');
    cursor.offset += bodyBytes;
    const body = payload.subarray(cursor.offset - bodyBytes, cursor.offset);
    heads.push({ kind, flags, step, body, end: cursor.offset });
  }
  if (heads.length === 0) return bad('a group without entries');

  const parts: EntryPart[] = [];
  let entryScn: number = header.maxScn;
  for (let index = heads.length - 1; index >= 0; index--) {
    const head = must(heads[index], 'entry head');
    if (entryScn <= start.scn) return bad('the SCN of an entry does not advance');
    parts.push({
      kind: head.kind,
      first: (head.flags & flagFirst) !== 0,
      last: (head.flags & flagLast) !== 0,
      scn: scn(entryScn),
      endLsn: lsn(start.lsn + groupHeaderBytes + head.end),
      body: head.body,
    });
    entryScn -= head.step;
  }
  assert(parts.length === heads.length, 'every entry head became a part');
  return parts.reverse();
}
