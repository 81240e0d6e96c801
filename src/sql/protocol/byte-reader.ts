/**
 * Reads the fields of one packet. Every read is checked against the packet's end: whatever a client sends yields a
 * value or OBS_SQL_MALFORMED_PACKET, never bytes of another packet and never an endless loop.
 */
import { ObError } from '../../base/errors.ts';

export class ByteReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #position: number;

  constructor(bytes: Buffer, position = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#position = position;
    this.#end = end;
  }

  get position(): number {
    return this.#position;
  }

  get remaining(): number {
    return this.#end - this.#position;
  }

  #take(count: number, what: string): number {
    const start = this.#position;
    if (count < 0 || count > this.#end - start) throw new ObError('OBS_SQL_MALFORMED_PACKET', { what });
    this.#position = start + count;
    return start;
  }

  skip(count: number, what: string): void {
    this.#take(count, what);
  }

  u8(what: string): number {
    return this.#bytes.readUInt8(this.#take(1, what));
  }

  u16(what: string): number {
    return this.#bytes.readUInt16LE(this.#take(2, what));
  }

  u24(what: string): number {
    return this.#bytes.readUIntLE(this.#take(3, what), 3);
  }

  u32(what: string): number {
    return this.#bytes.readUInt32LE(this.#take(4, what));
  }

  i8(what: string): number {
    return this.#bytes.readInt8(this.#take(1, what));
  }

  i16(what: string): number {
    return this.#bytes.readInt16LE(this.#take(2, what));
  }

  i32(what: string): number {
    return this.#bytes.readInt32LE(this.#take(4, what));
  }

  float(what: string): number {
    return this.#bytes.readFloatLE(this.#take(4, what));
  }

  double(what: string): number {
    return this.#bytes.readDoubleLE(this.#take(8, what));
  }

  /** A signed 64-bit integer: a number where it is exact, else a bigint. */
  i64(what: string): number | bigint {
    return narrowed(this.#bytes.readBigInt64LE(this.#take(8, what)));
  }

  u64(what: string): number | bigint {
    return narrowed(this.#bytes.readBigUInt64LE(this.#take(8, what)));
  }

  /** A length-encoded integer that is a length or a count; larger than the packet means malformed. */
  length(what: string): number {
    const first = this.u8(what);
    if (first < 0xfb) return first;
    if (first === 0xfc) return this.u16(what);
    if (first === 0xfd) return this.u24(what);
    if (first !== 0xfe) throw new ObError('OBS_SQL_MALFORMED_PACKET', { what });
    const long = this.u64(what);
    if (typeof long === 'bigint') throw new ObError('OBS_SQL_MALFORMED_PACKET', { what });
    return long;
  }

  /** A view of the packet's own memory: copy it to keep it. */
  bytes(count: number, what: string): Buffer {
    const start = this.#take(count, what);
    return this.#bytes.subarray(start, start + count);
  }

  lengthEncodedBytes(what: string): Buffer {
    return this.bytes(this.length(what), what);
  }

  rest(): Buffer {
    return this.bytes(this.remaining, 'rest');
  }

  utf8(count: number, what: string): string {
    const start = this.#take(count, what);
    return this.#bytes.toString('utf8', start, start + count);
  }

  /** Bytes up to a NUL, which is consumed; the packet's end serves as one where `endAllowed`. */
  nulTerminated(what: string, endAllowed = false): string {
    const nul = this.#bytes.indexOf(0, this.#position);
    if (nul < 0 || nul >= this.#end) {
      if (!endAllowed) throw new ObError('OBS_SQL_MALFORMED_PACKET', { what });
      return this.utf8(this.remaining, what);
    }
    const text = this.utf8(nul - this.#position, what);
    this.#position = nul + 1;
    return text;
  }
}

function narrowed(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
