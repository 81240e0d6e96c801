/**
 * A simulated disk. Writes go to a page cache at once and to the platter when their call completes; a power loss
 * keeps or loses each 512-byte sector not yet synced, and directory changes not yet synced, by its random source. A
 * killed process loses nothing of the page cache. Faults: full disk, failing writes, stalls, flipped bits.
 *
 * A write that fails leaves its bytes in the page cache, which calls them clean: they are read, no later sync brings them to the
 * platter, a power loss takes them. So do ext4 and xfs. With `keepsFailed` off nothing of it is in the cache.
 *
 * Calls of a process that has crashed never complete.
 */
import { assert, must } from '../../../src/base/assert.ts';
import type { Disk, DiskFile } from '../../../src/platform/disk.ts';
import type { SimTime } from './event-loop.ts';
import type { SimRandom } from './random.ts';

const sectorBytes = 512;
/** Unique over all files, so that a file in the place of another is told from it. */
let nextVersion = 1;

/** What one file is to the system (cached) and to the platter. */
class SimFile {
  cached: Uint8Array = new Uint8Array(0);
  durable: Uint8Array = new Uint8Array(0);
  readonly dirty = new Set<number>();
  /** counts what reached the platter */
  version = nextVersion++;

  write(position: number, bytes: Uint8Array): void {
    this.cached = grown(this.cached, position + bytes.length);
    this.cached.set(bytes, position);
    const last = Math.floor((position + bytes.length - 1) / sectorBytes);
    for (let sector = Math.floor(position / sectorBytes); sector <= last; sector++) this.dirty.add(sector);
  }

  /** Brings one sector to the platter. */
  flush(sector: number): void {
    const from = sector * sectorBytes;
    const bytes = this.cached.subarray(from, from + sectorBytes);
    this.durable = grown(this.durable, from + bytes.length);
    this.durable.set(bytes, from);
    this.version = nextVersion++;
    this.dirty.delete(sector);
  }

  flushRange(position: number, length: number): void {
    this.durable = grown(this.durable, Math.min(this.cached.length, position + length));
    const last = Math.floor((position + length - 1) / sectorBytes);
    for (let sector = Math.floor(position / sectorBytes); sector <= last; sector++)
      if (this.dirty.has(sector)) this.flush(sector);
  }

  /** A write of these sectors failed: some reached the platter, the others are called clean all the same. */
  forgetRange(position: number, length: number, random: SimRandom): void {
    const last = Math.floor((position + length - 1) / sectorBytes);
    for (let sector = Math.floor(position / sectorBytes); sector <= last; sector++) {
      if (!this.dirty.has(sector)) continue;
      if (random.chance(1, 4)) this.flush(sector);
      else this.dirty.delete(sector);
    }
  }

  flushAll(): void {
    this.durable = grown(this.durable, this.cached.length);
    for (const sector of this.dirty) this.flush(sector);
    this.durable = this.durable.slice(0, this.cached.length);
  }

  loseOrKeep(random: SimRandom): void {
    for (const sector of [...this.dirty].sort((a, b) => a - b)) if (random.chance(1, 2)) this.flush(sector);
    this.dirty.clear();
    this.cached = this.durable.slice();
  }
}

const grown = (bytes: Uint8Array, length: number): Uint8Array => {
  if (length <= bytes.length) return bytes;
  const longer = new Uint8Array(length);
  longer.set(bytes);
  return longer;
};

/** A write call under way: a killed process may have handed over only its beginning, in whole sectors. */
class PendingWrite {
  readonly #file: SimFile;
  readonly #position: number;
  readonly #before: Uint8Array;

  constructor(file: SimFile, position: number, bytes: Uint8Array) {
    this.#file = file;
    this.#position = position;
    this.#before = new Uint8Array(bytes.length);
    this.#before.set(file.cached.subarray(position, position + bytes.length));
    file.write(position, bytes);
  }

  /** Nothing of it reached the page cache. */
  undo(): void {
    this.#file.write(this.#position, this.#before);
  }

  cutShort(random: SimRandom): void {
    if (!random.chance(1, 3)) return;
    const from = random.between(0, Math.floor(this.#before.length / sectorBytes)) * sectorBytes;
    const firstSectorEnd = sectorBytes - (this.#position % sectorBytes);
    const kept = from === 0 ? 0 : from - sectorBytes + firstSectorEnd;
    const rest = this.#before.subarray(kept);
    if (rest.length > 0) this.#file.write(this.#position + kept, rest);
  }
}

type Entries = Map<string, SimFile>;

export class SimDisk {
  readonly #loop: SimTime;
  readonly #random: SimRandom;
  #entries: Entries = new Map();
  #durableEntries: Entries = new Map();
  /** directory changes under way, oldest first */
  #pendingEntries: ((entries: Entries) => void)[] = [];
  #incarnation = 0;
  /** writes under way */
  readonly #writes = new Set<PendingWrite>();
  /** the next writes that would need new room fail with ENOSPC */
  isFull = false;
  /** every write fails with EIO */
  isFailing = false;
  /** what a failed write wrote stays in the page cache, and is called clean */
  keepsFailed = true;
  /** milliseconds a call takes at least and at most */
  latency: readonly [number, number] = [0.05, 0.3];
  /** called in the middle of the write that is `writes` from now */
  trap: { writes: number; readonly spring: () => void } | undefined;
  /** calls complete no earlier than this */
  stalledUntil = 0;

  constructor(loop: SimTime, random: SimRandom) {
    this.#loop = loop;
    this.#random = random;
  }

  // --- faults ---

  /** The process ends: with `power`, what was not synced may be lost. */
  crash(kind: 'process' | 'power'): void {
    this.#incarnation += 1;
    const cut = [...this.#writes];
    this.#writes.clear();
    if (kind === 'process') {
      for (const write of cut) write.cutShort(this.#random);
      for (const change of this.#pendingEntries) change(this.#durableEntries);
      this.#pendingEntries = [];
      return;
    }
    // A journal keeps directory changes in order: some first ones made it.
    const kept = this.#random.between(0, this.#pendingEntries.length);
    for (const change of this.#pendingEntries.slice(0, kept)) change(this.#durableEntries);
    this.#pendingEntries = [];
    this.#entries = new Map(this.#durableEntries);
    for (const file of this.#entries.values()) file.loseOrKeep(this.#random);
  }

  /** Flips one bit of a file at rest. */
  flipBit(path: string, bit: number): void {
    const file = must(this.#entries.get(path), path);
    for (const bytes of [file.cached, file.durable]) {
      const at = bit >> 3;
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
    }
    file.version = nextVersion++;
  }

  /** Paths of all files, sorted. */
  paths(): string[] {
    return [...this.#entries.keys()].sort();
  }

  /** What would be there if the power failed now and nothing unsynced survived; undefined if the file would not. */
  durableBytes(path: string): Uint8Array | undefined {
    return this.#durableEntries.get(path)?.durable;
  }

  /** The same, with a number that is another one whenever the bytes may be others. */
  durableFile(path: string): { readonly bytes: Uint8Array; readonly version: number } | undefined {
    const file = this.#durableEntries.get(path);
    return file === undefined ? undefined : { bytes: file.durable, version: file.version };
  }

  cachedBytes(path: string): Uint8Array | undefined {
    return this.#entries.get(path)?.cached;
  }

  /** An empty disk in its place. */
  wipe(): void {
    this.crash('process');
    this.#entries = new Map();
    this.#durableEntries = new Map();
  }

  // --- the port ---

  /** The port of the process that runs now; its calls never return once it has crashed. */
  attach(): Disk {
    const incarnation = this.#incarnation;
    const guard = <T>(run: () => Promise<T>): Promise<T> =>
      incarnation === this.#incarnation ? run() : new Promise<T>(() => {});
    return {
      open: (path, options) => guard(() => this.#open(path, options.create, guard)),
      readFile: path =>
        guard(async () => {
          await this.#wait();
          return this.#entries.get(path)?.cached.slice();
        }),
      replaceFile: (path, bytes) =>
        guard(async () => {
          this.#needRoom();
          const file = new SimFile();
          file.write(0, bytes);
          await this.#wait();
          this.#needHealth();
          file.flushAll();
          await this.#change(entries => entries.set(path, file));
        }),
      list: directory =>
        guard(async () => {
          await this.#wait();
          const names = this.paths().filter(path => path.startsWith(`${directory}/`));
          return names.map(path => path.slice(directory.length + 1)).filter(name => !name.includes('/'));
        }),
      remove: path => guard(() => this.#change(entries => entries.delete(path))),
      rename: (from, to) =>
        guard(() =>
          this.#change(entries => {
            const file = entries.get(from);
            if (file === undefined) return;
            entries.delete(from);
            entries.set(to, file);
          }),
        ),
      makeDirectory: () => guard(() => this.#wait()),
      removeDirectory: directory =>
        guard(() =>
          this.#change(entries => {
            for (const path of entries.keys()) if (path.startsWith(`${directory}/`)) entries.delete(path);
          }),
        ),
      freeBytes: () => guard(async () => (this.isFull ? 0 : Number.MAX_SAFE_INTEGER)),
    };
  }

  async #open(
    path: string,
    create: boolean,
    guard: <T>(run: () => Promise<T>) => Promise<T>,
  ): Promise<DiskFile> {
    if (!this.#entries.has(path)) {
      if (!create) throw failure('ENOENT');
      this.#needRoom();
      const created = new SimFile();
      await this.#change(entries => entries.set(path, created));
    }
    const file = must(this.#entries.get(path), path);
    let isOpen = true;
    let isWriting = false;
    const needRoom = (end: number) => {
      if (end > file.cached.length) this.#needRoom();
    };
    const call = <T>(run: () => Promise<T>): Promise<T> =>
      guard(() => {
        assert(isOpen, `the file ${path} is open`);
        return run();
      });
    return {
      path,
      read: (position, length) =>
        call(async () => {
          await this.#wait();
          return file.cached.slice(position, position + length);
        }),
      writeDurable: (position, parts) =>
        call(async () => {
          assert(!isWriting, 'one durable write at a time');
          const bytes = Buffer.concat(parts);
          needRoom(position + bytes.length);
          isWriting = true;
          const write = await this.#write(file, position, bytes);
          isWriting = false;
          if (this.isFailing) {
            if (this.keepsFailed) file.forgetRange(position, bytes.length, this.#random);
            else write.undo();
          }
          this.#needHealth();
          file.flushRange(position, bytes.length);
        }),
      write: (position, bytes) =>
        call(async () => {
          needRoom(position + bytes.length);
          const write = await this.#write(file, position, bytes);
          // An ordinary write only fills the cache: what becomes of it is seen at the sync.
          if (this.isFailing && !this.keepsFailed) write.undo();
          this.#needHealth();
        }),
      sync: () =>
        call(async () => {
          await this.#wait();
          if (this.isFailing) file.forgetRange(0, file.cached.length, this.#random);
          this.#needHealth();
          file.flushAll();
        }),
      truncate: length =>
        call(async () => {
          await this.#wait();
          this.#needHealth();
          file.cached = grown(file.cached, length).slice(0, length);
          file.flushAll();
        }),
      size: () =>
        call(async () => {
          await this.#wait();
          return file.cached.length;
        }),
      close: () =>
        call(async () => {
          isOpen = false;
          await this.#wait();
        }),
    };
  }

  async #write(file: SimFile, position: number, bytes: Uint8Array): Promise<PendingWrite> {
    const write = new PendingWrite(file, position, bytes);
    this.#writes.add(write);
    const { trap } = this;
    if (trap !== undefined && --trap.writes === 0) {
      this.trap = undefined;
      this.#loop.after(0, trap.spring);
    }
    await this.#wait();
    this.#writes.delete(write);
    return write;
  }

  /** A directory change: seen at once, durable when it completes. */
  async #change(change: (entries: Entries) => void): Promise<void> {
    change(this.#entries);
    this.#pendingEntries.push(change);
    await this.#wait();
    this.#needHealth();
    // The journal commits in order: whatever began earlier is durable with it.
    const upTo = this.#pendingEntries.indexOf(change);
    for (const earlier of this.#pendingEntries.splice(0, upTo + 1)) earlier(this.#durableEntries);
  }

  #needRoom(): void {
    if (this.isFull) throw failure('ENOSPC');
  }

  #needHealth(): void {
    if (this.isFailing) throw failure('EIO');
  }

  /** Time passes; a call of a process that is gone meanwhile never returns. */
  #wait(): Promise<void> {
    const incarnation = this.#incarnation;
    const [least, most] = this.latency;
    const drawn = least + ((most - least) * this.#random.between(0, 1_000)) / 1_000;
    const delay = Math.max(drawn, this.stalledUntil - this.#loop.now);
    return new Promise(resolve => {
      this.#loop.after(delay, () => {
        if (incarnation === this.#incarnation) resolve();
      });
    });
  }
}

const failure = (code: string): Error => Object.assign(new Error(`${code}: simulated`), { code });
