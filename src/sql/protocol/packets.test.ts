import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isObError } from '../../base/errors.ts';
import { ByteReader } from './byte-reader.ts';
import { type Packet, PacketReader } from './packet-reader.ts';
import { PacketWriter } from './packet-writer.ts';
import { packetPartBytes } from './wire-constants.ts';

function packetsOf(stream: Buffer, pieces: readonly number[], payloadBytesMax = 2 ** 31): Packet[] {
  const reader = new PacketReader(payloadBytesMax);
  const packets: Packet[] = [];
  let at = 0;
  let piece = 0;
  while (at < stream.length) {
    const size = pieces[piece++ % pieces.length] ?? stream.length;
    reader.push(stream.subarray(at, at + size));
    at += size;
    for (let packet = reader.next(); packet !== undefined; packet = reader.next()) packets.push(packet);
  }
  expect(reader.bufferedBytes).toBe(0);
  return packets;
}

test('packets survive any cutting of the stream', () => {
  const payloads = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 });
  const pieces = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 10 });
  fc.assert(
    fc.property(payloads, pieces, (sent, cuts) => {
      const writer = new PacketWriter().start(0);
      for (const payload of sent) writer.begin().bytes(payload).end();
      const received = packetsOf(writer.take(), cuts);
      expect(received.map(packet => Buffer.from(packet.payload))).toEqual(sent.map(p => Buffer.from(p)));
      expect(received.map(packet => packet.sequence)).toEqual(sent.map((_, index) => index & 0xff));
    }),
  );
});

test.each([packetPartBytes - 1, packetPartBytes, packetPartBytes + 1, 2 * packetPartBytes, 40_000_000])(
  'a payload of %i bytes is cut into parts and joined again',
  length => {
    const payload = Buffer.alloc(length);
    for (let at = 0; at < length; at += 997) payload[at] = at % 251;
    const stream = new PacketWriter().start(7).begin().bytes(payload).end().take();
    const parts = Math.floor(length / packetPartBytes) + 1;
    expect(stream.length).toBe(length + parts * 4);
    const [packet, ...others] = packetsOf(stream, [65_536]);
    expect(others).toEqual([]);
    expect(packet?.sequence).toBe(7 + parts - 1);
    expect(packet?.payload.equals(payload)).toBe(true);
  },
);

test('a packet over the limit is refused by its header, before its bytes arrive', () => {
  const reader = new PacketReader(100);
  reader.push(Buffer.from([101, 0, 0, 0]));
  expect(() => reader.next()).toThrow('max_allowed_packet');
});

test('parts that together exceed the limit are refused', () => {
  const reader = new PacketReader(packetPartBytes + 10);
  reader.push(Buffer.from([0xff, 0xff, 0xff, 0]));
  reader.push(Buffer.alloc(packetPartBytes));
  reader.push(Buffer.from([11, 0, 0, 1]));
  expect(() => reader.next()).toThrow('max_allowed_packet');
});

test('a part with the wrong number is refused', () => {
  const reader = new PacketReader(2 ** 31);
  reader.push(Buffer.from([0xff, 0xff, 0xff, 0]));
  reader.push(Buffer.alloc(packetPartBytes));
  reader.push(Buffer.from([1, 0, 0, 5, 0]));
  expect(() => reader.next()).toThrow('out of order');
});

test('bytes behind an SSL request stay for TLS', () => {
  const reader = new PacketReader(100);
  reader.push(Buffer.from([1, 0, 0, 1, 42, 22, 3, 1]));
  expect(reader.next()?.payload).toEqual(Buffer.from([42]));
  expect(reader.takeRest()).toEqual(Buffer.from([22, 3, 1]));
});

test('one byte at a time costs no buffer per byte', () => {
  const stream = new PacketWriter().start(0).begin().zeros(3_000).end().take();
  expect(packetsOf(stream, [1])).toHaveLength(1);
});

test('fields written are the fields read', () => {
  const value = fc.record({
    u8: fc.integer({ min: 0, max: 255 }),
    u16: fc.integer({ min: 0, max: 0xffff }),
    u32: fc.integer({ min: 0, max: 0xffff_ffff }),
    i64: fc.oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.maxSafeInteger()),
    double: fc.double({ noNaN: true }),
    length: fc.oneof(fc.integer({ min: 0, max: 0xffff_ffff }), fc.maxSafeNat()),
    text: fc.string({ unit: 'binary', maxLength: 400 }),
    bytes: fc.uint8Array({ maxLength: 400 }),
  });
  fc.assert(
    fc.property(value, given => {
      const writer = new PacketWriter().start(0).begin();
      writer.u8(given.u8).u16(given.u16).u32(given.u32).u64(given.i64).double(given.double);
      writer.length(given.length).lengthEncodedText(given.text).lengthEncodedBytes(given.bytes).end();
      const [packet] = packetsOf(writer.take(), [1_000_000]);
      const reader = new ByteReader(packet?.payload ?? Buffer.alloc(0));
      expect(reader.u8('')).toBe(given.u8);
      expect(reader.u16('')).toBe(given.u16);
      expect(reader.u32('')).toBe(given.u32);
      expect(BigInt(reader.i64(''))).toBe(BigInt(given.i64));
      expect(reader.double('')).toBe(given.double);
      expect(reader.length('')).toBe(given.length);
      expect(reader.lengthEncodedBytes('').toString()).toBe(Buffer.from(given.text).toString());
      expect(new Uint8Array(reader.lengthEncodedBytes(''))).toEqual(given.bytes);
      expect(reader.remaining).toBe(0);
    }),
  );
});

test('integers are written as their decimal text', () => {
  const integer = fc.oneof(fc.maxSafeInteger(), fc.integer(), fc.integer({ min: 0, max: 1_000 }));
  fc.assert(
    fc.property(integer, value => {
      const stream = new PacketWriter().start(0).begin().lengthEncodedInteger(value).end().take();
      expect(new ByteReader(stream, 4).lengthEncodedBytes('').toString()).toBe(String(value));
    }),
  );
});

test('an answer over its limit is an error, and the writer can be used again', () => {
  const writer = new PacketWriter().start(0, 100_000).begin();
  expect(() => writer.bytes(Buffer.alloc(200_000))).toThrow('larger than 100000 bytes');
  expect(writer.start(0).begin().u8(1).end().take()).toEqual(Buffer.from([1, 0, 0, 0, 1]));
});

test('reading beyond a packet is a malformed packet and nothing else', () => {
  const reads = fc.constantFrom<(reader: ByteReader) => unknown>(
    reader => reader.u8('x'),
    reader => reader.u24('x'),
    reader => reader.u64('x'),
    reader => reader.length('x'),
    reader => reader.lengthEncodedBytes('x'),
    reader => reader.nulTerminated('x'),
    reader => reader.bytes(5, 'x'),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), fc.array(reads, { maxLength: 12 }), (bytes, actions) => {
      const reader = new ByteReader(Buffer.from(bytes));
      try {
        for (const read of actions) read(reader);
      } catch (error) {
        expect(isObError(error, 'OBS_SQL_MALFORMED_PACKET')).toBe(true);
      }
      expect(reader.remaining).toBeGreaterThanOrEqual(0);
    }),
  );
});
