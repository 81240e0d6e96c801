/**
 * Frames on a byte stream between peers: 12-byte header {magic 'OF' u16, version u8, type u8, payload bytes u32,
 * crc32 u32 over the first 8 header bytes and the payload}, then the payload. Little-endian.
 *
 * The reader takes foreign bytes: it buffers nothing beyond the limit of the frame's type, never throws, and after one
 * problem answers with it for ever (the stream has lost its boundaries).
 */
import { crc32 } from 'node:zlib';
import { assert } from '../base/assert.ts';

export const frameHeaderBytes = 12;
const frameVersion = 1;
const frameMagic = 0x464f;

export interface Frame {
  readonly kind: 'frame';
  readonly type: number;
  readonly payload: Uint8Array;
}

export interface FrameProblem {
  readonly kind: 'problem';
  /** what is wrong with the bytes, for people */
  readonly what: string;
}

/** The header that goes before `payload`, whose parts are concatenated on the wire. */
export function encodeFrameHeader(type: number, payload: readonly Uint8Array[]): Uint8Array {
  assert(Number.isInteger(type) && type >= 0 && type < 256, 'a frame type is one byte');
  const header = Buffer.allocUnsafe(frameHeaderBytes);
  let payloadBytes = 0;
  for (const part of payload) payloadBytes += part.length;
  header.writeUInt16LE(frameMagic, 0);
  header.writeUInt8(frameVersion, 2);
  header.writeUInt8(type, 3);
  header.writeUInt32LE(payloadBytes, 4);
  let checksum = crc32(header.subarray(0, 8));
  for (const part of payload) checksum = crc32(part, checksum);
  header.writeUInt32LE(checksum, 8);
  return header;
}

/** Cuts a byte stream into frames. `payloadBytesMax` gives the limit of a type, or undefined for one not welcome now. */
export class FrameReader {
  readonly #payloadBytesMax: (type: number) => number | undefined;
  /** bytes not yet consumed, in arrival order */
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #problem: FrameProblem | undefined;

  constructor(payloadBytesMax: (type: number) => number | undefined) {
    this.#payloadBytesMax = payloadBytesMax;
  }

  push(bytes: Uint8Array): void {
    if (this.#problem !== undefined || bytes.length === 0) return;
    const arrived = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#pendingBytes += arrived.length;
    const first = this.#pending[0];
    // A header is never left scattered: `next` looks at it each time bytes arrive.
    if (first !== undefined && first.length < frameHeaderBytes)
      this.#pending[0] = Buffer.concat([first, arrived]);
    else this.#pending.push(arrived);
  }

  /** The next whole frame, a problem, or undefined when more bytes are needed. */
  next(): Frame | FrameProblem | undefined {
    if (this.#problem !== undefined) return this.#problem;
    if (this.#pendingBytes < frameHeaderBytes) return undefined;
    const header = this.#pending[0];
    assert(header !== undefined && header.length >= frameHeaderBytes, 'the header lies in one piece');
    if (header.readUInt16LE(0) !== frameMagic) return this.#fail('not a frame: wrong magic');
    if (header.readUInt8(2) !== frameVersion) {
      return this.#fail(`frame version ${header.readUInt8(2)} is not known`);
    }
    const type = header.readUInt8(3);
    const payloadBytes = header.readUInt32LE(4);
    const limit = this.#payloadBytesMax(type);
    if (limit === undefined) return this.#fail(`a frame of type ${type} is not expected now`);
    if (payloadBytes > limit)
      return this.#fail(`a frame of type ${type} has ${payloadBytes} bytes, over ${limit}`);
    if (this.#pendingBytes < frameHeaderBytes + payloadBytes) return undefined;
    const whole = this.#take(frameHeaderBytes + payloadBytes);
    const payload = whole.subarray(frameHeaderBytes);
    const checksum = crc32(payload, crc32(whole.subarray(0, 8)));
    if (checksum !== whole.readUInt32LE(8)) return this.#fail(`a frame of type ${type} fails its checksum`);
    return { kind: 'frame', type, payload };
  }

  #fail(what: string): FrameProblem {
    this.#problem = { kind: 'problem', what };
    this.#pending = [];
    this.#pendingBytes = 0;
    return this.#problem;
  }

  #take(count: number): Buffer {
    assert(count <= this.#pendingBytes, 'only bytes that are there are taken');
    const first = this.#pending[0];
    this.#pendingBytes -= count;
    if (first !== undefined && first.length >= count) {
      if (first.length === count) this.#pending.shift();
      else this.#pending[0] = first.subarray(count);
      return first.subarray(0, count);
    }
    const taken: Buffer[] = [];
    let missing = count;
    let index = 0;
    while (missing > 0) {
      const part = this.#pending[index];
      assert(part !== undefined, 'the bytes counted as pending are there');
      if (part.length > missing) {
        taken.push(part.subarray(0, missing));
        this.#pending[index] = part.subarray(missing);
        missing = 0;
      } else {
        taken.push(part);
        missing -= part.length;
        index += 1;
      }
    }
    this.#pending.splice(0, index);
    return Buffer.concat(taken, count);
  }
}
