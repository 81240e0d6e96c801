/** Memory seen as bytes and as little-endian words. */
export interface WordBuffer {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly words: Int32Array<ArrayBuffer>;
}

export function wordBuffer(bytes: number): WordBuffer {
  const memory = new ArrayBuffer(bytes);
  return { bytes: Buffer.from(memory), words: new Int32Array(memory) };
}
