import { expect, test } from 'vitest';
import { groupBytesMax } from '../base/limits.ts';
import type { EntryKind, LogPosition } from '../base/log-access.ts';
import { lsn, proposalId, scn } from '../base/scalars.ts';
import { isProblem } from './clog.ts';
import { EntryAssembler } from './entry-assembler.ts';
import { EntryBody, GroupBuilder } from './group-builder.ts';

const start: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };

interface Part {
  readonly text: string;
  readonly first?: boolean;
  readonly last?: boolean;
  readonly kind?: EntryKind;
}

/** A log of groups, one per list of parts. */
function log(...groups: readonly (readonly Part[])[]) {
  let position = start;
  const bytes: Uint8Array[] = [];
  const ends: LogPosition[] = [];
  for (const parts of groups) {
    const group = new GroupBuilder(position, groupBytesMax, 0);
    for (const { text, first = true, last = true, kind = 'role' } of parts) {
      const body = Buffer.from(text);
      group.add({ kind, first, last, scn: scn(group.maxScn + 1) }, new EntryBody([body]), body.length);
    }
    const closed = group.close({ proposalId: proposalId(1), committedEnd: lsn(0) });
    position = closed.end;
    bytes.push(closed.bytes);
    ends.push(closed.end);
  }
  return { bytes, ends };
}

function texts(assembler: EntryAssembler, bytes: Uint8Array): string[] {
  const entries = assembler.push(bytes);
  if (isProblem(entries)) throw new Error(entries.what);
  return entries.map(entry => Buffer.from(entry.body).toString());
}

const first = { first: true, last: false };
const middle = { first: false, last: false };
const last = { first: false, last: true };

test('a body split over groups comes back as one entry, with the SCN of its last part', () => {
  const { bytes } = log(
    [{ text: 'a' }, { text: 'b1', ...first }],
    [{ text: 'b2', ...middle }],
    [{ text: 'b3', ...last }, { text: 'c' }],
  );
  const assembler = new EntryAssembler(start);
  expect(bytes.map(piece => texts(assembler, piece))).toEqual([['a'], [], ['b1b2b3', 'c']]);
  const whole = new EntryAssembler(start).push(Buffer.concat(bytes));
  expect(isProblem(whole) ? [] : whole.map(entry => Number(entry.scn))).toEqual([1, 4, 5]);
});

test('whoever stops inside a split body starts again before it', () => {
  const { bytes, ends } = log([{ text: 'a' }], [{ text: 'b1', ...first }], [{ text: 'b2', ...last }]);
  const assembler = new EntryAssembler(start);
  texts(assembler, Buffer.concat(bytes.slice(0, 2)));
  expect(assembler.position).toEqual(ends[1]);
  expect(assembler.resume).toEqual(ends[0]);
  texts(assembler, bytes[2] ?? new Uint8Array());
  expect(assembler.resume).toEqual(ends[2]);
});

test('a body whose rest was never written is dropped when something else follows', () => {
  const { bytes } = log([{ text: 'lost', ...first }], [{ text: 'next' }]);
  expect(texts(new EntryAssembler(start), Buffer.concat(bytes))).toEqual(['next']);
});

test('a continued entry without its beginning is a problem, and changes nothing', () => {
  const { bytes } = log([{ text: 'a' }], [{ text: 'x', ...middle }]);
  const assembler = new EntryAssembler(start);
  expect(isProblem(assembler.push(Buffer.concat(bytes)))).toBe(true);
  expect(assembler.position).toEqual(start);
});

test('a reader that stands inside a group passes over what it has seen', () => {
  const { bytes } = log([{ text: 'a' }, { text: 'b' }, { text: 'c' }]);
  const seen = new EntryAssembler(start).push(Buffer.concat(bytes));
  if (isProblem(seen)) throw new Error(seen.what);
  const [, b] = seen;
  expect(texts(new EntryAssembler(start, b?.endLsn), Buffer.concat(bytes))).toEqual(['c']);
});

test('a redo entry tells how many transactions it holds', () => {
  const redo = log([{ kind: 'redo', text: '\u000c\u0005rest' }]).bytes;
  expect(new EntryAssembler(start).push(Buffer.concat(redo))).toMatchObject([{ transactions: 5 }]);
});
