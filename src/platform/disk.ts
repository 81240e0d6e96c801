/**
 * The disk port of everything durable outside SQLite: clog blocks, meta images, journals. Asynchronous, so that a
 * stalled disk is seen by the caller and not a frozen process.
 *
 * Any failed durable write poisons its file: the owner must stop the process (kind `disk`), never retry. The kernel may show the
 * bytes to the next process and call them clean: a sync there proves nothing, only writing them again does. Whoever opens a file that
 * is written in place does that with what the last write may have held; a replaced file got its name after its sync, and needs none.
 */

import { constants } from 'node:fs';
import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { writeFragmentsMax } from '../base/limits.ts';

export interface DiskFile {
  readonly path: string;
  /** The bytes at `position`; fewer than `length` only at the end of the file. */
  read(position: number, length: number): Promise<Uint8Array>;
  /** Resolves when the bytes are on stable storage. At most one at a time. */
  writeDurable(position: number, parts: readonly Uint8Array[]): Promise<void>;
  /** Ordinary write; durable only after `sync`. */
  write(position: number, bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

export interface Disk {
  /** Opens, creating with mode 0600 if asked. A created file's directory entry is durable when this resolves. */
  open(path: string, options: { create: boolean }): Promise<DiskFile>;
  readFile(path: string): Promise<Uint8Array | undefined>;
  /** tmp + fsync + rename + fsync of the directory: old or new content after any crash, never a mixture. */
  replaceFile(path: string, bytes: Uint8Array): Promise<void>;
  /** Names in a directory, sorted; empty if there is no such directory. */
  list(directory: string): Promise<string[]>;
  /** Durable removal of a file; no error if it is gone. */
  remove(path: string): Promise<void>;
  /** Durable rename inside one directory. */
  rename(from: string, to: string): Promise<void>;
  /** mkdir -p with mode 0700, durable. */
  makeDirectory(path: string): Promise<void>;
  removeDirectory(path: string): Promise<void>;
  freeBytes(path: string): Promise<number>;
}

/** Files of the operating system. Durable writes go through an O_DSYNC descriptor: one hop to the thread pool each. */
export const nodeDisk: Disk = {
  async open(path, { create }) {
    try {
      return new NodeFile(path, await openFile(path, durableFlags));
    } catch (error) {
      if (!create || codeOf(error) !== 'ENOENT') throw error;
    }
    const descriptor = await openFile(path, durableFlags | constants.O_CREAT);
    await syncDirectory(dirname(path));
    return new NodeFile(path, descriptor);
  },
  async readFile(path) {
    try {
      return await fs.promises.readFile(path);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  },
  async replaceFile(path, bytes) {
    const temporary = `${path}.tmp`;
    const handle = await fs.promises.open(temporary, 'w', 0o600);
    try {
      await handle.writeFile(bytes).then(() => handle.sync());
    } catch (error) {
      // On a full disk what was written of it is room for others.
      await handle.truncate().catch(() => {});
      throw error;
    } finally {
      await handle.close();
    }
    await fs.promises.rename(temporary, path);
    await syncDirectory(dirname(path));
  },
  async list(directory) {
    try {
      return (await fs.promises.readdir(directory)).sort();
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw error;
    }
  },
  async remove(path) {
    try {
      await fs.promises.unlink(path);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return;
      throw error;
    }
    await syncDirectory(dirname(path));
  },
  async rename(from, to) {
    await fs.promises.rename(from, to);
    await syncDirectory(dirname(to));
  },
  async makeDirectory(path) {
    const first = await fs.promises.mkdir(path, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    // Every parent that got a new entry, from the deepest up to the one that was there.
    let created = path;
    await syncDirectory(dirname(created));
    while (created !== first && dirname(created) !== created) {
      created = dirname(created);
      await syncDirectory(dirname(created));
    }
  },
  async removeDirectory(path) {
    await fs.promises.rm(path, { recursive: true, force: true });
    await syncDirectory(dirname(path));
  },
  async freeBytes(path) {
    const { bavail, bsize } = await fs.promises.statfs(path);
    return bavail * bsize;
  },
};

const durableFlags = constants.O_RDWR | constants.O_DSYNC;

/** The system's error code of a failed file operation, or undefined. */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

/** Nothing was damaged, and there may be room later. */
export const isNoRoom = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes(codeOf(error) ?? '');

class NodeFile implements DiskFile {
  readonly path: string;
  readonly #durable: number;
  /** opened at the first ordinary write */
  #plain: number | undefined;

  constructor(path: string, descriptor: number) {
    this.path = path;
    this.#durable = descriptor;
  }

  read(position: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    return new Promise((resolve, reject) => {
      const readOn = (offset: number): void => {
        fs.read(this.#durable, bytes, offset, length - offset, position + offset, (error, count) => {
          if (error !== null) reject(error);
          else if (count === 0 || offset + count === length) resolve(bytes.subarray(0, offset + count));
          else readOn(offset + count);
        });
      };
      readOn(0);
    });
  }

  writeDurable(position: number, parts: readonly Uint8Array[]): Promise<void> {
    return writeAll(this.#durable, position, parts);
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    this.#plain ??= await openFile(this.path, constants.O_RDWR);
    await writeAll(this.#plain, position, [bytes]);
  }

  /** Flushes the file whichever descriptor wrote it. */
  sync(): Promise<void> {
    return done(callback => fs.fdatasync(this.#durable, callback));
  }

  async truncate(length: number): Promise<void> {
    await done(callback => fs.ftruncate(this.#durable, length, callback));
    await this.sync();
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) =>
      fs.fstat(this.#durable, (error, stats) => (error === null ? resolve(stats.size) : reject(error))),
    );
  }

  async close(): Promise<void> {
    if (this.#plain !== undefined) await done(callback => fs.close(this.#plain ?? -1, callback));
    await done(callback => fs.close(this.#durable, callback));
  }
}

const done = (start: (callback: (error: Error | null) => void) => void): Promise<void> =>
  new Promise((resolve, reject) => start(error => (error === null ? resolve() : reject(error))));

const openFile = (path: string, flags: number): Promise<number> =>
  new Promise((resolve, reject) =>
    fs.open(path, flags, 0o600, (error, descriptor) =>
      error === null ? resolve(descriptor) : reject(error),
    ),
  );

/** Positioned gather write; goes on after a short one. */
function writeAll(descriptor: number, position: number, parts: readonly Uint8Array[]): Promise<void> {
  const total = parts.reduce((sum, part) => sum + part.length, 0);
  const fragments = parts.length > writeFragmentsMax ? [Buffer.concat(parts)] : parts;
  return new Promise((resolve, reject) => {
    const writeOn = (rest: readonly Uint8Array[], at: number): void => {
      fs.writev(descriptor, rest, at, (error, count) => {
        if (error !== null) reject(error);
        else if (at + count === position + total) resolve();
        else if (count === 0) reject(new Error(`a write to descriptor ${descriptor} made no progress`));
        else writeOn(skip(rest, count), at + count);
      });
    };
    if (total === 0) resolve();
    else writeOn(fragments, position);
  });
}

function skip(parts: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let left = bytes;
  const rest: Uint8Array[] = [];
  for (const part of parts) {
    if (left >= part.length) left -= part.length;
    else {
      rest.push(left === 0 ? part : part.subarray(left));
      left = 0;
    }
  }
  return rest;
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await fs.promises.open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
