import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isObError } from '../../../src/base/errors.ts';
import { ByteReader } from '../../../src/sql/protocol/byte-reader.ts';
import { PacketWriter } from '../../../src/sql/protocol/packet-writer.ts';
import { decodeParameters } from '../../../src/sql/protocol/statement-parameters.ts';
import { encodeTemporal, parseTemporal } from '../../../src/sql/protocol/temporal.ts';
import { type } from '../../../src/sql/protocol/wire-constants.ts';
import type { Cell } from '../../../src/tenant/engine.ts';

interface Bound {
  readonly type: number;
  readonly unsigned: boolean;
  readonly value: Cell;
  readonly write: (writer: PacketWriter) => void;
}

const unsigned = 0x8000;
const bound = (
  code: number,
  value: Cell,
  write: (writer: PacketWriter) => void,
  isUnsigned = false,
): Bound => ({ type: code, unsigned: isUnsigned, value, write });

const two = (value: number) => String(value).padStart(2, '0');
const datetimeText = fc
  .record({
    date: fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }),
    micros: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 999_999 })),
  })
  .map(({ date, micros }) => {
    const day = date.toISOString().slice(0, 19).replace('T', ' ');
    return micros === 0 ? day : `${day}.${String(micros).padStart(6, '0')}`;
  });
const timeText = fc
  .record({ sign: fc.constantFrom('', '-'), hours: fc.nat(838), minutes: fc.nat(59), seconds: fc.nat(59) })
  .filter(({ sign, hours, minutes, seconds }) => sign === '' || hours + minutes + seconds > 0)
  .map(time => `${time.sign}${two(time.hours)}:${two(time.minutes)}:${two(time.seconds)}`);

const temporal = (code: number, text: string): Bound =>
  bound(code, text, writer => {
    const parsed = parseTemporal(text);
    if (parsed === undefined) throw new Error(`not temporal: ${text}`);
    encodeTemporal(writer, parsed);
  });

const parameter: fc.Arbitrary<Bound> = fc.oneof(
  fc.constant(bound(type.null, null, () => {})),
  fc.integer({ min: -128, max: 127 }).map(value => bound(type.tiny, value, w => w.u8(value & 0xff))),
  fc.integer({ min: 0, max: 255 }).map(value => bound(type.tiny, value, w => w.u8(value), true)),
  fc.integer({ min: -32_768, max: 32_767 }).map(value => bound(type.short, value, w => w.u16(value))),
  fc.integer().map(value => bound(type.long, value, w => w.u32(value))),
  fc.integer({ min: 0, max: 0xffff_ffff }).map(value => bound(type.long, value, w => w.u32(value), true)),
  fc.maxSafeInteger().map(value => bound(type.longlong, value, w => w.u64(value))),
  fc.bigInt(2n ** 53n, 2n ** 63n - 1n).map(value => bound(type.longlong, value, w => w.u64(value))),
  fc.double({ noNaN: true }).map(value => bound(type.double, value, w => w.double(value))),
  fc.float({ noNaN: true }).map(value => bound(type.float, value, w => w.float(value))),
  fc
    .string({ unit: 'grapheme', maxLength: 60 })
    .map(value => bound(type.varString, value, w => w.lengthEncodedText(value))),
  fc.uint8Array({ maxLength: 60 }).map(value => bound(type.blob, value, w => w.lengthEncodedBytes(value))),
  datetimeText.map(text => temporal(type.datetime, text)),
  timeText.map(text => temporal(type.time, text)),
);

function encode(parameters: readonly Bound[]): Buffer {
  const writer = new PacketWriter().start(0).begin();
  const nulls = Buffer.alloc((parameters.length + 7) >> 3);
  parameters.forEach((one, index) => {
    if (one.value === null) nulls[index >> 3] = (nulls[index >> 3] ?? 0) | (1 << (index & 7));
  });
  writer.bytes(nulls).u8(1);
  for (const one of parameters) writer.u16(one.type | (one.unsigned ? unsigned : 0));
  for (const one of parameters) if (one.value !== null) one.write(writer);
  return writer.end().take().subarray(4);
}

const none = new Map<number, Uint8Array[]>();

test('bound parameters arrive as they were bound', () => {
  fc.assert(
    fc.property(fc.array(parameter, { minLength: 1, maxLength: 20 }), parameters => {
      const reader = new ByteReader(encode(parameters));
      const { values } = decodeParameters(reader, parameters.length, [], none);
      expect(values).toEqual(parameters.map(one => one.value));
      expect(reader.remaining).toBe(0);
    }),
  );
});

test('a packet cut anywhere is malformed', () => {
  const strict = parameter.filter(one => one.type !== type.null);
  fc.assert(
    fc.property(fc.array(strict, { minLength: 1, maxLength: 6 }), fc.nat(), (parameters, at) => {
      const whole = encode(parameters);
      const cut = whole.subarray(0, at % whole.length);
      let error: unknown;
      try {
        decodeParameters(new ByteReader(cut), parameters.length, [], none);
      } catch (thrown) {
        error = thrown;
      }
      expect(isObError(error, 'OBS_SQL_MALFORMED_PACKET')).toBe(true);
    }),
  );
});

test('any bytes are parameters or a malformed packet', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.integer({ min: 0, max: 9 }), (bytes, count) => {
      try {
        decodeParameters(new ByteReader(Buffer.from(bytes)), count, [], none);
      } catch (error) {
        expect(isObError(error, 'OBS_SQL_MALFORMED_PACKET')).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
});

test('types bound once hold for later executions', () => {
  const first = decodeParameters(new ByteReader(Buffer.from([0, 1, type.tiny, 0, 5])), 1, [], none);
  const again = decodeParameters(new ByteReader(Buffer.from([0, 0, 7])), 1, first.types, none);
  expect(again.values).toEqual([7]);
  expect(() => decodeParameters(new ByteReader(Buffer.from([0, 0, 7])), 1, [], none)).toThrow(
    'parameter types',
  );
});

test('a value sent ahead replaces the one in the packet', () => {
  const ahead = new Map([[0, [Buffer.from('long '), Buffer.from('text')]]]);
  const payload = Buffer.from([0, 1, type.varString, 0, type.tiny, 0, 9]);
  expect(decodeParameters(new ByteReader(payload), 2, [], ahead).values).toEqual(['long text', 9]);
});

test('bytes bound as text stay bytes when they are not UTF-8', () => {
  const payload = Buffer.from([0, 1, type.varString, 0, 2, 0xff, 0xfe]);
  expect(decodeParameters(new ByteReader(payload), 1, [], none).values).toEqual([
    new Uint8Array([0xff, 0xfe]),
  ]);
});
