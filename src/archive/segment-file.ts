/**
 * Segments between the log and the media: compresses and names them on the way out, checks everything about them on
 * the way in (name, hash, header, identity, every group, the chain of checksums), so that no altered, truncated or
 * foreign byte reaches a standby.
 */
import { createHash } from 'node:crypto';
import { must } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import { type LogStreamId, type Lsn, lsn, type RoleEpoch, scn } from '../base/scalars.ts';
import { decodeGroup, samePosition } from '../codec/clog.ts';
import type { SegmentRecord } from '../codec/manifest.ts';
import { decodeSegment, encodeSegment } from '../codec/segment.ts';
import { compress, decompress } from './compression.ts';

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The log an archive is of. */
export interface ArchivedLog {
  readonly incarnation: string;
  readonly stream: LogStreamId;
}

export interface PackedSegment {
  readonly bytes: Uint8Array;
  readonly sha256: string;
}

/** One object for a run of whole groups. Stored plain where compression does not help. */
export async function packSegment(log: ArchivedLog, epoch: RoleEpoch, run: LogChunk): Promise<PackedSegment> {
  const packed = await compress(run.bytes);
  const helps = packed.length < run.bytes.length;
  const header = {
    stream: log.stream,
    incarnation: log.incarnation,
    epoch,
    start: run.start,
    end: run.end,
    compression: helps ? ('zstd' as const) : ('none' as const),
    rawBytes: run.bytes.length,
  };
  const bytes = encodeSegment(header, helps ? packed : run.bytes);
  return { bytes, sha256: sha256(bytes) };
}

/**
 * The groups of an object that a manifest names, up to the record's end. Throws OBS_ARCHIVE_CORRUPT,
 * OBS_ARCHIVE_FOREIGN, OBS_ARCHIVE_FORMAT_NEWER.
 */
export async function unpackSegment(
  dest: string,
  log: ArchivedLog,
  record: SegmentRecord,
  bytes: Uint8Array,
): Promise<SegmentRun> {
  const corrupt = (why: string) => new ObError('OBS_ARCHIVE_CORRUPT', { dest, key: record.key, why });
  if (sha256(bytes) !== record.sha256)
    throw corrupt(`its hash differs (${bytes.length} of ${record.storedBytes} bytes)`);
  const decoded = decodeSegment(bytes);
  if (decoded.kind === 'newer')
    throw new ObError('OBS_ARCHIVE_FORMAT_NEWER', { dest, key: record.key, version: decoded.version });
  if (decoded.kind === 'problem') throw corrupt(decoded.why);
  const { header, body } = decoded;
  if (header.incarnation !== log.incarnation || header.stream !== log.stream) {
    throw new ObError('OBS_ARCHIVE_FOREIGN', {
      dest,
      found: `log stream ${header.stream} of tenant incarnation ${header.incarnation}`,
      wanted: `log stream ${log.stream} of tenant incarnation ${log.incarnation}`,
    });
  }
  if (!samePosition(header.start, record.start) || header.end.lsn < record.end.lsn)
    throw corrupt('it holds another range than its name');
  const raw = header.compression === 'zstd' ? await inflate(body, header.rawBytes, corrupt) : body;
  if (raw.length !== header.rawBytes) throw corrupt('its length differs from its header');
  const run = indexRun(record.start, raw, record.end.lsn);
  if (run.kind === 'problem') throw corrupt(run.why);
  if (!samePosition(run.run.end, record.end)) throw corrupt('its groups end elsewhere');
  return run.run;
}

async function inflate(
  body: Uint8Array,
  rawBytes: number,
  corrupt: (why: string) => ObError,
): Promise<Uint8Array> {
  try {
    return await decompress(body, rawBytes);
  } catch (error) {
    throw corrupt(error instanceof Error ? error.message : 'it does not decompress');
  }
}

/** Checked groups with their boundaries, so that a part can be cut out without decoding again. */
export class SegmentRun {
  readonly bytes: Uint8Array;
  readonly start: LogPosition;
  readonly end: LogPosition;
  /** offsets of group ends, ascending, and the SCN and checksum there */
  readonly #ends: readonly number[];
  readonly #scns: readonly number[];
  readonly #checksums: readonly number[];

  constructor(
    start: LogPosition,
    bytes: Uint8Array,
    index: { ends: readonly number[]; scns: readonly number[]; checksums: readonly number[] },
  ) {
    this.start = start;
    this.bytes = bytes;
    this.#ends = index.ends;
    this.#scns = index.scns;
    this.#checksums = index.checksums;
    this.end = this.#position(index.ends.length - 1);
  }

  /** Whole groups from a boundary, at least one, as many as `bytesMax` allows; undefined if `from` is no boundary. */
  cut(from: Lsn, bytesMax: number): LogChunk | undefined {
    const offset = from - this.start.lsn;
    const first = offset === 0 ? -1 : this.#find(offset);
    if (first === undefined || first === this.#ends.length - 1) return undefined;
    let last = first + 1;
    while (last + 1 < this.#ends.length && must(this.#ends[last + 1], 'a group end') - offset <= bytesMax)
      last += 1;
    const end = this.#position(last);
    return {
      start: first < 0 ? this.start : this.#position(first),
      end,
      bytes: this.bytes.subarray(offset, end.lsn - this.start.lsn),
    };
  }

  /** Index of the group that ends at `offset`. */
  #find(offset: number): number | undefined {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (must(this.#ends[middle], 'a group end') < offset) low = middle + 1;
      else high = middle;
    }
    return this.#ends[low] === offset ? low : undefined;
  }

  #position(index: number): LogPosition {
    if (index < 0) return this.start;
    return {
      lsn: lsn(this.start.lsn + must(this.#ends[index], 'a group end')),
      scn: scn(must(this.#scns[index], 'an SCN')),
      checksum: must(this.#checksums[index], 'a checksum'),
    };
  }
}

export type RunIndexing =
  | { readonly kind: 'run'; readonly run: SegmentRun }
  | { readonly kind: 'problem'; readonly why: string };

/**
 * Checks groups and notes their boundaries, up to the boundary `until` (or all of the bytes), or before the first group
 * that `stopBefore` names.
 */
export function indexRun(
  start: LogPosition,
  bytes: Uint8Array,
  until: Lsn | null,
  stopBefore?: (groupScn: number) => boolean,
): RunIndexing {
  const length = until === null ? bytes.length : until - start.lsn;
  const ends: number[] = [];
  const scns: number[] = [];
  const checksums: number[] = [];
  let at = start;
  let offset = 0;
  while (offset < length) {
    const group = decodeGroup(bytes, offset, at);
    if (group.kind === 'problem') return { kind: 'problem', why: `${group.what} at LSN ${group.lsn}` };
    if (ends.length > 0 && stopBefore?.(group.header.maxScn) === true) break;
    at = group.end;
    offset = at.lsn - start.lsn;
    ends.push(offset);
    scns.push(at.scn);
    checksums.push(at.checksum);
  }
  if (offset > length) return { kind: 'problem', why: `no group ends at LSN ${until}` };
  return { kind: 'run', run: new SegmentRun(start, bytes.subarray(0, offset), { ends, scns, checksums }) };
}
