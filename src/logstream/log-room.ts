/**
 * Room for the log of one stream: refuses what would overfill its share of the disk, and recycles the oldest blocks below the
 * base and every hold when the share is nearly used.
 *
 * Must never: remove what the database does not hold, what somebody holds, or the block that the log ends in (L7).
 */
import { ObError } from '../base/errors.ts';
import { recycleAtShare, refuseAtShare } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import type { LogStreamId, Lsn } from '../base/scalars.ts';
import { blockIdOf, blockStart } from '../codec/block-header.ts';
import type { Logger } from '../platform/logger.ts';
import type { LogFiles } from './log-files.ts';
import { LogHolds } from './log-holds.ts';

export interface LogRoomOptions {
  readonly stream: LogStreamId;
  readonly files: LogFiles;
  /** log bytes kept on disk; may change while the stream is open */
  readonly limits: { readonly diskBytesMax: number };
  /** how the log stands now */
  readonly now: () => { readonly base: LogPosition; readonly committed: LogPosition; readonly maxLsn: Lsn };
  readonly onFailed: (error: unknown) => void;
  readonly logger: Logger;
}

export class LogRoom {
  readonly holds = new LogHolds(() => this.recycle());
  readonly #options: LogRoomOptions;
  #isRecycling = false;
  #isClosed = false;

  constructor(options: LogRoomOptions) {
    this.#options = options;
  }

  /** Throws OBS_LOG_DISK_FULL if a log that ends at `maxLsn` must not take `bytes` more. */
  mustHave(bytes: number, maxLsn: number): void {
    const { files, stream, now } = this.#options;
    const used = maxLsn - files.begin + bytes;
    if (used <= refuseAtShare * this.#bytesMax && !files.isFull) return;
    this.recycle();
    const { base } = now();
    const holders = this.holds.below(base.lsn);
    throw new ObError('OBS_LOG_DISK_FULL', {
      stream,
      why: files.isFull ? 'the file system has no room' : `${used} of ${this.#bytesMax} bytes are used`,
      holders: holders.length > 0 ? holders.join(', ') : `the next checkpoint (LSN ${base.lsn})`,
    });
  }

  /** Something may go that could not go before. */
  recycle(): void {
    if (this.#isRecycling || this.#isClosed) return;
    this.#isRecycling = true;
    this.#removeBlocks().then(
      () => {
        this.#isRecycling = false;
      },
      (error: unknown) => this.#options.onFailed(error),
    );
  }

  /** Removes nothing any more. */
  close(): void {
    this.#isClosed = true;
  }

  get #bytesMax(): number {
    return Math.max(this.#options.limits.diskBytesMax, 4 * this.#options.files.blockBytes);
  }

  async #removeBlocks(): Promise<void> {
    const { files, logger, now } = this.#options;
    for (;;) {
      const { base, committed, maxLsn } = now();
      const { begin, blockBytes } = files;
      const end = blockStart(blockIdOf(begin, blockBytes) + 1, blockBytes);
      const isNeeded = end > this.holds.lowest(base.lsn) || end >= committed.lsn;
      const isEnough = maxLsn - begin <= recycleAtShare * this.#bytesMax;
      if (isNeeded || isEnough || this.#isClosed) return;
      const blockId = await files.removeFirst();
      logger.info({ blockId, beginLsn: end }, 'a block was recycled');
    }
  }
}
