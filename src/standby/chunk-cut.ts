/**
 * Checks a chunk that arrived against the log it must continue, and cuts it at an SCN. Pure.
 *
 * A chunk is believed only as far as its bytes prove it: every group header, and the chained checksum from this log's own
 * end on (S1, S7). The cut is at group boundaries, never inside a group, so that the log stays a byte prefix of its source's.
 */
import { assert, must } from '../base/assert.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import type { Lsn, Scn } from '../base/scalars.ts';
import { decodeChunk, type Group, isProblem, samePosition } from '../codec/clog.ts';

export type CutChunk =
  | {
      readonly kind: 'chunk';
      /** as far as it is wanted; may have no bytes */
      readonly chunk: LogChunk;
      /** the bound lies before the next group: nothing more is wanted */
      readonly reachedUntil: boolean;
    }
  | {
      readonly kind: 'problem';
      readonly code: 'OBS_STANDBY_DIVERGED' | 'OBS_PEER_PROTOCOL';
      readonly message: string;
    };

/** The part of `chunk` whose groups have an SCN of at most `until`, if it continues a log that ends at `end`. */
export function cutChunk(chunk: LogChunk, end: LogPosition, until: Scn): CutChunk {
  if (chunk.start.lsn !== end.lsn) {
    if (holdsInsideGroup(chunk, end.lsn)) return forked(end.lsn);
    return {
      kind: 'problem',
      code: 'OBS_PEER_PROTOCOL',
      message: `log from LSN ${chunk.start.lsn} came where LSN ${end.lsn} follows`,
    };
  }
  if (!samePosition(chunk.start, end)) return forked(end.lsn);
  const groups = decodeChunk(chunk);
  if (isProblem(groups)) {
    return {
      kind: 'problem',
      code: 'OBS_PEER_PROTOCOL',
      message: `log that is not whole came at LSN ${groups.lsn}: ${groups.what}`,
    };
  }
  if (chunk.end.scn <= until) return { kind: 'chunk', chunk, reachedUntil: chunk.end.scn === until };
  return { kind: 'chunk', chunk: cutAt(chunk, groups, until), reachedUntil: true };
}

/** A source that was asked for a boundary of this log and has a group across it has another history. */
function holdsInsideGroup(chunk: LogChunk, at: Lsn): boolean {
  if (at <= chunk.start.lsn || at >= chunk.end.lsn) return false;
  const groups = decodeChunk(chunk);
  return !isProblem(groups) && groups.every(group => group.start.lsn !== at);
}

const forked = (at: Lsn): CutChunk => ({
  kind: 'problem',
  code: 'OBS_STANDBY_DIVERGED',
  message: `the log of the source and this standby forked before LSN ${at}`,
});

/** The groups of a checked chunk up to an SCN. */
export function cutAt(chunk: LogChunk, groups: readonly Group[], until: Scn): LogChunk {
  const kept = groups.filter(group => group.end.scn <= until);
  const end = kept.at(-1)?.end ?? chunk.start;
  return { start: chunk.start, end, bytes: chunk.bytes.subarray(0, end.lsn - chunk.start.lsn) };
}

/** Chunks that follow each other, as one. */
export function joinChunks(chunks: readonly LogChunk[]): LogChunk {
  const first = must(chunks[0], 'a chunk to join');
  const last = must(chunks.at(-1), 'a chunk to join');
  if (first === last) return first;
  const bytes = Buffer.concat(chunks.map(chunk => chunk.bytes));
  assert(last.end.lsn - first.start.lsn === bytes.length, 'joined chunks follow each other');
  return { start: first.start, end: last.end, bytes };
}
