/**
 * Two replicas and an arbiter, and four of them, as real processes: whatever half is killed, what is left goes on after a degrade, who
 * comes back counts again, and nothing that was acknowledged is missing. The arbiter's own death costs nothing while both replicas live.
 */
import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { isObError } from '../../src/base/errors.ts';
import type { ArbitratedCluster } from '../../src/client/arbitrated-cluster.ts';
import {
  expectNothingLost,
  othersThan,
  queryAt,
  type TestCluster,
  withCluster,
} from '../support/test-cluster.ts';
import { tenant, until } from '../support/two-sites.ts';

const timeout = 300_000;
const soonMs = 30_000;
/** The default timeout of 5 s, what else a degrade takes, and a machine that does other things. */
const gapMsMax = 15_000;

const arbitratedOf = ({ arbitrated }: TestCluster): ArbitratedCluster =>
  must(arbitrated, 'an arbitrated cluster');

/** Degrades and upgrades of the tenant so far, in order. */
async function history(found: TestCluster): Promise<string[]> {
  const events = await arbitratedOf(found).events();
  return events.filter(({ tenantId }) => tenantId !== 1).map(({ event }) => event);
}

/** Resolves when so many members are left, and as many are degraded. */
const halved = (found: TestCluster, count: number): Promise<unknown> =>
  until(
    `${count} of ${2 * count} are degraded`,
    () => arbitratedOf(found).leading(tenant),
    leader => leader?.degraded.length === count && leader.members.length === count,
    soonMs,
  );

test('2F1A: the follower is killed and comes back, then the leader; what is left goes on each time', {
  timeout,
}, async () => {
  await withCluster({ shape: '2F1A' }, async found => {
    const { cluster, ledger } = found;
    const made = arbitratedOf(found);
    for (const what of ['follower', 'leader'] as const) {
      const leader = await cluster.leaderOf(tenant);
      const victim = what === 'leader' ? leader : must(othersThan(cluster, leader)[0], 'a follower');
      const killedAtMs = performance.now();
      await victim.kill();
      await ledger.nextAcknowledgement(soonMs);
      const gapMs = ledger.gapSince(killedAtMs)?.gapMs ?? Number.NaN;
      console.log(`${what} killed: ${Math.round(gapMs)} ms without an acknowledged commit`);
      expect(gapMs).toBeLessThan(gapMsMax);
      await halved(found, 1);
      const wanted = ledger.acknowledged.size + 100;
      while (ledger.acknowledged.size < wanted) await ledger.nextAcknowledgement(soonMs);
      await victim.start();
      console.log(`  upgraded after ${Math.round(await made.upgraded(tenant))} ms`);
    }
    await until(
      'the root service has heard of every change',
      () => history(found),
      events => events.join() === 'DEGRADE,UPGRADE,DEGRADE,UPGRADE',
      soonMs,
    );
    await expectNothingLost(found);
  });
});

test('2F1A: a follower that hangs is degraded as one that is dead, and is told so when it goes on', {
  timeout,
}, async () => {
  await withCluster({ shape: '2F1A' }, async found => {
    const { cluster, ledger } = found;
    const follower = must(othersThan(cluster, await cluster.leaderOf(tenant))[0], 'a follower');
    follower.pause();
    await halved(found, 1);
    await ledger.nextAcknowledgement(soonMs);
    follower.resume();
    await arbitratedOf(found).upgraded(tenant);
    await expectNothingLost(found);
  });
});

test('2F1A: the replicas lose each other and not the arbiter: one of them goes on, and the other comes back', {
  timeout,
}, async () => {
  await withCluster({ shape: '2F1A' }, async found => {
    const { cluster, ledger, relays } = found;
    const [one, other] = cluster.servers;
    relays.block(must(one, 'a server').name, must(other, 'a server').name);
    relays.block(must(other, 'a server').name, must(one, 'a server').name);
    await halved(found, 1);
    const wanted = ledger.acknowledged.size + 100;
    while (ledger.acknowledged.size < wanted) await ledger.nextAcknowledgement(soonMs);
    relays.heal();
    await arbitratedOf(found).upgraded(tenant);
    await expectNothingLost(found);
  });
});

test('2F1A: a server that is stopped for maintenance is degraded, and counts again when it is started', {
  timeout,
}, async () => {
  await withCluster({ shape: '2F1A' }, async found => {
    const { cluster, ledger } = found;
    const server = await cluster.leaderOf(tenant);
    // Where the root service moves away with the other leaders, the command says so, and is given again.
    const stop = (): Promise<unknown> =>
      cluster.call('cluster-stop-server', { server: cluster.addressOf(server) }).then(
        () => true,
        (error: unknown) => {
          if (isObError(error) && (error.kind === 'unknown' || error.kind === 'unavailable')) return false;
          throw error;
        },
      );
    await until('nothing leads there', stop, isDone => isDone === true, soonMs);
    await halved(found, 1);
    await server.stop();
    const wanted = ledger.acknowledged.size + 100;
    while (ledger.acknowledged.size < wanted) await ledger.nextAcknowledgement(soonMs);
    await server.start();
    await cluster.call('cluster-start-server', { server: cluster.addressOf(server) });
    await arbitratedOf(found).upgraded(tenant);
    await expectNothingLost(found);
  });
});

test('2F1A: the arbiter may die and come back with its promises; without it the cluster goes on', {
  timeout,
}, async () => {
  await withCluster({ shape: '2F1A' }, async found => {
    const { cluster, ledger } = found;
    const { arbiter } = arbitratedOf(found);
    const { nodeId } = arbiter;
    const killedAtMs = performance.now();
    await arbiter.kill();
    const wanted = ledger.acknowledged.size + 200;
    while (ledger.acknowledged.size < wanted) await ledger.nextAcknowledgement(soonMs);
    expect(ledger.gapSince(killedAtMs)?.gapMs ?? 0).toBeLessThan(2_000);
    await arbiter.start();
    expect(arbiter.nodeId).toBe(nodeId);
    // Killed at once with a replica, it votes as it had promised before.
    const follower = must(othersThan(cluster, await cluster.leaderOf(tenant))[0], 'a follower');
    await Promise.all([arbiter.kill(), follower.kill()]);
    await arbiter.start();
    await ledger.nextAcknowledgement(soonMs);
    await follower.start();
    await arbitratedOf(found).upgraded(tenant);
    await expectNothingLost(found);
  });
});

test('2F1A: an arbiter that lost its directory counts for nothing until it is put in its own place', {
  timeout,
}, async () => {
  await withCluster({ shape: '2F1A' }, async found => {
    const { cluster } = found;
    const made = arbitratedOf(found);
    const before = made.arbiter.nodeId;
    await made.arbiter.kill();
    made.arbiter.wipe();
    await made.arbiter.start();
    expect(made.arbiter.nodeId).not.toBe(before);
    await until(
      'the root service sees that it is another one',
      () => cluster.call<{ problem: string | null }>('cluster-arbiter-status', {}),
      ({ problem }) => problem?.includes('not the one that was added') === true,
      soonMs,
    );
    const { address } = made.arbiter;
    await cluster.call('cluster-arbiter-replace', { old: address, server: address });
    expect((await made.leading(tenant))?.arbiter).toBe(made.arbiter.nodeId);
    await (await cluster.leaderOf(tenant)).kill();
    await found.ledger.nextAcknowledgement(soonMs);
    await cluster.start();
    await made.upgraded(tenant);
    await expectNothingLost(found);
  });
});

test('4F1A: one of four dies and nothing is degraded; a data centre of two dies and the other goes on', {
  timeout,
}, async () => {
  await withCluster({ shape: '4F1A' }, async found => {
    const { cluster, ledger } = found;
    const made = arbitratedOf(found);
    const leader = await cluster.leaderOf(tenant);
    const lone = must(othersThan(cluster, leader)[0], 'a follower');
    await lone.kill();
    const wanted = ledger.acknowledged.size + 200;
    while (ledger.acknowledged.size < wanted) await ledger.nextAcknowledgement(soonMs);
    expect((await made.leading(tenant))?.degraded).toEqual([]);
    await lone.start();
    await made.upgraded(tenant);
    const site = made.siteOf(await cluster.leaderOf(tenant));
    const killedAtMs = performance.now();
    await Promise.all(site.map(server => server.kill()));
    await ledger.nextAcknowledgement(soonMs);
    const gapMs = ledger.gapSince(killedAtMs)?.gapMs ?? Number.NaN;
    console.log(`two of four killed: ${Math.round(gapMs)} ms without an acknowledged commit`);
    expect(gapMs).toBeLessThan(gapMsMax);
    // With the first of them three are left, of which two are a majority: the second goes behind it.
    await halved(found, 2);
    await cluster.start();
    await made.upgraded(tenant);
    await expectNothingLost(found);
  });
});

test('2F1A: statements show it, and turn it on and off', { timeout }, async () => {
  await withCluster({ shape: '2F1A' }, async found => {
    const { cluster } = found;
    const { arbiter } = arbitratedOf(found);
    const status = async (): Promise<unknown> => {
      const [row] = await queryAt(
        await cluster.leaderOf(tenant),
        'SELECT ARBITRATION_SERVICE_STATUS AS state FROM oceanbase.DBA_OB_TENANTS',
      );
      return row?.['state'];
    };
    expect(await status()).toBe('ENABLED');
    const members = 'SELECT DISTINCT ARBITRATION_MEMBER AS arbiter FROM oceanbase.GV$OB_LOG_STAT';
    expect(await queryAt(await cluster.leaderOf(tenant), members)).toEqual([{ arbiter: arbiter.address }]);
    await cluster.call('tenant-alter', { name: tenant, arbitration: false });
    await until('every server was told', status, state => state === 'DISABLED', soonMs);
    expect(await queryAt(await cluster.leaderOf(tenant), members)).toEqual([{ arbiter: '' }]);
    await cluster.call('tenant-alter', { name: tenant, arbitration: true });
    await until('every server was told', status, state => state === 'ENABLED', soonMs);
    await expectNothingLost(found);
  });
});
