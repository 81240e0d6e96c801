/** Two tenants of one name in one server: the one that was dropped while the server was away, and the one made since. */
import { existsSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { nodeRandom } from '../../../src/platform/random.ts';
import { nodeClock } from '../../../src/platform/clock.ts';
import { must } from '../../../src/base/assert.ts';
import { isObError } from '../../../src/base/errors.ts';
import { type TenantId, tenantId } from '../../../src/base/scalars.ts';
import type { ReplicaSpec } from '../../../src/cluster/root/local-replicas.ts';
import { tenantPaths } from '../../../src/cluster/tenant-paths.ts';
import { TenantRegistry } from '../../../src/cluster/tenant-registry.ts';
import { newPrimaryRow } from '../../../src/role/row.ts';
import { type TenantNode, TenantNodes } from '../../support/tenant-nodes.ts';

const old = tenantId(2002);
const young = tenantId(2003);
let cluster: TenantNodes;
let node: TenantNode;
let registry: TenantRegistry;

afterEach(async () => {
  await registry.closeAll();
  await cluster.close();
});

async function make(id: TenantId): Promise<void> {
  const incarnation = nodeRandom.uuid();
  const createTime = nodeClock.wall();
  const identity = { tenant: 'twice', incarnation, site: cluster.site };
  await cluster.store.insertRole(id, newPrimaryRow(identity, createTime));
  const spec: ReplicaSpec = {
    replicaId: id,
    tenant: { id, name: 'twice', incarnation, createTime, pageBytes: 4096 },
    blockBytes: 65_536,
    priority: 0,
    birth: { members: [node.id], learners: [] },
  };
  await registry.create(spec);
}

test('a tenant of a name that another one had is not the other one', async () => {
  cluster = await TenantNodes.start({ count: 1 });
  [node] = cluster.running as [TenantNode];
  registry = new TenantRegistry(node.host);
  await make(old);
  await make(young);
  expect(registry.find('twice')?.record.id).toBe(young);
  await registry.drop(old);
  const { directory } = tenantPaths(node.directory, old);
  expect(existsSync(directory)).toBe(false);
  expect(registry.replica(old)).toBe(undefined);
  const unit = registry.get('twice');
  expect(unit.record.id).toBe(young);
  expect(unit.log.state().end.lsn).toBeGreaterThanOrEqual(0);
  expect(registry.replica(young)?.unit).toBe(unit);
});

test('of two that are here at the start the one made last has the name, until it is dropped', async () => {
  cluster = await TenantNodes.start({ count: 1 });
  [node] = cluster.running as [TenantNode];
  registry = new TenantRegistry(node.host);
  await make(young);
  await make(old);
  await registry.closeAll();
  registry = new TenantRegistry(node.host);
  await registry.openAll();
  expect(registry.get('twice').record.id).toBe(young);
  expect(registry.units).toHaveLength(2);
  await registry.drop(young);
  expect(registry.get('twice').record.id).toBe(old);
});

test.each([0, 1, 2, 4, 8, 16])(
  'an order about a replica that comes while all are opened (turn %i) opens nothing twice',
  async turns => {
    cluster = await TenantNodes.start({ count: 1 });
    [node] = cluster.running as [TenantNode];
    registry = new TenantRegistry(node.host);
    await make(old);
    const { file } = must(registry.replica(old), 'a replica');
    await registry.closeAll();
    registry = new TenantRegistry(node.host);
    const opening = registry.openAll();
    for (let turn = 0; turn < turns; turn++) await new Promise(resolve => setImmediate(resolve));
    const order = registry.create({ ...file, replicaId: 7 }).catch((error: unknown) => error);
    await opening;
    const refusal = await order;
    const isBusy = isObError(refusal, 'OBS_SERVER_TENANT_BUSY');
    expect(isBusy || refusal === undefined).toBe(true);
    expect(registry.units).toHaveLength(1);
    expect(registry.replica(old)?.file.replicaId).toBe(isBusy ? old : 7);
  },
);

test.each([0, 1, 2, 4, 8, 16])(
  'a replica that is being made when all are closed (turn %i) is not left open, and no other is made',
  async turns => {
    cluster = await TenantNodes.start({ count: 1 });
    [node] = cluster.running as [TenantNode];
    registry = new TenantRegistry(node.host);
    const order = make(old).catch((error: unknown) => error);
    for (let turn = 0; turn < turns; turn++) await new Promise(resolve => setImmediate(resolve));
    await registry.closeAll();
    expect(registry.units).toEqual([]);
    const refusal = await order;
    expect(refusal === undefined || isObError(refusal, 'OBS_SERVER_CLOSING')).toBe(true);
    expect(registry.units).toEqual([]);
    await expect(make(young)).rejects.toMatchObject({ code: 'OBS_SERVER_CLOSING' });
    expect(registry.units).toEqual([]);
  },
);

test('a copy that ends after all were closed is not opened', async () => {
  cluster = await TenantNodes.start({ count: 1 });
  [node] = cluster.running as [TenantNode];
  registry = new TenantRegistry(node.host);
  const { promise: isBegun, resolve: begun } = Promise.withResolvers<void>();
  const { promise: copied, resolve: end } = Promise.withResolvers<void>();
  const spec: ReplicaSpec = {
    replicaId: old,
    tenant: { id: old, name: 'twice', incarnation: 'i', createTime: nodeClock.wall(), pageBytes: 4096 },
    blockBytes: 65_536,
    priority: 0,
    birth: { members: [node.id], learners: [] },
  };
  const copy = registry
    .adopt(spec, async () => {
      begun();
      await copied;
      return { incarnation: 'copied', pageBytes: 4096 };
    })
    .catch((error: unknown) => error);
  await isBegun;
  await registry.closeAll();
  end();
  expect(await copy).toMatchObject({ code: 'OBS_SERVER_CLOSING' });
  expect(registry.units).toEqual([]);
  registry = new TenantRegistry(node.host);
  await registry.openAll();
  expect(existsSync(tenantPaths(node.directory, old).directory)).toBe(false);
});
