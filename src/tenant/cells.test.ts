import Database from 'better-sqlite3';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bindable, exact, mayHaveLostDigits, shrinkIntegers } from './cells.ts';
import type { Cell } from './engine.ts';

const database = new Database(':memory:');
const echo = database.prepare('SELECT ?, typeof(?)').raw();
const through = (value: Cell): { value: Cell; type: string } => {
  const bound = bindable([value, value]);
  let rows = echo.all(bound) as Cell[][];
  if (mayHaveLostDigits(rows)) {
    rows = echo.safeIntegers(true).all(bound) as Cell[][];
    echo.safeIntegers(false);
    shrinkIntegers(rows);
  }
  return { value: rows[0]?.[0] as Cell, type: String(rows[0]?.[1]) };
};

test('every value of 64-bit integers comes back exactly and as INTEGER', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), value => {
      expect(through(value)).toEqual({ value: exact(value), type: 'integer' });
    }),
  );
});

test('whole numbers are bound as INTEGER and fractions as REAL', () => {
  expect(through(5)).toEqual({ value: 5, type: 'integer' });
  expect(through(-0)).toEqual({ value: 0, type: 'integer' });
  expect(through(1.5)).toEqual({ value: 1.5, type: 'real' });
  expect(through(2 ** 60)).toEqual({ value: 2 ** 60, type: 'real' });
});

test('doubles, texts, blobs and null come back as they are', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.double({ noNaN: true, noDefaultInfinity: true }).filter(number => !Object.is(number, -0)),
        fc.string({ unit: 'grapheme' }).filter(text => !text.includes('\0')),
        fc.uint8Array(),
        fc.constant(null),
      ),
      value => {
        const { value: got } = through(value);
        if (value instanceof Uint8Array) expect(new Uint8Array(got as Uint8Array)).toEqual(value);
        else expect(got).toBe(value);
      },
    ),
  );
});

test('an integer beyond 64 bits is refused', () => {
  expect(() => bindable([2n ** 63n])).toThrow('64 bits');
  expect(() => bindable([-(2n ** 63n) - 1n])).toThrow('64 bits');
});
