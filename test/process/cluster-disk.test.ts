/**
 * One server of a cluster whose disk fills up, fails to flush, or is lost: it ends in order or refuses, the others go on, and when its
 * disk is sound again it has everything.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import type { LocalSite } from '../../src/client/local-site.ts';
import {
  canMount,
  canMountFailing,
  fillDisk,
  mountFailingDisk,
  mountSmallDisk,
} from '../support/small-disk.ts';
import { expectNothingLost, othersThan, type TestCluster, withCluster } from '../support/test-cluster.ts';
import { tenant, until } from '../support/two-sites.ts';

const timeout = 300_000;
const soonMs = 60_000;
const mounts = canMount();
const fails = mounts && canMountFailing();
const diskBytes = 96 * 1_048_576;
/** Small blocks: the log needs room soon. */
const settings = {
  log: { blockBytes: 1_048_576 },
  tenant: { checkpointWalBytes: 1_048_576, checkpointIntervalMs: 500 },
};

async function writeMore({ ledger }: TestCluster, rows: number): Promise<void> {
  const wanted = ledger.acknowledged.size + rows;
  while (ledger.acknowledged.size < wanted) await ledger.nextAcknowledgement(soonMs);
}

/** Gives the disturbed server time to need its disk: until it ended, or enough was written without it. */
async function writeUntilEnded(found: TestCluster, server: LocalSite, rows: number): Promise<void> {
  const wanted = found.ledger.acknowledged.size + rows;
  while (found.ledger.acknowledged.size < wanted && server.isRunning)
    await found.ledger.nextAcknowledgement(soonMs);
}

/** It runs, or ended over an error of its disk that it named. */
function expectOrderly(server: LocalSite): void {
  if (server.isRunning) return;
  const lines = readFileSync(join(server.directory, 'server.log'), 'utf8').trim().split('\n');
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ msg: 'the server ends', kind: 'disk' });
}

const roles = ['leader', 'follower'] as const;

async function serverOf(found: TestCluster, role: (typeof roles)[number]): Promise<LocalSite> {
  const leader = await found.cluster.leaderOf(tenant);
  return role === 'leader' ? leader : must(othersThan(found.cluster, leader)[0], 'a follower');
}

test.runIf(mounts).each(roles)('the disk of the %s fills up', { timeout }, async role => {
  await withCluster(
    {
      settings,
      prepare: servers => servers.forEach(({ dataDirectory }) => mountSmallDisk(dataDirectory, diskBytes)),
    },
    async found => {
      const server = await serverOf(found, role);
      const release = fillDisk(server.dataDirectory);
      await writeUntilEnded(found, server, 2000);
      expectOrderly(server);
      await writeMore(found, 200);
      release();
      if (!server.isRunning) await server.start();
      await expectNothingLost(found);
    },
  );
});

test.runIf(fails).each(roles)('the disk of the %s fails to flush', { timeout }, async role => {
  const disks = new Map<string, ReturnType<typeof mountFailingDisk>>();
  await withCluster(
    {
      settings,
      prepare: servers => {
        for (const { name, dataDirectory } of servers)
          disks.set(name, mountFailingDisk(dataDirectory, diskBytes));
      },
    },
    async found => {
      const server = await serverOf(found, role);
      disks.get(server.name)?.fail();
      await writeUntilEnded(found, server, 4000);
      // Once a flush failed nothing is known of what the disk holds: the server is gone.
      expect(server.isRunning).toBe(false);
      expectOrderly(server);
      await writeMore(found, 200);
      disks.get(server.name)?.replace();
      await server.start();
      await server.serving();
      await wholeAgain(found);
      await expectNothingLost(found);
    },
  );
});

test('a server that lost its data directory under load comes back as a new one, and votes when it has everything', {
  timeout,
}, async () => {
  await withCluster({}, async found => {
    for (const role of roles) {
      const server = await serverOf(found, role);
      await server.kill();
      server.wipe();
      await server.start();
      await server.serving();
      await wholeAgain(found);
      await writeMore(found, 200);
    }
    await expectNothingLost(found);
  });
});

/** Three full replicas that count, none of them damaged, of the tenant and of the root service. */
async function wholeAgain({ cluster }: TestCluster): Promise<void> {
  for (const of of [tenant, 'sys'])
    await until(
      `all three servers have a full replica of ${of}, and nobody else counts`,
      async () => [...(await cluster.replicasOf(of)).values()],
      replicas => {
        const here = replicas.map(({ nodeId }) => nodeId).toSorted();
        const counts = (members: readonly string[]): boolean => members.toSorted().join() === here.join();
        return (
          replicas.length === 3 && replicas.every(({ members, isImpaired }) => counts(members) && !isImpaired)
        );
      },
      120_000,
    );
}
