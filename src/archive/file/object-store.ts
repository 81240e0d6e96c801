/**
 * Objects as files below a directory, such as an NFS mount. An object appears whole or not at all: it is written under
 * a temporary name, flushed, and then linked (exclusive: link(2) fails if the name is there, on NFS too) or renamed
 * (overwriting) into place, and the directory flushed. An answer of link that NFS lost and repeated is settled by
 * reading back.
 */
import { type FileHandle, link, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { watch } from 'chokidar';
import { ObError } from '../../base/errors.ts';
import { listedKeysMaxDefault, storeObjectBytesMax } from '../../base/limits.ts';
import type { ObjectStore } from '../../platform/object-store.ts';
import { checkKey, sameBytes } from '../object-key.ts';
import { type StoreSurroundings, within } from '../store-deadline.ts';
import { errnoOf, fileStoreError } from './errno.ts';

const staging = '.staging';
const knownDirectoriesMax = 1_024;
const stagingKeepMs = 86_400_000;

export interface FileStoreOptions extends StoreSurroundings {
  /** absolute */
  readonly directory: string;
  /** make the directory if it is missing; else a missing mount is found out */
  readonly create: boolean;
}

export class FileObjectStore implements ObjectStore {
  readonly name: string;
  readonly #options: FileStoreOptions;
  readonly #knownDirectories = new Set<string>();
  readonly #watchers = new Set<{ close(): Promise<void> }>();

  constructor(options: FileStoreOptions) {
    this.#options = options;
    this.name = `file://${options.directory}`;
  }

  /** Finds out that the media can do all that is needed; names the call and the path that failed. */
  async preflight(access: 'read' | 'write'): Promise<void> {
    const { directory, create } = this.#options;
    if (access === 'read') {
      await this.#probe('stat', directory, this.#requireDirectory(directory));
      return;
    }
    const unique = this.#options.random.uuid();
    const draft = join(directory, staging, `probe-${unique}`);
    const final = join(directory, staging, `probed-${unique}`);
    const bytes = new TextEncoder().encode(unique);
    if (create) await this.#probe('mkdir', directory, mkdir(directory, { recursive: true, mode: 0o700 }));
    await this.#probe('stat', directory, this.#requireDirectory(directory));
    await this.#probe('mkdir', join(directory, staging), this.#makeDirectory(join(directory, staging)));
    await this.#probe('write and fsync', draft, writeFlushed(draft, bytes));
    try {
      await this.#probe('link', final, link(draft, final));
      const second = await this.#probe('exclusive link', final, outcomeOfLink(link(draft, final)));
      if (second === 'created') {
        throw new ObError('OBS_ARCHIVE_NO_CONDITIONAL_WRITES', {
          dest: this.name,
          why: 'link() replaced an existing file',
        });
      }
      const back = await this.#probe('read', final, readWhole(final, 1_024));
      if (back === undefined || !sameBytes(back, bytes)) {
        throw new ObError('OBS_ARCHIVE_PREFLIGHT_FAILED', {
          dest: this.name,
          call: 'read',
          path: final,
          why: 'it returned other bytes than were written',
        });
      }
      await this.#probe(
        'fsync of the directory',
        join(directory, staging),
        flushDirectory(join(directory, staging)),
      );
    } finally {
      await this.#probe('unlink', draft, removeFile(draft));
      await this.#probe('unlink', final, removeFile(final));
    }
    await this.#sweepStaging();
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    checkKey(key);
    return this.#call(`read of ${key}`, () => readWhole(this.#path(key), storeObjectBytesMax));
  }

  async getRange(key: string, start: number, length: number): Promise<Uint8Array | undefined> {
    checkKey(key);
    return this.#call(`read of ${key}`, () => readPart(this.#path(key), start, length));
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    checkKey(key);
    return this.#call(`exclusive write of ${key}`, async () => {
      const path = this.#path(key);
      const outcome = await this.#place(path, bytes, draft => outcomeOfLink(link(draft, path)));
      if (outcome === 'created') return outcome;
      const there = await readWhole(path, storeObjectBytesMax);
      if (there === undefined || !sameBytes(there, bytes)) return 'exists';
      // ours, from before a crash or a lost answer: its directory entry may not be durable yet
      await flushDirectory(dirname(path));
      return 'created';
    });
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    checkKey(key);
    await this.#call(`write of ${key}`, async () => {
      const path = this.#path(key);
      await this.#place(path, bytes, async draft => {
        await rename(draft, path);
        return 'created';
      });
    });
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    await this.#call(`removal of ${key}`, () => removeFile(this.#path(key)));
  }

  async list(prefix: string, options: { after?: string; max?: number } = {}): Promise<string[]> {
    const max = options.max ?? listedKeysMaxDefault;
    const keys: string[] = [];
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    await this.#call(`listing of ${prefix}`, () =>
      this.#walk(folder, { prefix, after: options.after ?? '', max, keys }),
    );
    return keys;
  }

  watch(key: string, listener: () => void): () => void {
    checkKey(key);
    const watcher = watch(this.#path(key), { ignoreInitial: true });
    // it is a hint: a media without change notices is not an error
    watcher.on('all', listener).on('error', () => {});
    this.#watchers.add(watcher);
    return () => {
      if (this.#watchers.delete(watcher)) void watcher.close();
    };
  }

  async close(): Promise<void> {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    await Promise.all(watchers.map(watcher => watcher.close()));
  }

  #path(key: string): string {
    return join(this.#options.directory, key);
  }

  async #place(
    path: string,
    bytes: Uint8Array,
    publish: (draft: string) => Promise<'created' | 'exists'>,
  ): Promise<'created' | 'exists'> {
    const { directory, random } = this.#options;
    await this.#requireDirectory(directory);
    await this.#makeDirectory(join(directory, staging));
    await this.#makeDirectory(dirname(path));
    const draft = join(directory, staging, random.uuid());
    try {
      await writeFlushed(draft, bytes);
      const outcome = await publish(draft);
      await flushDirectory(dirname(path));
      return outcome;
    } catch (error) {
      this.#knownDirectories.clear();
      throw error;
    } finally {
      await removeFile(draft);
    }
  }

  /** A mount that went away must not be replaced by a directory of the disk below it. */
  async #requireDirectory(directory: string): Promise<void> {
    const found = await stat(directory).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (found?.isDirectory() !== true) throw new ObError('OBS_ARCHIVE_NO_DESTINATION', { dest: this.name });
  }

  /** Below the root only; the entries are durable when it resolves. */
  async #makeDirectory(path: string): Promise<void> {
    if (this.#knownDirectories.has(path)) return;
    const first = await mkdir(path, { recursive: true, mode: 0o700 });
    if (first !== undefined) {
      for (let made = path; made.length >= first.length; made = dirname(made))
        await flushDirectory(dirname(made));
    }
    if (this.#knownDirectories.size >= knownDirectoriesMax) this.#knownDirectories.clear();
    this.#knownDirectories.add(path);
  }

  async #walk(
    folder: string,
    search: { prefix: string; after: string; max: number; keys: string[] },
  ): Promise<void> {
    // a directory's keys sort as its name with a slash
    const folders = [folder];
    const pending: string[] = [];
    for (;;) {
      const next = folders.pop();
      if (next === undefined) break;
      const entries = await readdir(join(this.#options.directory, next), { withFileTypes: true }).catch(
        absent,
      );
      for (const entry of entries ?? []) {
        if (entry.name.startsWith('.')) continue;
        pending.push(`${next}${entry.name}${entry.isDirectory() ? '/' : ''}`);
      }
      pending.sort((left, right) => (left < right ? 1 : -1));
      while (search.keys.length < search.max) {
        const candidate = pending.pop();
        if (candidate === undefined) return;
        if (candidate.endsWith('/')) {
          const mayHold = candidate.startsWith(search.prefix) || search.prefix.startsWith(candidate);
          const passed = candidate < search.after && !search.after.startsWith(candidate);
          if (!mayHold || passed) continue;
          folders.push(candidate);
          break;
        }
        if (candidate.startsWith(search.prefix) && candidate > search.after) search.keys.push(candidate);
      }
      if (search.keys.length >= search.max) return;
    }
  }

  /** Drafts of processes that died long ago. */
  async #sweepStaging(): Promise<void> {
    const folder = join(this.#options.directory, staging);
    const oldest = this.#options.clock.wall() / 1000 - stagingKeepMs;
    for (const name of await readdir(folder)) {
      const found = await stat(join(folder, name)).catch(absent);
      if (found !== undefined && found.mtimeMs < oldest) await removeFile(join(folder, name));
    }
  }

  async #call<T>(what: string, work: () => Promise<T>): Promise<T> {
    const { clock, timing } = this.#options;
    try {
      return await within(clock, timing.requestMs, this.name, what, work());
    } catch (error) {
      throw fileStoreError(this.name, error);
    }
  }

  async #probe<T>(call: string, path: string, work: Promise<T>): Promise<T> {
    const { clock, timing } = this.#options;
    try {
      return await within(clock, timing.requestMs, this.name, call, work);
    } catch (error) {
      if (error instanceof ObError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      throw new ObError('OBS_ARCHIVE_PREFLIGHT_FAILED', { dest: this.name, call, path, why }, error);
    }
  }
}

const absent = (error: unknown): undefined => {
  if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
  throw error;
};

const outcomeOfLink = async (linked: Promise<void>): Promise<'created' | 'exists'> => {
  try {
    await linked;
    return 'created';
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return 'exists';
    throw error;
  }
};

const removeFile = async (path: string): Promise<void> => {
  await unlink(path).catch(absent);
};

async function writeFlushed(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function flushDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function withFile<T>(path: string, read: (file: FileHandle) => Promise<T>): Promise<T | undefined> {
  const file = await open(path, 'r').catch(absent);
  if (file === undefined) return undefined;
  try {
    return await read(file);
  } finally {
    await file.close();
  }
}

const readWhole = (path: string, bytesMax: number): Promise<Uint8Array | undefined> =>
  withFile(path, async file => {
    const { size } = await file.stat();
    if (size > bytesMax) throw new Error(`${path} has ${size} bytes, more than ${bytesMax}`);
    return readAt(file, 0, size);
  });

const readPart = (path: string, start: number, length: number): Promise<Uint8Array | undefined> =>
  withFile(path, async file => {
    const { size } = await file.stat();
    return readAt(file, start, Math.max(0, Math.min(length, size - start)));
  });

async function readAt(file: FileHandle, start: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, start + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}
