import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeError, encodeOk, errorFields } from '../../../src/sql/protocol/answers.ts';
import { PacketWriter } from '../../../src/sql/protocol/packet-writer.ts';
import { encodeResultSet } from '../../../src/sql/protocol/result-set.ts';
import { ByteReader } from '../../../src/sql/protocol/byte-reader.ts';
import { ObError } from '../../../src/base/errors.ts';
import type { Cell, Column } from '../../../src/tenant/engine.ts';
import { clientCapabilities, packetsIn, readResult, type WireCell } from '../../support/mysql-wire.ts';

const frame = { capabilities: clientCapabilities, schema: 'test', status: 2, warnings: 0 };
const declaredTypes = [
  null,
  'INTEGER',
  'BIGINT',
  'TINYINT',
  'TEXT',
  'VARCHAR(9)',
  'BLOB',
  'DOUBLE',
  'DATETIME',
  'DATE',
];

const cell: fc.Arbitrary<Cell> = fc.oneof(
  fc.constant(null),
  fc.maxSafeInteger(),
  fc.integer({ min: -200, max: 200 }),
  fc.bigInt(2n ** 53n, 2n ** 63n - 1n),
  fc.double({ noNaN: true, noDefaultInfinity: true }).filter(value => !Object.is(value, -0)),
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.constantFrom('2024-01-02', '2024-01-02 03:04:05', '12:00:00'),
  fc.uint8Array({ maxLength: 300 }),
);

const table = fc.integer({ min: 1, max: 12 }).chain(width =>
  fc.record({
    columns: fc.array(
      fc.constantFrom(...declaredTypes).map(
        (declaredType): Column => ({
          name: 'c',
          declaredType,
          table: declaredType === null ? null : 't',
          originColumn: null,
        }),
      ),
      { minLength: width, maxLength: width },
    ),
    rows: fc.array(fc.array(cell, { minLength: width, maxLength: width }), { maxLength: 8 }),
  }),
);

/** What any type may have made of a value: its text. Temporal binary forms are checked elsewhere. */
function sameText(received: WireCell, sent: Cell): boolean {
  if (received === null || sent === null) return received === sent;
  if (sent instanceof Uint8Array) return Buffer.isBuffer(received) && received.equals(sent);
  if (typeof sent === 'number') return Number(received) === sent;
  return String(received) === String(sent);
}

test('any result reads back as it was, in the text protocol', () => {
  fc.assert(
    fc.property(table, ({ columns, rows }) => {
      const writer = new PacketWriter().start(1);
      encodeResultSet(writer, { columns, rows }, 'text', frame);
      const result = readResult(packetsIn(writer.take()), 'text');
      expect(result.columns.map(column => column.name)).toEqual(columns.map(column => column.name));
      expect(result.rows.length).toBe(rows.length);
      for (const [index, row] of rows.entries()) {
        row.forEach((value, position) => {
          expect(sameText(result.rows[index]?.[position] ?? null, value)).toBe(true);
        });
      }
    }),
  );
});

test('any result reads back as it was, in the binary protocol', () => {
  fc.assert(
    fc.property(table, ({ columns, rows }) => {
      const writer = new PacketWriter().start(1);
      encodeResultSet(writer, { columns, rows }, 'binary', frame);
      const result = readResult(packetsIn(writer.take()), 'binary');
      for (const [index, row] of rows.entries()) {
        row.forEach((value, position) => {
          const received = result.rows[index]?.[position] ?? null;
          const temporal = [7, 10, 11, 12].includes(result.columns[position]?.type ?? 0);
          expect(temporal ? received !== null || value === null : sameText(received, value)).toBe(true);
        });
      }
    }),
  );
});

test('a result without DEPRECATE_EOF has its two EOF packets', () => {
  const column: Column = { name: 'a', declaredType: null, table: null, originColumn: null };
  const writer = new PacketWriter().start(1);
  encodeResultSet(writer, { columns: [column], rows: [[1]] }, 'text', { ...frame, capabilities: 0 });
  const packets = packetsIn(writer.take());
  expect(packets.map(packet => packet.sequence)).toEqual([1, 2, 3, 4, 5]);
  expect(packets.map(packet => packet.payload[0])).toEqual([1, 3, 0xfe, 1, 0xfe]);
});

test('the text of an OK packet is length-encoded', () => {
  const writer = new PacketWriter().start(1);
  encodeOk(writer, { changes: 3, lastInsertId: 300, status: 2, warnings: 1, info: 'Rows matched: 3' });
  const reader = new ByteReader(packetsIn(writer.take())[0]?.payload ?? Buffer.alloc(0));
  expect([reader.u8(''), reader.length(''), reader.length('')]).toEqual([0, 3, 300]);
  expect([reader.u16(''), reader.u16('')]).toEqual([2, 1]);
  expect(reader.lengthEncodedBytes('').toString()).toBe('Rows matched: 3');
  expect(reader.remaining).toBe(0);
});

test("errors with MySQL's numbers keep MySQL's text, ours carry code and hint", () => {
  const denied = errorFields(new ObError('OBS_SQL_ACCESS_DENIED', { user: 'u', host: 'h', password: 'NO' }));
  expect(denied).toEqual({
    number: 1045,
    sqlState: '28000',
    message: "Access denied for user 'u'@'h' (using password: NO)",
  });
  const readOnly = errorFields(new ObError('OBS_TENANT_READ_ONLY', { tenant: 'acme' }));
  expect(readOnly.number).toBe(4688);
  expect(readOnly.message).toContain('OBS_TENANT_READ_ONLY');
  expect(errorFields(new ObError('OBS_LOG_OUTCOME_UNKNOWN', { lsn: 1 })).number).toBe(4012);
});

test('what is not a catalogued error tells a client nothing of our insides', () => {
  const writer = new PacketWriter().start(1);
  encodeError(writer, new TypeError('secret path /data/x'));
  expect(writer.take().toString('latin1')).not.toContain('secret');
});
