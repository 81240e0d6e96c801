/** The journal of an arbiter: what was told to be durable is there after any crash, and is never read around when it is damaged. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isObError } from '../../../src/base/errors.ts';
import { arbiterCompactBytesMin } from '../../../src/base/limits.ts';
import { ArbiterJournal } from '../../../src/logstream/arbiter/arbiter-journal.ts';
import { type Disk, type DiskFile, nodeDisk } from '../../../src/platform/disk.ts';

let directory = '';
let path = '';
const fatal: unknown[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'obstandby-arbiter-'));
  path = join(directory, 'promises.journal');
  fatal.length = 0;
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const open = (disk: Disk = nodeDisk): Promise<ArbiterJournal> =>
  ArbiterJournal.open({ disk, path, onFatal: error => fatal.push(error) });

const until = async (isTrue: () => boolean): Promise<void> => {
  while (!isTrue()) await new Promise(resolve => setImmediate(resolve));
};

const put = (journal: ArbiterJournal, key: string, value: string | null): Promise<void> =>
  new Promise(resolve => journal.put(key, value, resolve));

/** Writes so many batches, each alone, and gives the length of the file behind each. */
async function writeBatches(count: number): Promise<number[]> {
  const journal = await open();
  const ends: number[] = [];
  for (let batch = 0; batch < count; batch += 1) {
    await put(journal, `key ${batch % 3}`, `value ${batch}`);
    ends.push(readFileSync(path).length);
  }
  await journal.close();
  return ends;
}

/** The real disk, but for its durable writes. */
const diskWhose = (writeDurable: (write: () => Promise<void>) => Promise<void>): Disk => ({
  ...nodeDisk,
  open: async (name, options): Promise<DiskFile> => {
    const file = await nodeDisk.open(name, options);
    return {
      path: file.path,
      read: (position, length) => file.read(position, length),
      writeDurable: (position, parts) => writeDurable(() => file.writeDurable(position, parts)),
      write: (position, bytes) => file.write(position, bytes),
      sync: () => file.sync(),
      truncate: length => file.truncate(length),
      size: () => file.size(),
      close: () => file.close(),
    };
  },
});

const refusalOf = async (): Promise<string> => {
  try {
    await (await open()).close();
    return 'it was read';
  } catch (error) {
    if (isObError(error)) return error.code;
    throw error;
  }
};

test('values are there again, the newest of each key, without those that were forgotten', async () => {
  const journal = await open();
  await put(journal, 'one', 'old');
  await put(journal, 'two', 'x');
  await put(journal, 'one', 'new');
  await put(journal, 'two', null);
  await journal.close();
  const again = await open();
  expect([...again.entries()]).toEqual([['one', 'new']]);
  await again.close();
});

test('what is noted in one turn, and while a write is under way, shares a write; the answers come in order', async () => {
  const journal = await open();
  const told: string[] = [];
  const all = ['a', 'b', 'c'].map(
    key =>
      new Promise<void>(resolve => {
        journal.put(key, 'x', () => {
          told.push(key);
          resolve();
        });
      }),
  );
  await Promise.all(all);
  expect(told).toEqual(['a', 'b', 'c']);
  expect(journal.status.writes).toBe(1);
  await journal.close();
});

test('nothing is told durable before the disk says so', async () => {
  const written = Promise.withResolvers<void>();
  const slow = diskWhose(async write => {
    await written.promise;
    await write();
  });
  const journal = await open(slow);
  let isDurable = false;
  const done = put(journal, 'a', 'x').then(() => {
    isDurable = true;
  });
  await new Promise(resolve => setImmediate(resolve));
  expect(isDurable).toBe(false);
  written.resolve();
  await done;
  expect(readFileSync(path).includes('x')).toBe(true);
  await journal.close();
});

test('a write that fails is told to nobody as durable, and ends it', async () => {
  const failing = diskWhose(() => Promise.reject(Object.assign(new Error('no'), { code: 'EIO' })));
  const journal = await open(failing);
  let isDurable = false;
  journal.put('a', 'x', () => {
    isDurable = true;
  });
  await until(() => fatal.length > 0);
  expect(isDurable).toBe(false);
  expect(fatal[0]).toMatchObject({ code: 'OBS_ARBITER_DISK_FAILED', kind: 'disk' });
  // Nothing is tried again: what the failed write left is not known.
  journal.put('b', 'x', () => {
    isDurable = true;
  });
  await journal.close();
  expect(isDurable).toBe(false);
});

test('cut at every byte, it holds what was durable before the last batch, and that batch or nothing of it', async () => {
  const ends = await writeBatches(4);
  const whole = readFileSync(path);
  const [before = 0, last = 0] = ends.slice(-2);
  for (let length = before; length <= last; length += 1) {
    writeFileSync(path, whole);
    truncateSync(path, length);
    const journal = await open();
    const values = Object.fromEntries(journal.entries());
    expect(values).toMatchObject({ 'key 1': 'value 1', 'key 2': 'value 2' });
    // Half of it is one whole copy.
    const expected = length - before >= (last - before) / 2 ? 'value 3' : 'value 0';
    expect(values['key 0'], `cut at ${length}`).toBe(expected);
    await put(journal, 'next', 'n');
    await journal.close();
    const again = await open();
    expect(again.get('next')).toBe('n');
    await again.close();
  }
});

test('a torn batch whose bytes are there out of order is cut off, or whole', async () => {
  const ends = await writeBatches(3);
  const whole = readFileSync(path);
  const [before = 0, last = 0] = ends.slice(-2);
  // The end of the write reached the disk, its beginning did not.
  const torn = Buffer.from(whole);
  torn.fill(0, before, before + (last - before) / 2 - 1);
  writeFileSync(path, torn);
  const second = await open();
  expect(second.get('key 2')).toBe('value 2');
  await second.close();
  torn.fill(0, before, last - 4);
  writeFileSync(path, torn);
  const none = await open();
  expect(none.get('key 2')).toBeUndefined();
  await none.close();
});

test('any one byte that rots is mended from the other copy', async () => {
  await writeBatches(3);
  const whole = readFileSync(path);
  for (let at = 0; at < whole.length; at += 1) {
    const rotten = Buffer.from(whole);
    rotten.writeUInt8(rotten.readUInt8(at) ^ 0x10, at);
    writeFileSync(path, rotten);
    const journal = await open();
    expect(Object.fromEntries(journal.entries()), `byte ${at}`).toEqual({
      'key 0': 'value 0',
      'key 1': 'value 1',
      'key 2': 'value 2',
    });
    await journal.close();
    const again = await open();
    expect(again.get('key 2')).toBe('value 2');
    await again.close();
  }
});

test('a batch that is lost in both copies, with others behind it, is refused and stays as it is', async () => {
  const [first = 0, second = 0] = await writeBatches(3);
  const rotten = readFileSync(path);
  rotten.fill(0x55, first, second);
  writeFileSync(path, rotten);
  expect(await refusalOf()).toBe('OBS_ARBITER_JOURNAL_DAMAGED');
  expect(readFileSync(path).equals(rotten)).toBe(true);
  const headless = readFileSync(path).subarray(first);
  writeFileSync(path, headless);
  expect(await refusalOf()).toBe('OBS_ARBITER_JOURNAL_DAMAGED');
});

test('it is written anew when most of it does not count any more', async () => {
  const journal = await open();
  const value = 'v'.repeat(65_536);
  let longest = 0;
  for (let round = 0; round < 100; round += 1) {
    await put(journal, 'image', `${round} ${value}`);
    longest = Math.max(longest, journal.status.bytes);
  }
  await put(journal, 'last', 'x');
  expect(longest).toBeLessThan(arbiterCompactBytesMin + 4 * value.length);
  expect(journal.status.bytes).toBeLessThan(arbiterCompactBytesMin);
  await journal.close();
  const again = await open();
  expect(again.get('image')?.startsWith('99 ')).toBe(true);
  expect(again.get('last')).toBe('x');
  await again.close();
});

test('what a failed write left in the page cache, and a restart found, is written again before it counts', async () => {
  // What the disk has, apart from what a reader of the file is shown.
  let stable = new Uint8Array();
  let fails = false;
  const lying: Disk = {
    ...nodeDisk,
    open: async (name, options): Promise<DiskFile> => {
      const file = await nodeDisk.open(name, options);
      return {
        path: file.path,
        read: (position, length) => file.read(position, length),
        writeDurable: async (position, parts) => {
          await file.writeDurable(position, parts);
          if (fails) throw Object.assign(new Error('no'), { code: 'EIO' });
          const bytes = Buffer.concat(parts);
          const grown = new Uint8Array(Math.max(stable.length, position + bytes.length));
          grown.set(stable);
          grown.set(bytes, position);
          stable = grown;
        },
        write: (position, bytes) => file.write(position, bytes),
        // The kernel told of the error once: the pages are clean to it now.
        sync: () => Promise.resolve(),
        truncate: length => file.truncate(length),
        size: () => file.size(),
        close: () => file.close(),
      };
    },
  };
  const first = await open(lying);
  await put(first, 'a', 'old');
  fails = true;
  first.put('a', 'new', () => {});
  await until(() => fatal.length > 0);
  await first.close();
  fails = false;
  const second = await open(lying);
  const seen = second.get('a');
  await second.close();
  // The power fails.
  writeFileSync(path, stable);
  const third = await open();
  expect(third.get('a')).toBe(seen);
  await third.close();
});

test('with no room to write it anew it goes on as it is, and tries again when it is twice as long', async () => {
  let tried = 0;
  let isFull = true;
  const full: Disk = {
    ...nodeDisk,
    replaceFile: (name, bytes) => {
      tried += 1;
      return isFull
        ? Promise.reject(Object.assign(new Error('no'), { code: 'ENOSPC' }))
        : nodeDisk.replaceFile(name, bytes);
    },
  };
  const journal = await open(full);
  const value = 'v'.repeat(262_144);
  let writes = 0;
  const write = () => put(journal, 'image', `${(writes += 1)} ${value}`);
  while (tried === 0) await write();
  expect(fatal).toEqual([]);
  for (let more = 0; more < 3; more += 1) await write();
  expect(tried).toBe(1);
  isFull = false;
  while (tried === 1) await write();
  await write();
  expect(journal.status.bytes).toBeLessThan(arbiterCompactBytesMin);
  await journal.close();
  const again = await open();
  expect(again.get('image')?.startsWith(`${writes} `)).toBe(true);
  await again.close();
  expect(readdirSync(directory)).toEqual(['promises.journal']);
});
