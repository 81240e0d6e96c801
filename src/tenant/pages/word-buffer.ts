/** Memory seen as bytes and as little-endian words. */
export interface WordBuffer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Int32Array<ArrayBuffer>;
}

export const wordBuffer = (bytes: number): WordBuffer => {
  const memory = new ArrayBuffer(bytes);
  return { bytes: new Uint8Array(memory), words: new Int32Array(memory) };
};
