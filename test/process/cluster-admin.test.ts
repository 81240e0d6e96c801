/** A cluster as operators run it, by SQL and by the command line, asked of any of its servers. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { freePort } from '../../src/client/free-port.ts';
import { LocalCluster } from '../../src/client/local-cluster.ts';
import { LocalSite } from '../../src/client/local-site.ts';
import { obstandby } from '../support/command.ts';
import { codeCacheVariables } from '../support/two-sites.ts';

let directory: string;
let cluster: LocalCluster;
/** in zone4; waits when the first test begins */
let fourth: LocalSite;
let fourthAddress: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'obstandby-admin-'));
  const environment = { ...process.env, ...(await codeCacheVariables(directory)) };
  cluster = await LocalCluster.make('rome', directory, { environment });
  await cluster.start();
  const port = await freePort();
  fourthAddress = `127.0.0.1:${port}`;
  fourth = new LocalSite('rome-4', directory, environment, {
    clusterName: 'rome',
    zone: 'zone4',
    cluster: { port, secretFile: join(directory, 'rome.secret') },
  });
  await fourth.start();
});

afterAll(async () => {
  await cluster.kill();
  // Not there when the cluster did not start.
  await (fourth as LocalSite | undefined)?.kill();
  rmSync(directory, { recursive: true, force: true });
});

const server = (index: number): LocalSite => {
  const found = cluster.servers[index];
  if (found === undefined) throw new Error(`no server ${index}`);
  return found;
};

async function sql(
  site: LocalSite,
  text: string,
  user = 'root@sys',
  password = '',
): Promise<RowDataPacket[]> {
  const connection = await createConnection({ host: '127.0.0.1', port: site.sqlPort, user, password });
  try {
    const [rows] = await connection.query<RowDataPacket[]>({ sql: text, rowsAsArray: true });
    return rows;
  } finally {
    connection.destroy();
  }
}

const shop = (site: LocalSite, text: string): Promise<RowDataPacket[]> => sql(site, text, 'root@shop', 'pw');

async function refusal(work: Promise<unknown>): Promise<{ errno: number; message: string }> {
  try {
    await work;
  } catch (error) {
    return error as { errno: number; message: string };
  }
  throw new Error('it was accepted');
}

/** `zone role type` of each replica of the tenant. */
async function placed(site: LocalSite, tenant = 1002): Promise<string[]> {
  const rows = await sql(
    site,
    `SELECT ZONE, REPLICA_TYPE FROM oceanbase.CDB_OB_LS_LOCATIONS WHERE TENANT_ID = ${tenant} ORDER BY ZONE`,
  );
  return rows.map(row => (row as unknown as string[]).join(' '));
}

const leaderZone = async (site: LocalSite): Promise<unknown> => {
  const [row] = await sql(
    site,
    "SELECT ZONE FROM oceanbase.CDB_OB_LS_LOCATIONS WHERE TENANT_ID = 1002 AND ROLE = 'LEADER'",
  );
  return row?.[0];
};

test('any server makes a tenant, and its leader comes where it is wanted', async () => {
  await sql(
    server(1),
    "CREATE TENANT shop LOCALITY='F@zone1, F@zone2, F@zone3' PRIMARY_ZONE='zone3;zone1' ROOT_PASSWORD='pw'",
  );
  await vi.waitFor(async () => expect(await leaderZone(server(0))).toBe('zone3'), 20_000);
  expect(
    await sql(server(0), 'SELECT TENANT_NAME, LOCALITY, PRIMARY_ZONE FROM oceanbase.DBA_OB_TENANTS'),
  ).toEqual([['shop', 'FULL{1}@zone1, FULL{1}@zone2, FULL{1}@zone3', 'zone3;zone1']]);
  await shop(server(2), 'CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)');
  await shop(server(2), "INSERT INTO item VALUES (1, 'one')");
  const refused = await refusal(shop(server(0), "INSERT INTO item VALUES (2, 'two')"));
  expect(refused.message).toContain(server(2).addresses.sqlAddress);
});

test.each([
  ["ALTER TENANT shop LOCALITY='F@zone1, F@nowhere'", 1210, "there is no zone 'nowhere'"],
  ["ALTER TENANT shop LOCALITY='F@zone1, L@zone2'", 1210, "no replicas of type 'L'"],
  ["ALTER TENANT shop LOCALITY='F@zone1, F@'", 1210, 'the locality is not valid'],
  ["ALTER TENANT shop LOCALITY='F{2}@zone1'", 4733, 'zone zone1 is to hold 2 replica(s)'],
  ["ALTER TENANT shop LOCALITY='R@zone1, R@zone2'", 4179, 'without a leader'],
  ["ALTER TENANT shop PRIMARY_ZONE='zone9'", 1210, "there is no zone 'zone9'"],
  ["CREATE TENANT other LOCALITY='F@nowhere'", 1210, "there is no zone 'nowhere'"],
  ["ALTER SYSTEM ADD SERVER '127.0.0.1:1'", undefined, 'cannot be asked'],
  ["ALTER SYSTEM STOP SERVER '127.0.0.1:1'", 4012, "there is no server '127.0.0.1:1'"],
  ["ALTER SYSTEM SWITCH REPLICA LEADER LS=1001 SERVER='127.0.0.1:1' TENANT=shop", 4012, 'there is no server'],
])('%s is refused with %s', async (text, errno, message) => {
  const refused = await refusal(sql(server(0), text));
  expect(refused.message).toContain(message);
  if (errno !== undefined) expect(refused.errno).toBe(errno);
});

test('a server is added, gets a learner that serves weak reads, then a voter, then the leader', async () => {
  const wrong = await refusal(sql(server(0), `ALTER SYSTEM ADD SERVER '${fourthAddress}' ZONE 'zone1'`));
  expect(wrong.message).toContain('is configured for zone zone4, not zone1');
  const added = await obstandby(server(0), 'cluster', 'add-server', fourthAddress, '--zone', 'zone4');
  expect(added).toMatchObject({ exitCode: 0, body: { server: fourthAddress } });
  await fourth.serving();

  await sql(server(1), "ALTER TENANT shop LOCALITY='F@zone1, F@zone2, F@zone3, R@zone4'");
  // Asked of the server that holds no replica of the sys tenant.
  expect(await placed(fourth)).toEqual(['zone1 FULL', 'zone2 FULL', 'zone3 FULL', 'zone4 READONLY']);
  expect((await refusal(sql(fourth, 'SELECT 1 FROM nothing'))).message).toContain(
    'is not led by this server',
  );
  await vi.waitFor(async () => {
    expect(await shop(fourth, 'SELECT /*+ READ_CONSISTENCY(WEAK) */ name FROM item')).toEqual([['one']]);
  }, 20_000);
  const learner = await refusal(
    sql(fourth, `ALTER SYSTEM SWITCH REPLICA LEADER LS=1001 SERVER='${fourthAddress}' TENANT=shop`),
  );
  expect(learner.message).toContain('its replica is READONLY');

  const altered = await obstandby(
    fourth,
    'tenant',
    'alter',
    'shop',
    '--locality',
    'F@zone1,F@zone2,F@zone4',
    '--primary-zone',
    'RANDOM',
  );
  expect(altered.exitCode).toBe(0);
  expect(await placed(server(0))).toEqual(['zone1 FULL', 'zone2 FULL', 'zone4 FULL']);
  const moved = await obstandby(server(0), 'tenant', 'transfer-leader', 'shop', '--to', fourthAddress);
  expect(moved, JSON.stringify(moved.body)).toMatchObject({ exitCode: 0 });
  expect(await leaderZone(server(0))).toBe('zone4');
  await shop(fourth, "INSERT INTO item VALUES (3, 'three')");
  const { body } = await obstandby(server(2), 'tenant', 'jobs');
  expect((body as unknown as { status: string }[]).map(({ status }) => status)).toEqual([
    'SUCCESS',
    'SUCCESS',
  ]);
});

test('a stopped server leads nothing, and one that is needed is not removed', async () => {
  await sql(server(0), `ALTER SYSTEM STOP SERVER '${fourthAddress}'`);
  expect(await leaderZone(server(0))).not.toBe('zone4');
  expect(
    await sql(
      server(0),
      "SELECT STATUS, STOP_TIME IS NULL FROM oceanbase.DBA_OB_SERVERS WHERE ZONE = 'zone4'",
    ),
  ).toEqual([['ACTIVE', 0]]);
  const second = await obstandby(server(0), 'cluster', 'stop-server', cluster.addressOf(server(0)));
  expect(second).toMatchObject({ exitCode: 3, body: { error: { code: 'OBS_CLUSTER_STOPS_ELSEWHERE' } } });
  await sql(server(0), `ALTER SYSTEM START SERVER '${fourthAddress}'`);
  const needed = await obstandby(server(1), 'cluster', 'remove-server', fourthAddress);
  expect(needed).toMatchObject({ exitCode: 3, body: { error: { code: 'OBS_CLUSTER_SERVER_NEEDED' } } });
});

test('a change of locality goes on when the leader of the root service is killed', async () => {
  const { servers } = await cluster.call<{ servers: { address: string; isRoot: boolean }[] }>(
    'cluster-status',
    {},
  );
  const root = cluster.servers.find(
    each => cluster.addressOf(each) === servers.find(({ isRoot }) => isRoot)?.address,
  );
  if (root === undefined) throw new Error('nobody leads the root service');
  const asked = cluster.servers.find(each => each !== root) ?? root;
  const altering = obstandby(asked, 'tenant', 'alter', 'shop', '--locality', 'F@zone1,F@zone2,F@zone3');
  await root.kill();
  await root.start();
  const outcome = await altering;
  // It may have been done before, it may not be known, it may not have begun.
  expect([0, 1, 5]).toContain(outcome.exitCode);
  const again = await obstandby(asked, 'tenant', 'alter', 'shop', '--locality', 'F@zone1,F@zone2,F@zone3');
  expect(again).toMatchObject({ exitCode: 0 });
  expect(await placed(asked)).toEqual(['zone1 FULL', 'zone2 FULL', 'zone3 FULL']);
  await vi.waitFor(async () => {
    const leader = await cluster.leaderOf('shop');
    expect(await shop(leader, 'SELECT count(*) FROM item')).toEqual([[2]]);
  }, 20_000);
});

test('a server is removed, and what it held is gone from it', async () => {
  const removed = await obstandby(server(0), 'cluster', 'remove-server', fourthAddress);
  expect(removed).toMatchObject({ exitCode: 0 });
  expect(await sql(server(1), 'SELECT ZONE FROM oceanbase.DBA_OB_ZONES ORDER BY ZONE')).toEqual([
    ['zone1'],
    ['zone2'],
    ['zone3'],
  ]);
});

test('a server that lost its data comes back as a new one, and its replicas are made anew', async () => {
  const lost = server(1);
  const before = (await lost.api.call<{ self: string }>('cluster-status', {})).self;
  await lost.kill();
  lost.wipe();
  await lost.start();
  await lost.serving();
  await vi.waitFor(
    async () => {
      const info = await obstandby(server(0), 'cluster', 'status');
      expect(info.body).toMatchObject({ problem: null, nextSteps: [] });
      const { servers } = info.body as unknown as { servers: { nodeId: string; status: string }[] };
      expect(servers.map(({ status }) => status)).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE']);
      expect(servers.some(({ nodeId }) => nodeId === before)).toBe(false);
      for (const tenant of [1, 1002])
        expect(await placed(server(0), tenant)).toEqual(['zone1 FULL', 'zone2 FULL', 'zone3 FULL']);
    },
    { timeout: 60_000, interval: 500 },
  );
  const rows = "SELECT count(*), sum(IN_SYNC = 'YES') FROM oceanbase.GV$OB_LOG_STAT";
  await vi.waitFor(async () => expect(await sql(lost, rows)).toEqual([[6, 6]]), 20_000);
});

test('a tenant is dropped on every server', async () => {
  await sql(server(2), 'DROP TENANT shop FORCE');
  expect(await sql(server(0), 'SELECT DISTINCT TENANT_ID FROM oceanbase.GV$OB_LOG_STAT')).toEqual([[1]]);
});
