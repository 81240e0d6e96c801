/**
 * Builds one answer — any number of packets — in one piece of memory, so that it leaves in one socket write. Packets
 * over 16 MB are cut into parts here. Encoding is synchronous, so one writer serves every connection of the process.
 *
 * Use: `start(sequence)`, then `begin()` … fields … `end()` per packet, then `take()`.
 */
import { assert } from '../../base/assert.ts';
import { ObError } from '../../base/errors.ts';
import { packetPartBytes } from './wire-constants.ts';

const initialBytes = 65_536;
/** Answers up to this size are copied out and the memory is used again; larger ones take the memory with them. */
const copyBytesMax = 16_384;
/** Memory grown beyond this by an answer that failed is given back. */
const keptBytesMax = 1_048_576;

export class PacketWriter {
  #memory = Buffer.allocUnsafeSlow(initialBytes);
  #position = 0;
  #packetStart = -1;
  #sequence = 0;
  #bytesMax = Number.MAX_SAFE_INTEGER;

  /** Starts an answer whose first packet has this number. Drops what an encoder that threw left behind. */
  start(sequence: number, bytesMax = Number.MAX_SAFE_INTEGER): this {
    if (this.#memory.length > keptBytesMax) this.#memory = Buffer.allocUnsafeSlow(initialBytes);
    this.#position = 0;
    this.#packetStart = -1;
    this.#sequence = sequence & 0xff;
    this.#bytesMax = bytesMax;
    return this;
  }

  get sequence(): number {
    return this.#sequence;
  }

  begin(): this {
    assert(this.#packetStart < 0, 'the packet before was ended');
    this.#reserve(4);
    this.#packetStart = this.#position;
    this.#position += 4;
    return this;
  }

  end(): this {
    assert(this.#packetStart >= 0, 'a packet was begun');
    const start = this.#packetStart;
    this.#packetStart = -1;
    const length = this.#position - start - 4;
    if (length < packetPartBytes) this.#header(start, length);
    else this.#splitFrom(start, length);
    return this;
  }

  /** Moves the payload apart so that a header fits before each 16 MB part; the last part is shorter, maybe empty. */
  #splitFrom(start: number, length: number): void {
    const cuts = Math.floor(length / packetPartBytes);
    this.#reserve(cuts * 4);
    const lastBytes = length - cuts * packetPartBytes;
    const partStart = (part: number) => start + 4 + part * packetPartBytes;
    for (let part = cuts; part > 0; part--) {
      const bytes = part === cuts ? lastBytes : packetPartBytes;
      this.#memory.copyWithin(partStart(part) + part * 4, partStart(part), partStart(part) + bytes);
    }
    this.#position += cuts * 4;
    for (let part = 0; part <= cuts; part++) {
      this.#header(partStart(part) - 4 + part * 4, part === cuts ? lastBytes : packetPartBytes);
    }
  }

  #header(at: number, length: number): void {
    const memory = this.#memory;
    memory[at] = length & 0xff;
    memory[at + 1] = (length >> 8) & 0xff;
    memory[at + 2] = length >> 16;
    memory[at + 3] = this.#sequence;
    this.#sequence = (this.#sequence + 1) & 0xff;
  }

  /** The answer's bytes, which are the caller's from now on. */
  take(): Buffer {
    assert(this.#packetStart < 0, 'the last packet was ended');
    const length = this.#position;
    this.#position = 0;
    if (length <= copyBytesMax) return Buffer.from(this.#memory.subarray(0, length));
    const taken = this.#memory.subarray(0, length);
    this.#memory = Buffer.allocUnsafeSlow(initialBytes);
    return taken;
  }

  #reserve(count: number): void {
    const needed = this.#position + count;
    if (needed <= this.#memory.length) return;
    if (needed > this.#bytesMax) throw new ObError('OBS_SQL_RESULT_BYTES', { max: this.#bytesMax });
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#memory.length * 2));
    this.#memory.copy(larger, 0, 0, this.#position);
    this.#memory = larger;
  }

  u8(value: number): this {
    this.#reserve(1);
    this.#memory[this.#position++] = value;
    return this;
  }

  u16(value: number): this {
    this.#reserve(2);
    this.#position = this.#memory.writeUInt16LE(value & 0xffff, this.#position);
    return this;
  }

  u32(value: number): this {
    this.#reserve(4);
    this.#position = this.#memory.writeUInt32LE(value >>> 0, this.#position);
    return this;
  }

  /** Two's complement of a signed or unsigned 64-bit integer. */
  u64(value: number | bigint): this {
    if (typeof value === 'bigint') {
      this.#reserve(8);
      this.#position = this.#memory.writeBigUInt64LE(BigInt.asUintN(64, value), this.#position);
      return this;
    }
    const high = Math.floor(value / 2 ** 32);
    return this.u32(value - high * 2 ** 32).u32(high);
  }

  float(value: number): this {
    this.#reserve(4);
    this.#position = this.#memory.writeFloatLE(value, this.#position);
    return this;
  }

  double(value: number): this {
    this.#reserve(8);
    this.#position = this.#memory.writeDoubleLE(value, this.#position);
    return this;
  }

  zeros(count: number): this {
    this.#reserve(count);
    this.#memory.fill(0, this.#position, this.#position + count);
    this.#position += count;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#reserve(value.length);
    this.#memory.set(value, this.#position);
    this.#position += value.length;
    return this;
  }

  text(value: string): this {
    this.#reserve(value.length * 3);
    this.#position += this.#memory.write(value, this.#position, 'utf8');
    return this;
  }

  textNul(value: string): this {
    return this.text(value.replaceAll('\0', ' ')).u8(0);
  }

  /** Length-encoded integer. */
  length(value: number | bigint): this {
    if (value < 0xfb) return this.u8(Number(value));
    if (value <= 0xffff) return this.u8(0xfc).u16(Number(value));
    if (value <= 0xff_ff_ff) {
      return this.u8(0xfd)
        .u16(Number(value) & 0xffff)
        .u8(Number(value) >> 16);
    }
    return this.u8(0xfe).u64(value);
  }

  lengthEncodedBytes(value: Uint8Array): this {
    return this.length(value.length).bytes(value);
  }

  /** Length-encoded UTF-8. Short texts are written first and measured by that. */
  lengthEncodedText(value: string): this {
    if (value.length <= 83) {
      this.#reserve(1 + value.length * 3);
      const written = this.#memory.write(value, this.#position + 1, 'utf8');
      this.#memory[this.#position] = written;
      this.#position += 1 + written;
      return this;
    }
    const bytes = Buffer.byteLength(value, 'utf8');
    this.length(bytes);
    this.#reserve(bytes);
    this.#position += this.#memory.write(value, this.#position, 'utf8');
    return this;
  }

  /** Length-encoded decimal text of an integer. */
  lengthEncodedInteger(value: number): this {
    if (value < 0 || value > 0x7fff_ffff) return this.lengthEncodedText(String(value));
    this.#reserve(11);
    let digits = 1;
    for (let bound = 10; value >= bound; bound *= 10) digits++;
    this.#memory[this.#position] = digits;
    let left = value;
    for (let at = this.#position + digits; at > this.#position; at--) {
      const quotient = Math.trunc(left / 10);
      this.#memory[at] = 48 + left - quotient * 10;
      left = quotient;
    }
    this.#position += digits + 1;
    return this;
  }
}
