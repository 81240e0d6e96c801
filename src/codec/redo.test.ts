import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type DecodedRedo, decodeRedo, encodeRedo, RedoEncoder, type RedoPage, redoPages } from './redo.ts';
import { type WordBuffer, wordBuffer } from './word-buffer.ts';

const decoded = (body: Uint8Array): DecodedRedo => {
  const redo = decodeRedo(body);
  if (redo.kind === 'problem') throw new Error(redo.problem);
  return redo;
};
const plain = (redo: DecodedRedo) => ({
  pageBytes: redo.pageBytes,
  transactions: redo.transactions,
  databasePages: redo.databasePages,
  pages: redoPages(redo).map(page => ({
    pgno: page.pgno,
    ranges: page.ranges.map(range => ({ offset: range.offset, bytes: range.bytes.slice() })),
  })),
});
const join = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap(part => [...part]));

const pageBytes = 512;
const ranges: fc.Arbitrary<RedoPage['ranges']> = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.uint8Array({ minLength: 1, maxLength: 60 })), {
    minLength: 1,
    maxLength: 4,
  })
  .map(gaps => {
    let end = 0;
    return gaps.map(([gap, bytes]) => {
      const offset = end + gap;
      end = offset + bytes.length;
      return { offset, bytes };
    });
  });
const wholePage: fc.Arbitrary<RedoPage['ranges']> = fc
  .uint8Array({ minLength: pageBytes, maxLength: pageBytes })
  .map(bytes => [{ offset: 0, bytes }]);
const record = fc.integer({ min: 1, max: 2 ** 32 - 2 }).chain(databasePages =>
  fc.record({
    pageBytes: fc.constant(pageBytes),
    transactions: fc.maxSafeNat(),
    databasePages: fc.constant(databasePages),
    pages: fc.array(
      fc.record({ pgno: fc.integer({ min: 1, max: databasePages }), ranges: fc.oneof(ranges, wholePage) }),
      { maxLength: 6 },
    ),
  }),
);

const inWords = (bytes: Uint8Array): WordBuffer => {
  const memory = wordBuffer(bytes.length);
  memory.bytes.set(bytes);
  return memory;
};

test('a record decodes to what was encoded', () => {
  fc.assert(
    fc.property(record, value => {
      expect(plain(decoded(encodeRedo(value)))).toEqual(value);
    }),
  );
});

test('a record that is cut anywhere is a problem', () => {
  fc.assert(
    fc.property(record, fc.double({ min: 0, max: 0.999, noNaN: true }), (value, share) => {
      const body = encodeRedo(value);
      expect(decodeRedo(body.subarray(0, Math.floor(body.length * share))).kind).toBe('problem');
    }),
  );
});

test('a record with a byte behind it is a problem', () => {
  fc.assert(
    fc.property(record, value => {
      expect(decodeRedo(Uint8Array.from([...encodeRedo(value), 0])).kind).toBe('problem');
    }),
  );
});

test('foreign bytes never throw, and what they decode to stays inside pages and database', () => {
  const foreign = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.tuple(record, fc.nat(), fc.nat(255)).map(([value, at, byte]) => {
      const body = encodeRedo(value);
      body[at % body.length] = byte;
      return body;
    }),
  );
  fc.assert(
    fc.property(foreign, body => {
      const redo = decodeRedo(body);
      if (redo.kind === 'problem') return;
      for (const page of redoPages(redo)) {
        expect(page.pgno).toBeGreaterThanOrEqual(1);
        expect(page.pgno).toBeLessThanOrEqual(redo.databasePages);
        for (const range of page.ranges) {
          expect(range.offset + range.bytes.length).toBeLessThanOrEqual(redo.pageBytes);
        }
      }
    }),
    { numRuns: 1000 },
  );
});

test('what the format forbids is named', () => {
  const problem = (...bytes: number[]) => {
    const redo = decodeRedo(Uint8Array.from(bytes));
    return redo.kind === 'problem' ? redo.problem : 'none';
  };
  expect(problem()).toBe('empty body');
  expect(problem(8, 1, 1, 0)).toBe('page size exponent 8');
  expect(problem(17, 1, 1, 0)).toBe('page size exponent 17');
  expect(problem(9, 1, 0, 0)).toBe('a database of 0 pages');
  expect(problem(9, 1)).toBe('the header is cut');
  expect(problem(9, 0x81, 0x00, 1, 0)).toBe('the header is cut');
  expect(problem(9, 1, 1, 1, 2, 1, 0, 1, 7)).toBe('page 2 of a database of 1');
  expect(problem(9, 1, 1, 1, 0, 1, 0, 1, 7)).toBe('page 0 of a database of 1');
  expect(problem(9, 1, 1, 1, 1, 1, 0, 0)).toBe('an empty range in page 1');
  expect(problem(9, 1, 1, 1, 1, 1, 0xff, 0x03, 2, 7, 7)).toBe('a range of page 1 ends at 513');
  expect(problem(9, 1, 1, 1, 1, 0)).toBe('page 1 is cut');
});

test('the encoder logs a changed page as its ranges and a new one whole', () => {
  const encoder = new RedoEncoder();
  const image = new Uint8Array(pageBytes).fill(1);
  const previous = image.slice();
  image[100] = 9;
  image[300] = 8;
  encoder.begin(pageBytes);
  expect(encoder.changedPage(5, inWords(image), 0, inWords(previous), 0)).toBe(true);
  encoder.wholePage(7, image, 0);
  const redo = decoded(join(encoder.finish(3, 9)));
  expect(plain(redo)).toEqual({
    pageBytes,
    transactions: 3,
    databasePages: 9,
    pages: [
      {
        pgno: 5,
        ranges: [
          { offset: 100, bytes: Uint8Array.of(9) },
          { offset: 300, bytes: Uint8Array.of(8) },
        ],
      },
      { pgno: 7, ranges: [{ offset: 0, bytes: image }] },
    ],
  });
});

test('the encoder logs nothing for an unchanged page, and a page that changed all over whole', () => {
  const encoder = new RedoEncoder();
  const image = new Uint8Array(pageBytes).map((_, index) => index);
  const other = image.map((byte, index) => (index % 2 === 0 ? byte ^ 0xff : byte));
  encoder.begin(pageBytes);
  expect(encoder.changedPage(1, inWords(image), 0, inWords(image), 0)).toBe(false);
  expect(encoder.changedPage(2, inWords(image), 0, inWords(other), 0)).toBe(true);
  const redo = decoded(join(encoder.finish(1, 2)));
  expect(redo.pageCount).toBe(1);
  expect(redoPages(redo)).toEqual([{ pgno: 2, ranges: [{ offset: 0, bytes: image }] }]);
});

test('a big record comes in parts that decode as one, and the encoder keeps none of them', () => {
  const encoder = new RedoEncoder();
  const big = 65_536;
  const image = new Uint8Array(big);
  encoder.begin(big);
  for (let pgno = 1; pgno <= 40; pgno++) encoder.wholePage(pgno, image.fill(pgno), 0);
  const parts = encoder.finish(1, 40);
  expect(parts.length).toBeGreaterThan(1);
  encoder.begin(pageBytes);
  encoder.wholePage(1, new Uint8Array(pageBytes), 0);
  encoder.finish(1, 1);
  const body = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  const pages = redoPages(decoded(body));
  expect(pages.map(page => page.pgno)).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
  expect(pages.every(page => page.ranges[0]?.bytes.every(byte => byte === page.pgno))).toBe(true);
});
