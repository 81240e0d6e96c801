/**
 * Stock clients before a cluster: what a follower tells them, what it reads for them, and what becomes of their connections when roles
 * move; a leader that two operators move at once; servers whose clocks are an hour apart; a standby that is a cluster too.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { Ledger } from '../../src/client/ledger.ts';
import { LocalCluster } from '../../src/client/local-cluster.ts';
import type { LocalSite } from '../../src/client/local-site.ts';
import type { TenantInfo } from '../../src/server/entry.ts';
import { obstandby } from '../support/command.ts';
import { isPresent } from '../support/requirement.ts';
import {
  anotherLeader,
  expectEqualReplicas,
  expectNothingLost,
  othersThan,
  queryAt,
  withCluster,
} from '../support/test-cluster.ts';
import { codeCacheVariables, credentials, password, tenant, until } from '../support/two-sites.ts';

const timeout = 300_000;
const soonMs = 30_000;
const run = promisify(execFile);

const mysql = async (server: LocalSite, text: string): Promise<string> => {
  const connection = ['-h127.0.0.1', `-P${server.sqlPort}`, `-u${credentials.user}`, '-N', '-B'];
  const env = { ...process.env, MYSQL_PWD: password };
  return (await run('mysql', [...connection, '-e', text], { env })).stdout;
};

test.skipIf(!isPresent('mysql command line', ['mysql']))(
  'the mysql command line at a follower is told where the leader is, and may read what is a little old',
  { timeout },
  async () => {
    await withCluster({}, async found => {
      const { cluster } = found;
      const leader = await cluster.leaderOf(tenant);
      const follower = must(othersThan(cluster, leader)[0], 'a follower');
      await mysql(
        leader,
        "CREATE TABLE note (n INT PRIMARY KEY, text VARCHAR(20)); INSERT INTO note VALUES (1, 'one')",
      );
      const elsewhere = `ERROR 4038 (HY000) at line 1: tenant ${tenant} is not led by this server; its leader serves clients at ${leader.addresses.sqlAddress}`;
      await expect(mysql(follower, "INSERT INTO note VALUES (2, 'two')")).rejects.toThrow(elsewhere);
      await expect(mysql(follower, 'SELECT * FROM note')).rejects.toThrow(elsewhere);
      await expect(mysql(follower, 'BEGIN; SELECT * FROM note')).rejects.toThrow('ERROR 4038');
      const weak = "SET ob_read_consistency = 'WEAK'; SELECT text FROM note";
      await until(
        'the follower has it',
        () => mysql(follower, weak),
        text => text === 'one\n',
      );
      await expect(
        mysql(follower, "SET ob_read_consistency = 'WEAK'; INSERT INTO note VALUES (2, 'two')"),
      ).rejects.toThrow('ERROR 4038');
      expect(await mysql(leader, 'SELECT * FROM note')).toBe('1\tone\n');
      await expectNothingLost(found);
    });
  },
);

test('two operators who move the leader to two servers at once leave one leader, and nothing is lost', {
  timeout,
}, async () => {
  await withCluster({}, async found => {
    const { cluster, ledger } = found;
    for (let round = 0; round < 2; round += 1) {
      const leader = await cluster.leaderOf(tenant);
      const targets = othersThan(cluster, leader);
      const moved = await Promise.all(
        targets.map(target =>
          obstandby(target, 'tenant', 'transfer-leader', tenant, '--to', cluster.addressOf(target)),
        ),
      );
      // One of them may be told that it came second, or that nobody knows; both may be done, one after the other.
      expect(moved.some(({ exitCode }) => exitCode === 0)).toBe(true);
      await ledger.nextAcknowledgement(soonMs);
      const leads = [...(await cluster.replicasOf(tenant)).values()].filter(({ role }) => role === 'LEADER');
      expect(leads.length).toBeLessThanOrEqual(1);
    }
    await expectNothingLost(found);
  });
});

test('servers whose clocks are an hour apart agree all the same', { timeout }, async () => {
  const hourMs = 3_600_000;
  await withCluster(
    {
      prepare: servers => {
        for (const [index, server] of servers.entries())
          server.setEnvironment('NODE_OPTIONS', shiftedClock((index - 1) * hourMs));
      },
    },
    async found => {
      const { cluster, ledger } = found;
      const scns: number[] = [];
      // Each leads once: the SCN goes forward, whatever the clock of the next leader says.
      for (let round = 0; round < 3; round += 1) {
        const leader = await cluster.leaderOf(tenant);
        const { log } = await leader.api.call<TenantInfo>('tenant-show', { name: tenant });
        scns.push(log.endScn);
        await leader.kill();
        await ledger.nextAcknowledgement(soonMs);
        await anotherLeader(cluster, leader);
        await leader.start();
      }
      expect(scns).toEqual(scns.toSorted((one, other) => one - other));
      await expectNothingLost(found);
    },
  );
});

/** Node's own wall clock, moved before anything reads it. */
const shiftedClock = (ms: number): string => {
  const code = `Object.defineProperty(performance, 'timeOrigin', { value: performance.timeOrigin + ${ms} })`;
  return `--import=data:text/javascript,${encodeURIComponent(code)}`;
};

test('a cluster that is a standby follows one that is a primary, whichever of their servers is killed, and they change roles', {
  timeout,
}, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'obstandby-clusters-'));
  const environment = { ...process.env, ...(await codeCacheVariables(directory)) };
  const a = await LocalCluster.make('rome', directory, { environment });
  const b = await LocalCluster.make('oslo', directory, { environment });
  const ledger = new Ledger([...a.servers, ...b.servers], credentials);
  try {
    await Promise.all([a.start(), b.start()]);
    await a.call('tenant-create', { name: tenant, rootPassword: password });
    await ledger.prepare();
    const source = `SERVICE=${a.peerAddresses} USER=${credentials.user} PASSWORD=${password}`;
    await b.call('standby-create', { name: tenant, source });
    ledger.start(6);
    await ledger.nextAcknowledgement(soonMs);
    let [primary, standby] = [a, b];
    for (let round = 0; round < 2; round += 1) {
      await standbyIsWhole(standby);
      for (const cluster of [standby, primary]) {
        const leader = await cluster.leaderOf(tenant);
        await leader.kill();
        await anotherLeader(cluster, leader);
        await leader.start();
        await ledger.nextAcknowledgement(soonMs);
      }
      const to = standby;
      // Who leads may not be known yet anywhere: the command says so, and is given again.
      await until(
        'the roles are changed',
        () => to.call('switchover', { name: tenant }),
        () => true,
        60_000,
      );
      await ledger.nextAcknowledgement(soonMs);
      [primary, standby] = [standby, primary];
    }
    await ledger.stop();
    const rows = await ledger.rowsAt((await primary.leaderOf(tenant)).sqlPort);
    expect(ledger.missingFrom(rows)).toEqual([]);
    expect(ledger.inventedIn(rows)).toEqual([]);
    await expectEqualReplicas([...a.servers, ...b.servers]);
  } finally {
    await Promise.all([a.kill(), b.kill()]);
    await ledger.stop();
    rmSync(directory, { recursive: true, force: true });
  }
});

const standbyIsWhole = async (cluster: LocalCluster): Promise<void> => {
  await until(
    'the standby has its full replicas',
    async () => [...(await cluster.replicasOf(tenant)).values()],
    replicas => replicas.length === 3 && replicas.every(each => each.type === 'FULL' && !each.isImpaired),
    60_000,
  );
};

test('a connection to the leader outlives a leader moved away: it is told who leads now', {
  timeout,
}, async () => {
  await withCluster({}, async found => {
    const { cluster } = found;
    const leader = await cluster.leaderOf(tenant);
    const target = must(othersThan(cluster, leader)[0], 'another server');
    await cluster.call('tenant-transfer-leader', { name: tenant, server: cluster.addressOf(target) });
    await anotherLeader(cluster, leader);
    await until(
      'the old leader names the new one',
      () =>
        queryAt(leader, 'SELECT 1 FROM client_ledger').then(
          () => '',
          (error: Error) => error.message,
        ),
      message => message.includes(target.addresses.sqlAddress),
    );
    await expectNothingLost(found);
  });
});
