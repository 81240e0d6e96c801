import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readVarint, varintBytes, writeVarint } from './varint.ts';

const value = fc.oneof(fc.maxSafeNat(), fc.nat(300), fc.constant(Number.MAX_SAFE_INTEGER));

test('every number comes back from its varint, in the bytes foretold', () => {
  fc.assert(
    fc.property(value, number => {
      const bytes = new Uint8Array(varintBytes(number));
      expect(writeVarint(bytes, 0, number)).toBe(bytes.length);
      const cursor = { bytes, offset: 0, end: bytes.length };
      expect(readVarint(cursor)).toBe(number);
      expect(cursor.offset).toBe(bytes.length);
    }),
  );
});

test('a varint cut short, longer than needed or above 2^53 is refused', () => {
  const read = (...bytes: number[]) =>
    readVarint({ bytes: Uint8Array.from(bytes), offset: 0, end: bytes.length });
  expect(read()).toBe(-1);
  expect(read(0x80)).toBe(-1);
  expect(read(0x81, 0x00)).toBe(-1);
  expect(read(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)).toBe(-1);
  expect(read(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01)).toBe(-1);
});
