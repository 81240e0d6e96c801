/**
 * Buffers that all tenants of a worker thread share. Everything in this folder is synchronous, so whoever fills one
 * uses it up before anybody else can run; nothing that is handed out may point into them.
 */
import { pageReadBytesMax } from '../../base/limits.ts';
import { RedoEncoder } from '../../codec/redo.ts';

const pageBytesMax = 65_536;
const frameHeaderBytes = 24;

/** Memory seen as bytes and as little-endian words. */
export interface WordBuffer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Int32Array<ArrayBuffer>;
}

export const wordBuffer = (bytes: number): WordBuffer => {
  const memory = new ArrayBuffer(bytes);
  return { bytes: new Uint8Array(memory), words: new Int32Array(memory) };
};

interface Scratch {
  /** frames or pages read in one piece */
  readonly frames: WordBuffer;
  /** the previous image of one page */
  readonly previous: WordBuffer;
  readonly encoder: RedoEncoder;
}

let scratch: Scratch | undefined;

/** This thread's buffers, made at first use. */
export function threadScratch(): Scratch {
  scratch ??= {
    frames: wordBuffer(pageReadBytesMax + pageBytesMax + frameHeaderBytes),
    previous: wordBuffer(pageBytesMax),
    encoder: new RedoEncoder(),
  };
  return scratch;
}
