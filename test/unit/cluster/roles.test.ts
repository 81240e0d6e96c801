/** Roles of a tenant with several replicas a site: what a new leader resumes, and what the other site sees of a change. */
import { afterEach, expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { isObError } from '../../../src/base/errors.ts';
import { nodeRandom } from '../../../src/platform/random.ts';
import type { RoleView } from '../../../src/role/core.ts';
import { kindOf, rows, run, type TenantNode, TenantNodes, weakly } from '../../support/tenant-nodes.ts';

const clusters: TenantNodes[] = [];

afterEach(async () => {
  for (const cluster of clusters.splice(0).reverse()) await cluster.close();
});

async function start(options: Parameters<typeof TenantNodes.start>[0] = {}): Promise<TenantNodes> {
  const cluster = await TenantNodes.start(options);
  clusters.push(cluster);
  return cluster;
}

const viewOf = (node: TenantNode): RoleView => node.unit.role.view();

/** A primary of three replicas, and a standby of three that has all of it. */
async function startPair(): Promise<{ readonly here: TenantNodes; readonly there: TenantNodes }> {
  const here = await start({ site: 'here' });
  await run(await here.writable(), 'CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)');
  const there = await start({ site: 'there', standbyOf: here });
  await there.settled(here);
  return { here, there };
}

const insert = async (cluster: TenantNodes, id: number): Promise<void> => {
  await run(await cluster.writable(), `INSERT INTO t VALUES (${id}, 'row ${id}')`);
};

/** All replicas of both sites, page by page. */
async function expectEqual(one: TenantNodes, two: TenantNodes): Promise<void> {
  const digests = [...(await one.digests()), ...(await two.digests(one))];
  expect(digests).toHaveLength(one.running.length + two.running.length);
  expect(new Set(digests).size).toBe(1);
}

const timeout = 60_000;

test('a leader that heard the one before it opens at once; after a restart of all, the other sites are asked', {
  timeout,
}, async () => {
  const cluster = await start();
  const route = {
    addresses: [{ host: '127.0.0.1', port: 1 }],
    tenant: 'shop',
    credential: { kind: 'password' as const, user: 'root', password: '' },
  };
  await cluster.store.rememberFollower(cluster.record.id, { site: 'gone', address: '127.0.0.1:1', route });
  const leader = await cluster.writable();
  await cluster.settled();
  const follower = must(cluster.followersOf(leader)[0], 'a follower');
  await cluster.until('a follower that heard it', () => follower.unit.replica.heardLeader !== null);
  await cluster.leadAt(follower);
  await Promise.all(cluster.running.map(node => node.close()));
  for (const id of cluster.ids) await cluster.startNode(id);
  const led = await cluster.led();
  await cluster.until(
    'a restart check that waits',
    () => led.unit.leadership?.role.view().writesRefused?.code === 'OBS_ROLE_FENCE_PENDING',
  );
  expect(await kindOf(run(led, 'CREATE TABLE t (id INTEGER)'))).toBe('not-leader');
  // It has everything that was ever acknowledged: reads go on.
  expect(await rows(led, 'SELECT 1')).toEqual([[1]]);
  // Who takes over from a leader that still asks has to ask too.
  const next = must(cluster.followersOf(led)[0], 'a follower');
  await led.unit.log.transfer(next.id);
  await cluster.until('a restart check of the next leader', () => {
    const { leadership } = next.unit;
    return leadership?.role.view().writesRefused?.code === 'OBS_ROLE_FENCE_PENDING';
  });
  expect(next.isWritable).toBe(false);
  next.unit.role.openAnyway();
  const opened = await cluster.writable();
  await cluster.until('followers that hear of it', () =>
    cluster.followersOf(opened).every(({ unit }) => unit.replica.heardLeader !== null),
  );
});

test('a standby follows its source through changes of leaders on both sites', { timeout }, async () => {
  const { here, there } = await startPair();
  for (let turn = 1; turn <= 4; turn += 1) {
    await insert(here, turn);
    const moved = turn % 2 === 0 ? here : there;
    const leader = await moved.led();
    const next = must(moved.followersOf(leader)[turn % 2], 'a follower');
    await leader.unit.log.transfer(next.id).catch((error: unknown) => {
      if (!isObError(error)) throw error;
    });
    await insert(here, turn + 100);
    await there.settled(here);
  }
  for (const node of there.running) {
    expect(await weakly(node, 'SELECT count(*) FROM t')).toEqual([[8]]);
    expect(await kindOf(run(node, 'DELETE FROM t'))).toBe('not-leader');
    // A standby's reads are a standby's wherever they are asked.
    expect(await rows(node, 'SELECT count(*) FROM t')).toEqual([[8]]);
  }
  await expectEqual(here, there);
});

test('a switchover goes to the leaders of both sites, and back, and every replica changes with it', {
  timeout,
}, async () => {
  const { here, there } = await startPair();
  await insert(here, 1);
  const operation = (): { kind: 'switchover'; operationId: string; planOnly: false } => ({
    kind: 'switchover',
    operationId: nodeRandom.uuid(),
    planOnly: false,
  });
  const to = await there.led();
  const { row } = await to.unit.role.command(operation());
  expect(row).toMatchObject({ role: 'PRIMARY', epoch: 2, site: 'there' });
  await insert(there, 2);
  await here.settled(there);
  expect(viewOf(await here.led()).row).toMatchObject({ role: 'STANDBY', switchoverStatus: 'NORMAL' });
  await expectEqual(there, here);
  // A new leader of the new primary goes on where the old one was.
  const leader = await there.writable();
  await there.leadAt(must(there.followersOf(leader)[0], 'a follower'));
  await insert(there, 3);
  await here.settled(there);
  await (await here.led()).unit.role.command(operation());
  await insert(here, 4);
  await there.settled(here);
  await expectEqual(here, there);
  expect(await rows(await here.writable(), 'SELECT id FROM t ORDER BY id')).toEqual([[1], [2], [3], [4]]);
});

test('a failover of a standby with several replicas opens with what a majority has, on all of them', {
  timeout,
}, async () => {
  const { here, there } = await startPair();
  await insert(here, 1);
  await there.settled(here);
  await Promise.all(here.running.map(node => node.close()));
  const { role } = (await there.led()).unit;
  const operationId = nodeRandom.uuid();
  await role.command({ kind: 'activate', operationId, maxLagMs: null, force: true, verify: false });
  await insert(there, 2);
  expect(await rows(await there.writable(), 'SELECT id FROM t ORDER BY id')).toEqual([[1], [2]]);
  expect(new Set(await there.digests()).size).toBe(1);
  for (const node of there.running) expect(node.unit.log.state().accessMode).toBe('APPEND');
});

test('a role change whose leader is lost is resumed by the next leader', { timeout }, async () => {
  const { here, there } = await startPair();
  await insert(here, 1);
  const leader = await here.led();
  const sealing = leader.unit.role.command({
    kind: 'switchover-to-standby',
    operationId: nodeRandom.uuid(),
    verify: false,
  });
  here.isolate(leader);
  expect(await kindOf(sealing)).not.toBe('done');
  const next = await here.until('another leader', () =>
    here.followersOf(leader).some(({ unit }) => unit.leadership !== null),
  );
  expect(next).toBe(undefined);
  here.heal();
  const led = await here.led();
  // Whatever the row says by now, the same command brings it to its end.
  await led.unit.role.command({
    kind: 'switchover-to-standby',
    operationId: nodeRandom.uuid(),
    verify: false,
  });
  expect(viewOf(led).row).toMatchObject({ role: 'STANDBY', switchoverStatus: 'NORMAL' });
  await there.settled(here);
  await (await there.led()).unit.role.command({ kind: 'switchover-to-primary', verify: false });
  await insert(there, 2);
  await here.settled(there);
  await expectEqual(there, here);
});
