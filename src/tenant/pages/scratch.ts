/**
 * Buffers that all tenants of a worker thread share. Everything in this folder is synchronous, so whoever fills one
 * uses it up before anybody else can run; nothing that is handed out may point into them.
 */
import { pageReadBytesMax } from '../../base/limits.ts';
import { RedoEncoder } from '../../codec/redo.ts';
import { ImageCache } from './image-cache.ts';
import { type WordBuffer, wordBuffer } from '../../codec/word-buffer.ts';

const pageBytesMax = 65_536;
const frameHeaderBytes = 24;

interface Scratch {
  /** frames or pages read in one piece */
  readonly frames: WordBuffer;
  /** the previous image of one page */
  readonly previous: WordBuffer;
  readonly images: ImageCache;
  readonly encoder: RedoEncoder;
}

let scratch: Scratch | undefined;

/** This thread's buffers, made at first use. */
export function threadScratch(): Scratch {
  scratch ??= {
    frames: wordBuffer(pageReadBytesMax + pageBytesMax + frameHeaderBytes),
    previous: wordBuffer(pageBytesMax),
    images: new ImageCache(),
    encoder: new RedoEncoder(),
  };
  return scratch;
}
