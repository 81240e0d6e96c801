/**
 * Reads committed groups from block files, checking every one on the way. Remembers where reads ended, so that a
 * sequential reader never scans; any other read walks its block from the beginning.
 */
import { blockReadBytes, groupBytesMax, readPositionsMax } from '../base/limits.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import type { Lsn, Scn } from '../base/scalars.ts';
import { blockHeaderBytes, blockIdOf, decodeBlockHeader } from '../codec/block-header.ts';
import { type ClogProblem, decodeGroup, isProblem } from '../codec/clog.ts';
import type { BlockStore } from './block-store.ts';

const smallSlackBytes = 16_384;

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
   */
  async read(from: Lsn, bytesMax: number, end: Lsn): Promise<LogChunk | ClogProblem> {
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
          if (!group.incomplete || (offset === 0 && slack === groupBytesMax)) return group;
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
  async #near(from: Lsn): Promise<LogPosition | ClogProblem> {
    const block = blockIdOf(from, this.#store.blockBytes);
    let best: LogPosition | undefined;
    for (const known of this.#known) {
      if (known.lsn > from || blockIdOf(known.lsn, this.#store.blockBytes) !== block) continue;
      if (best === undefined || known.lsn > best.lsn) best = known;
    }
    if (best !== undefined) return best;
    const header = decodeBlockHeader(await this.#store.readFile(block, 0, blockHeaderBytes));
    return isProblem(header) ? { ...header, lsn: from } : header.start;
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
