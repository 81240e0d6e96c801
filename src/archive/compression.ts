/** zstd for archive objects: in a thread, except for a few bytes, which are done before a thread would have begun. */
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib';

const inlineBytesMax = 65_536;
const level = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
const compressInThread = promisify(zstdCompress);
const decompressInThread = promisify(zstdDecompress);

export async function compress(bytes: Uint8Array): Promise<Uint8Array> {
  return bytes.length <= inlineBytesMax ? zstdCompressSync(bytes, level) : compressInThread(bytes, level);
}

/** Rejects when the bytes are no zstd frame or give more than `rawBytes`; may give fewer. */
export async function decompress(bytes: Uint8Array, rawBytes: number): Promise<Uint8Array> {
  const bound = { maxOutputLength: Math.max(1, rawBytes) };
  return rawBytes <= inlineBytesMax ? zstdDecompressSync(bytes, bound) : decompressInThread(bytes, bound);
}
