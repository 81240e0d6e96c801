/** The disk port’s promises, held against the real disk and its simulated twin alike. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type Disk, codeOf, nodeDisk } from '../../src/platform/disk.ts';
import { SimDisk } from '../support/sim/disk.ts';
import { EventLoop } from '../support/sim/event-loop.ts';
import { SimRandom } from '../support/sim/random.ts';

interface Twin {
  readonly disk: Disk;
  readonly root: string;
  /** waits for a call; the simulated disk needs its time to pass */
  readonly run: <T>(call: Promise<T>) => Promise<T>;
}

const roots: string[] = [];
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

const twins: Readonly<Record<string, () => Twin>> = {
  'the real disk': () => {
    const root = mkdtempSync(join(tmpdir(), 'obstandby-disk-'));
    roots.push(root);
    return { disk: nodeDisk, root, run: call => call };
  },
  'the simulated disk': () => {
    const loop = new EventLoop();
    const disk = new SimDisk(loop, new SimRandom(1)).attach();
    const run = async <T>(call: Promise<T>): Promise<T> => {
      let isDone = false;
      const settle = () => {
        isDone = true;
      };
      call.then(settle, settle);
      while (!isDone && (await loop.step()));
      return call;
    };
    return { disk, root: '/root', run };
  },
};

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (read: Uint8Array | undefined) =>
  read === undefined ? undefined : Buffer.from(read).toString();

describe.for(Object.keys(twins))('%s', name => {
  const make = () => (twins[name] as () => Twin)();

  test('a file that is not there is opened only to create it', async () => {
    const { disk, root, run } = make();
    const failed = run(disk.open(`${root}/a`, { create: false }));
    await expect(failed.catch((error: unknown) => codeOf(error))).resolves.toBe('ENOENT');
    const file = await run(disk.open(`${root}/a`, { create: true }));
    expect(await run(file.size())).toBe(0);
    await run(file.close());
    await run((await run(disk.open(`${root}/a`, { create: false }))).close());
  });

  test('what is written at a position is read there, short only at the end, zero in a hole', async () => {
    const { disk, root, run } = make();
    const file = await run(disk.open(`${root}/a`, { create: true }));
    await run(file.writeDurable(10, [bytes('he'), bytes('llo')]));
    await run(file.write(0, bytes('xy')));
    await run(file.sync());
    expect(text(await run(file.read(10, 100)))).toBe('hello');
    expect(text(await run(file.read(0, 4)))).toBe('xy\0\0');
    expect(await run(file.read(50, 10))).toHaveLength(0);
    await run(file.truncate(12));
    expect(await run(file.size())).toBe(12);
    await run(file.close());
    expect(text(await run(disk.readFile(`${root}/a`)))).toBe('xy\0\0\0\0\0\0\0\0he');
  });

  test('a write of many parts arrives whole', async () => {
    const { disk, root, run } = make();
    const parts = Array.from({ length: 3_000 }, (_, index) => bytes(`${index},`));
    const file = await run(disk.open(`${root}/a`, { create: true }));
    await run(file.writeDurable(0, parts));
    expect(text(await run(file.read(0, 100_000)))).toBe(parts.map(text).join(''));
    await run(file.close());
  });

  test('files are listed sorted, replaced, renamed and removed', async () => {
    const { disk, root, run } = make();
    await run(disk.makeDirectory(`${root}/d/e`));
    expect(await run(disk.list(`${root}/nowhere`))).toEqual([]);
    for (const file of ['c', 'a', 'b']) await run(disk.replaceFile(`${root}/d/${file}`, bytes(file)));
    await run(disk.replaceFile(`${root}/d/a`, bytes('new')));
    await run(disk.rename(`${root}/d/b`, `${root}/d/z`));
    await run(disk.remove(`${root}/d/c`));
    await run(disk.remove(`${root}/d/c`));
    expect((await run(disk.list(`${root}/d`))).filter(entry => entry !== 'e')).toEqual(['a', 'z']);
    expect(text(await run(disk.readFile(`${root}/d/a`)))).toBe('new');
    expect(await run(disk.readFile(`${root}/d/c`))).toBeUndefined();
    await run(disk.removeDirectory(`${root}/d`));
    expect(await run(disk.readFile(`${root}/d/a`))).toBeUndefined();
    expect(await run(disk.freeBytes(root))).toBeGreaterThan(0);
  });
});

test('files and directories are for their owner alone', async () => {
  const { disk, root } = (twins['the real disk'] as () => Twin)();
  await disk.makeDirectory(`${root}/d`);
  await (await disk.open(`${root}/d/a`, { create: true })).close();
  await disk.replaceFile(`${root}/d/b`, bytes('b'));
  const mode = (path: string) => statSync(`${root}/${path}`).mode & 0o777;
  expect([mode('d'), mode('d/a'), mode('d/b')]).toEqual([0o700, 0o600, 0o600]);
});
