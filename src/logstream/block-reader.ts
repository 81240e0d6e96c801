/**
 * Reads committed groups from block files, checking every one on the way. Remembers where reads ended, so that a
 * sequential reader never scans; any other read walks its block from the beginning.
 */
import { blockReadBytes, groupBytesMax, readPositionsMax } from '../base/limits.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import { lsn, type Lsn, type Scn } from '../base/scalars.ts';
import { blockHeaderBytes, blockIdOf, blockStart, decodeBlockHeader } from '../codec/block-header.ts';
import { type ClogProblem, decodeGroup, isProblem, problem } from '../codec/clog.ts';
import type { ClosedGroup } from '../codec/group-builder.ts';
import type { BlockStore } from './block-store.ts';

const smallSlackBytes = 16_384;

/**
 * Log that is not what it should be. `at`: the end of the last group that is, if it is known; `isHeaderLost`: that is where
 * its block begins, and the block does not say so any more.
 */
export type ReadProblem = ClogProblem & { readonly at?: LogPosition; readonly isHeaderLost?: boolean };

export class BlockReader {
  readonly #store: BlockStore;
  /** group boundaries met lately, oldest first */
  #known: LogPosition[] = [];
  /** a read that began before a cut remembers nothing: its position may be one of the log that was cut off */
  #cuts = 0;

  constructor(store: BlockStore) {
    this.#store = store;
  }

  /** Forgets positions behind a cut. */
  cut(to: Lsn): void {
    this.#cuts += 1;
    this.#known = this.#known.filter(position => position.lsn <= to);
  }

  /**
   * Groups from the one that holds byte `from` on, up to `bytesMax` (at least one), inside one block and none beyond
   * `end`; `from` lies before `end`.
   * @param groups gets the groups themselves
   */
  async read(from: Lsn, bytesMax: number, end: Lsn, groups?: ClosedGroup[]): Promise<LogChunk | ReadProblem> {
    const cuts = this.#cuts;
    const near = await this.#near(from);
    if (isProblem(near)) return near;
    let position = near;
    let start: LogPosition | undefined;
    const parts: Uint8Array[] = [];
    let bytes = 0;
    const block = blockIdOf(from, this.#store.blockBytes);
    // A little more than wanted, so that the last group is mostly whole; a largest group needs more.
    let slack = smallSlackBytes;
    for (;;) {
      const wanted = start === undefined ? from - position.lsn : bytesMax - bytes;
      const piece = await this.#store.read(position.lsn, Math.min(blockReadBytes, wanted) + slack);
      let offset = 0;
      let from0 = 0;
      let isFull = false;
      while (position.lsn < end && blockIdOf(position.lsn, this.#store.blockBytes) === block && !isFull) {
        const group = decodeGroup(piece, offset, position);
        if (group.kind === 'problem') {
          if (!group.incomplete || (offset === 0 && slack === groupBytesMax))
            return { ...group, at: position };
          if (offset === 0) slack = groupBytesMax;
          break;
        }
        if (group.end.lsn > from) {
          isFull = start !== undefined && bytes + group.bytes.length > bytesMax;
          if (isFull) break;
          if (start === undefined) {
            start = group.start;
            from0 = offset;
          }
          bytes += group.bytes.length;
          if (groups !== undefined) {
            const { header, start: groupStart, end: groupEnd, bytes: groupBytes } = group;
            groups.push({
              start: groupStart,
              end: groupEnd,
              proposalId: header.proposalId,
              bytes: groupBytes,
            });
          }
        }
        offset += group.bytes.length;
        position = group.end;
      }
      if (start !== undefined) parts.push(piece.subarray(from0, offset));
      const isDone = position.lsn >= end || blockIdOf(position.lsn, this.#store.blockBytes) !== block;
      if (start !== undefined && (isFull || isDone || bytes >= bytesMax)) {
        if (cuts === this.#cuts) this.#remember(position);
        const [only] = parts;
        return {
          start,
          end: position,
          bytes: parts.length === 1 && only !== undefined ? only : Buffer.concat(parts),
        };
      }
    }
  }

  #remember(position: LogPosition): void {
    this.#known = [...this.#known.filter(known => known.lsn !== position.lsn), position].slice(
      -readPositionsMax,
    );
  }

  /** The nearest known boundary at or before `from` in its block. */
  async #near(from: Lsn): Promise<LogPosition | ReadProblem> {
    const block = blockIdOf(from, this.#store.blockBytes);
    let best: LogPosition | undefined;
    for (const known of this.#known) {
      if (known.lsn > from || blockIdOf(known.lsn, this.#store.blockBytes) !== block) continue;
      if (best === undefined || known.lsn > best.lsn) best = known;
    }
    if (best !== undefined) return best;
    const header = decodeBlockHeader(await this.#store.readFile(block, 0, blockHeaderBytes));
    if (isProblem(header)) {
      const at = await this.#endOf(block - 1);
      return { ...header, lsn: from, ...(at === undefined ? {} : { at, isHeaderLost: true }) };
    }
    return header.start.lsn <= from
      ? header.start
      : problem(from, `the log of block ${block} begins at LSN ${header.start.lsn}`);
  }

  /** Where the log of a block ends, which is where that of the next one begins; undefined: it cannot be read to its end. */
  async #endOf(block: number): Promise<LogPosition | undefined> {
    const { blockBytes } = this.#store;
    const end = blockStart(block + 1, blockBytes);
    if (block < 0 || !(await this.#store.list()).includes(block)) return undefined;
    let position: LogPosition | undefined;
    while (position === undefined || position.lsn < end) {
      const chunk = await this.read(position?.lsn ?? lsn(end - 1), blockReadBytes, end);
      if (isProblem(chunk)) return undefined;
      position = chunk.end;
    }
    return position.lsn === end ? position : undefined;
  }

  /**
   * Where a cut at `scn` belongs: behind the last entry whose SCN is at most that, searched from `from` to `end`. Padding
   * behind it goes too, for another history may have written there before it padded, unless it is below `kept`.
   */
  async cutPosition(scn: Scn, from: LogPosition, end: Lsn, kept: Lsn): Promise<LogPosition | ClogProblem> {
    let position = from;
    let cut = from;
    while (position.lsn < end) {
      const chunk = await this.read(position.lsn, blockReadBytes, end);
      if (isProblem(chunk)) return chunk;
      let offset = 0;
      while (offset < chunk.bytes.length) {
        const group = decodeGroup(chunk.bytes, offset, position);
        if (group.kind === 'problem') return group;
        if (group.end.scn > scn) return cut;
        offset += group.bytes.length;
        position = group.end;
        if (!group.header.padding || position.lsn <= kept) cut = position;
      }
    }
    return cut;
  }
}
