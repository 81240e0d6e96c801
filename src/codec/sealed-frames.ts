/**
 * The frames of one connection, both ways: which part of the bytes that came is a whole frame, and whether its seal holds. A
 * direction is bare until it has a key; from the next frame on each one ends with a seal. What the frames say, and what is done
 * when one is bad, is the channel's.
 *
 * Must never: give on a frame that was not verified, nor two at a time: bytes that come while a frame is being handled wait for
 * the loop that runs already.
 */
import { timingSafeEqual } from 'node:crypto';
import { assert } from '../base/assert.ts';
import { encodeFrameHeader, FrameReader } from './frame.ts';
import { FrameSeal, frameSealBytes } from './frame-seal.ts';

export interface SealedFramesOptions {
  /** The limit of a type without its seal, or undefined for one not welcome now; `isSealed`: what comes has seals. */
  readonly payloadBytesMax: (type: number, isSealed: boolean) => number | undefined;
  /** what people are told of a frame too short for its seal */
  readonly withoutSeal: string;
  /** false: what has come waits, for ever if the channel is closed */
  readonly isReading: () => boolean;
  readonly onFrame: (type: number, payload: Uint8Array) => void;
  /** No frame after it can be trusted: the channel closes. */
  readonly onProblem: (what: string) => void;
}

export class SealedFrames {
  readonly #options: SealedFramesOptions;
  readonly #reader: FrameReader;
  #sending: FrameSeal | undefined;
  #receiving: FrameSeal | undefined;
  #draining = false;

  constructor(options: SealedFramesOptions) {
    this.#options = options;
    this.#reader = new FrameReader(type => {
      const isSealed = this.#receiving !== undefined;
      const limit = options.payloadBytesMax(type, isSealed);
      return limit === undefined || !isSealed ? limit : limit + frameSealBytes;
    });
  }

  /** Whether what is sent from now on carries seals. */
  get sealsSent(): boolean {
    return this.#sending !== undefined;
  }

  sealSent(key: Uint8Array): void {
    assert(this.#sending === undefined, 'what is sent gets its key once');
    this.#sending = new FrameSeal(key);
  }

  /** The first frame with a seal follows the last one that was given on. */
  verifyReceived(key: Uint8Array): void {
    assert(this.#receiving === undefined, 'what is received gets its key once');
    this.#receiving = new FrameSeal(key);
  }

  /** The next frame to be sent, as parts: its header, the payload as it is, its seal. Whoever asks for one sends it. */
  encode(type: number, payload: readonly Uint8Array[]): Uint8Array[] {
    const parts = this.#sending === undefined ? payload : [...payload, this.#sending.next(type, payload)];
    return [encodeFrameHeader(type, parts), ...parts];
  }

  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /** Gives on every whole frame that is there. */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      while (this.#options.isReading() && this.#takeFrame());
    } finally {
      this.#draining = false;
    }
  }

  #takeFrame(): boolean {
    const frame = this.#reader.next();
    if (frame === undefined) return false;
    if (frame.kind === 'problem') return this.#broken(frame.what);
    let payload = frame.payload;
    if (this.#receiving !== undefined) {
      if (payload.length < frameSealBytes) return this.#broken(this.#options.withoutSeal);
      const seal = payload.subarray(payload.length - frameSealBytes);
      payload = payload.subarray(0, payload.length - frameSealBytes);
      if (!timingSafeEqual(seal, this.#receiving.next(frame.type, [payload]))) {
        return this.#broken('a frame that fails its authentication');
      }
    }
    this.#options.onFrame(frame.type, payload);
    return true;
  }

  #broken(what: string): false {
    this.#options.onProblem(what);
    return false;
  }
}
