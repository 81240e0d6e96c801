/** What a reader of an archive refuses, and what it follows. */
import { expect, test } from 'vitest';
import { EpochFence } from '../../../src/archive/epoch-fence.ts';
import { ArchiveReader } from '../../../src/archive/restore-reader.ts';
import { must } from '../../../src/base/assert.ts';
import { logStreamId, lsn, roleEpoch } from '../../../src/base/scalars.ts';
import { decodeSegment, encodeSegment } from '../../../src/codec/segment.ts';
import { ArchiveWorld, tenant } from '../../sim/archive-scenario.ts';
import { MemoryClog } from '../../support/memory-clog.ts';

async function archived(seed: number): Promise<{ world: ArchiveWorld; log: MemoryClog }> {
  const world = new ArchiveWorld(seed);
  const log = new MemoryClog();
  const archiver = world.archiver(log, world.store('a'));
  archiver.start();
  for (let turn = 0; turn < 5; turn += 1) {
    world.write(log, 4);
    await world.time.run(300);
  }
  archiver.close();
  return { world, log };
}

const segmentKeys = (world: ArchiveWorld) =>
  [...world.medium.objects.keys()].filter(key => key.includes('/round-')).sort();

async function readThrough(world: ArchiveWorld): Promise<unknown> {
  const reader = world.reader();
  let at = lsn(0);
  try {
    for (;;) {
      const chunk = await world.time.until(reader.read(at, 200));
      if (chunk === undefined) return at;
      at = chunk.end.lsn;
    }
  } catch (error) {
    return error;
  }
}

test('a reader that waits hears of new log, and of nothing when there is none', async () => {
  const world = new ArchiveWorld(1);
  const log = new MemoryClog();
  const archiver = world.archiver(log, world.store('a'));
  archiver.start();
  const end = world.write(log, 3);
  await world.time.until(archiver.flushTo(end.lsn, 10_000));
  const reader = world.reader();
  await world.time.until(reader.head());
  expect(await world.time.until(reader.waitForMore(2_000))).toBe(false);
  const more = reader.waitForMore(60_000);
  world.write(log, 3);
  expect(await world.time.until(more)).toBe(true);
  expect((await world.time.until(reader.read(end, 1_000)))?.start).toEqual(end);
});

test('an altered segment is refused wherever the bit is', async () => {
  const { world } = await archived(2);
  const key = must(segmentKeys(world)[1], 'a segment');
  const sound = must(world.medium.objects.get(key), 'an object');
  for (let at = 0; at < sound.length; at += 7) {
    const altered = sound.slice();
    altered[at] = must(altered[at], 'a byte') ^ 1;
    world.medium.objects.set(key, altered);
    expect(await readThrough(world)).toMatchObject({ code: 'OBS_ARCHIVE_CORRUPT', details: { key } });
  }
});

test('a truncated segment, a missing segment and a missing or altered manifest are told apart', async () => {
  const { world } = await archived(3);
  const key = must(segmentKeys(world)[2], 'a segment');
  const sound = must(world.medium.objects.get(key), 'an object');
  world.medium.objects.set(key, sound.subarray(0, sound.length - 1));
  expect(await readThrough(world)).toMatchObject({ code: 'OBS_ARCHIVE_CORRUPT' });
  expect((await world.audit()).problems.length).toBe(1);
  world.medium.objects.delete(key);
  expect(await readThrough(world)).toMatchObject({ code: 'OBS_ARCHIVE_OBJECT_MISSING' });
  world.medium.objects.set(key, sound);
  const manifest = must(
    [...world.medium.objects.keys()].find(name => name.endsWith('/manifest/00000000000000000003')),
    'a manifest',
  );
  const soundManifest = must(world.medium.objects.get(manifest), 'an object');
  world.medium.objects.delete(manifest);
  expect(await readThrough(world)).toMatchObject({
    code: 'OBS_ARCHIVE_OBJECT_MISSING',
    details: { key: manifest },
  });
  world.medium.objects.set(
    manifest,
    soundManifest.map((byte, at) => (at === 40 ? byte ^ 4 : byte)),
  );
  expect(await readThrough(world)).toMatchObject({ code: 'OBS_ARCHIVE_CORRUPT', details: { key: manifest } });
});

test('a segment of another tenant under the right name is refused', async () => {
  const { world } = await archived(4);
  const key = must(segmentKeys(world)[0], 'a segment');
  const decoded = decodeSegment(must(world.medium.objects.get(key), 'an object'));
  if (decoded.kind !== 'segment') throw new Error('a segment');
  const foreign = encodeSegment({ ...decoded.header, stream: logStreamId(1002) }, decoded.body);
  world.medium.objects.set(key, foreign);
  // its hash is not the manifest's, so the name alone does not pass it on
  expect(await readThrough(world)).toMatchObject({ code: 'OBS_ARCHIVE_CORRUPT' });
});

test('a stale or missing hint only costs a few requests', async () => {
  const { world, log } = await archived(5);
  const head = must(
    [...world.medium.objects.keys()].find(key => key.endsWith('/head')),
    'a hint',
  );
  for (const hint of ['1', '2', '999', 'noise', '']) {
    world.medium.objects.set(head, new TextEncoder().encode(hint));
    expect(await readThrough(world)).toBe(log.state().end.lsn);
  }
  world.medium.objects.delete(head);
  expect(await readThrough(world)).toBe(log.state().end.lsn);
});

test('a reader finds its tenant by incarnation, by name, or alone, and is told what is there instead', async () => {
  const { world } = await archived(6);
  const reader = (identity: { incarnation?: string; name?: string }) =>
    world.time.until(new ArchiveReader({ store: world.store('r'), clock: world.time, identity }).head());
  expect((await reader({})).tenant).toEqual(tenant);
  expect((await reader({ name: 't' })).tenant).toEqual(tenant);
  await expect(reader({ name: 'u' })).rejects.toMatchObject({ code: 'OBS_ARCHIVE_FOREIGN' });
  await expect(reader({ incarnation: 'other' })).rejects.toMatchObject({ code: 'OBS_ARCHIVE_FOREIGN' });
  const second = world.archiver(new MemoryClog(), world.store('b'), {
    tenant: { ...tenant, incarnation: 'second' },
  });
  second.start();
  await world.time.run(1_000);
  await expect(reader({ name: 't' })).rejects.toMatchObject({ code: 'OBS_ARCHIVE_TENANT_AMBIGUOUS' });
  expect((await reader({ incarnation: 'c0ffee' })).tenant).toEqual(tenant);
});

test('an empty archive is told to hold no tenant', async () => {
  const world = new ArchiveWorld(7);
  await expect(
    world.time.until(new ArchiveReader({ store: world.store('r'), clock: world.time }).head()),
  ).rejects.toMatchObject({
    code: 'OBS_ARCHIVE_NO_TENANT',
  });
});

test('a standby that read beyond the cut of a newer epoch is refused as forked; one below it goes on', async () => {
  const { world, log } = await archived(8);
  const positions = log.positions();
  const cut = must(positions[7], 'a position');
  const beyond = must(positions[12], 'a position');
  const [behind, ahead] = [world.reader(), world.reader()];
  await world.time.until(behind.read(must(positions[3], 'a position'), 1));
  await world.time.until(ahead.read(must(positions[11], 'a position'), 1));
  const fence = new EpochFence({
    store: world.store('south'),
    tenant,
    siteId: 'south',
    clock: world.time,
    random: world.random,
  });
  await world.time.until(fence.claimEpoch({ epoch: roleEpoch(2), operationId: 'failover', cut }));
  await world.time.until(ahead.waitForMore(1_000));
  await expect(world.time.until(ahead.read(beyond, 100))).rejects.toMatchObject({
    code: 'OBS_ARCHIVE_DIVERGED',
    details: { lsn: cut.lsn },
  });
  await world.time.until(behind.waitForMore(1_000));
  const chunk = await world.time.until(behind.read(must(positions[4], 'a position'), 100_000));
  expect(must(chunk, 'a chunk').end.lsn).toBeLessThanOrEqual(cut.lsn);
  expect((await world.audit()).problems).toEqual([]);
});

test('a position of another history is refused by its checksum', async () => {
  const { world, log } = await archived(9);
  const at = must(log.positions()[5], 'a position');
  await expect(
    world.time.until(world.reader().read({ ...at, checksum: at.checksum ^ 1 }, 100)),
  ).rejects.toMatchObject({ code: 'OBS_ARCHIVE_DIVERGED' });
  await expect(world.time.until(world.reader().read(lsn(at.lsn + 1), 100))).rejects.toMatchObject({
    code: 'OBS_ARCHIVE_DIVERGED',
  });
  const { end } = log.state();
  expect(await world.time.until(world.reader().read(end, 100))).toBeUndefined();
  await expect(
    world.time.until(world.reader().read({ ...end, checksum: end.checksum ^ 1 }, 100)),
  ).rejects.toMatchObject({ code: 'OBS_ARCHIVE_DIVERGED' });
});
