import fc from 'fast-check';
import { expect, test } from 'vitest';
import { groupBytesMax } from '../base/limits.ts';
import type { EntryKind, LogPosition } from '../base/log-access.ts';
import { lsn, proposalId, scn } from '../base/scalars.ts';
import { adoptGroup, decodeChunk, decodeGroup, decodeGroups, isProblem, paddingGroup } from './clog.ts';
import { decodeEntries } from './clog-entry.ts';
import { EntryBody, GroupBuilder } from './group-builder.ts';

interface Planned {
  readonly kind: EntryKind;
  readonly body: Uint8Array;
  readonly scnStep: number;
}

const planned = fc.record({
  kind: fc.constantFrom<EntryKind>('redo', 'keep-alive', 'role'),
  body: fc.uint8Array({ maxLength: 400 }),
  scnStep: fc.integer({ min: 1, max: 2 ** 40 }),
});
const plan = fc.array(planned, { minLength: 1, maxLength: 12 });
const position: fc.Arbitrary<LogPosition> = fc
  .record({
    lsn: fc.nat(2 ** 45),
    scn: fc.nat(2 ** 50),
    checksum: fc.nat(0xffff_ffff),
  })
  .map(raw => ({ lsn: lsn(raw.lsn), scn: scn(raw.scn), checksum: raw.checksum }));
const owner = (start: LogPosition) => ({ proposalId: proposalId(7), committedEnd: start.lsn });

function build(start: LogPosition, entries: readonly Planned[]) {
  const group = new GroupBuilder(start, groupBytesMax, 0);
  const ends = entries.map(({ kind, body, scnStep }) =>
    group.add(
      { kind, first: true, last: true, scn: scn(group.maxScn + scnStep) },
      new EntryBody([body.subarray(0, 3), body.subarray(3)]),
      body.length,
    ),
  );
  return { ends, closed: group.close(owner(start)) };
}

test('a group decodes to the entries that were put in, at the LSNs told when they were', () => {
  fc.assert(
    fc.property(position, plan, (start, entries) => {
      const { ends, closed } = build(start, entries);
      const group = decodeGroup(closed.bytes, 0, start);
      if (group.kind === 'problem') throw new Error(group.what);
      expect(group.end).toEqual(closed.end);
      const parts = decodeEntries(group);
      if (isProblem(parts)) throw new Error(parts.what);
      let expectedScn: number = start.scn;
      expect(parts).toEqual(
        entries.map((entry, index) => ({
          kind: entry.kind,
          first: true,
          last: true,
          scn: (expectedScn += entry.scnStep),
          endLsn: ends[index],
          body: entry.body,
        })),
      );
    }),
  );
});

test('a group with any one bit flipped is never accepted', () => {
  fc.assert(
    fc.property(position, plan, fc.nat(), fc.nat(7), (start, entries, place, bit) => {
      const { closed } = build(start, entries);
      const bytes = closed.bytes.slice();
      const at = place % bytes.length;
      bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
      expect(decodeGroup(bytes, 0, start).kind).toBe('problem');
    }),
    { numRuns: 2_000 },
  );
});

test('padding with any one bit flipped is never accepted', () => {
  const start = { lsn: lsn(1_000), scn: scn(5), checksum: 99 };
  const bytes = paddingGroup(start, 120, owner(start));
  expect(decodeGroup(bytes, 0, start)).toMatchObject({ end: { lsn: 1_120, scn: 5, checksum: 99 } });
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const bad = bytes.slice();
    bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(decodeGroup(bad, 0, start).kind).toBe('problem');
  }
});

test('a group is refused at any other position than its own', () => {
  fc.assert(
    fc.property(
      position,
      plan,
      fc.constantFrom('lsn' as const, 'scn' as const, 'checksum' as const),
      (start, entries, field) => {
        const { closed } = build(start, entries);
        const other = { lsn: start.lsn + 1, scn: closed.end.scn, checksum: (start.checksum ^ 1) >>> 0 };
        const elsewhere = { ...start, [field]: other[field] };
        expect(decodeGroup(closed.bytes, 0, elsewhere as LogPosition).kind).toBe('problem');
      },
    ),
  );
});

test('groups cut short anywhere are incomplete, and foreign bytes never throw', () => {
  const start = { lsn: lsn(0), scn: scn(0), checksum: 0 };
  const first = build(start, [{ kind: 'redo', body: new Uint8Array(50).fill(1), scnStep: 1 }]).closed;
  for (let length = 1; length < first.bytes.length; length++)
    expect(decodeGroups(first.bytes.subarray(0, length), start)).toMatchObject({
      kind: 'problem',
      incomplete: true,
    });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      if (bytes.length > 0) expect(isProblem(decodeGroups(bytes, start))).toBe(true);
    }),
  );
});

test('an adopted group keeps payload, proposal, SCN and chain, and says whose commit it knows', () => {
  const start = { lsn: lsn(4_000), scn: scn(9), checksum: 3 };
  const { closed } = build(start, [{ kind: 'redo', body: Uint8Array.of(1, 2, 3), scnStep: 4 }]);
  const group = decodeGroup(closed.bytes, 0, start);
  if (group.kind === 'problem') throw new Error(group.what);
  const adopted = decodeGroup(adoptGroup(group, lsn(17)), 0, start);
  if (adopted.kind === 'problem') throw new Error(adopted.what);
  expect(adopted.header).toEqual({ ...group.header, rawWrite: true, committedEnd: 17 });
  expect(adopted.payload).toEqual(group.payload);
  expect(adopted.end).toEqual(group.end);
});

test('a chunk that does not end where it says is refused', () => {
  const start = { lsn: lsn(0), scn: scn(0), checksum: 0 };
  const { closed } = build(start, [{ kind: 'redo', body: Uint8Array.of(1), scnStep: 1 }]);
  expect(isProblem(decodeChunk({ start, end: closed.end, bytes: closed.bytes }))).toBe(false);
  expect(isProblem(decodeChunk({ start, end: start, bytes: closed.bytes }))).toBe(true);
  expect(isProblem(decodeChunk({ start, end: { ...closed.end, checksum: 1 }, bytes: closed.bytes }))).toBe(
    true,
  );
});
