import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isLinearizable, type RegisterOperation } from '../../support/history/linearizable.ts';

const write = (value: number, calledAt: number, returnedAt: number): RegisterOperation => ({
  kind: 'write',
  value,
  calledAt,
  returnedAt,
});
const read = (value: number | null, calledAt: number, returnedAt: number): RegisterOperation => ({
  kind: 'read',
  value,
  calledAt,
  returnedAt,
});

test('an acknowledged write is read by whoever asks afterwards', () => {
  expect(isLinearizable([write(1, 0, 1), read(1, 2, 3)])).toBe('yes');
  expect(isLinearizable([write(1, 0, 1), read(null, 2, 3)])).toBe('no');
  expect(isLinearizable([write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)])).toBe('no');
});

test('operations that overlap may take either order, but only one', () => {
  const both = [write(1, 0, 10), write(2, 0, 10)];
  expect(isLinearizable([...both, read(1, 11, 12), read(1, 13, 14)])).toBe('yes');
  expect(isLinearizable([...both, read(2, 11, 12), read(2, 13, 14)])).toBe('yes');
  expect(isLinearizable([...both, read(1, 11, 12), read(2, 13, 14)])).toBe('no');
});

test('a write without an answer may come to pass late, once, or never', () => {
  const lost = write(1, 0, Number.POSITIVE_INFINITY);
  expect(isLinearizable([lost, read(null, 1, 2), read(1, 3, 4)])).toBe('yes');
  expect(isLinearizable([lost, read(null, 1, 2)])).toBe('yes');
  expect(isLinearizable([lost, read(1, 1, 2), read(null, 3, 4)])).toBe('no');
  expect(isLinearizable([lost, read(1, 1, 2), write(2, 3, 4), read(1, 5, 6)])).toBe('no');
});

/** Every order that keeps real time, tried one by one. */
function slowTwin(operations: readonly RegisterOperation[]): boolean {
  const place = (left: readonly RegisterOperation[], value: RegisterOperation['value']): boolean => {
    if (left.every(({ returnedAt }) => returnedAt === Number.POSITIVE_INFINITY)) return true;
    const earliestReturn = Math.min(...left.map(({ returnedAt }) => returnedAt));
    return left.some(next => {
      if (next.calledAt > earliestReturn) return false;
      if (next.kind === 'read' && next.value !== value) return false;
      return place(
        left.filter(other => other !== next),
        next.kind === 'write' ? next.value : value,
      );
    });
  };
  return place(operations, null);
}

test('the verdict is that of trying every order', () => {
  const operation = fc
    .record({
      kind: fc.constantFrom('read' as const, 'write' as const),
      value: fc.integer({ min: 1, max: 3 }),
      calledAt: fc.nat(20),
      lasts: fc.integer({ min: 0, max: 12 }),
    })
    .map(({ kind, value, calledAt, lasts }) => ({
      kind,
      value,
      calledAt,
      returnedAt: kind === 'write' && lasts > 10 ? Number.POSITIVE_INFINITY : calledAt + lasts,
    }));
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 7 }), operations => {
      expect(isLinearizable(operations)).toBe(slowTwin(operations) ? 'yes' : 'no');
    }),
    { numRuns: 2_000 },
  );
});
