/**
 * The log of one stream as bytes: block files, the newest part in memory, and the way to get damaged bytes again from
 * other replicas. Knows nothing of roles or commit: callers say up to where they may read.
 *
 * Must never: remember anything of log that was cut, give bytes that fail a check, write at a place that a durable write may be at,
 * go on after a write that failed.
 */
import { ObError } from '../base/errors.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import { type LogStreamId, type Lsn, lsn, type MonoMs, type Scn } from '../base/scalars.ts';
import { blockIdOf, blockStart } from '../codec/block-header.ts';
import { type ClogProblem, decodeGroups, isProblem } from '../codec/clog.ts';
import type { ClosedGroup } from '../codec/group-builder.ts';
import { codeOf } from '../platform/disk.ts';
import type { Logger } from '../platform/logger.ts';
import { BlockReader, type ReadProblem } from './block-reader.ts';
import { type BlockStore, isDiskFull } from './block-store.ts';
import { LogTail } from './log-tail.ts';
import { diskError } from './refusals.ts';

export interface LogFilesOptions {
  readonly stream: LogStreamId;
  readonly store: BlockStore;
  /** oldest byte on disk */
  readonly begin: Lsn;
  /** where good log ends in a block that has no good header; nothing before it in there is needed */
  readonly headerLostAt: Lsn | null;
  /** committed groups that follow a position, from another replica; null if there is none */
  readonly fetch: ((at: LogPosition) => Promise<LogChunk | undefined>) | null;
  /** a write that failed shows log that the disk may not have: the owner must end */
  readonly onFailed: (error: ObError) => void;
  readonly logger: Logger;
}

export class LogFiles {
  readonly #options: LogFilesOptions;
  readonly #store: BlockStore;
  readonly #reader: BlockReader;
  readonly #tail = new LogTail();
  #begin: Lsn;
  #cuts = 0;
  /** damaged log is being written again */
  #mending: Promise<void> | undefined;

  constructor(options: LogFilesOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#reader = new BlockReader(options.store);
    this.#begin = options.begin;
  }

  get blockBytes(): number {
    return this.#store.blockBytes;
  }

  /** Oldest byte that can be read. */
  get begin(): Lsn {
    return this.#begin;
  }

  /** A write waits for a full disk to get room. */
  get isFull(): boolean {
    return this.#store.isFull;
  }

  /** `BlockStore.endWaiting`: the log closes. */
  endWaiting(): void {
    this.#store.endWaiting();
  }

  /** `BlockStore.giveUpWaiting`: the log is being replaced, until `clear`. */
  giveUpWaiting(): void {
    this.#store.giveUpWaiting();
  }

  /** Makes the groups durable; they follow each other from `start` on, inside one block. */
  append(start: LogPosition, groups: readonly ClosedGroup[]): Promise<void> {
    return this.#store.append(
      start,
      groups.map(group => group.bytes),
    );
  }

  /** The groups are durable now: from here on they can be read from memory. */
  remember(groups: readonly ClosedGroup[], now: MonoMs): void {
    this.#tail.push(groups, now);
  }

  /** Groups from the one that holds byte `from` on, none beyond `end`; undefined if they are not in memory. */
  recent(from: Lsn, bytesMax: number, end: Lsn): LogChunk | undefined {
    return this.#tail.read(from, bytesMax, end);
  }

  recentGroups(from: Lsn, bytesMax: number, end: Lsn): readonly ClosedGroup[] | undefined {
    return this.#tail.groups(from, bytesMax, end);
  }

  /**
   * Groups from the one that holds byte `from` on, from disk, none beyond `end`. Throws OBS_LOG_CORRUPT, OBS_LOG_BUSY (the log
   * was cut meanwhile), and what the disk throws.
   * @param options.groups gets the groups themselves
   * @param options.mends damaged log is fetched from another replica
   */
  async read(
    from: Lsn,
    bytesMax: number,
    end: Lsn,
    { mends = true, groups }: { readonly mends?: boolean; readonly groups?: ClosedGroup[] } = {},
  ): Promise<LogChunk> {
    const { stream } = this.#options;
    const cuts = this.#cuts;
    for (let mended = -1; ; ) {
      groups?.splice(0);
      const found = await this.#reader.read(from, bytesMax, end, groups);
      if (cuts !== this.#cuts) throw new ObError('OBS_LOG_BUSY', { stream });
      if (!isProblem(found)) return found;
      // The same place twice: it is not mended by writing.
      if (!mends || found.lsn <= mended || !(await this.#mend(found, end, cuts)))
        throw new ObError('OBS_LOG_CORRUPT', { stream, lsn: found.lsn, what: found.what });
      mended = found.lsn;
    }
  }

  /**
   * Where a cut at `scn` belongs: `BlockReader.cutPosition`. Throws OBS_LOG_BUSY if the log was cut meanwhile,
   * OBS_LOG_RECYCLED, OBS_LOG_DISK_FAILED.
   */
  async cutPosition(at: Scn, from: LogPosition, end: Lsn, kept: Lsn): Promise<LogPosition | ClogProblem> {
    const cuts = this.#cuts;
    const search = this.#reader.cutPosition(at, from, end, kept);
    await search.catch(() => {});
    // What was found, or could not be read, is of a log that is no more.
    const { stream } = this.#options;
    if (cuts !== this.#cuts) throw new ObError('OBS_LOG_BUSY', { stream });
    return search.catch((error: unknown) => {
      if (codeOf(error) === undefined) throw error;
      if (from.lsn < this.#begin)
        throw new ObError('OBS_LOG_RECYCLED', { from: from.lsn, begin: this.#begin });
      throw diskError(stream, `look for SCN ${at} in its log`, error);
    });
  }

  /** Nothing behind `to` is left, on disk or in memory. */
  async truncate(to: LogPosition): Promise<void> {
    this.#forget(to.lsn);
    await this.#mending;
    await this.#store.truncate(to, to.lsn === this.#options.headerLostAt);
    // Again, for what began to be read in between.
    this.#forget(to.lsn);
    this.#begin = lsn(Math.min(this.#begin, to.lsn));
  }

  /** Nothing at all is left; the log goes on from `base`. */
  async clear(base: Lsn): Promise<void> {
    this.#forget(lsn(0));
    await this.#mending;
    await this.#store.removeAll();
    this.#forget(lsn(0));
    this.#begin = base;
  }

  /** Removes the oldest block. */
  async removeFirst(): Promise<number> {
    const blockId = blockIdOf(this.#begin, this.blockBytes);
    // Readers are told before the file goes.
    this.#begin = blockStart(blockId + 1, this.blockBytes);
    await this.#store.remove(blockId);
    return blockId;
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #forget(behind: Lsn): void {
    this.#cuts += 1;
    this.#tail.cut(behind);
    this.#reader.cut(behind);
  }

  /** Restores the damaged log that a read met, up to `end`, from another replica. */
  async #mend(
    { at, lsn: from, isHeaderLost = false }: ReadProblem,
    end: Lsn,
    cuts: number,
  ): Promise<boolean> {
    const { fetch, onFailed, logger, stream } = this.#options;
    const chunk = at === undefined || fetch === null ? undefined : await fetch(at);
    if (at === undefined || chunk === undefined) return false;
    const blockEnd = blockStart(blockIdOf(at.lsn, this.blockBytes) + 1, this.blockBytes);
    const groups = decodeGroups(chunk.bytes, at);
    if (isProblem(groups)) return false;
    let bytes = 0;
    for (const group of groups) {
      if (group.end.lsn > Math.min(end, blockEnd)) break;
      bytes += group.bytes.length;
    }
    if (bytes === 0) return false;
    // One at a time, and none while the log is cut.
    while (this.#mending !== undefined) await this.#mending;
    if (cuts !== this.#cuts) throw new ObError('OBS_LOG_BUSY', { stream });
    if (at.lsn < this.#begin) throw new ObError('OBS_LOG_RECYCLED', { from, begin: this.#begin });
    const restoring = this.#store.restore(at, chunk.bytes.subarray(0, bytes), isHeaderLost);
    this.#mending = restoring
      .catch(() => {})
      .finally(() => {
        this.#mending = undefined;
      });
    await restoring.catch((error: unknown) => {
      if (at.lsn < this.#begin) throw new ObError('OBS_LOG_RECYCLED', { from, begin: this.#begin });
      const failure = diskError(stream, `restore its damaged log at LSN ${from}`, error);
      // Without room the damage is what it was, and another read tries again.
      if (!isDiskFull(error)) onFailed(failure);
      throw failure;
    });
    logger.warn({ lsn: from, bytes }, 'damaged log was restored from another replica');
    return true;
  }
}
