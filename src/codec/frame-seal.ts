/**
 * The seal of frames in one direction of a connection: HMAC-SHA-256 over the frame's number, type and payload, under a key
 * that both ends drew from their handshake, cut to 16 bytes. No frame can be forged, altered, repeated, dropped or put in
 * another order.
 *
 * Little frames are most of them, and making a hash object costs more than hashing them: they are hashed in one call for each of
 * HMAC's two passes (RFC 2104), over a copy behind the padded key.
 */
import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto';
import { assert } from '../base/assert.ts';

export const frameSealBytes = 16;

/** SHA-256's */
const blockBytes = 64;
const digestBytes = 32;
const headBytes = 9;
/** Above this copying costs more than a hash object. */
const copiedBytesMax = 16_384;
/** What is hashed in one call; only used inside of one. */
const scratch = Buffer.alloc(blockBytes + headBytes + copiedBytesMax);

export class FrameSeal {
  readonly #key: KeyObject;
  readonly #head = Buffer.alloc(headBytes);
  readonly #inner = Buffer.alloc(blockBytes, 0x36);
  /** with room for the inner digest */
  readonly #outer = Buffer.alloc(blockBytes + digestBytes, 0x5c);
  #next = 0;

  constructor(key: Uint8Array) {
    assert(key.length <= blockBytes, 'a key of a seal fits a block');
    this.#key = createSecretKey(key);
    for (const [at, byte] of key.entries()) {
      this.#inner[at] = byte ^ 0x36;
      this.#outer[at] = byte ^ 0x5c;
    }
  }

  /** The seal of the next frame of this direction. */
  next(type: number, payload: readonly Uint8Array[]): Buffer {
    this.#head.writeUInt32LE(this.#next >>> 0, 0);
    this.#head.writeUInt32LE(Math.floor(this.#next / 0x1_0000_0000), 4);
    this.#head.writeUInt8(type, 8);
    this.#next += 1;
    const bytes = payload.reduce((sum, part) => sum + part.length, 0);
    return bytes <= copiedBytesMax ? this.#ofLittle(payload) : this.#ofLarge(payload);
  }

  #ofLittle(payload: readonly Uint8Array[]): Buffer {
    let bytes = 0;
    for (const part of [this.#inner, this.#head, ...payload]) {
      scratch.set(part, bytes);
      bytes += part.length;
    }
    this.#outer.set(hash('sha256', scratch.subarray(0, bytes), 'buffer'), blockBytes);
    return hash('sha256', this.#outer, 'buffer').subarray(0, frameSealBytes);
  }

  #ofLarge(payload: readonly Uint8Array[]): Buffer {
    const mac = createHmac('sha256', this.#key).update(this.#head);
    for (const part of payload) mac.update(part);
    return mac.digest().subarray(0, frameSealBytes);
  }
}
