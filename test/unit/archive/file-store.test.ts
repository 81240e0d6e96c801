import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FileObjectStore } from '../../../src/archive/file/object-store.ts';
import { openObjectStore } from '../../../src/archive/open-store.ts';
import { defaultStoreTiming } from '../../../src/archive/store-deadline.ts';
import { nodeClock } from '../../../src/platform/clock.ts';
import { nodeRandom } from '../../../src/platform/random.ts';
import { conformsAsObjectStore } from '../../support/store-conformance.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'obs-store-'));
});
afterAll(async () => {
  await rm(root, { recursive: true });
});

const open = (location: string, access: 'read' | 'write' = 'write') =>
  openObjectStore(location, { clock: nodeClock, random: nodeRandom, variables: {}, access });

conformsAsObjectStore('a directory', () => open(`file://${join(root, 'conformance')}?create=true`));

test('a missing directory is refused unless it may be created: it may be a mount that is not there', async () => {
  const location = `file://${join(root, 'missing')}`;
  await expect(open(location)).rejects.toMatchObject({ code: 'OBS_ARCHIVE_NO_DESTINATION' });
  await expect(open(location, 'read')).rejects.toMatchObject({ code: 'OBS_ARCHIVE_NO_DESTINATION' });
  const store = await open(`${location}?create=true`);
  await store.close();
});

test('a directory that vanishes later is not made again in its place', async () => {
  const directory = join(root, 'vanishing');
  const store = await open(`file://${directory}?create=true`);
  await rm(directory, { recursive: true });
  await expect(store.put('a', new Uint8Array(1))).rejects.toMatchObject({
    code: 'OBS_ARCHIVE_NO_DESTINATION',
  });
  await expect(stat(directory)).rejects.toMatchObject({ code: 'ENOENT' });
  await store.close();
});

test('the preflight names the call and the path that failed', async () => {
  const directory = join(root, 'blocked');
  await mkdir(directory);
  await writeFile(join(directory, '.staging'), 'in the way');
  await expect(open(`file://${directory}`)).rejects.toMatchObject({
    code: 'OBS_ARCHIVE_PREFLIGHT_FAILED',
    details: { call: 'mkdir', path: join(directory, '.staging') },
  });
});

test('objects and directories are private, and no draft stays behind', async () => {
  const directory = join(root, 'private');
  const store = await open(`file://${directory}?create=true`);
  await store.putIfAbsent('a/b', new Uint8Array([1]));
  await store.putIfAbsent('a/b', new Uint8Array([2]));
  await store.put('a/c', new Uint8Array([3]));
  expect((await stat(join(directory, 'a'))).mode & 0o777).toBe(0o700);
  expect((await stat(join(directory, 'a/b'))).mode & 0o777).toBe(0o600);
  expect(await readdir(join(directory, '.staging'))).toEqual([]);
  await chmod(join(directory, 'a'), 0o700);
  await store.close();
});

test('a change of an object rings at a watcher', async () => {
  const directory = join(root, 'watched');
  await mkdir(directory);
  const store = new FileObjectStore({
    directory,
    create: false,
    clock: nodeClock,
    random: nodeRandom,
    timing: defaultStoreTiming,
  });
  await store.put('head', new Uint8Array([1]));
  const rang = new Promise<void>(resolve => {
    store.watch('head', resolve);
  });
  // notices begin some time after the call: change it until one comes
  const timer = setInterval(() => {
    void store.put('head', nodeRandom.bytes(4));
  }, 50);
  await rang;
  clearInterval(timer);
  await store.close();
});
