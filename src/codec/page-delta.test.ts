import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DeltaRanges } from './page-delta.ts';
import { type WordBuffer, wordBuffer } from './word-buffer.ts';

const images = (pageBytes: number) => {
  const previous = new Uint8Array(pageBytes).map((_, index) => index % 251);
  return { previous, next: previous.slice() };
};
const inWords = (bytes: Uint8Array): WordBuffer => {
  const memory = wordBuffer(bytes.length);
  memory.bytes.set(bytes);
  return memory;
};

const find = (next: Uint8Array, previous: Uint8Array) => {
  const ranges = new DeltaRanges();
  ranges.find(inWords(next), 0, inWords(previous), 0, next.length / 4);
  const found: [number, number][] = [];
  for (let index = 0; index < ranges.count; index++) {
    found.push([ranges.bounds[index * 2] ?? -1, ranges.bounds[index * 2 + 1] ?? -1]);
  }
  return { found, bytes: ranges.bytes };
};

test('equal images have no ranges', () => {
  const { previous, next } = images(4096);
  expect(find(next, previous)).toEqual({ found: [], bytes: 0 });
});

test('a single changed byte is a range of one byte, wherever it lies', () => {
  for (const at of [0, 1, 2, 3, 4, 31, 32, 511]) {
    const { previous, next } = images(512);
    next[at] = (next[at] as number) ^ 0x80;
    expect(find(next, previous)).toEqual({ found: [[at, at + 1]], bytes: 1 });
  }
});

test('a range that crosses the pieces of a page is found whole', () => {
  const { previous, next } = images(4096);
  next.fill(255, 1000, 3100);
  expect(find(next, previous)).toEqual({ found: [[1000, 3100]], bytes: 2100 });
});

test('values that compare equal as floats are still different', () => {
  const previous = new Uint8Array(512);
  const next = new Uint8Array(512);
  new DataView(next.buffer).setFloat64(8, -0, true);
  expect(find(next, previous).found).toEqual([[15, 16]]);
});

test('writing the ranges over the previous image gives the next one, and nothing outside them differs', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(512, 1024, 4096),
      fc.array(fc.record({ at: fc.nat(4095), byte: fc.nat(255), length: fc.integer({ min: 1, max: 40 }) }), {
        maxLength: 30,
      }),
      (pageBytes, changes) => {
        const { previous, next } = images(pageBytes);
        for (const { at, byte, length } of changes) next.fill(byte, at, Math.min(pageBytes, at + length));
        const { found, bytes } = find(next, previous);
        const patched = previous.slice();
        let covered = 0;
        let end = -1;
        for (const [start, stop] of found) {
          expect(start).toBeGreaterThan(end);
          expect(next[start]).not.toBe(previous[start]);
          expect(next[stop - 1]).not.toBe(previous[stop - 1]);
          patched.set(next.subarray(start, stop), start);
          covered += stop - start;
          end = stop;
        }
        expect(patched).toEqual(next);
        expect(bytes).toBe(covered);
      },
    ),
  );
});
