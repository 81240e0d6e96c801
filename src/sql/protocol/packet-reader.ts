/**
 * Cuts a socket's byte stream into packets and joins those sent in 16 MB parts. Bounded: a packet larger than the
 * limit is an error as soon as its header tells, before its bytes are kept.
 *
 * A packet that lies whole in one received chunk is handed out as a view of it, without a copy.
 */
import { ObError } from '../../base/errors.ts';
import { packetPartBytes } from './wire-constants.ts';

const headerBytes = 4;
const joinedChunkBytesMax = 4_096;

export interface Packet {
  /** of the packet's last part; the answer continues from it */
  readonly sequence: number;
  readonly payload: Buffer;
}

export class PacketReader {
  /** received chunks not consumed yet; more than one only while a packet is incomplete */
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** parts of a packet over 16 MB, and the sequence number the next part must have */
  #parts: Buffer[] = [];
  #partBytes = 0;
  #nextPartSequence = 0;
  #payloadBytesMax: number;

  constructor(payloadBytesMax: number) {
    this.#payloadBytesMax = payloadBytesMax;
  }

  set payloadBytesMax(bytes: number) {
    this.#payloadBytesMax = bytes;
  }

  get bufferedBytes(): number {
    return this.#bytes + this.#partBytes;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#bytes += chunk.length;
    const last = this.#chunks.at(-1);
    // A client that dribbles bytes must not cost a buffer object for each of them.
    if (last !== undefined && last.length + chunk.length <= joinedChunkBytesMax) {
      this.#chunks[this.#chunks.length - 1] = Buffer.concat([last, chunk]);
    } else {
      this.#chunks.push(chunk);
    }
  }

  /** The next whole packet, or undefined until more bytes arrive. Throws OBS_SQL_PACKET_TOO_LARGE, …_OUT_OF_ORDER. */
  next(): Packet | undefined {
    for (;;) {
      if (this.#bytes < headerBytes) return undefined;
      const header = this.#front(headerBytes);
      const length = header.readUInt16LE(0) + header.readUInt8(2) * 65_536;
      const sequence = header.readUInt8(3);
      const total = this.#partBytes + length;
      if (total > this.#payloadBytesMax) {
        throw new ObError('OBS_SQL_PACKET_TOO_LARGE', { bytes: total, max: this.#payloadBytesMax });
      }
      if (this.#parts.length > 0 && sequence !== this.#nextPartSequence) {
        throw new ObError('OBS_SQL_PACKETS_OUT_OF_ORDER');
      }
      if (this.#bytes < headerBytes + length) return undefined;
      const payload = this.#front(headerBytes + length).subarray(headerBytes, headerBytes + length);
      this.#drop(headerBytes + length);
      if (length === packetPartBytes) {
        this.#parts.push(payload);
        this.#partBytes = total;
        this.#nextPartSequence = (sequence + 1) & 0xff;
        continue;
      }
      if (this.#parts.length === 0) return { sequence, payload };
      const whole = Buffer.concat([...this.#parts, payload], total);
      this.#parts = [];
      this.#partBytes = 0;
      return { sequence, payload: whole };
    }
  }

  /** Takes back every byte not consumed: what follows belongs to another protocol layer (TLS). */
  takeRest(): Buffer {
    const rest = Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks = [];
    this.#bytes = 0;
    return rest;
  }

  /** The first chunk, made to hold at least `count` bytes (which are there). */
  #front(count: number): Buffer {
    const first = this.#chunks[0] ?? Buffer.alloc(0);
    if (first.length >= count) return first;
    const joined = Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks = [joined];
    return joined;
  }

  #drop(count: number): void {
    const first = this.#chunks[0] ?? Buffer.alloc(0);
    this.#bytes -= count;
    if (first.length === count) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(count);
  }
}
