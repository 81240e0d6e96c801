import fc from 'fast-check';
import { expect, test } from 'vitest';
import { windowBytesMax } from '../base/limits.ts';
import type { EntryKind, LogPosition } from '../base/log-access.ts';
import { lsn, proposalId, scn } from '../base/scalars.ts';
import { blockHeaderBytes } from '../codec/block-header.ts';
import { committedEndOf, decodeGroups, groupHeaderBytes, isProblem } from '../codec/clog.ts';
import { EntryAssembler } from '../codec/entry-assembler.ts';
import type { ClosedGroup } from '../codec/group-builder.ts';
import { SlidingWindow } from './window.ts';

const blockBytes = 16_384;
const room = blockBytes - blockHeaderBytes;
const owner = { proposalId: proposalId(3), committedEnd: lsn(0) };
const at = (offset: number): LogPosition => ({ lsn: lsn(offset), scn: scn(10), checksum: 77 });

/** Orders the bodies, flushes everything, and gives the bytes of each durable write. */
function write(start: LogPosition, bodies: readonly Uint8Array[], flushEach: boolean) {
  const window = new SlidingWindow(start, blockBytes);
  const ends: { endLsn: number; scn: number }[] = [];
  const flushes: { lsn: number; bytes: Uint8Array }[] = [];
  let ioId = 1;
  const flush = () => {
    for (
      let next = window.startFlush(ioId, owner);
      next !== undefined;
      next = window.startFlush(ioId, owner)
    ) {
      flushes.push({ lsn: next.start.lsn, bytes: Buffer.concat(next.groups.map(group => group.bytes)) });
      window.finishFlush(ioId++);
    }
  };
  for (const body of bodies) {
    const kind: EntryKind = body.length === 0 ? 'keep-alive' : 'redo';
    ends.push(window.order({ kind, body: [body] }, scn(0), owner));
    if (flushEach) flush();
  }
  flush();
  expect(window.isEmpty).toBe(true);
  return { window, ends, flushes };
}

const bodies = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.nat(300) },
    { weight: 1, arbitrary: fc.integer({ min: 300, max: 40_000 }) },
  ),
  { minLength: 1, maxLength: 20 },
);

test('whatever is ordered comes back from the bytes written, at the LSNs and SCNs told', () => {
  fc.assert(
    fc.property(fc.nat(room * 3), bodies, fc.boolean(), (offset, sizes, flushEach) => {
      const start = at(offset - (room - (offset % room) < groupHeaderBytes ? groupHeaderBytes : 0));
      const contents = sizes.map((size, index) => new Uint8Array(size).fill(index + 1));
      const { ends, flushes, window } = write(start, contents, flushEach);
      const assembler = new EntryAssembler(start);
      const entries = assembler.push(Buffer.concat(flushes.map(({ bytes }) => bytes)));
      if (isProblem(entries)) throw new Error(entries.what);
      expect(entries.map(entry => ({ endLsn: entry.endLsn, scn: entry.scn }))).toEqual(ends);
      expect(entries.map(entry => Buffer.from(entry.body))).toEqual(contents.map(body => Buffer.from(body)));
      expect(assembler.position).toEqual(window.flushed);
    }),
  );
});

test('no write and no group crosses a block, and a block can always be closed by padding', () => {
  for (let left = groupHeaderBytes; left < 3_000; left++) {
    for (const size of [0, 1, 2_100]) {
      const start = at(room - left);
      const { flushes } = write(start, [new Uint8Array(size).fill(1)], false);
      let position = start;
      for (const { lsn: from, bytes } of flushes) {
        expect((from % room) + bytes.length).toBeLessThanOrEqual(room);
        const groups = decodeGroups(bytes, position);
        if (isProblem(groups)) throw new Error(`${left} ${size}: ${groups.what}`);
        for (const group of groups) {
          const rest = room - (group.end.lsn % room);
          expect(rest === room || rest >= groupHeaderBytes).toBe(true);
          position = group.end;
        }
      }
    }
  }
});

test('entries ordered while a write is in flight share the next one', () => {
  const window = new SlidingWindow(at(0), blockBytes);
  const order = () => window.order({ kind: 'redo', body: [Uint8Array.of(1)] }, scn(0), owner);
  order();
  expect(window.startFlush(1, owner)?.groups).toHaveLength(1);
  for (let count = 0; count < 15; count++) order();
  expect(window.startFlush(2, owner)).toBeUndefined();
  window.finishFlush(1);
  const next = window.startFlush(2, owner);
  expect(next?.groups).toHaveLength(1);
  expect(next?.end.lsn).toBe(window.maxLsn);
});

test('SCNs are above the floor and strictly above each other', () => {
  const window = new SlidingWindow(at(0), blockBytes);
  const order = (floor: number) => window.order({ kind: 'redo', body: [] }, scn(floor), owner).scn;
  expect([order(0), order(100), order(50), order(101), order(102)]).toEqual([11, 100, 101, 102, 103]);
});

test('the window is full above its bytes, except for one entry alone', () => {
  const window = new SlidingWindow(at(0), blockBytes);
  expect(window.hasRoomFor(windowBytesMax * 2)).toBe(true);
  window.order({ kind: 'redo', body: [Uint8Array.of(1)] }, scn(0), owner);
  expect(window.hasRoomFor(windowBytesMax * 2)).toBe(false);
  expect(window.hasRoomFor(1_000)).toBe(true);
});

test('groups of another replica go to the disk as they are, and are told down to what is durable before them', () => {
  const leader = new SlidingWindow(at(0), blockBytes);
  const groups: ClosedGroup[] = [];
  for (let count = 0; count < 3; count++) {
    // The leader knows each commit as it closes the next group.
    const known = { proposalId: proposalId(3), committedEnd: leader.flushed.lsn };
    leader.order({ kind: 'redo', body: [Uint8Array.of(count)] }, scn(0), known);
    groups.push(...(leader.startFlush(count, known)?.groups ?? []));
    leader.finishFlush(count);
  }
  const follower = new SlidingWindow(at(0), blockBytes);
  follower.receive(groups);
  expect(follower.groupsFrom(groups[1]?.start.lsn ?? lsn(0), 1)).toEqual([groups[1]]);
  const written = follower.startFlush(1, owner)?.groups ?? [];
  expect(written.map(group => committedEndOf(group.bytes))).toEqual([0, 0, 0]);
  expect(groups.map(group => committedEndOf(group.bytes))).toEqual([0, ...ends(groups).slice(0, 2)]);
  const decoded = decodeGroups(Buffer.concat(written.map(({ bytes }) => bytes)), at(0));
  if (isProblem(decoded)) throw new Error(decoded.what);
  expect(decoded.map(({ end }) => end)).toEqual(groups.map(({ end }) => end));
});

const ends = (groups: readonly ClosedGroup[]): number[] => groups.map(({ end }) => end.lsn);

test('what was not handed to the disk can be forgotten, what was cannot', () => {
  const told: number[] = [];
  const window = new SlidingWindow(at(0), blockBytes, group => told.push(group.end.lsn));
  const order = () => window.order({ kind: 'redo', body: [Uint8Array.of(1)] }, scn(0), owner);
  order();
  const flush = window.startFlush(1, owner);
  order();
  window.dropUnsubmitted();
  expect(window.tail).toEqual(flush?.end);
  expect(window.maxLsn).toBe(flush?.end.lsn);
  expect(told).toEqual([flush?.end.lsn]);
  window.finishFlush(1);
  expect(window.isEmpty).toBe(true);
});
