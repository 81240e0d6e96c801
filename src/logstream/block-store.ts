/**
 * The block files of one log stream: where bytes of an LSN lie, and how they get there durably.
 *
 * Blocks are made when the log reaches them and zero-filled ahead in growing steps, so that a log write changes no file
 * metadata and an idle stream costs little disk. A block file exists only after everything before it is durable: the
 * scanner relies on that. Writing never crosses a block. Full-disk errors are met before the log is touched (making a block, filling it
 * ahead): those are waited out, unless the log closes or is replaced; any other failed write, of what is written anew or again, is
 * the owner's end.
 *
 * Must never: touch a file after it is closed, leave log behind a cut, write log below a header that is bad or not durable.
 */
import { assert } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { blockReadBytes, diskFullRetryMs, zeroFillBytesMax, zeroFillBytesMin } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import { type LogStreamId, type Lsn, lsn } from '../base/scalars.ts';
import {
  blockFileName,
  blockHeaderBytes,
  blockIdOf,
  blockIdOfFileName,
  blockStart,
  decodeBlockHeader,
  encodeBlockHeader,
  positionInBlock,
} from '../codec/block-header.ts';
import { isProblem } from '../codec/clog.ts';
import type { Clock } from '../platform/clock.ts';
import { codeOf, type Disk, type DiskFile } from '../platform/disk.ts';

export interface BlockStoreOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly directory: string;
  readonly stream: LogStreamId;
  readonly incarnation: string;
  readonly blockBytes: number;
}

/** The log is being replaced: a write that found no room was not made, and will not be. */
export class WriteGivenUp extends Error {}

interface WriteBlock {
  readonly blockId: number;
  readonly file: DiskFile;
  /** the file is allocated, and zero behind the log, up to this position */
  filledTo: number;
  step: number;
}

export class BlockStore {
  readonly #options: BlockStoreOptions;
  #writing: WriteBlock | undefined;
  /** fill-ahead under way */
  #filling: Promise<void> | undefined;
  #fillError: unknown;
  #isFull = false;
  /** what a write does that finds no room */
  #whenFull: 'wait' | 'fail' | 'give up' = 'wait';
  /** ends the pause of a write that waits for room */
  #wake: (() => void) | undefined;
  #appending: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: BlockStoreOptions) {
    this.#options = options;
  }

  get blockBytes(): number {
    return this.#options.blockBytes;
  }

  /** True while a write waits for a full disk to get room. */
  get isFull(): boolean {
    return this.#isFull;
  }

  path(blockId: number): string {
    return `${this.#options.directory}/${blockFileName(blockId)}`;
  }

  /** Ids of the blocks on disk, ascending. */
  async list(): Promise<number[]> {
    const names = await this.#options.disk.list(this.#options.directory);
    return names.map(blockIdOfFileName).filter(id => id !== undefined);
  }

  /** From here on a full disk is an error like any other, also to a write that waits for room now. */
  endWaiting(): void {
    this.#whenFull = 'fail';
    this.#wake?.();
  }

  /** The log is being replaced: from here on, until it is removed, a write that finds no room ends with `WriteGivenUp`. */
  giveUpWaiting(): void {
    if (this.#whenFull === 'wait') this.#whenFull = 'give up';
    this.#wake?.();
  }

  /** Makes the groups durable; they start at `start` and stay inside one block. One at a time. */
  append(start: LogPosition, parts: readonly Uint8Array[]): Promise<void> {
    this.#appending = this.#append(start, parts);
    return this.#appending;
  }

  async #append(start: LogPosition, parts: readonly Uint8Array[]): Promise<void> {
    const { blockBytes } = this.#options;
    if (this.#fillError !== undefined) throw this.#fillError;
    const blockId = blockIdOf(start.lsn, blockBytes);
    if (this.#writing?.blockId !== blockId) await this.#whileFull(() => this.#openForWriting(blockId, start));
    const block = this.#writing;
    assert(block !== undefined && block.blockId === blockId, 'the block to write is open');
    const position = positionInBlock(start.lsn, blockBytes);
    const end = position + parts.reduce((sum, part) => sum + part.length, 0);
    assert(end <= blockBytes, 'a log write stays inside its block');
    if (end > block.filledTo) {
      if (this.#filling !== undefined) await this.#filling;
      if (end > block.filledTo) await this.#whileFull(() => this.#fill(block, end));
    }
    await block.file.writeDurable(position, parts);
    if (block.filledTo - end < block.step / 2 && block.filledTo < blockBytes) this.#fillAhead(block);
  }

  /** Log bytes [from, from + length) of one block; short where its file ends. */
  async read(from: Lsn, length: number): Promise<Uint8Array> {
    const blockId = blockIdOf(from, this.blockBytes);
    const position = positionInBlock(from, this.blockBytes);
    return this.readFile(blockId, position, Math.min(length, this.blockBytes - position));
  }

  /** Bytes of a block's file from a file position on. */
  async readFile(blockId: number, position: number, length: number): Promise<Uint8Array> {
    const file = await this.#options.disk.open(this.path(blockId), { create: false });
    try {
      return await file.read(position, length);
    } finally {
      await file.close();
    }
  }

  /**
   * Makes durable what the blocks of a log between `from` and `end` show: any of them may have been mended by a process that
   * was killed before that was on the disk.
   */
  async sync(from: Lsn, end: Lsn): Promise<void> {
    const oldest = blockIdOf(from, this.blockBytes);
    for (const blockId of await this.list()) {
      if (blockId < oldest || blockStart(blockId, this.blockBytes) > end) continue;
      const file = await this.#options.disk.open(this.path(blockId), { create: false });
      try {
        await file.sync();
      } finally {
        await file.close();
      }
    }
  }

  /** Whether there is a file for the block that holds `at`. */
  async has(at: Lsn): Promise<boolean> {
    return (await this.list()).includes(blockIdOf(at, this.blockBytes));
  }

  async fileBytes(blockId: number): Promise<number> {
    const file = await this.#options.disk.open(this.path(blockId), { create: false });
    try {
      return await file.size();
    } finally {
      await file.close();
    }
  }

  /**
   * Nothing of the log at or behind `to` is left on disk. Later blocks go first, from the last one on, so that a
   * crash in between leaves a shorter log, never one with a hole.
   * @param isHeaderLost the block that holds `to` has no good header, and nothing before `to` in it is needed
   */
  async truncate(to: LogPosition, isHeaderLost = false): Promise<void> {
    await this.#closeWriting();
    const blocks = await this.list();
    for (const blockId of blocks.toReversed()) {
      const isBehind = blockStart(blockId, this.blockBytes) >= to.lsn;
      const holdsCut = blockId === blockIdOf(to.lsn, this.blockBytes);
      // Where the log begins its block stays, empty.
      if (isBehind && !(holdsCut && blockId === blocks[0]))
        await this.#options.disk.remove(this.path(blockId));
      else if (holdsCut) {
        await this.#erase(blockId, to.lsn);
        if (isHeaderLost) await this.#writeHeader(blockId, to);
      }
    }
  }

  async #writeHeader(blockId: number, start: LogPosition): Promise<void> {
    const { stream, incarnation, blockBytes } = this.#options;
    const file = await this.#options.disk.open(this.path(blockId), { create: false });
    try {
      await file.writeDurable(0, [encodeBlockHeader({ stream, incarnation, blockId, blockBytes, start })]);
    } finally {
      await file.close();
    }
  }

  /**
   * Overwrites what lies behind `from` in its block with zeros, so that it can never be read as log again.
   * @param bytesMax nothing is known to lie further behind
   */
  async eraseBehind(from: Lsn, bytesMax?: number): Promise<void> {
    await this.#closeWriting();
    await this.#erase(blockIdOf(from, this.blockBytes), from, bytesMax);
  }

  /** Writes groups once more that are there already, those before `end`, all of one block. */
  async rewrite(end: Lsn, parts: readonly Uint8Array[]): Promise<void> {
    const start = lsn(end - parts.reduce((sum, part) => sum + part.length, 0));
    if (start === end) return;
    const path = this.path(blockIdOf(start, this.blockBytes));
    const file = await this.#options.disk.open(path, { create: false });
    try {
      await file.writeDurable(positionInBlock(start, this.blockBytes), parts);
    } finally {
      await file.close();
    }
  }

  /**
   * Puts damaged log back in its place, durably: whole groups that begin at `start`, inside one block. If that fails the owner ends as
   * well. The log may look mended then, for as long as the page cache has it, and is found damaged again later: what proves the damage
   * stays. A full disk is not waited for: the log can be read no worse than before, and who wants it asks again.
   * @param withHeader the block has no good header: its log begins here
   */
  async restore(start: LogPosition, bytes: Uint8Array, withHeader: boolean): Promise<void> {
    const { disk, stream, incarnation, blockBytes } = this.#options;
    const blockId = blockIdOf(start.lsn, blockBytes);
    assert(
      blockIdOf(lsn(start.lsn + bytes.length - 1), blockBytes) === blockId,
      'restored log lies in one block',
    );
    const file = await disk.open(this.path(blockId), { create: withHeader });
    try {
      if (withHeader)
        await file.writeDurable(0, [encodeBlockHeader({ stream, incarnation, blockId, blockBytes, start })]);
      await file.writeDurable(positionInBlock(start.lsn, blockBytes), [bytes]);
    } finally {
      await file.close();
    }
  }

  /** Removes all blocks, from the last one on, so that a crash in between leaves no hole. */
  async removeAll(): Promise<void> {
    await this.#closeWriting();
    for (const blockId of (await this.list()).toReversed()) await this.remove(blockId);
    if (this.#whenFull === 'give up') this.#whenFull = 'wait';
  }

  /** Removes a whole block from disk. */
  async remove(blockId: number): Promise<void> {
    assert(this.#writing?.blockId !== blockId, 'the block being written stays');
    await this.#options.disk.remove(this.path(blockId));
  }

  /** Resolves when no write is under way any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.endWaiting();
    // Whoever asked for it hears how it ends.
    await this.#appending?.catch(() => {});
    await this.#closeWriting();
  }

  async #erase(blockId: number, from: Lsn, bytesMax = Infinity): Promise<void> {
    const file = await this.#options.disk.open(this.path(blockId), { create: false });
    try {
      const position = positionInBlock(from, this.blockBytes);
      const end = Math.min(await file.size(), position + bytesMax);
      const zeros = new Uint8Array(Math.min(blockReadBytes, this.blockBytes));
      for (let at = position; at < end; at += zeros.length)
        await file.writeDurable(at, [zeros.subarray(0, Math.min(zeros.length, end - at))]);
    } finally {
      await file.close();
    }
  }

  async #openForWriting(blockId: number, start: LogPosition): Promise<void> {
    await this.#closeWriting();
    const { disk, stream, incarnation, blockBytes } = this.#options;
    const file = await disk.open(this.path(blockId), { create: true });
    try {
      const bytes = await file.size();
      const isNew = positionInBlock(start.lsn, blockBytes) === blockHeaderBytes || bytes < blockHeaderBytes;
      // One that is there is written again: a write of it that failed may have left it in the page cache alone.
      const header = isNew
        ? encodeBlockHeader({ stream, incarnation, blockId, blockBytes, start })
        : this.#checked(await file.read(0, blockHeaderBytes), blockId);
      await file.writeDurable(0, [header]);
      const filledTo = Math.max(blockHeaderBytes, bytes);
      this.#writing = { blockId, file, filledTo, step: zeroFillBytesMin };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The header of a block of this log. Throws OBS_LOG_CORRUPT: a start would not find the log that is written behind a bad one. */
  #checked(bytes: Uint8Array, blockId: number): Uint8Array {
    const { stream, incarnation, blockBytes } = this.#options;
    const header = decodeBlockHeader(bytes);
    const isOwn =
      !isProblem(header) &&
      header.stream === stream &&
      header.incarnation === incarnation &&
      header.blockId === blockId &&
      header.blockBytes === blockBytes;
    if (isOwn) return bytes;
    const what = isProblem(header) ? header.what : 'the block header is of another block';
    throw new ObError('OBS_LOG_CORRUPT', { stream, lsn: blockStart(blockId, blockBytes), what });
  }

  #fillAhead(block: WriteBlock): void {
    if (this.#filling !== undefined || this.#isClosed) return;
    this.#filling = this.#fill(block, block.filledTo + 1)
      .catch((error: unknown) => {
        // A full disk is met again, and waited for, when the room is needed.
        if (!isDiskFull(error)) this.#fillError = error;
      })
      .finally(() => {
        this.#filling = undefined;
      });
  }

  /** Zero-fills the next step of a block, at least up to `needed`. */
  async #fill(block: WriteBlock, needed: number): Promise<void> {
    const { blockBytes } = this.#options;
    const to = Math.min(blockBytes, Math.max(needed, block.filledTo + block.step));
    const zeros = new Uint8Array(Math.min(blockReadBytes, to - block.filledTo));
    for (let at = block.filledTo; at < to; at += zeros.length)
      await block.file.write(at, zeros.subarray(0, Math.min(zeros.length, to - at)));
    await block.file.sync();
    block.filledTo = to;
    block.step = Math.min(block.step * 2, zeroFillBytesMax);
  }

  /** Runs a step that touches no log bytes until the disk has room for it, or nothing is waited for any more. */
  async #whileFull(step: () => Promise<void>): Promise<void> {
    try {
      for (;;) {
        try {
          return await step();
        } catch (error) {
          if (!isDiskFull(error) || this.#whenFull === 'fail') throw error;
          if (this.#whenFull === 'give up') throw new WriteGivenUp();
        }
        this.#isFull = true;
        await this.#pause();
      }
    } finally {
      this.#isFull = false;
    }
  }

  #pause(): Promise<void> {
    return new Promise(resolve => {
      const timer = this.#options.clock.after(diskFullRetryMs, () => this.#wake?.());
      this.#wake = () => {
        this.#wake = undefined;
        timer.cancel();
        resolve();
      };
    });
  }

  async #closeWriting(): Promise<void> {
    if (this.#filling !== undefined) await this.#filling;
    const file = this.#writing?.file;
    this.#writing = undefined;
    if (file !== undefined) await file.close();
  }
}

export const isDiskFull = (error: unknown): boolean =>
  codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT';
