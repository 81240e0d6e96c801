/** The root service's rows: tasks are one a tenant, changed by compare-and-set, and can be turned back. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { nodeId, type TenantId, tenantId, wallMicros } from '../../src/base/scalars.ts';
import { LocalSysStore } from '../../src/cluster/local-sys-store.ts';
import { RootStore } from '../../src/cluster/root/root-store.ts';
import { SecretBox } from '../../src/cluster/secret-box.ts';
import { SysSession } from '../../src/cluster/sys-session.ts';
import { nodeRandom } from '../../src/platform/random.ts';
import { DirectEngine } from '../support/direct-engine.ts';

let engine: DirectEngine;
let store: RootStore;
let sys: LocalSysStore;

beforeEach(async () => {
  engine = new DirectEngine();
  sys = await LocalSysStore.open(engine.engine, new SecretBox(new Uint8Array(32), nodeRandom));
  store = new RootStore(new SysSession(engine.engine));
});
afterEach(async () => {
  await store.close();
  await sys.close();
  await engine.close();
});

const now = wallMicros(7);
const [a, b, c] = ['a', 'b', 'c'].map(nodeId) as [
  ReturnType<typeof nodeId>,
  ReturnType<typeof nodeId>,
  ReturnType<typeof nodeId>,
];
const server = (name: string, address = `${name}:2885`) => ({
  nodeId: nodeId(name),
  address,
  zone: 'z1',
  region: 'r',
  version: '1',
});
const one = 'FULL{1}@z1';
const two = 'FULL{1}@z1, FULL{1}@z2';

async function withStream(): Promise<{ id: TenantId; name: string }> {
  const id = tenantId(1002);
  await store.addStream({ tenantId: id, locality: one, primaryZone: 'RANDOM' }, [{ node: a, type: 'F' }]);
  return { id, name: 'shop' };
}

test('a server is added once; another node at its address is refused, unless it took its place', async () => {
  const first = await store.addServer(server('a'), now);
  expect(await store.addServer(server('a'), now)).toEqual(first);
  expect(first).toMatchObject({ status: 'INACTIVE', stopTime: null, sqlAddress: null });
  await expect(store.addServer(server('b', 'a:2885'), now)).rejects.toMatchObject({
    code: 'OBS_CLUSTER_SERVER_EXISTS',
  });
  await store.replaceServer(a, server('b', 'a:2885'), now);
  expect(await store.addServer(server('b', 'a:2885'), now)).toMatchObject({ nodeId: 'b' });
  expect((await store.servers()).map(({ nodeId: node, status }) => `${node} ${status}`)).toEqual([
    'a DELETING',
    'b INACTIVE',
  ]);
});

test('what a server reports and what operators set of it is kept', async () => {
  await store.addServer(server('a'), now);
  const facts = { startTime: 5, version: '2', sqlAddress: 's', peerAddress: 'p', httpAddress: 'h' };
  await store.updateServer({ ...server('a', 'elsewhere:2885'), ...facts });
  await store.setServerStatus(a, 'ACTIVE');
  await store.setServerStopped(a, now);
  expect(await store.servers()).toMatchObject([
    { ...facts, address: 'elsewhere:2885', status: 'ACTIVE', stopTime: 7 },
  ]);
  await store.removeServer(a);
  expect(await store.servers()).toEqual([]);
});

test('a stream is placed once, each replica under a number of its own', async () => {
  const tenant = await withStream();
  const again = await store.addStream({ tenantId: tenant.id, locality: two, primaryZone: 'z1' }, [
    { node: b, type: 'F' },
  ]);
  expect(again).toEqual([{ node: 'a', type: 'F', replicaId: 1 }]);
  expect(await store.streams()).toEqual([
    { tenantId: 1002, locality: one, previousLocality: null, primaryZone: 'RANDOM', arbitration: 'DISABLED' },
  ]);
});

test('a change of locality is one task, which is where it was when it is asked for again', async () => {
  const tenant = await withStream();
  expect(await store.alterLocality(tenant, one, now)).toBeNull();
  const job = await store.alterLocality(tenant, two, now);
  expect(job).toMatchObject({ kind: 'ALTER_TENANT_LOCALITY', revision: 1, previous: one, target: two });
  expect(await store.alterLocality(tenant, two, now)).toEqual(job);
  await expect(store.alterLocality(tenant, 'FULL{1}@z9', now)).rejects.toMatchObject({
    code: 'OBS_LOCALITY_BUSY',
    details: { target: two, previous: one },
  });
  expect(await store.streams()).toMatchObject([{ locality: two, previousLocality: one }]);
});

test('giving the old locality turns the task round; what was decided before does not count', async () => {
  const tenant = await withStream();
  const job = await store.alterLocality(tenant, two, now);
  if (job === null) throw new Error('no task');
  await store.assign(
    job,
    1,
    [
      { node: a, type: 'F', replicaId: 1 },
      { node: b, type: 'F', replicaId: null },
    ],
    now,
  );
  expect(await store.runningJob(tenant.id)).toMatchObject({
    revision: 2,
    replicas: [{ replicaId: 1 }, { node: 'b', replicaId: 2 }],
  });
  const back = await store.alterLocality(tenant, one, now);
  expect(back).toMatchObject({
    kind: 'ROLLBACK_ALTER_TENANT_LOCALITY',
    revision: 3,
    target: one,
    replicas: null,
  });
  await expect(store.assign(job, 2, [], now)).rejects.toMatchObject({ code: 'OBS_CLUSTER_STALE_ORDER' });
  await expect(store.finish(job, 2, now)).rejects.toMatchObject({ code: 'OBS_CLUSTER_STALE_ORDER' });
  // The way back is not turned round again.
  await expect(store.alterLocality(tenant, two, now)).rejects.toMatchObject({ code: 'OBS_LOCALITY_BUSY' });
  await store.noteDropping(2);
  expect(await store.replicas()).toMatchObject([{ dropping: false }, { replicaId: 2, dropping: true }]);
  await store.assign(job, 3, [{ node: a, type: 'F', replicaId: 1 }], now);
  await store.finish(job, 4, now);
  expect(await store.replicas()).toMatchObject([{ node: 'a', replicaId: 1 }]);
  expect(await store.streams()).toMatchObject([{ locality: one, previousLocality: null }]);
  expect(await store.jobs()).toMatchObject([{ status: 'SUCCESS', target: one }]);
});

test('a tenant that was dropped meanwhile has no replicas to move, and no locality to change', async () => {
  const tenant = { id: tenantId(1_002), name: 'shop' };
  expect(await store.moveReplicas(tenant.id, now)).toBe(null);
  await expect(store.alterLocality(tenant, two, now)).rejects.toMatchObject({
    code: 'OBS_SERVER_NO_SUCH_TENANT',
  });
  expect(await store.jobs()).toEqual([]);
});

test('replicas that move make way for a change of locality', async () => {
  const tenant = await withStream();
  const move = must(await store.moveReplicas(tenant.id, now), 'a task');
  expect(move).toMatchObject({ kind: 'MOVE_REPLICAS', target: one });
  expect(await store.moveReplicas(tenant.id, now)).toEqual(move);
  await store.noteProgress(move.id, 'half way', now);
  expect(await store.runningJob(tenant.id)).toMatchObject({ detail: 'half way' });
  const job = await store.alterLocality(tenant, two, now);
  expect(job).toMatchObject({ kind: 'ALTER_TENANT_LOCALITY' });
  expect((await store.jobs()).map(({ kind, status }) => `${kind} ${status}`)).toEqual([
    'MOVE_REPLICAS CANCELED',
    'ALTER_TENANT_LOCALITY INPROGRESS',
  ]);
  // Another move is part of the change of locality that runs.
  expect(await store.moveReplicas(tenant.id, now)).toEqual(job);
});

test('a dropped tenant leaves no row behind, and its numbers are not given again', async () => {
  const createTime = wallMicros(1);
  const { id } = await sys.addTenant({ name: 'shop', incarnation: 'i', createTime, pageBytes: 4096 });
  const stream = { tenantId: id, locality: two, primaryZone: 'RANDOM' };
  await store.addStream(stream, [
    { node: a, type: 'F' },
    { node: c, type: 'F' },
  ]);
  await store.moveReplicas(id, now);
  await sys.removeTenant(id);
  expect([await store.streams(), await store.replicas(), await store.jobs()]).toEqual([[], [], []]);
  const [next] = await store.addStream({ ...stream, tenantId: tenantId(2000) }, [{ node: a, type: 'F' }]);
  expect(next).toMatchObject({ replicaId: 3 });
});
