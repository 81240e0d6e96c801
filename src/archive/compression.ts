/**
 * zstd for archive objects: in a thread, except for a few bytes, which are done before a thread would have begun. The
 * output buffer is as large as the result can be, since each smaller one would be another trip to the thread.
 */
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib';

const inlineBytesMax = 65_536;
const outputBytesMin = 1_024;
const params = { [constants.ZSTD_c_compressionLevel]: 1 };
const compressInThread = promisify(zstdCompress);
const decompressInThread = promisify(zstdDecompress);

export async function compress(bytes: Uint8Array): Promise<Uint8Array> {
  if (bytes.length <= inlineBytesMax) return zstdCompressSync(bytes, { params });
  return compressInThread(bytes, { params, chunkSize: bytes.length + outputBytesMin });
}

/** Rejects when the bytes are no zstd frame or give more than `rawBytes`; may give fewer. */
export async function decompress(bytes: Uint8Array, rawBytes: number): Promise<Uint8Array> {
  const bound = { maxOutputLength: Math.max(1, rawBytes), chunkSize: Math.max(outputBytesMin, rawBytes) };
  return rawBytes <= inlineBytesMax ? zstdDecompressSync(bytes, bound) : decompressInThread(bytes, bound);
}
