/** The arbitration service over its life: added, used, replaced, removed, refused; and over changes of the root service's leadership. */
import { afterEach, expect, test } from 'vitest';
import { isObError, type ObError } from '../../src/base/errors.ts';
import type { TenantId } from '../../src/base/scalars.ts';
import { nodeId, wallMicros } from '../../src/base/scalars.ts';
import { decideArbitration } from '../../src/cluster/root/arbitration-sweep.ts';
import { checkedParameter } from '../../src/cluster/root/arbitration.ts';
import type { RootArbitration } from '../../src/cluster/root/root-arbitration.ts';
import { type FakeArbiter, FakeCluster } from '../support/fake-cluster.ts';

let cluster: FakeCluster;
afterEach(() => cluster.close());

const start = async (zones: readonly string[], sysCount: number): Promise<FakeArbiter> => {
  cluster = await FakeCluster.start(zones, sysCount);
  await cluster.pass(2_000);
  return cluster.addArbiter('c');
};
const service = (): RootArbitration => cluster.rootService.arbitration;
const run = <Value>(work: Promise<Value>): Promise<Value> => cluster.run(work);
const stateOf = (id: number): string => cluster.rootService.facts.arbitrationOf(id as TenantId);
const arbiterOf = (id: TenantId) => cluster.streams.get(id)?.arbiter;

async function createTenant(name: string, locality: string, arbitration: boolean | null): Promise<TenantId> {
  const request = { name, incarnation: `i-${name}`, pageBytes: 4096, rootPassword: '' };
  const place = { locality, primaryZone: null, arbitration };
  await run(cluster.rootService.tenants.createTenant({ ...request, ...place }));
  return cluster.rootService.facts.tenant(name).id;
}

const alter = (name: string, place: { locality?: string; arbitration?: boolean }): Promise<void> =>
  cluster.rootService.tenants.alterTenant(
    name,
    { locality: place.locality ?? null, primaryZone: null, arbitration: place.arbitration ?? null },
    () => {},
  );

const failureOf = async (work: Promise<unknown>): Promise<ObError> => {
  try {
    await run(work);
  } catch (error) {
    if (isObError(error)) return error;
    throw error;
  }
  throw new Error('it was accepted');
};

test('it is added, and the root service uses it at once; a tenant is made with it, and given it later', async () => {
  const arbiter = await start(['z1', 'z2'], 2);
  await run(service().add(arbiter.address));
  expect(arbiter.adoptedBy).toMatch(/^1111/);
  expect(stateOf(1)).toBe('ENABLED');
  const shop = await createTenant('shop', 'F@z1, F@z2', true);
  const other = await createTenant('other', 'F@z1, F@z2', null);
  expect([stateOf(shop), arbiterOf(shop)]).toEqual(['ENABLED', arbiter.node]);
  expect([stateOf(other), arbiterOf(other)]).toEqual(['DISABLED', null]);
  await run(alter('other', { arbitration: true }));
  expect([stateOf(other), arbiterOf(other)]).toEqual(['ENABLED', arbiter.node]);
  // Again it changes nothing.
  await run(alter('other', { arbitration: true }));
  await run(alter('other', { arbitration: false }));
  expect([stateOf(other), arbiterOf(other)]).toEqual(['DISABLED', null]);
  const { tasks, service: known, tenants } = await run(service().tell(null));
  expect(known).toMatchObject({ address: arbiter.address, nodeId: arbiter.node, previousAddress: null });
  expect(tasks.map(({ tenant, type, status }) => [tenant, type, status])).toEqual([
    ['sys', 'ADD REPLICA', 'SUCCESS'],
    ['shop', 'ADD REPLICA', 'SUCCESS'],
    ['other', 'ADD REPLICA', 'SUCCESS'],
    ['other', 'REMOVE REPLICA', 'SUCCESS'],
  ]);
  expect(tenants.map(({ tenant, state }) => [tenant, state])).toEqual([
    ['sys', 'ENABLED'],
    ['shop', 'ENABLED'],
    ['other', 'DISABLED'],
  ]);
});

test('every server is told of it', async () => {
  const arbiter = await start(['z1', 'z2'], 2);
  await run(service().add(arbiter.address));
  await createTenant('shop', 'F@z1, F@z2', true);
  await cluster.pass(2_000);
  for (const { picture } of cluster.servers) {
    expect(picture?.arbitration.arbiter).toEqual({ nodeId: arbiter.node, address: arbiter.address });
    expect(picture?.tenants.find(({ name }) => name === 'shop')?.arbitration).toBe('ENABLED');
  }
});

test('what it is not for is refused, and says why', async () => {
  const arbiter = await start(['z1', 'z2', 'z3'], 3);
  expect(await failureOf(alter('sys', { arbitration: true }))).toMatchObject({
    code: 'OBS_ARBITRATION_NONE',
  });
  await run(service().add(arbiter.address));
  // Three full replicas decide by themselves.
  expect(stateOf(1)).toBe('DISABLED');
  expect(await failureOf(alter('sys', { arbitration: true }))).toMatchObject({
    code: 'OBS_ARBITRATION_REPLICA_COUNT',
    details: { count: 3 },
  });
  await expect(createTenant('shop', 'F@z1, F@z2, F@z3', true)).rejects.toMatchObject({
    code: 'OBS_ARBITRATION_REPLICA_COUNT',
  });
  expect(cluster.rootService.facts.tenants.map(({ name }) => name)).toEqual(['sys']);
  await createTenant('pair', 'F@z1, F@z2', true);
  expect(await failureOf(alter('pair', { locality: 'F@z1, F@z2, F@z3' }))).toMatchObject({
    code: 'OBS_ARBITRATION_LOCALITY',
    details: { count: 3, tenant: 'pair' },
  });
  expect(await failureOf(service().remove(arbiter.address))).toMatchObject({
    code: 'OBS_ARBITRATION_IN_USE',
    mysql: { number: 4179 },
  });
  expect(await failureOf(service().remove('10.9.9.9:1'))).toMatchObject({
    code: 'OBS_ARBITRATION_NONE',
    mysql: { number: 4747 },
  });
  const second = cluster.addArbiter('c');
  expect(await failureOf(service().add(second.address))).toMatchObject({
    code: 'OBS_ARBITRATION_EXISTS',
    mysql: { number: 4748 },
  });
  expect(second.adoptedBy).toBeNull();
});

test('an arbiter that is away, of another cluster, or no arbiter, is not taken', async () => {
  const arbiter = await start(['z1', 'z2'], 2);
  arbiter.isUp = false;
  expect(await failureOf(service().add(arbiter.address))).toMatchObject({
    code: 'OBS_ARBITRATION_UNREACHABLE',
    mysql: { number: 4758 },
  });
  arbiter.isUp = true;
  arbiter.adoptedBy = 'another cluster';
  expect(await failureOf(service().add(arbiter.address))).toMatchObject({
    code: 'OBS_ARBITER_OTHER_CLUSTER',
    mysql: { number: 4757 },
  });
  const foreign = cluster.addArbiter('other');
  expect(await failureOf(service().add(foreign.address))).toMatchObject({
    code: 'OBS_ARBITER_NO_SUCH_CLUSTER',
  });
  expect(await failureOf(service().add(cluster.at(1).address))).toMatchObject({
    code: 'OBS_ARBITRATION_NOT_ARBITER',
  });
  expect(cluster.rootService.facts.arbitration).toBeNull();
});

test('a wiped arbiter is told apart, gives no tenant a vote, and is replaced by itself', async () => {
  const arbiter = await start(['z1', 'z2'], 2);
  await run(service().add(arbiter.address));
  const shop = await createTenant('shop', 'F@z1, F@z2', true);
  await createTenant('later', 'F@z1, F@z2', null);
  arbiter.wipe();
  expect(await failureOf(alter('later', { arbitration: true }))).toMatchObject({
    code: 'OBS_ARBITRATION_WIPED',
  });
  await cluster.pass(12_000);
  expect(cluster.rootService.arbiterProblem).toMatchObject({ code: 'OBS_ARBITRATION_WIPED' });
  expect(arbiterOf(shop)).not.toBe(arbiter.node);
  expect(await run(service().replace(arbiter.address, arbiter.address))).toBeNull();
  expect(arbiterOf(shop)).toBe(arbiter.node);
  expect(stateOf(shop)).toBe('ENABLED');
  await cluster.pass(12_000);
  expect(cluster.rootService.arbiterProblem).toBeNull();
});

test('an arbiter that was told to forget the cluster that counts it is not given its vote again', async () => {
  const arbiter = await start(['z1', 'z2'], 2);
  await run(service().add(arbiter.address));
  arbiter.adoptedBy = null;
  await cluster.pass(20_000);
  expect(arbiter.adoptedBy).toBeNull();
  expect(cluster.rootService.arbiterProblem).toMatchObject({ code: 'OBS_ARBITRATION_WIPED' });
  expect(await failureOf(service().replace(arbiter.address, arbiter.address))).toMatchObject({
    code: 'OBS_ARBITRATION_WIPED',
  });
  expect(arbiter.adoptedBy).toBeNull();
  // Where nothing counts it any more it is as good as any.
  await run(service().remove(arbiter.address));
  await run(service().add(arbiter.address));
  expect([stateOf(1), arbiterOf(1 as TenantId)]).toEqual(['ENABLED', arbiter.node]);
});

test('it moves to another address wherever it is used, and the old one is let go', async () => {
  const arbiter = await start(['z1', 'z2'], 2);
  await run(service().add(arbiter.address));
  const shop = await createTenant('shop', 'F@z1, F@z2', true);
  const next = cluster.addArbiter('c');
  expect(await run(service().replace(arbiter.address, next.address))).toBeNull();
  expect([arbiterOf(shop), cluster.streams.get(1 as TenantId)?.arbiter]).toEqual([next.node, next.node]);
  expect([arbiter.adoptedBy, next.adoptedBy]).toEqual([null, expect.stringMatching(/^1111/)]);
  expect(cluster.rootService.facts.arbitration).toMatchObject({
    address: next.address,
    previousAddress: arbiter.address,
  });
  await run(alter('shop', { arbitration: false }));
  next.isUp = false;
  // It is gone for the cluster; what it keeps itself is said.
  expect(await run(service().remove(next.address))).toMatch(/could not be told/);
  expect(cluster.rootService.facts.arbitration).toBeNull();
  expect(cluster.streams.get(1 as TenantId)?.arbiter).toBeNull();
});

test('what was begun is ended by whoever leads the root service next', async () => {
  const arbiter = await start(['z1', 'z2', 'z3'], 3);
  await run(service().add(arbiter.address));
  const shop = await createTenant('shop', 'F@z1, F@z2', null);
  const other = await createTenant('other', 'F@z1, F@z2', true);
  const now = wallMicros(1);
  await cluster.arbitration.setState(shop, ['DISABLED'], 'ENABLING', arbiter.address, now);
  await cluster.arbitration.setState(other, ['ENABLED'], 'DISABLING', arbiter.address, now);
  await cluster.lead(cluster.at(1));
  await cluster.pass(6_000);
  expect([stateOf(shop), arbiterOf(shop)]).toEqual(['ENABLED', arbiter.node]);
  expect([stateOf(other), arbiterOf(other)]).toEqual(['DISABLED', null]);
});

test('a stream without its arbiter gets it again, and one that should have none loses it', async () => {
  const arbiter = await start(['z1', 'z2'], 2);
  await run(service().add(arbiter.address));
  const shop = await createTenant('shop', 'F@z1, F@z2', true);
  const stream = cluster.streams.get(shop);
  stream?.change({ kind: 'remove-arbiter', node: arbiter.node });
  await cluster.pass(4_000);
  expect(arbiterOf(shop)).toBe(arbiter.node);
  await run(alter('shop', { arbitration: false }));
  stream?.change({ kind: 'set-arbiter', node: arbiter.node });
  await cluster.pass(4_000);
  expect(arbiterOf(shop)).toBeNull();
});

test('a replica moves from one server to another: the arbiter goes before and comes behind', async () => {
  const arbiter = await start(['z1', 'z2', 'z3'], 3);
  await run(service().add(arbiter.address));
  const shop = await createTenant('shop', 'F@z1, F@z2', true);
  await run(alter('shop', { locality: 'F@z1, F@z3' }));
  await cluster.pass(4_000);
  expect(cluster.placed(shop)).toBe('node-1:F node-3:F');
  expect([stateOf(shop), arbiterOf(shop)]).toEqual(['ENABLED', arbiter.node]);
});

test('a change of locality that takes long brings the arbiter behind it, and may be asked for again or undone', async () => {
  const arbiter = await start(['z1', 'z2', 'z3', 'z4'], 3);
  await run(service().add(arbiter.address));
  const shop = await createTenant('shop', 'F@z1, F@z2, F@z3', null);
  const pair = await createTenant('pair', 'F@z1, F@z2, F@z3', null);
  cluster.at(3).isUp = false;
  await cluster.pass(4_000);
  const whole = { locality: 'F@z1, F@z2, F@z3, F@z4', arbitration: true };
  const long = Promise.all(['shop', 'pair'].map(name => failureOf(alter(name, whole))));
  expect((await run(long)).map(({ code }) => code)).toEqual(['OBS_LOCALITY_PENDING', 'OBS_LOCALITY_PENDING']);
  expect([stateOf(shop), stateOf(pair)]).toEqual(['ENABLING', 'ENABLING']);
  const again = alter('shop', whole);
  await run(alter('pair', { locality: 'F@z1, F@z2, F@z3' }));
  await cluster.pass(2_000);
  expect([stateOf(pair), arbiterOf(pair), cluster.placed(pair)]).toEqual([
    'DISABLED',
    null,
    'node-1:F node-2:F node-3:F',
  ]);
  cluster.at(3).isUp = true;
  await run(again);
  expect([stateOf(shop), arbiterOf(shop)]).toEqual(['ENABLED', arbiter.node]);
});

test('while a replica is degraded nothing is decided that needs it back', () => {
  const [arbiter, next] = [nodeId('z-1'), nodeId('z-2')];
  const two = { members: [nodeId('n1'), nodeId('n2')], degraded: [] };
  const degraded = { members: [nodeId('n1')], degraded: [nodeId('n2')] };
  expect(decideArbitration(arbiter, { arbiter: null, ...two })).toEqual({
    kind: 'set-arbiter',
    node: arbiter,
  });
  expect(decideArbitration(arbiter, { arbiter, ...two })).toEqual({ kind: 'done' });
  expect(decideArbitration(next, { arbiter, ...two })).toEqual({ kind: 'remove-arbiter', node: arbiter });
  expect(decideArbitration(null, { arbiter, ...two })).toEqual({ kind: 'remove-arbiter', node: arbiter });
  expect(decideArbitration(null, { arbiter, ...degraded })).toMatchObject({ kind: 'wait' });
  expect(decideArbitration(next, { arbiter, ...degraded })).toMatchObject({ kind: 'wait' });
  const three = { members: ['n1', 'n2', 'n3'].map(nodeId), degraded: [], arbiter: null };
  expect(decideArbitration(arbiter, three)).toMatchObject({ kind: 'wait' });
});

test('parameters are checked, kept, and told to every server', async () => {
  await start(['z1', 'z2'], 2);
  const shop = await createTenant('shop', 'F@z1, F@z2', null);
  expect(() => checkedParameter('arbitration_timeout', '2s')).toThrow(/3s/);
  expect(() => checkedParameter('arbitration_timeout', 'soon')).toThrow(/no value/);
  expect(() => checkedParameter('arbitration_degradation_policy', 'NONE')).toThrow(/LS_POLICY/);
  await run(service().setParameter('arbitration_timeout', '30d', 'shop'));
  await run(service().setParameter('arbitration_degradation_policy', 'cluster_policy', null));
  expect(await failureOf(service().setParameter('arbitration_timeout', '5s', 'nobody'))).toMatchObject({
    code: 'OBS_SERVER_NO_SUCH_TENANT',
  });
  await cluster.pass(2_000);
  expect(cluster.at(1).picture?.arbitration).toMatchObject({
    policy: 'CLUSTER_POLICY',
    timeouts: [{ tenantId: shop, timeoutMs: 2_592_000_000 }],
  });
});

test('what servers report is kept once, in order, and no more than there is room for', async () => {
  await start(['z1', 'z2'], 2);
  const event = (number: number) => ({
    boot: 'b',
    number,
    time: number,
    tenantId: 1002 as TenantId,
    module: 'ARBITRATION',
    event: number % 2 === 0 ? 'UPGRADE' : 'DEGRADE',
    detail: { replica: 'node-2' },
  });
  cluster.at(0).events.push(event(1), event(2));
  await cluster.pass(1_100);
  cluster.at(0).events.push(event(2), event(3));
  await cluster.pass(1_100);
  const events = await run(service().serverEvents(0));
  expect(events.map(({ time, event: what, address }) => [time, what, address])).toEqual([
    [1, 'DEGRADE', cluster.at(0).address],
    [2, 'UPGRADE', cluster.at(0).address],
    [3, 'DEGRADE', cluster.at(0).address],
  ]);
  const [first] = events;
  expect(await run(service().serverEvents(first?.id ?? 0))).toEqual(events.slice(1));
});
