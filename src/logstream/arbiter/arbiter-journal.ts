/**
 * The one file of an arbiter: every value that must outlive a crash, by key, the newest of each key counting. Batches are
 * appended, each durable before anybody acts on it; everything that is noted while one is being written shares the next write.
 *
 * A batch is there twice, one copy behind the other: {magic u32, sequence u32, payload bytes u32, crc32 u32 over the first
 * 12 header bytes and the payload}, then the payload as JSON. A batch of which neither copy is whole was being written when the process
 * died if nothing follows it, and is cut off: nobody acted on it. If a later one follows, durable promises are lost: the
 * journal is refused (A2), never read around. Must never forget a value that was told to be durable, nor mend by guessing.
 */
import { crc32 } from 'node:zlib';
import { AssertionError, assert } from '../../base/assert.ts';
import { ObError } from '../../base/errors.ts';
import { arbiterBatchBytesMax, arbiterCompactBytesMin, arbiterJournalBytesMax } from '../../base/limits.ts';
import { codeOf, type Disk, type DiskFile, isNoRoom } from '../../platform/disk.ts';

const headerBytes = 16;
const magic = 0x4a42_524f;
const copies = 2;
/** Written anew when it is so many times as long as what counts in it. */
const compactFactor = 4;

/** A key and its value; null: the key is forgotten. */
type Change = readonly [key: string, value: string | null];

interface Batch {
  readonly sequence: number;
  readonly changes: readonly Change[];
  /** behind this copy */
  readonly end: number;
}

interface Noted {
  readonly change: Change;
  readonly durable: () => void;
}

export interface ArbiterJournalOptions {
  readonly disk: Disk;
  readonly path: string;
  /** a write failed: nothing is promised from here on, the process must end */
  readonly onFatal: (error: unknown) => void;
}

export class ArbiterJournal {
  readonly #options: ArbiterJournalOptions;
  readonly #values = new Map<string, string>();
  #file: DiskFile;
  #bytes = 0;
  #liveBytes = 0;
  #sequence = 0;
  #waiting: Noted[] = [];
  #running: Promise<void> = Promise.resolve();
  #isWriting = false;
  #failed = false;
  #writes = 0;
  /** how long it was when there was no room to write it anew */
  #fullAt = 0;

  private constructor(options: ArbiterJournalOptions, file: DiskFile) {
    this.#options = options;
    this.#file = file;
  }

  /** Reads what is there; a new file where there is none. Throws OBS_ARBITER_JOURNAL_DAMAGED, OBS_ARBITER_DISK_FAILED. */
  static async open(options: ArbiterJournalOptions): Promise<ArbiterJournal> {
    const { disk, path } = options;
    try {
      const bytes = (await disk.readFile(path)) ?? new Uint8Array();
      const journal = new ArbiterJournal(options, await disk.open(path, { create: true }));
      await journal.#recover(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
      return journal;
    } catch (error) {
      throw error instanceof ObError ? error : diskFailed(path, 'read', error);
    }
  }

  get path(): string {
    return this.#options.path;
  }

  get(key: string): string | undefined {
    return this.#values.get(key);
  }

  entries(): IterableIterator<[string, string]> {
    return this.#values.entries();
  }

  /** Of the file, of the values that count, and how many durable writes there were. */
  get status(): { readonly bytes: number; readonly liveBytes: number; readonly writes: number } {
    return { bytes: this.#bytes, liveBytes: this.#liveBytes, writes: this.#writes };
  }

  /** Notes a value (null: none any more); `durable` is called when it cannot be lost any more, in the order of the calls. */
  put(key: string, value: string | null, durable: () => void): void {
    if (this.#failed) return;
    this.#waiting.push({ change: [key, value], durable });
    if (this.#isWriting) return;
    this.#isWriting = true;
    this.#running = this.#run();
  }

  /** Everything that was noted is durable; the file is let go. */
  async close(): Promise<void> {
    await this.#running;
    await this.#file.close();
  }

  async #run(): Promise<void> {
    try {
      // What is noted in this turn shares one write.
      await Promise.resolve();
      await this.#write();
    } catch (error) {
      this.#failed = true;
      const { path, onFatal } = this.#options;
      onFatal(
        error instanceof ObError || error instanceof AssertionError
          ? error
          : diskFailed(path, 'write', error),
      );
    }
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const noted = this.#takeBatch();
      const batch = encodeBatch(
        this.#sequence + 1,
        noted.map(({ change }) => change),
      );
      await this.#file.writeDurable(this.#bytes, Array<Uint8Array>(copies).fill(batch));
      this.#sequence += 1;
      this.#bytes += copies * batch.length;
      this.#writes += 1;
      for (const { change } of noted) this.#apply(change);
      for (const { durable } of noted) durable();
      const least = Math.max(arbiterCompactBytesMin, compactFactor * copies * this.#liveBytes);
      if (this.#bytes > Math.max(least, 2 * this.#fullAt)) await this.#shorten();
    }
    this.#isWriting = false;
  }

  /** As many as fit one batch, at least one. */
  #takeBatch(): readonly Noted[] {
    let bytes = 0;
    let count = 0;
    for (const { change } of this.#waiting) {
      bytes += changeBytes(change);
      if (count > 0 && bytes > arbiterBatchBytesMax) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  /** Without room it goes on as it is: every promise is in it. */
  async #shorten(): Promise<void> {
    try {
      await this.#compact();
      this.#fullAt = 0;
    } catch (error) {
      if (!isNoRoom(error)) throw error;
      this.#fullAt = this.#bytes;
    }
  }

  /** The old file or the new one, whatever happens meanwhile: both say the same. */
  async #compact(): Promise<void> {
    const { disk, path } = this.#options;
    const parts: Uint8Array[] = [];
    let changes: Change[] = [];
    let bytes = 0;
    let sequence = 0;
    const close = (): void => {
      const batch = encodeBatch((sequence += 1), changes);
      parts.push(...Array<Uint8Array>(copies).fill(batch));
      changes = [];
      bytes = 0;
    };
    for (const change of this.#values) {
      if (bytes > 0 && bytes + changeBytes(change) > arbiterBatchBytesMax) close();
      changes.push(change);
      bytes += changeBytes(change);
    }
    close();
    const whole = Buffer.concat(parts);
    await disk.replaceFile(path, whole);
    await this.#file.close();
    this.#file = await disk.open(path, { create: false });
    this.#bytes = whole.length;
    this.#sequence = sequence;
  }

  #apply([key, value]: Change): void {
    const before = this.#values.get(key);
    if (before !== undefined) this.#liveBytes -= changeBytes([key, before]);
    if (value === null) this.#values.delete(key);
    else {
      this.#values.set(key, value);
      this.#liveBytes += changeBytes([key, value]);
    }
  }

  async #recover(bytes: Buffer): Promise<void> {
    const { path } = this.#options;
    if (bytes.length > arbiterJournalBytesMax)
      throw damaged(path, 0, 'it is longer than any that is written');
    let isWhole = true;
    let at = 0;
    let last: readonly Uint8Array[] = [];
    while (at < bytes.length) {
      const next = findBatch(bytes, at, this.#sequence + 1);
      if (next === undefined) break;
      if (next.sequence !== this.#sequence + 1)
        throw damaged(path, at, `batch ${this.#sequence + 1} is lost, batch ${next.sequence} follows it`);
      for (const change of next.changes) this.#apply(change);
      this.#sequence = next.sequence;
      const size = next.end - next.start;
      const isFirst = next.start === at;
      // The other copy, whole or not, takes as much room; at the very end it may be missing.
      const end = Math.min(isFirst ? next.end + size : next.end, bytes.length);
      isWhole &&= isFirst && isSame(bytes, next.start, next.end, end);
      last = [bytes.subarray(at, at + size), bytes.subarray(at + size, end)];
      at = end;
    }
    this.#bytes = at;
    if (at < bytes.length) await this.#file.truncate(at);
    // What was read may be in the page cache alone, left there by a process that was killed.
    await this.#file.sync();
    if (!isWhole) return this.#compact();
    // The last write may have failed: the kernel told the process that died of it, and calls the pages clean since.
    let from = at - last.reduce((sum, copy) => sum + copy.length, 0);
    for (const copy of last) {
      await this.#file.writeDurable(from, [copy]);
      from += copy.length;
    }
  }
}

const changeBytes = ([key, value]: Change): number => key.length + (value?.length ?? 0) + 8;

function encodeBatch(sequence: number, changes: readonly Change[]): Buffer {
  const payload = Buffer.from(JSON.stringify(changes));
  const batch = Buffer.allocUnsafe(headerBytes + payload.length);
  batch.writeUInt32LE(magic, 0);
  batch.writeUInt32LE(sequence, 4);
  batch.writeUInt32LE(payload.length, 8);
  batch.writeUInt32LE(crc32(payload, crc32(batch.subarray(0, 12))), 12);
  batch.set(payload, headerBytes);
  return batch;
}

/** The first whole copy at or behind `from` of a batch from `sequence` on. */
function findBatch(
  bytes: Buffer,
  from: number,
  sequence: number,
): (Batch & { readonly start: number }) | undefined {
  const mark = Buffer.alloc(4);
  mark.writeUInt32LE(magic);
  for (let at = bytes.indexOf(mark, from); at >= 0; at = bytes.indexOf(mark, at + 1)) {
    const batch = decodeBatch(bytes, at);
    // Copies of the batch before are passed over.
    if (batch !== undefined && batch.sequence >= sequence) return { ...batch, start: at };
  }
  return undefined;
}

function decodeBatch(bytes: Buffer, at: number): Batch | undefined {
  if (bytes.length - at < headerBytes) return undefined;
  const length = bytes.readUInt32LE(at + 8);
  const end = at + headerBytes + length;
  if (end > bytes.length) return undefined;
  const payload = bytes.subarray(at + headerBytes, end);
  if (crc32(payload, crc32(bytes.subarray(at, at + 12))) !== bytes.readUInt32LE(at + 12)) return undefined;
  const changes = JSON.parse(payload.toString()) as Change[];
  assert(Array.isArray(changes), 'a batch that was written is a list');
  return { sequence: bytes.readUInt32LE(at + 4), changes, end };
}

const isSame = (bytes: Buffer, start: number, end: number, otherEnd: number): boolean =>
  bytes.subarray(start, end).equals(bytes.subarray(end, otherEnd));

const damaged = (path: string, at: number, what: string): ObError =>
  new ObError('OBS_ARBITER_JOURNAL_DAMAGED', { path, at, what });

const diskFailed = (path: string, what: string, cause: unknown): ObError =>
  new ObError('OBS_ARBITER_DISK_FAILED', { path, what, why: codeOf(cause) ?? String(cause) }, cause);
