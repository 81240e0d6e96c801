/** The archiver's behaviour in virtual time on a simulated medium. */
import { expect, test } from 'vitest';
import { EpochFence } from '../../../src/archive/epoch-fence.ts';
import { must } from '../../../src/base/assert.ts';
import { segmentTargetBytes } from '../../../src/base/limits.ts';
import { lsn, roleEpoch } from '../../../src/base/scalars.ts';
import { ArchiveWorld, differences, tenant } from '../../sim/archive-scenario.ts';
import { MemoryClog } from '../../support/memory-clog.ts';
import { SimulatedMedium } from '../../support/sim/object-store.ts';

const manifestsIn = (world: ArchiveWorld) =>
  world.medium.history.filter(key => key.includes('/manifest/')).length;

test('log is archived within the lag target, and the lag is told', async () => {
  const world = new ArchiveWorld(1);
  const log = new MemoryClog();
  const archiver = world.archiver(log, world.store('a'), { lagTargetMs: 1_000 });
  archiver.start();
  await world.time.run(50);
  world.write(log, 10);
  expect(archiver.status().lagBytes).toBe(log.state().end.lsn);
  await world.time.run(1_000);
  expect(archiver.status()).toMatchObject({ state: 'DOING', lagBytes: 0, archivedLsn: log.state().end.lsn });
  expect(archiver.status().checkpointScn).toBe(log.state().end.scn);
});

test('keep-alives of an idle tenant are archived rarely, and at once with the first change', async () => {
  const world = new ArchiveWorld(2);
  const log = new MemoryClog();
  const archiver = world.archiver(log, world.store('a'), { lagTargetMs: 1_000, idleMs: 10_000 });
  archiver.start();
  const beat = async (seconds: number) => {
    for (let n = 0; n < seconds * 2; n += 1) {
      log.append('keep-alive', new Uint8Array(0), world.time.wall());
      log.commit();
      await world.time.run(500);
    }
  };
  await beat(100);
  expect(manifestsIn(world)).toBeGreaterThanOrEqual(9);
  expect(manifestsIn(world)).toBeLessThanOrEqual(12);
  const before = manifestsIn(world);
  log.append('redo', new Uint8Array(10), world.time.wall());
  log.commit();
  await world.time.run(1_100);
  expect(manifestsIn(world)).toBe(before + 1);
  expect(archiver.status().lagBytes).toBe(0);
});

test('a backlog is sent in segments side by side that one manifest names', async () => {
  const world = new ArchiveWorld(3);
  const log = new MemoryClog();
  const groups = Math.ceil((segmentTargetBytes * 4.1) / 60_000);
  for (let n = 0; n < groups; n += 1) log.append('redo', new Uint8Array(60_000), world.time.wall());
  const end = log.commit();
  const archiver = world.archiver(log, world.store('a'));
  archiver.start();
  const flushed = archiver.flushTo(end.lsn, 60_000).then(() => 'done');
  // large runs are compressed by other threads, outside of virtual time
  const turn = async () => {
    await world.time.run(1);
    return 'not yet';
  };
  while ((await Promise.race([flushed, turn()])) !== 'done') await new Promise(setImmediate);
  // a claim, four segments, and what was left
  expect(manifestsIn(world)).toBe(3);
  expect((await world.time.until(chainOf(world))).state.segments.length).toBe(5);
  expect(must(archiver.status().round, 'a round').inputBytes).toBe(end.lsn);
});

test('groups go to the piece of their SCN, and pieces have no hole', async () => {
  const world = new ArchiveWorld(4);
  const log = new MemoryClog();
  const archiver = world.archiver(log, world.store('a'), { pieceSwitchIntervalMs: 1_000 });
  archiver.start();
  for (let n = 0; n < 10; n += 1) {
    world.write(log, 3);
    await world.time.run(500);
  }
  await world.time.run(20_000);
  const { state } = must(await world.time.until(chainOf(world)), 'a chain');
  const round = must(state.rounds[0], 'a round');
  expect(round.usedPieceId).toBeGreaterThanOrEqual(5);
  for (const segment of state.segments) {
    const from = round.startScn + (segment.pieceId - round.basePieceId) * round.pieceSwitchMicros;
    expect(segment.end.scn).toBeGreaterThanOrEqual(from);
    expect(segment.end.scn).toBeLessThan(from + round.pieceSwitchMicros);
  }
  expect(await differences(world, log)).toEqual([]);
  archiver.close();
});

async function chainOf(world: ArchiveWorld) {
  const { ManifestChain } = await import('../../../src/archive/manifest-chain.ts');
  const { TenantLayout } = await import('../../../src/archive/layout.ts');
  return new ManifestChain(world.store('chain'), new TenantLayout(tenant.incarnation), tenant).load();
}

test('many small segments are merged, the old ones removed later, and readers notice nothing', async () => {
  const world = new ArchiveWorld(5);
  const log = new MemoryClog();
  const archiver = world.archiver(log, world.store('a'));
  archiver.start();
  const reader = world.reader();
  let at = lsn(0);
  for (let n = 0; n < 200; n += 1) {
    log.append('redo', world.random.bytes(50), world.time.wall());
    log.commit();
    await world.time.run(100);
    const chunk = await world.time.until(reader.read(at, 200));
    at = chunk?.end.lsn ?? at;
  }
  await world.time.run(1_000);
  const segments = () => [...world.medium.objects.keys()].filter(key => key.includes('/round-')).length;
  const { state } = await world.time.until(chainOf(world));
  expect(state.segments.length).toBeLessThan(100);
  expect(segments()).toBeGreaterThan(150);
  await world.time.run(700_000);
  expect(segments()).toBe((await world.time.until(chainOf(world))).state.segments.length);
  expect(await differences(world, log)).toEqual([]);
  archiver.close();
});

test('log that was recycled before it was archived interrupts the round, and a new one begins by itself', async () => {
  const world = new ArchiveWorld(6);
  const log = new MemoryClog();
  const store = world.store('a');
  const archiver = world.archiver(log, store, { binding: 'Optional', optionalHoldBytes: 500 });
  archiver.start();
  world.write(log, 5);
  await world.time.run(1_000);
  const archived = archiver.archivedLsn;
  store.faults = { ...store.faults, refused: 1 };
  world.write(log, 30);
  await world.time.run(1_000);
  expect(archiver.status()).toMatchObject({
    state: 'DOING',
    comment: expect.stringMatching(/simulated/) as unknown,
  });
  await world.time.run(30_000);
  expect(archiver.status().state).toBe('INTERRUPTED');
  const [held] = log.heldFrom();
  expect(held).toBe(log.state().end.lsn - 500);
  log.recycle(lsn(log.state().end.lsn - 400));
  store.faults = { ...store.faults, refused: 0 };
  await world.time.run(30_000);
  const head = await world.time.until(world.reader().head());
  expect(head.rounds.map(({ status }) => status)).toEqual(['INTERRUPTED', 'DOING']);
  expect(head.rounds[0]?.comment).toMatch(/was recycled before it was archived/);
  expect(archiver.status()).toMatchObject({ state: 'DOING', lagBytes: 0 });
  await expect(world.time.until(world.reader().read(archived, 100))).rejects.toMatchObject({
    code: 'OBS_ARCHIVE_GAP',
  });
  expect((await world.audit()).holes.length).toBe(1);
  expect(await differences(world, log)).toEqual([]);
});

test('a Mandatory archive holds the log exactly where it is archived to', async () => {
  const world = new ArchiveWorld(7);
  const log = new MemoryClog();
  const store = world.store('a');
  const archiver = world.archiver(log, store, { optionalHoldBytes: 1 });
  archiver.start();
  expect(log.heldFrom()).toEqual([0]);
  world.write(log, 5);
  await world.time.run(1_000);
  const archived = archiver.archivedLsn;
  store.faults = { ...store.faults, refused: 1 };
  world.write(log, 5);
  await world.time.run(60_000);
  expect(log.heldFrom()).toEqual([archived]);
  archiver.close();
  expect(log.heldFrom()).toEqual([]);
});

test('STOP and DEFER end within seconds on dead media, and a later archiver continues without a gap', async () => {
  const world = new ArchiveWorld(8);
  const log = new MemoryClog();
  for (const verb of ['stop', 'suspend'] as const) {
    const store = world.store(verb);
    const archiver = world.archiver(log, store);
    archiver.start();
    world.write(log, 5);
    await world.time.run(1_000);
    store.die();
    world.write(log, 5);
    await world.time.run(200);
    if (verb === 'stop') await world.time.until(archiver.stop(), 6_000);
    else {
      archiver.suspend();
      expect(archiver.status().state).toBe('SUSPENDING');
      await world.time.run(6_000);
    }
    expect(archiver.status().state).toBe(verb === 'stop' ? 'STOP' : 'SUSPEND');
    archiver.close();
  }
  const next = world.archiver(log, world.store('next'), { newRound: true });
  next.start();
  const end = world.write(log, 5);
  await world.time.until(next.flushTo(end.lsn, 10_000));
  const head = await world.time.until(world.reader().head());
  expect(head.rounds.map(({ status }) => status)).toEqual(['INTERRUPTED', 'DOING']);
  expect((await world.audit()).holes).toEqual([]);
  expect(await differences(world, log)).toEqual([]);
});

test('a deferred archiver sends nothing, refuses to flush, and resumes its round', async () => {
  const world = new ArchiveWorld(9);
  const log = new MemoryClog();
  const archiver = world.archiver(log, world.store('a'));
  archiver.start();
  world.write(log, 5);
  await world.time.run(1_000);
  archiver.suspend();
  const before = manifestsIn(world);
  const end = world.write(log, 5);
  await world.time.run(60_000);
  expect(manifestsIn(world)).toBe(before);
  await expect(archiver.flushTo(end.lsn, 1_000)).rejects.toMatchObject({ code: 'OBS_ARCHIVE_STOPPED' });
  archiver.resume();
  await world.time.until(archiver.flushTo(end.lsn, 10_000));
  expect((await world.time.until(world.reader().head())).rounds.length).toBe(1);
});

test('a seal is the exact end: the same seal again is fine, nothing follows but a claim', async () => {
  const world = new ArchiveWorld(10);
  const log = new MemoryClog();
  const archiver = world.archiver(log, world.store('a'));
  archiver.start();
  const end = world.write(log, 5);
  const seal = { ...end, epoch: roleEpoch(1), switchoverId: 's1' };
  await world.time.until(archiver.seal(seal, 10_000));
  await world.time.until(archiver.seal(seal, 10_000));
  expect((await world.time.until(world.reader().head())).sealed).toEqual(seal);
  const later = world.write(log, 1);
  await expect(world.time.until(archiver.flushTo(later.lsn, 10_000))).rejects.toMatchObject({
    code: 'OBS_ARCHIVE_SEALED',
  });
  await expect(
    world.time.until(archiver.seal({ ...seal, switchoverId: 's2' }, 10_000)),
  ).rejects.toMatchObject({
    code: 'OBS_ARCHIVE_SEALED',
  });
  // a restarted archiver of the same epoch keeps quiet as well
  const restarted = world.archiver(log, world.store('b'));
  restarted.start();
  await world.time.run(60_000);
  expect(restarted.status()).toMatchObject({ state: 'SUSPEND', sealed: seal });
  const fence = new EpochFence({
    store: world.store('south'),
    tenant,
    siteId: 'south',
    clock: world.time,
    random: world.random,
  });
  expect(await world.time.until(fence.sealed())).toEqual(seal);
  expect(await world.time.until(fence.claimEpoch({ epoch: roleEpoch(2), operationId: 's1' }))).toEqual({
    kind: 'claimed',
  });
  expect(await world.time.until(fence.headEpoch())).toBe(2);
  expect(await world.time.until(fence.sealed())).toBeNull();
});

test('a log of another history is not archived over the old one', async () => {
  const world = new ArchiveWorld(11);
  const log = new MemoryClog();
  const archiver = world.archiver(log, world.store('a'));
  archiver.start();
  const end = world.write(log, 5);
  await world.time.until(archiver.flushTo(end.lsn, 10_000));
  archiver.close();
  const other = new MemoryClog();
  world.write(other, 20);
  const wrong = world.archiver(other, world.store('b'));
  wrong.start();
  await world.time.run(1_000);
  expect(wrong.status().state).toBe('INTERRUPTED');
  expect(await differences(world, log)).toEqual([]);
});

test('a medium that lets a second writer overwrite a manifest is found out by the audit', async () => {
  let found = 0;
  for (let seed = 1; seed <= 10; seed += 1) {
    const world = new ArchiveWorld(seed);
    world.medium.putIfAbsent = (key, bytes) => {
      SimulatedMedium.prototype.put.call(world.medium, key, bytes);
      return 'created';
    };
    const log = new MemoryClog();
    const archivers = ['a', 'b'].map(name => world.archiver(log, world.store(name)));
    for (const archiver of archivers) archiver.start();
    for (let turn = 0; turn < 10; turn += 1) {
      world.write(log, 2);
      await world.time.run(150);
    }
    for (const archiver of archivers) archiver.close();
    if ((await world.audit()).problems.length > 0) found += 1;
  }
  expect(found).toBeGreaterThan(5);
});
