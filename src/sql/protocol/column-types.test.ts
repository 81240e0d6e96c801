import { expect, test } from 'vitest';
import type { Cell, Column } from '../../tenant/engine.ts';
import { columnTypeOf } from './column-types.ts';
import { charset, columnFlag, type } from './wire-constants.ts';

const column = (declaredType: string | null): Column => ({
  name: 'c',
  declaredType,
  table: declaredType === null ? null : 't',
  originColumn: 'c',
});
const typed = (declaredType: string | null, ...values: Cell[]) =>
  columnTypeOf(
    column(declaredType),
    values.map(value => [value]),
    0,
  );

test.each<[string | null, Cell[], number]>([
  ['INTEGER', [1, -5], type.long],
  ['INT(11)', [2 ** 31], type.longlong],
  ['INT UNSIGNED', [2 ** 32 - 1], type.long],
  ['INT UNSIGNED', [-1], type.longlong],
  ['TINYINT(1)', [1, 0], type.tiny],
  ['TINYINT', [200], type.longlong],
  ['SMALLINT', [300], type.short],
  ['BIGINT', [1], type.longlong],
  ['BIGINT', [2n ** 60n], type.longlong],
  ['INTEGER', ['text'], type.varString],
  ['INTEGER', [1.5], type.double],
  ['INTEGER', [1, 'text'], type.varString],
  ['VARCHAR(20)', ['a'], type.varString],
  ['VARCHAR(20)', [new Uint8Array([1])], type.blob],
  ['CHAR(120)', ['a'], type.string],
  ['TEXT', ['a'], type.blob],
  ['BLOB', ['a'], type.blob],
  ['DOUBLE', [1, 2.5], type.double],
  ['DOUBLE', ['x'], type.varString],
  ['DOUBLE', [2n ** 60n], type.longlong],
  [null, [1.5, 2n ** 60n], type.newDecimal],
  ['DECIMAL(10,2)', [1.25], type.newDecimal],
  ['DATETIME', ['2024-02-29 10:11:12'], type.datetime],
  ['DATETIME', ['2024-02-29 10:11:12.123456', null], type.datetime],
  ['DATETIME', ['yesterday'], type.varString],
  ['DATETIME', [1_700_000_000], type.long],
  ['DATE', ['2024-02-29'], type.date],
  ['TIME', ['-12:00:01'], type.time],
  ['YEAR', [2024], type.year],
  ['JSON', ['{"a":1}'], type.json],
  ['JSON', ['{"a":'], type.varString],
  ['POINT', ['x'], type.varString],
  [null, [1], type.long],
  [null, [2 ** 40], type.longlong],
  [null, [1e300], type.double],
  [null, [1, 1.5], type.double],
  [null, ['x', 1], type.varString],
  [null, [new Uint8Array(), 'x'], type.blob],
  [null, [null], type.null],
  [null, [], type.varString],
  ['INTEGER', [], type.long],
  ['INTEGER', [null], type.long],
])('declared %s with values %o is type %i', (declaredType, values, expected) => {
  expect(typed(declaredType, ...values).type).toBe(expected);
});

test('text is marked as UTF-8 and bytes as binary', () => {
  expect(typed('TEXT', 'x').charset).toBe(charset.utf8mb4);
  expect(typed('BLOB', new Uint8Array()).charset).toBe(charset.binary);
  expect(typed('TEXT', new Uint8Array()).charset).toBe(charset.binary);
});

test('an unsigned column says so', () => {
  expect(typed('BIGINT UNSIGNED', 5).flags & columnFlag.unsigned).toBe(columnFlag.unsigned);
});
