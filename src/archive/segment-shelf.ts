/**
 * Puts segments on the media and gets them back, by the records of a chain. Names are determined by content, so a
 * repeated or late write of a segment is harmless.
 */
import { must } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import type { LogChunk } from '../base/log-access.ts';
import type { RoleEpoch } from '../base/scalars.ts';
import type { SegmentRecord } from '../codec/manifest.ts';
import type { ObjectStore } from '../platform/object-store.ts';
import type { TenantLayout } from './layout.ts';
import { type ArchivedLog, packSegment, type SegmentRun, unpackSegment } from './segment-file.ts';

const parallelReads = 8;

export class SegmentShelf {
  readonly #store: ObjectStore;
  readonly #layout: TenantLayout;
  readonly #log: ArchivedLog;

  constructor(store: ObjectStore, layout: TenantLayout, log: ArchivedLog) {
    this.#store = store;
    this.#layout = layout;
    this.#log = log;
  }

  /** Stores a run of whole groups; the record is for a manifest to name. */
  async store(
    run: LogChunk,
    where: { readonly roundId: number; readonly pieceId: number; readonly epoch: RoleEpoch },
  ): Promise<SegmentRecord> {
    const packed = await packSegment(this.#log, where.epoch, run);
    const { start, end } = run;
    const key = this.#layout.segment({
      ...where,
      stream: this.#log.stream,
      start: start.lsn,
      end: end.lsn,
      sha256: packed.sha256,
    });
    await this.#store.put(key, packed.bytes);
    return { key, sha256: packed.sha256, storedBytes: packed.bytes.length, ...where, start, end };
  }

  /** The checked groups of a segment. Throws OBS_ARCHIVE_OBJECT_MISSING, OBS_ARCHIVE_CORRUPT, OBS_ARCHIVE_FOREIGN. */
  async fetch(record: SegmentRecord): Promise<SegmentRun> {
    const bytes = await this.#store.get(record.key);
    const dest = this.#store.name;
    if (bytes === undefined) throw new ObError('OBS_ARCHIVE_OBJECT_MISSING', { dest, key: record.key });
    return unpackSegment(dest, this.#log, record, bytes);
  }

  /** One segment with the content of a run of neighbours. */
  async merge(segments: readonly SegmentRecord[], epoch: RoleEpoch): Promise<SegmentRecord> {
    const [first, last] = [must(segments[0], 'a first segment'), must(segments.at(-1), 'a last segment')];
    const parts: Uint8Array[] = [];
    for (let at = 0; at < segments.length; at += parallelReads) {
      const runs = await Promise.all(
        segments.slice(at, at + parallelReads).map(segment => this.fetch(segment)),
      );
      parts.push(...runs.map(({ bytes }) => bytes));
    }
    const run = { start: first.start, end: last.end, bytes: new Uint8Array(Buffer.concat(parts)) };
    return this.store(run, { roundId: first.roundId, pieceId: first.pieceId, epoch });
  }
}
