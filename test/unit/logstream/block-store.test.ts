/** Block files on a disk that does one thing at a time and tells what was done, in order. */
import { expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import type { LogPosition } from '../../../src/base/log-access.ts';
import { logStreamId, lsn, scn } from '../../../src/base/scalars.ts';
import { blockHeaderBytes, blockStart } from '../../../src/codec/block-header.ts';
import { BlockStore, WriteGivenUp } from '../../../src/logstream/block-store.ts';
import type { Disk, DiskFile } from '../../../src/platform/disk.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const blockBytes = 16_384;
const at = (block: number, offset = 0): LogPosition => ({
  lsn: lsn(blockStart(block, blockBytes) + offset),
  scn: scn(1),
  checksum: 0,
});
const log = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(7);

/** Files in memory. */
class MemoryDisk {
  readonly files = new Map<string, Uint8Array>();
  readonly done: string[] = [];
  fullWith: 'ENOSPC' | 'EDQUOT' | undefined;
  /** zero-filling waits for this */
  gate: Promise<void> | undefined;

  readonly disk = {
    list: async () => [...this.files.keys()].map(path => path.slice(2)).sort(),
    remove: async (path: string) => {
      this.files.delete(path);
    },
    open: async (path: string) => this.#file(path),
  } as Partial<Disk> as Disk;

  #file(path: string): DiskFile {
    const put = (position: number, bytes: Uint8Array): void => {
      const before = this.files.get(path) ?? new Uint8Array(0);
      const after = new Uint8Array(Math.max(before.length, position + bytes.length));
      after.set(before);
      after.set(bytes, position);
      this.files.set(path, after);
    };
    return {
      path,
      size: async () => this.files.get(path)?.length ?? 0,
      read: async (position: number, length: number) =>
        must(this.files.get(path), path).slice(position, position + length),
      writeDurable: async (position: number, parts: readonly Uint8Array[]) => {
        this.done.push(position === 0 ? 'header' : 'log');
        put(position, Buffer.concat(parts));
      },
      write: async (position: number, bytes: Uint8Array) => {
        if (this.fullWith !== undefined) throw Object.assign(new Error('no room'), { code: this.fullWith });
        await this.gate;
        this.done.push('zeros');
        put(position, bytes);
      },
      sync: async () => {},
      truncate: async () => {},
      close: async () => {
        this.done.push('close');
      },
    };
  }
}

const options = ({ disk }: MemoryDisk) => ({
  disk,
  directory: '.',
  stream: logStreamId(1001),
  incarnation: 'x',
  blockBytes,
});

function rig() {
  const memory = new MemoryDisk();
  const clock = new ManualClock();
  const store = new BlockStore({ ...options(memory), clock });
  /** a write that waits for room */
  const waiting = async (fullWith: 'ENOSPC' | 'EDQUOT' = 'ENOSPC') => {
    memory.fullWith = fullWith;
    const outcome = store.append(at(1), [log(100)]).then(
      () => memory.done.push('appended'),
      (error: unknown) => {
        memory.done.push('refused');
        return error;
      },
    );
    await expect.poll(() => store.isFull).toBe(true);
    return { outcome };
  };
  return { memory, clock, store, waiting };
}

test('a cut in a block that is gone leaves nothing of later blocks, the oldest included', async () => {
  const { store } = rig();
  for (const block of [6, 7]) await store.append(at(block), [log(blockBytes - blockHeaderBytes)]);
  await store.truncate(at(5, 100), true);
  expect(await store.list()).toEqual([]);
});

test('a cut at the start of the oldest block leaves its file, with no log in it', async () => {
  const { store } = rig();
  for (const block of [6, 7]) await store.append(at(block), [log(blockBytes - blockHeaderBytes)]);
  await store.truncate(at(6));
  expect(await store.list()).toEqual([6]);
  const rest = await store.readFile(6, blockHeaderBytes, blockBytes);
  expect(rest).toEqual(new Uint8Array(rest.length));
});

test.for([8, 40, 70])('a block whose header was damaged at byte %i takes no log', async place => {
  const { memory, store } = rig();
  await store.append(at(1), [log(100)]);
  await store.close();
  const path = store.path(1);
  const damaged = must(memory.files.get(path), path).slice();
  damaged[place] = 1 ^ must(damaged[place], 'byte');
  memory.files.set(path, damaged);
  const again = new BlockStore({ ...options(memory), clock: new ManualClock() });
  await expect(again.append(at(1, 100), [log(100)])).rejects.toMatchObject({ code: 'OBS_LOG_CORRUPT' });
  expect(memory.files.get(path)).toEqual(damaged);
});

test('a block of another log takes none of this one', async () => {
  const { memory, store } = rig();
  await store.append(at(1), [log(100)]);
  await store.close();
  const other = new BlockStore({ ...options(memory), incarnation: 'y', clock: new ManualClock() });
  await expect(other.append(at(1, 100), [log(100)])).rejects.toMatchObject({ code: 'OBS_LOG_CORRUPT' });
});

test('a store that closes while a full disk is tried again is closed when that write has ended', async () => {
  const { memory, clock, store, waiting } = rig();
  const { outcome } = await waiting();
  const gate = Promise.withResolvers<void>();
  memory.gate = gate.promise;
  memory.fullWith = undefined;
  clock.advance(500);
  const closed = store.close().then(() => memory.done.push('closed'));
  gate.resolve();
  await closed;
  await outcome;
  expect(memory.done.slice(-2)).toEqual(['close', 'closed']);
  expect(memory.done.indexOf('appended')).toBeLessThan(memory.done.lastIndexOf('close'));
});

test.for(['ENOSPC', 'EDQUOT'] as const)(
  'a write that waits out %s ends at once when nothing is to be waited for any more, and so does the next',
  async code => {
    const { memory, store, waiting } = rig();
    const { outcome } = await waiting(code);
    store.endWaiting();
    expect(await outcome).toMatchObject({ code });
    expect(store.isFull).toBe(false);
    await expect(store.append(at(1), [log(100)])).rejects.toMatchObject({ code });
    expect(memory.done).not.toContain('log');
  },
);

test('a write that waits for room is given up when the log is replaced; the log that takes its place waits again', async () => {
  const { memory, clock, store, waiting } = rig();
  const { outcome } = await waiting();
  store.giveUpWaiting();
  expect(await outcome).toBeInstanceOf(WriteGivenUp);
  await expect(store.append(at(1), [log(100)])).rejects.toBeInstanceOf(WriteGivenUp);
  await store.removeAll();
  const again = await waiting();
  memory.fullWith = undefined;
  clock.advance(500);
  await again.outcome;
  expect(memory.done.at(-1)).toBe('appended');
});
