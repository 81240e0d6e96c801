/** The client's half of MySQL's packets, as far as tests need it: raw sockets, results read back, commands built. */
import { connect, type Socket } from 'node:net';
import { must } from '../../src/base/assert.ts';
import { ByteReader } from '../../src/sql/protocol/byte-reader.ts';
import { scrambleOf } from '../../src/sql/protocol/scrambles.ts';
import { type Packet, PacketReader } from '../../src/sql/protocol/packet-reader.ts';
import { PacketWriter } from '../../src/sql/protocol/packet-writer.ts';
import { capability, type } from '../../src/sql/protocol/wire-constants.ts';

export type WireCell = null | number | bigint | string | Buffer;

export interface WireColumn {
  readonly name: string;
  readonly table: string;
  readonly type: number;
  readonly charset: number;
  readonly flags: number;
}

export const clientCapabilities =
  capability.longPassword |
  capability.longFlag |
  capability.protocol41 |
  capability.transactions |
  capability.secureConnection |
  capability.pluginAuth |
  capability.pluginAuthLenencData |
  capability.multiResults |
  capability.deprecateEof;

/** Cuts bytes into packets. */
export function packetsIn(bytes: Buffer): Packet[] {
  const reader = new PacketReader(2 ** 31);
  reader.push(bytes);
  const packets: Packet[] = [];
  for (let packet = reader.next(); packet !== undefined; packet = reader.next()) packets.push(packet);
  return packets;
}

function readColumn(payload: Buffer): WireColumn {
  const reader = new ByteReader(payload);
  const text = () => reader.lengthEncodedBytes('text').toString();
  text();
  text();
  const table = text();
  text();
  const name = text();
  text();
  reader.length('fixed');
  const charset = reader.u16('charset');
  reader.u32('length');
  return { name, table, type: reader.u8('type'), charset, flags: reader.u16('flags') };
}

/** Reads a whole result of a client with DEPRECATE_EOF. */
export function readResult(
  packets: readonly Packet[],
  protocol: 'text' | 'binary',
): { columns: WireColumn[]; rows: WireCell[][] } {
  const payloads = packets.map(packet => packet.payload);
  const count = new ByteReader(must(payloads[0], 'column count')).length('count');
  const columns = payloads.slice(1, 1 + count).map(readColumn);
  const rows = payloads
    .slice(1 + count, -1)
    .map(payload => (protocol === 'text' ? readTextRow(payload, count) : readBinaryRow(payload, columns)));
  return { columns, rows };
}

function readTextRow(payload: Buffer, count: number): WireCell[] {
  let at = 0;
  const row: WireCell[] = [];
  for (let column = 0; column < count; column++) {
    if (payload[at] === 0xfb) {
      row.push(null);
      at++;
      continue;
    }
    const reader = new ByteReader(payload, at);
    row.push(Buffer.from(reader.lengthEncodedBytes('cell')));
    at = reader.position;
  }
  return row;
}

function readBinaryRow(payload: Buffer, columns: readonly WireColumn[]): WireCell[] {
  const reader = new ByteReader(payload, 1);
  const nulls = reader.bytes((columns.length + 9) >> 3, 'NULL bitmap');
  return columns.map((column, position) => {
    const bit = position + 2;
    if ((((nulls[bit >> 3] ?? 0) >> (bit & 7)) & 1) === 1) return null;
    switch (column.type) {
      case type.tiny:
        return reader.i8('cell');
      case type.short:
      case type.year:
        return reader.i16('cell');
      case type.long:
      case type.int24:
        return reader.i32('cell');
      case type.longlong:
        return reader.i64('cell');
      case type.double:
        return reader.double('cell');
      case type.date:
      case type.datetime:
      case type.timestamp:
      case type.time:
        return Buffer.from(reader.bytes(reader.u8('length'), 'temporal'));
      default:
        return Buffer.from(reader.lengthEncodedBytes('cell'));
    }
  });
}

/** A client made of one socket: what it sends is up to the test. */
export class WireClient {
  readonly socket: Socket;
  readonly #reader = new PacketReader(2 ** 31);
  #wake: () => void = () => {};
  #ended = false;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('data', (chunk: Buffer) => {
      this.#reader.push(chunk);
      this.#wake();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** The next packet, or undefined once the server has closed. */
  async next(): Promise<Packet | undefined> {
    for (;;) {
      const packet = this.#reader.next();
      if (packet !== undefined) return packet;
      if (this.#ended) return undefined;
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    }
  }

  /** All packets until the server closes. */
  async rest(): Promise<Packet[]> {
    const packets: Packet[] = [];
    for (let packet = await this.next(); packet !== undefined; packet = await this.next()) {
      packets.push(packet);
    }
    return packets;
  }

  send(payload: Uint8Array, sequence = 0): void {
    this.socket.write(new PacketWriter().start(sequence).begin().bytes(payload).end().take());
  }

  command(code: number, ...body: readonly (string | Uint8Array)[]): void {
    const parts = body.map(part => (typeof part === 'string' ? Buffer.from(part) : part));
    this.send(Buffer.concat([Buffer.from([code]), ...parts]));
  }

  /** Logs in; resolves with the server's verdict packet. */
  async login(
    user: string,
    password: string,
    capabilities = clientCapabilities,
  ): Promise<Packet | undefined> {
    const greeting = must(await this.next(), 'greeting').payload;
    const reader = new ByteReader(greeting, 1);
    reader.nulTerminated('version');
    reader.u32('connection');
    const first = Buffer.from(reader.bytes(8, 'challenge'));
    reader.skip(1 + 2 + 1 + 2 + 2 + 1 + 10, 'flags');
    const challenge = Buffer.concat([first, reader.bytes(12, 'challenge')]);
    const writer = new PacketWriter()
      .start(1)
      .begin()
      .u32(capabilities)
      .u32(2 ** 24)
      .u8(45)
      .zeros(23);
    writer.textNul(user).lengthEncodedBytes(scrambleOf('mysql_native_password', challenge, password));
    this.socket.write(writer.textNul('mysql_native_password').end().take());
    return this.next();
  }

  async close(): Promise<void> {
    this.socket.destroy();
    while (!this.#ended) await new Promise<void>(resolve => this.socket.once('close', () => resolve()));
  }
}

export const isError = (packet: Packet | undefined): boolean => packet?.payload[0] === 0xff;
export const isOk = (packet: Packet | undefined): boolean => packet?.payload[0] === 0x00;
/** Number of an error packet. */
export const errorNumber = (packet: Packet | undefined): number =>
  new ByteReader(must(packet, 'a packet').payload, 1).u16('number');
