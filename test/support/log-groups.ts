/** Valid groups of a log, for tests of those who move log without looking into entries. */
import type { LogChunk, LogPosition } from '../../src/base/log-access.ts';
import { lsn, proposalId, scn } from '../../src/base/scalars.ts';
import { chain } from '../../src/codec/checksum.ts';
import { encodeGroupHeader, groupHeaderBytes } from '../../src/codec/clog.ts';

export const logStart: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };

/** One group that continues `start`. */
function groupAfter(start: LogPosition, at: number, text: string): LogChunk {
  const payload = Buffer.from(text);
  const checksum = chain(start.checksum, payload);
  const bytes = new Uint8Array(groupHeaderBytes + payload.length);
  encodeGroupHeader(bytes, start.lsn, {
    padding: false,
    rawWrite: false,
    payloadBytes: payload.length,
    proposalId: proposalId(1),
    committedEnd: start.lsn,
    maxScn: scn(at),
    checksum,
  });
  bytes.set(payload, groupHeaderBytes);
  return { start, end: { lsn: lsn(start.lsn + bytes.length), scn: scn(at), checksum }, bytes };
}

/** Groups with the texts, whose SCNs are `firstScn`, +10, +20 and so on. */
export function groupsAfter(start: LogPosition, firstScn: number, texts: readonly string[]): LogChunk[] {
  const chunks: LogChunk[] = [];
  let end = start;
  for (const [index, text] of texts.entries()) {
    const chunk = groupAfter(end, firstScn + index * 10, text);
    chunks.push(chunk);
    end = chunk.end;
  }
  return chunks;
}
