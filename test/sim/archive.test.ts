import { expect, test } from 'vitest';
import type { Archiver } from '../../src/archive/archiver.ts';
import { EpochFence } from '../../src/archive/epoch-fence.ts';
import { must } from '../../src/base/assert.ts';
import { isObError } from '../../src/base/errors.ts';
import { roleEpoch } from '../../src/base/scalars.ts';
import { MemoryClog } from '../support/memory-clog.ts';
import { noFaults, type StoreFaults, type WriteFate } from '../support/sim/object-store.ts';
import { ArchiveWorld, differences, holdIsCovered, tenant } from './archive-scenario.ts';

/** A life of an archiver with everything it does: rounds, batches, a seal; stops where it dies. */
async function liveAndDie(world: ArchiveWorld, log: MemoryClog, fateOf: (request: number) => WriteFate) {
  const store = world.store('first');
  store.fateOf = fateOf;
  const archiver = world.archiver(log, store);
  archiver.start();
  for (let turn = 0; turn < 4 && !store.isDead; turn += 1) {
    world.write(log, 5);
    await world.time.run(150);
  }
  archiver.close();
  return store;
}

test('an archiver killed before or after any of its requests is continued byte for byte', async () => {
  const { requests } = await liveAndDie(new ArchiveWorld(1), new MemoryClog(), () => 'normal');
  expect(requests).toBeGreaterThan(15);
  const wrong: string[] = [];
  for (let killedAt = 1; killedAt <= requests; killedAt += 1) {
    for (const fate of ['diesBefore', 'diesAfter'] as const) {
      const world = new ArchiveWorld(1);
      const log = new MemoryClog();
      const first = await liveAndDie(world, log, request => (request === killedAt ? fate : 'normal'));
      if (!first.isDead) wrong.push(`request ${killedAt} did not happen`);
      const second = world.archiver(log, world.store('second'));
      second.start();
      const end = world.write(log, 5);
      await world.time.until(second.flushTo(end.lsn, 60_000));
      if (!(await holdIsCovered(world, log))) wrong.push(`R5 after ${fate} ${killedAt}`);
      second.close();
      wrong.push(...(await differences(world, log)).map(text => `${fate} ${killedAt}: ${text}`));
    }
  }
  expect(wrong).toEqual([]);
});

test('two archivers of one site with lost answers and late writes leave one sound chain', async () => {
  const wrong: string[] = [];
  for (let seed = 1; seed <= 40; seed += 1) {
    const world = new ArchiveWorld(seed);
    const log = new MemoryClog();
    const stores = ['old leader', 'new leader'].map(name => world.store(name));
    for (const store of stores) store.faults = { refused: 0.1, answerLost: 0.1, late: 0.1, latencyMsMax: 80 };
    const archivers = stores.map(store => world.archiver(log, store));
    for (const archiver of archivers) archiver.start();
    for (let turn = 0; turn < 15; turn += 1) {
      world.write(log, 1 + Math.floor(world.draw() * 6));
      await world.time.run(world.draw() * 400);
      if (!(await holdIsCovered(world, log))) wrong.push(`seed ${seed}: R5`);
    }
    for (const store of stores) store.faults = { ...store.faults, refused: 0, answerLost: 0, late: 0 };
    await world.time.run(60_000);
    wrong.push(...(await differences(world, log)).map(text => `seed ${seed}: ${text}`));
    for (const archiver of archivers) archiver.close();
  }
  expect(wrong).toEqual([]);
});

test('archivers of leaders that are not told of the next one leave one round without a hole', async () => {
  const wrong: string[] = [];
  for (let seed = 1; seed <= 60; seed += 1) {
    const world = new ArchiveWorld(seed);
    const faults = { refused: 0.05, answerLost: 0.1, late: 0.1, latencyMsMax: 80 };
    const late: Archiver[] = [];
    let log = new MemoryClog();
    let now = led(world, log, faults);
    for (let turn = 0; turn < 12; turn += 1) {
      world.write(log, 1 + Math.floor(world.draw() * 6));
      await world.time.run(world.draw() * 300);
      if (world.draw() < 0.5) continue;
      // what the old leader has not committed is not in the next one's log
      log.append('redo', world.random.bytes(40), world.time.wall());
      const next = log.copyUpTo(log.state().end.lsn, turn + 2);
      late.push(now);
      log = next;
      now = led(world, log, faults);
      if (late.length > 2) late.shift()?.close();
    }
    const end = world.write(log, 3);
    await world.time.run(200_000);
    if (now.archivedLsn !== end.lsn) wrong.push(`seed ${seed}: archived to ${now.archivedLsn}`);
    if (world.fenced > 0) wrong.push(`seed ${seed}: fenced`);
    const rounds = (await world.audit()).head.rounds.length;
    if (rounds !== 1) wrong.push(`seed ${seed}: ${rounds} rounds`);
    wrong.push(...(await differences(world, log)).map(text => `seed ${seed}: ${text}`));
    for (const archiver of [...late, now]) archiver.close();
  }
  expect(wrong).toEqual([]);
});

function led(world: ArchiveWorld, log: MemoryClog, faults: StoreFaults): Archiver {
  const store = world.store('a leader');
  store.faults = faults;
  const archiver = world.archiver(log, store);
  archiver.start();
  return archiver;
}

test('a round that was ended where the tenant leads now is not begun again by the leader before', async () => {
  const world = new ArchiveWorld(1);
  const log = new MemoryClog();
  const old = led(world, log, noFaults);
  world.write(log, 5);
  await world.time.run(1_000);
  const next = led(world, log.copyUpTo(log.state().end.lsn, 2), noFaults);
  await world.time.run(1_000);
  await world.time.until(next.stop());
  world.write(log, 5);
  const flush = old.flushTo(log.state().end.lsn, 10_000).then(() => 'done', String);
  await world.time.run(20_000);
  expect(await flush).toMatch(/STOP/);
  expect((await world.audit()).head.rounds).toMatchObject([{ status: 'STOP' }]);
  // told to archive again, it does
  old.close();
  const again = led(world, log, noFaults);
  await world.time.run(1_000);
  expect(again.status()).toMatchObject({ state: 'DOING', lagBytes: 0 });
  expect((await world.audit()).head.rounds.length).toBe(2);
  again.close();
});

test('a claim by another site ends the old archiver, and the new history continues where it was cut', async () => {
  const wrong: string[] = [];
  for (let seed = 1; seed <= 60; seed += 1) {
    const world = new ArchiveWorld(seed);
    const north = new MemoryClog();
    const northStore = world.store('north');
    northStore.faults = { refused: 0.05, answerLost: 0.1, late: 0.1, latencyMsMax: 60 };
    const old = world.archiver(north, northStore);
    old.start();
    for (let turn = 0; turn < 5; turn += 1) {
      world.write(north, 3);
      await world.time.run(world.draw() * 300);
    }
    // the standby has some prefix: shorter or longer than what is archived
    const positions = north.positions();
    const cut = must(positions[Math.floor(world.draw() * positions.length)], 'a position');
    const south = north.copyUpTo(cut.lsn, 2);
    const southStore = world.store('south');
    const fence = new EpochFence({
      store: southStore,
      tenant,
      siteId: 'south',
      clock: world.time,
      random: world.random,
    });
    const claim = { epoch: roleEpoch(2), operationId: 'failover', cut };
    world.write(north, 3);
    expect(await world.time.until(fence.claimEpoch(claim))).toEqual({ kind: 'claimed' });
    const claimedAt = (await world.time.until(fence.head())).manifestNumber;
    const next = world.archiver(south, southStore, { epoch: roleEpoch(2), siteId: 'south', openedAt: cut });
    next.start();
    for (let turn = 0; turn < 5; turn += 1) {
      world.write(north, 2);
      world.write(south, 2);
      await world.time.run(world.draw() * 300);
    }
    await world.time.run(60_000);
    if (world.fenced !== 1) wrong.push(`seed ${seed}: the old archiver was fenced ${world.fenced} times`);
    if (claimedAt < 1) wrong.push(`seed ${seed}: the claim has no manifest`);
    wrong.push(...(await differences(world, south)).map(text => `seed ${seed}: ${text}`));
    expect(await world.time.until(fence.claimEpoch(claim))).toEqual({ kind: 'claimed' });
    old.close();
    next.close();
  }
  expect(wrong).toEqual([]);
});

test('of two sites that claim one epoch exactly one wins', async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const world = new ArchiveWorld(seed);
    const claims = ['east', 'west', 'south'].map(siteId => {
      const store = world.store(siteId);
      store.faults = { refused: 0, answerLost: 0.2, late: 0.1, latencyMsMax: 50 };
      const fence = new EpochFence({ store, tenant, siteId, clock: world.time, random: world.random });
      return async () => {
        for (;;) {
          try {
            return await fence.claimEpoch({ epoch: roleEpoch(5), operationId: siteId });
          } catch (error) {
            if (!isObError(error)) throw error;
          }
        }
      };
    });
    const outcomes = await world.time.until(Promise.all(claims.map(claim => claim())));
    await world.time.run(60_000);
    const { owner } = await world.time.until(world.reader().head());
    const winners = outcomes.filter(({ kind }) => kind === 'claimed');
    expect(winners.length).toBe(1);
    expect(owner?.siteId).toBe(
      ['east', 'west', 'south'][outcomes.findIndex(({ kind }) => kind === 'claimed')],
    );
  }
});
