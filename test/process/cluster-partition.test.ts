/**
 * Real servers whose network loses its way, one way or both: whoever is cut off from the majority stops being the leader before another
 * one begins, and when the network heals all come together again.
 */
import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import type { LocalSite } from '../../src/client/local-site.ts';
import type { NodeRelays } from '../support/node-relays.ts';
import {
  anotherLeader,
  expectNothingLost,
  othersThan,
  queryAt,
  type TestCluster,
  withCluster,
} from '../support/test-cluster.ts';
import { tenant, until } from '../support/two-sites.ts';

const timeout = 300_000;
const soonMs = 60_000;

/** Enough to be sure that the cluster goes on, and to leave the one who is cut off behind. */
async function writeMore({ ledger }: TestCluster, rows = 300): Promise<void> {
  const wanted = ledger.acknowledged.size + rows;
  while (ledger.acknowledged.size < wanted) await ledger.nextAcknowledgement(soonMs);
}

type Cut = (relays: NodeRelays, server: LocalSite, leader: LocalSite) => void;

const cuts: readonly (readonly [string, Cut])[] = [
  ['cut off both ways', (relays, { name }) => relays.isolate(name)],
  ['heard by nobody', (relays, { name }) => relays.mute(name)],
  ['that hears nobody', (relays, { name }) => relays.deafen(name)],
];

const fromLeader: Cut = (relays, { name }, leader) => {
  relays.block(name, leader.name);
  relays.block(leader.name, name);
};

test.each(cuts)('a leader %s is replaced, and nothing is lost', { timeout }, async (_, cut) => {
  await withCluster({}, async found => {
    const { cluster, relays } = found;
    const leader = await cluster.leaderOf(tenant);
    cut(relays, leader, leader);
    await anotherLeader(cluster, leader);
    await writeMore(found);
    relays.heal();
    await writeMore(found);
    await expectNothingLost(found);
  });
});

test('a follower cut off, one way or both, from all or from the leader alone, does not stop the others, and catches up', {
  timeout,
}, async () => {
  await withCluster({}, async found => {
    const { cluster, relays } = found;
    for (const cut of [...cuts.map(([, each]) => each), fromLeader]) {
      const leader = await cluster.leaderOf(tenant);
      const follower = must(othersThan(cluster, leader).at(-1), 'a follower');
      cut(relays, follower, leader);
      await writeMore(found);
      relays.heal();
      await writeMore(found, 100);
    }
    await expectNothingLost(found);
  });
});

test('a leader cut off refuses writes and strong reads, and weak reads go on', { timeout }, async () => {
  await withCluster({}, async found => {
    const { cluster, relays } = found;
    const leader = await cluster.leaderOf(tenant);
    relays.isolate(leader.name);
    await until(
      'it knows that it does not lead',
      () =>
        queryAt(leader, 'SELECT count(*) AS n FROM client_ledger').then(
          () => 0,
          error => error.errno,
        ),
      errno => errno === 4038,
    );
    await expect(queryAt(leader, 'DELETE FROM client_ledger')).rejects.toMatchObject({ errno: 4038 });
    const [row] = await queryAt(
      leader,
      "SET ob_read_consistency = 'WEAK'",
      'SELECT count(*) AS n FROM client_ledger',
    );
    expect(Number(row?.['n'])).toBeGreaterThan(0);
    relays.heal();
    await writeMore(found);
    await expectNothingLost(found);
  });
});
