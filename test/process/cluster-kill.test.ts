/**
 * Servers of a cluster killed and stopped at random moments under load. Another replica leads, what was acknowledged is there, no
 * read is of the past, and in the end all replicas hold the same database, page by page.
 */
import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import {
  anotherLeader,
  expectNothingLost,
  othersThan,
  queryAt,
  withCluster,
} from '../support/test-cluster.ts';
import { tenant, until } from '../support/two-sites.ts';

const kills = Number(process.env['OBSTANDBY_TEST_CLUSTER_KILLS'] ?? 4);
const timeout = 300_000;
const soonMs = 30_000;

test('leaders killed one after the other under load are replaced, and nothing is lost', {
  timeout,
}, async () => {
  await withCluster({}, async found => {
    const { cluster, ledger } = found;
    const gapsMs: number[] = [];
    for (let kill = 0; kill < kills; kill += 1) {
      const leader = await cluster.leaderOf(tenant);
      const killedAtMs = performance.now();
      await leader.kill();
      await ledger.nextAcknowledgement(soonMs);
      gapsMs.push(ledger.gapSince(killedAtMs)?.gapMs ?? Number.NaN);
      await leader.start();
    }
    const sorted = gapsMs.toSorted((one, other) => one - other);
    console.log(
      `${kills} leaders killed: median ${Math.round(sorted[kills >> 1] ?? 0)} ms without an acknowledged commit, longest ${Math.round(sorted.at(-1) ?? 0)} ms`,
    );
    await expectNothingLost(found);
  });
});

test('servers killed whatever they are, each at a random moment, lose nothing', { timeout }, async () => {
  await withCluster({}, async found => {
    const { cluster, ledger } = found;
    for (let kill = 0; kill < kills; kill += 1) {
      const victim = must(cluster.servers[kill % cluster.servers.length], 'a server');
      const until = ledger.acknowledged.size + Math.random() * 500;
      while (ledger.acknowledged.size < until) await ledger.nextAcknowledgement(soonMs);
      await victim.kill();
      await ledger.nextAcknowledgement(soonMs);
      await victim.start();
    }
    await expectNothingLost(found);
  });
});

test('without a majority nothing is acknowledged, and clients are told; with it again the cluster goes on', {
  timeout,
}, async () => {
  await withCluster({}, async found => {
    const { cluster, ledger } = found;
    const last = await cluster.leaderOf(tenant);
    const killed = othersThan(cluster, last);
    await Promise.all(killed.map(server => server.kill()));
    const refusal = await until(
      'the last server refuses',
      () =>
        queryAt(last, 'INSERT INTO client_ledger VALUES (0, 0, "alone")').then(
          () => null,
          error => error,
        ),
      (error: { errno?: number } | null) => error?.errno === 4038,
    );
    expect(refusal).toMatchObject({ errno: 4038 });
    const before = ledger.acknowledged.size;
    // It goes on refusing, reads too: what it has may be old.
    await expect(queryAt(last, 'SELECT count(*) FROM client_ledger')).rejects.toMatchObject({ errno: 4038 });
    expect(ledger.acknowledged.size).toBe(before);
    await must(killed[0], 'a server').start();
    await ledger.nextAcknowledgement(soonMs);
    await must(killed[1], 'a server').start();
    await queryAt(await cluster.leaderOf(tenant), 'DELETE FROM client_ledger WHERE n = 0');
    await expectNothingLost(found);
  });
});

test('a whole cluster killed at once comes back with everything', { timeout }, async () => {
  await withCluster({}, async found => {
    const { cluster, ledger } = found;
    await ledger.nextAcknowledgement(soonMs);
    await cluster.kill();
    await cluster.start();
    await ledger.nextAcknowledgement(soonMs);
    await expectNothingLost(found);
  });
});

test('a leader that was stopped is replaced, and says nothing of the past when it goes on; a follower catches up', {
  timeout,
}, async () => {
  await withCluster({}, async found => {
    const { cluster, ledger } = found;
    for (let round = 0; round < 2; round += 1) {
      const leader = await cluster.leaderOf(tenant);
      leader.pause();
      await anotherLeader(cluster, leader);
      await ledger.nextAcknowledgement(soonMs);
      leader.resume();
      await ledger.nextAcknowledgement(soonMs);
    }
    // A follower is missed by nobody, and catches up.
    const [follower] = othersThan(cluster, await cluster.leaderOf(tenant));
    follower?.pause();
    const wanted = ledger.acknowledged.size + 500;
    while (ledger.acknowledged.size < wanted) await ledger.nextAcknowledgement(soonMs);
    follower?.resume();
    await expectNothingLost(found);
  });
});
