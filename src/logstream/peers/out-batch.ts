/**
 * The log messages that one turn sends to one node, as the parts of as few frames as their bounds allow. Large parts stay
 * where they are; small ones are gathered, since a fragment of its own costs more than the copy.
 */
import { assert } from '../../base/assert.ts';
import { nodeCopyBytesMax, nodeFrameBytes } from '../../base/limits.ts';
import { batchHeadBytesMax } from '../../codec/node-message.ts';
import { writeVarint } from '../../codec/varint.ts';
import type { StreamKey } from '../member-net.ts';

/** Memory that gathered bytes are written into, piece after piece. */
const slabBytes = 65_536;

export class OutBatch {
  /** parts of frames that are full */
  #frames: Uint8Array[][] = [];
  #parts: Uint8Array[] = [];
  #frameBytes = 0;
  #frameMessages = 0;
  #bytes = 0;
  #messages = 0;
  /** gathered bytes go to [#start, #end), which is not in #parts yet */
  #slab = Buffer.alloc(0);
  #start = 0;
  #end = 0;

  /** Bytes and messages in it. */
  get bytes(): number {
    return this.#bytes;
  }

  get messages(): number {
    return this.#messages;
  }

  add(key: StreamKey, parts: readonly Uint8Array[], bytes: number): void {
    const frameBytes = this.#frameBytes + bytes + batchHeadBytesMax;
    if (this.#frameMessages > 0 && frameBytes > nodeFrameBytes) this.#closeFrame();
    this.#reserve(batchHeadBytesMax);
    const before = this.#end;
    this.#end = writeVarint(this.#slab, this.#end, key.tenantId);
    this.#end = writeVarint(this.#slab, this.#end, key.stream);
    this.#end = writeVarint(this.#slab, this.#end, bytes);
    this.#frameBytes += this.#end - before + bytes;
    this.#frameMessages += 1;
    this.#bytes += bytes;
    this.#messages += 1;
    for (const part of parts) {
      if (part.length > nodeCopyBytesMax) {
        this.#closeGathered();
        this.#parts.push(part);
      } else {
        this.#reserve(part.length);
        this.#slab.set(part, this.#end);
        this.#end += part.length;
      }
    }
  }

  /** The parts of each frame; it is empty afterwards. */
  take(): Uint8Array[][] {
    if (this.#frameMessages > 0) this.#closeFrame();
    const frames = this.#frames;
    this.#frames = [];
    this.#bytes = 0;
    this.#messages = 0;
    return frames;
  }

  #reserve(bytes: number): void {
    if (this.#slab.length - this.#end >= bytes) return;
    assert(bytes <= slabBytes, 'what is gathered fits');
    this.#closeGathered();
    // What was gathered before is on its way and keeps its memory until it was sent.
    this.#slab = Buffer.allocUnsafeSlow(slabBytes);
    this.#start = 0;
    this.#end = 0;
  }

  #closeGathered(): void {
    if (this.#end > this.#start) this.#parts.push(this.#slab.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }

  #closeFrame(): void {
    this.#closeGathered();
    this.#frames.push(this.#parts);
    this.#parts = [];
    this.#frameBytes = 0;
    this.#frameMessages = 0;
  }
}
