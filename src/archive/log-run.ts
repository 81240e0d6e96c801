/**
 * Takes the next run of committed groups out of a log for the archiver: checks it, cuts it where a piece ends, and sees
 * whether it holds anything but keep-alives. Never reads beyond the committed end (R1).
 */
import { assert, must } from '../base/assert.ts';
import { isObError, ObError } from '../base/errors.ts';
import type { LogChunk, LogPosition, LogReader } from '../base/log-access.ts';
import { type Lsn, lsn, type Scn } from '../base/scalars.ts';
import { decodeGroupHeader, decodeGroups, isProblem, samePosition } from '../codec/clog.ts';
import { decodeEntries } from '../codec/clog-entry.ts';
import type { PieceCut } from './archiver-language.ts';
import { pieceOf } from './chain-core.ts';
import { indexRun } from './segment-file.ts';

/** Runs above this are not searched for changes: keep-alives are small. */
const keepAliveRunBytesMax = 65_536;

export type RunReading =
  | {
      readonly kind: 'run';
      readonly chunk: LogChunk;
      readonly firstScn: Scn;
      readonly pieceId: number;
      readonly substantial: boolean;
    }
  | { readonly kind: 'empty' }
  | { readonly kind: 'recycled'; readonly begin: Lsn };

/** Throws OBS_ARCHIVE_DIVERGED when the log says something else about `continues` than the archive. */
export async function readLogRun(
  log: LogReader,
  dest: string,
  wanted: { from: Lsn; continues: LogPosition | null; bytesMax: number; pieces: PieceCut },
): Promise<RunReading> {
  const chunk = await readOn(log, wanted.from, wanted.bytesMax);
  if (chunk === 'recycled') return { kind: 'recycled', begin: log.state().beginLsn };
  const { stream } = log.state();
  const corrupt = (at: Lsn, what: string) => new ObError('OBS_LOG_CORRUPT', { stream, lsn: at, what });
  const diverged = () => new ObError('OBS_ARCHIVE_DIVERGED', { dest, lsn: wanted.from });
  if (wanted.continues !== null && !samePosition(chunk.start, wanted.continues)) throw diverged();
  if (chunk.bytes.length === 0) return { kind: 'empty' };
  assert(chunk.end.lsn <= log.state().end.lsn, 'R1: only committed log is archived');
  const first = decodeGroupHeader(chunk.bytes, 0, chunk.start.lsn);
  if (isProblem(first)) throw corrupt(first.lsn, first.what);
  const pieces = { ...wanted.pieces, startScn: wanted.pieces.startScn ?? first.maxScn };
  const pieceId = pieceOf(pieces, first.maxScn);
  const indexed = indexRun(chunk.start, chunk.bytes, null, groupScn => pieceOf(pieces, groupScn) !== pieceId);
  if (indexed.kind === 'problem') throw corrupt(chunk.start.lsn, indexed.why);
  const { bytes, start, end } = indexed.run;
  assert(end.lsn === lsn(start.lsn + bytes.length), 'a run is as long as its LSN range');
  return {
    kind: 'run',
    chunk: { start, end, bytes },
    firstScn: first.maxScn,
    pieceId,
    substantial: bytes.length > keepAliveRunBytesMax || holdsChanges(start, bytes),
  };
}

/** Joins reads, which end at blocks, up to the wanted size. */
async function readOn(log: LogReader, from: Lsn, bytesMax: number): Promise<LogChunk | 'recycled'> {
  const parts: LogChunk[] = [];
  let size = 0;
  let at = from;
  while (size < bytesMax) {
    try {
      const chunk = await log.read(at, bytesMax - size);
      const joins = parts.length === 0 || samePosition(chunk.start, must(parts.at(-1), 'a chunk').end);
      assert(joins, 'reads of a log follow each other');
      // a last group may be larger than what was left: it is for the next run
      if (parts.length > 0 && (chunk.bytes.length === 0 || size + chunk.bytes.length > bytesMax)) break;
      parts.push(chunk);
      size += chunk.bytes.length;
      at = chunk.end.lsn;
      if (chunk.bytes.length === 0) break;
    } catch (error) {
      if (!isObError(error, 'OBS_LOG_RECYCLED')) throw error;
      if (parts.length > 0) break;
      assert(log.state().beginLsn > from, 'what is recycled is below what is there');
      return 'recycled';
    }
  }
  const [first, ...more] = parts;
  if (first === undefined || more.length === 0) return must(first, 'a chunk');
  const { end } = must(parts.at(-1), 'a chunk');
  return { start: first.start, end, bytes: new Uint8Array(Buffer.concat(parts.map(({ bytes }) => bytes))) };
}

function holdsChanges(start: LogPosition, bytes: Uint8Array): boolean {
  const groups = decodeGroups(bytes, start);
  if (isProblem(groups)) return true;
  return groups.some(group => {
    const entries = decodeEntries(group);
    return isProblem(entries) || entries.some(({ kind }) => kind !== 'keep-alive');
  });
}
