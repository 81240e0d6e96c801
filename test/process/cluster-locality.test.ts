/** Replicas that move from server to server under load, while servers are killed: nothing that was acknowledged is lost, and all replicas are equal. */
import { expect, test } from 'vitest';
import { isObError } from '../../src/base/errors.ts';
import { must } from '../../src/base/assert.ts';
import { expectNothingLost, withCluster } from '../support/test-cluster.ts';
import { tenant } from '../support/two-sites.ts';

const timeout = 300_000;
const soonMs = 30_000;

const localities = [
  'F@zone2, F@zone3, F@zone4',
  'F@zone1',
  'F@zone4, F@zone2, R@zone3',
  'F@zone3, F@zone2, F@zone1, R@zone4',
  'F@zone4',
  'F@zone1, F@zone2, F@zone3, F@zone4',
];
/** Every server has a replica in the end. */
const last = 'F@zone1, F@zone2, F@zone3, R@zone4';

test('replicas and leaders move under load, and nothing is lost', { timeout }, async () => {
  await withCluster({ servers: 4 }, async found => {
    const { cluster, ledger } = found;
    for (const locality of [...localities, last]) {
      await cluster.call('tenant-alter', { name: tenant, locality });
      await ledger.nextAcknowledgement(soonMs);
    }
    for (const index of [1, 2, 0]) {
      const server = must(cluster.servers[index], 'a server');
      await cluster.call('tenant-transfer-leader', { name: tenant, server: cluster.addressOf(server) });
      await ledger.nextAcknowledgement(soonMs);
    }
    await expectNothingLost(found);
  });
});

test('replicas move while servers are killed in the middle of it', { timeout }, async () => {
  await withCluster({ servers: 4 }, async found => {
    const { cluster, ledger } = found;
    for (const [round, locality] of [...localities, last].entries()) {
      const victim = must(cluster.servers[round % cluster.servers.length], 'a server');
      const moving = cluster.call('tenant-alter', { name: tenant, locality }).catch((error: unknown) => {
        // The server that was asked, or the leader of the root service, was the victim.
        if (!isObError(error)) throw error;
      });
      await new Promise(resolve => setTimeout(resolve, Math.random() * 300));
      await victim.kill();
      await victim.start();
      await moving;
      // Given again, it ends what was begun.
      await cluster.call('tenant-alter', { name: tenant, locality });
      await ledger.nextAcknowledgement(soonMs);
    }
    await expectNothingLost(found);
    const { tenants } = await cluster.call<{ tenants: { name: string; previousLocality: string | null }[] }>(
      'cluster-status',
      {},
    );
    expect(tenants.map(({ previousLocality }) => previousLocality)).toEqual([null, null]);
  });
});
