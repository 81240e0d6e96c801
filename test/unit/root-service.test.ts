/** The root service over servers that come, go, stop, lose their data, and over its own changes of leadership. */
import { afterEach, expect, test } from 'vitest';
import { isObError, ObError } from '../../src/base/errors.ts';
import { nodeId, type TenantId, wallMicros } from '../../src/base/scalars.ts';
import type { StoredTenant } from '../../src/cluster/sys-store.ts';
import type { StepReport } from '../../src/role/steps.ts';
import { FakeCluster } from '../support/fake-cluster.ts';

let cluster: FakeCluster;
afterEach(() => cluster.close());

const start = async (zones: readonly string[], sysCount?: number): Promise<FakeCluster> => {
  cluster = await FakeCluster.start(zones, sysCount);
  return cluster;
};

async function createTenant(
  name: string,
  locality: string | null = null,
  primaryZone: string | null = null,
  arbitration: boolean | null = null,
): Promise<TenantId> {
  const { tenants } = cluster.rootService;
  const request = {
    name,
    incarnation: `i-${name}`,
    pageBytes: 4096,
    rootPassword: '',
    locality,
    primaryZone,
    arbitration,
  };
  await cluster.run(tenants.createTenant(request));
  return cluster.rootService.facts.tenant(name).id;
}

const alter = (
  name: string,
  locality: string | null,
  primaryZone: string | null = null,
  arbitration: boolean | null = null,
): Promise<void> =>
  cluster.rootService.tenants.alterTenant(name, { locality, primaryZone, arbitration }, () => {});

const failureOf = async (work: Promise<unknown>): Promise<ObError> => {
  try {
    await cluster.run(work);
  } catch (error) {
    if (isObError(error)) return error;
    throw error;
  }
  throw new Error('it was accepted');
};
const silent = (): void => {};
const createTime = wallMicros(1_767_225_600_000_000);

test('a tenant gets a full replica in each of three zones, and a leader where it is wanted', async () => {
  await start(['z1', 'z2', 'z3', 'z4']);
  const id = await createTenant('shop', null, 'z3;z1,z2');
  expect(cluster.placed(id)).toBe('node-1:F node-2:F node-3:F');
  expect(cluster.streams.get(id)?.leader).toBe('node-3');
  const other = await createTenant('other', 'F@z4, R@z1');
  expect(cluster.placed(other)).toBe('node-1:R node-4:F');
  const { picture } = cluster.rootService.facts;
  expect(picture.tenants.map(({ name, locality, primaryZone }) => [name, locality, primaryZone])).toEqual([
    ['sys', 'FULL{1}@z1, FULL{1}@z2, FULL{1}@z3', 'RANDOM'],
    ['shop', 'FULL{1}@z1, FULL{1}@z2, FULL{1}@z3', 'z3;z1,z2'],
    ['other', 'READONLY{1}@z1, FULL{1}@z4', 'RANDOM'],
  ]);
});

test('a tenant is made while a server is down, and gets that replica when it is back', async () => {
  await start(['z1', 'z2', 'z3']);
  cluster.at(2).isUp = false;
  await cluster.pass(4_000);
  const id = await createTenant('shop');
  expect(cluster.placed(id)).toBe('node-1:F node-2:F');
  expect(cluster.rootService.facts.stream(id)).toMatchObject({
    locality: 'FULL{1}@z1, FULL{1}@z2, FULL{1}@z3',
    previousLocality: 'FULL{1}@z1, FULL{1}@z2',
  });
  cluster.at(2).isUp = true;
  await cluster.pass(4_000);
  expect(cluster.placed(id)).toBe('node-1:F node-2:F node-3:F');
  expect(cluster.rootService.facts.stream(id)).toMatchObject({ previousLocality: null });
  // Without a majority of its full replicas it is not made.
  cluster.at(2).isUp = false;
  await cluster.pass(4_000);
  expect(await failureOf(createTenant('other', 'F@z1, F@z3'))).toMatchObject({
    code: 'OBS_LOCALITY_TOO_FEW_SERVERS',
  });
});

test('what a locality cannot be is said before anything is made', async () => {
  await start(['z1', 'z2', 'z3']);
  const cases: [locality: string, code: string][] = [
    ['F@z1, F@z9', 'OBS_LOCALITY_ZONE'],
    ['L@z1', 'OBS_LOCALITY_REPLICA_TYPE'],
    ['F{2}@z1', 'OBS_LOCALITY_TOO_FEW_SERVERS'],
    ['R@z1', 'OBS_LOCALITY_NO_FULL'],
    ['F', 'OBS_LOCALITY_SYNTAX'],
  ];
  await createTenant('shop');
  for (const [locality, code] of cases) {
    expect(await failureOf(alter('shop', locality))).toMatchObject({ code });
    expect(await failureOf(createTenant('more', locality))).toMatchObject({ code });
  }
  expect(await failureOf(alter('shop', null, 'z7'))).toMatchObject({ code: 'OBS_PRIMARY_ZONE_INVALID' });
  expect(await failureOf(alter('nobody', 'F@z1'))).toMatchObject({ code: 'OBS_SERVER_NO_SUCH_TENANT' });
  expect((await cluster.sys.tenants()).map(({ name }) => name)).toEqual(['shop']);
  expect(await cluster.store.jobs()).toEqual([]);
});

test('replicas move to another locality and back, and the task is in the rows', async () => {
  await start(['z1', 'z2', 'z3', 'z4']);
  const id = await createTenant('shop');
  await cluster.run(alter('shop', 'F@z2, F@z3, F@z4, R@z1'));
  expect(cluster.placed(id)).toBe('node-1:R node-2:F node-3:F node-4:F');
  await cluster.run(alter('shop', 'F@z4'));
  expect(cluster.placed(id)).toBe('node-4:F');
  expect(cluster.servers.map(server => server.find(id) !== undefined)).toEqual([false, false, false, true]);
  expect((await cluster.store.jobs()).map(({ kind, status }) => `${kind} ${status}`)).toEqual([
    'ALTER_TENANT_LOCALITY SUCCESS',
    'ALTER_TENANT_LOCALITY SUCCESS',
  ]);
});

test('a task outlives the leader of the root service, and giving the old locality undoes it', async () => {
  await start(['z1', 'z2', 'z3', 'z4']);
  const id = await createTenant('shop', 'F@z1');
  cluster.at(3).isUp = false;
  await cluster.pass(4_000);
  const stuck = alter('shop', 'F@z1, F@z4').catch((error: unknown) => error);
  await cluster.pass(2_000);
  expect(await cluster.store.jobs()).toMatchObject([{ status: 'INPROGRESS' }]);
  expect((await cluster.store.jobs())[0]?.detail).toContain('zone z4 is to hold 1 replica(s)');
  await cluster.lead(cluster.at(1));
  expect(await cluster.run(stuck)).toMatchObject({ code: 'OBS_CLUSTER_OUTCOME_UNKNOWN', kind: 'unknown' });
  await cluster.pass(4_000);
  expect(await failureOf(alter('shop', 'F@z2'))).toMatchObject({ code: 'OBS_LOCALITY_BUSY' });
  await cluster.run(alter('shop', 'F@z1'));
  expect(cluster.placed(id)).toBe('node-1:F');
  // And the way there again, once the server is back, under the third leader.
  await cluster.lead(cluster.at(2));
  cluster.at(3).isUp = true;
  await cluster.pass(2_000);
  await cluster.run(alter('shop', 'F@z1, F@z4'));
  expect(cluster.placed(id)).toBe('node-1:F node-4:F');
});

test('a new leader of the root service hears its servers before it takes what is on them for gone', async () => {
  await start(['z1', 'z2', 'z3', 'z4']);
  const id = await createTenant('shop', 'F@z1, F@z2, F@z4');
  const last = cluster.at(3);
  const drop = last.handlers.get('replica.drop');
  if (drop === undefined) throw new Error('no handler');
  last.handlers.set('replica.drop', () => new Promise(() => {}));
  void alter('shop', 'F@z1, F@z2, F@z3').catch(() => {});
  await cluster.pass(3_000);
  expect(cluster.placed(id)).toBe('node-1:F node-2:F node-3:F');
  expect(last.find(id)).toBeDefined();
  last.handlers.set('replica.drop', drop);
  // It leads right after a beat: the next one comes when its first look is over.
  await cluster.lead(cluster.at(1));
  await cluster.run(alter('shop', 'F@z1, F@z2, F@z3'));
  expect(last.find(id)).toBeUndefined();
});

test('a server that was not heard yet is not stopped as if it were dead', async () => {
  await start(['z1', 'z2', 'z3']);
  const id = await createTenant('shop', null, 'z1');
  await cluster.lead(cluster.at(1));
  expect(cluster.streams.get(id)?.leader).toBe('node-1');
  await cluster.run(cluster.rootService.servers.stopServer(cluster.at(0).address));
  expect(cluster.streams.get(id)?.leader).not.toBe('node-1');
  await cluster.lead(cluster.at(2));
  await cluster.run(cluster.rootService.servers.startServer(cluster.at(0).address));
  await cluster.run(cluster.rootService.servers.transferLeader('shop', cluster.at(0).address));
  expect(cluster.streams.get(id)?.leader).toBe('node-1');
});

test('a task that ends while the leadership is being lost ends nothing else', async () => {
  await start(['z1', 'z2']);
  const id = await createTenant('shop', 'F@z1');
  const { facts } = cluster.rootService;
  const refresh = facts.refresh.bind(facts);
  let lost = 0;
  facts.refresh = () => {
    if (facts.jobs.length === 0 || cluster.placed(id) !== 'node-1:F node-2:F') return refresh();
    lost += 1;
    return Promise.reject(new ObError('OBS_TENANT_NOT_LEADER', { tenant: 'sys', leader: 'x', node: 'x' }));
  };
  void alter('shop', 'F@z1, F@z2').catch(() => undefined);
  await cluster.pass(6_000);
  expect(lost).toBeGreaterThan(0);
  expect(cluster.failures).toEqual([]);
});

test('a tenant is dropped everywhere, also where its server was away meanwhile', async () => {
  await start(['z1', 'z2', 'z3']);
  const id = await createTenant('shop');
  cluster.at(2).isUp = false;
  await cluster.pass(4_000);
  const { tenants, facts } = cluster.rootService;
  await cluster.run(tenants.dropTenant(facts.tenant('shop')));
  expect(cluster.servers.map(server => server.find(id) !== undefined)).toEqual([false, false, true]);
  cluster.at(2).isUp = true;
  await cluster.pass(4_000);
  expect(cluster.at(2).find(id)).toBeUndefined();
  expect(await failureOf(tenants.dropTenant(facts.tenant('sys')))).toMatchObject({
    code: 'OBS_SERVER_TENANT_NAME',
  });
});

test('a tenant that was half made when the root service changed hands is removed', async () => {
  await start(['z1', 'z2', 'z3']);
  for (const server of cluster.servers) server.handlers.set('tenant.finish', () => new Promise(() => {}));
  const request = {
    name: 'shop',
    incarnation: 'i',
    pageBytes: 4096,
    rootPassword: '',
    locality: null,
    primaryZone: null,
    arbitration: null,
  };
  void cluster.rootService.tenants.createTenant(request).catch(() => {});
  await cluster.pass(3_000);
  expect((await cluster.sys.tenants()).map(({ status }) => status)).toEqual(['CREATING']);
  const [{ id } = { id: 0 as TenantId }] = await cluster.sys.tenants();
  await cluster.lead(cluster.at(1));
  await cluster.pass(4_000);
  expect(await cluster.sys.tenants()).toEqual([]);
  expect(cluster.servers.some(server => server.find(id) !== undefined)).toBe(false);
});

test('no tenant is made that would make what all servers are told too long', async () => {
  await start(['z1']);
  const id = await createTenant('shop');
  const name = (number: number) => `t${number}`.padEnd(64, 'x');
  for (let number = 0; number < 3_000; number++)
    await cluster.sys.addTenant({
      name: name(number),
      incarnation: name(number),
      createTime,
      pageBytes: 4096,
    });
  await cluster.rootService.facts.refresh();
  expect(await failureOf(createTenant('late'))).toMatchObject({
    code: 'OBS_CLUSTER_TENANTS_MAX',
    details: { count: 3_002 },
  });
  const names = (await cluster.sys.tenants()).map(tenant => tenant.name);
  expect(names).not.toContain('late');
  expect(cluster.placed(id)).toBe('node-1:F');
});

test('a tenant comes to its locality, with its arbiter, when the root service changes hands once it exists', async () => {
  await start(['z1', 'z2', 'z3', 'z4']);
  const arbiter = cluster.addArbiter('c');
  await cluster.pass(1_000);
  await cluster.run(cluster.rootService.arbitration.add(arbiter.address));
  cluster.at(3).isUp = false;
  await cluster.pass(4_000);
  const { sys } = cluster;
  const update = sys.updateTenant.bind(sys);
  sys.updateTenant = async (id, changes) => {
    await update(id, changes);
    // The server that leads dies when this is committed.
    if (changes.status === 'NORMAL') await new Promise(() => {});
  };
  const whole = 'F@z1, F@z2, F@z3, F@z4';
  void createTenant('shop', whole, null, true).catch(() => {});
  await cluster.pass(2_000);
  sys.updateTenant = update;
  cluster.at(3).isUp = true;
  await cluster.lead(cluster.at(1));
  await cluster.pass(8_000);
  const { id } = cluster.rootService.facts.tenant('shop');
  expect(cluster.placed(id)).toBe('node-1:F node-2:F node-3:F node-4:F');
  expect(cluster.rootService.facts.arbitrationOf(id)).toBe('ENABLED');
});

test('a copied tenant comes to its locality when the root service changes hands once it exists', async () => {
  await start(['z1', 'z2', 'z3']);
  for (const server of cluster.servers)
    server.handlers.set('tenant.copy', async body => {
      const { record, replicaId } = body as { record: StoredTenant; replicaId: number };
      const birth = { members: [server.node], learners: [] };
      await server.create({ tenant: record, replicaId, blockBytes: 65_536, priority: 0, birth });
      return { incarnation: 'copied', pageBytes: 4096 };
    });
  const { sys } = cluster;
  const update = sys.updateTenant.bind(sys);
  sys.updateTenant = async (id, changes) => {
    await update(id, changes);
    if (changes.status === 'NORMAL') await new Promise(() => {});
  };
  const place = { locality: null, primaryZone: null, arbitration: null };
  const request = { kind: 'restore', from: 'file:///archive', untilScn: null } as const;
  const { tenants } = cluster.rootService;
  void tenants.copyTenant('shop', 'i', 4096, place, request, silent).catch(() => {});
  await cluster.pass(2_000);
  sys.updateTenant = update;
  await cluster.lead(cluster.at(1));
  await cluster.pass(8_000);
  expect(cluster.placed(cluster.rootService.facts.tenant('shop').id)).toBe('node-1:F node-2:F node-3:F');
});

test('what a leader said before it died is not believed', async () => {
  await start(['z1', 'z2', 'z3', 'z4', 'z5']);
  const id = await createTenant('shop', 'F@z1, F@z2, F@z3, F@z4, F@z5', 'z1');
  await cluster.lead(cluster.at(1));
  await cluster.pass(1_000);
  expect(cluster.streams.get(id)?.leader).toBe('node-1');
  cluster.at(0).isUp = false;
  cluster.at(4).isUp = false;
  await cluster.pass(4_000);
  await cluster.run(alter('shop', 'F@z1, F@z2, F@z3'));
  cluster.at(4).isUp = true;
  await cluster.pass(4_000);
  expect(cluster.placed(id)).toBe('node-1:F node-2:F node-3:F');
  expect(cluster.at(4).find(id)).toBeUndefined();
  // Nor that its stream has no arbiter.
  cluster.streams.get(id)?.change({ kind: 'set-arbiter', node: nodeId('z') });
  await cluster.pass(4_000);
  expect(cluster.streams.get(id)?.arbiter).toBe(null);
});

test('a server is added, gets replicas, and is removed when they have moved away', async () => {
  await start(['z1', 'z2', 'z3']);
  const id = await createTenant('shop');
  const fresh = cluster.add('z3', false);
  const { joins, servers } = cluster.rootService;
  expect(await failureOf(joins.addServer(fresh.address, 'z1', silent))).toMatchObject({
    code: 'OBS_CLUSTER_ZONE_MISMATCH',
  });
  expect(await failureOf(servers.removeServer(cluster.at(2).address, silent))).toMatchObject({
    code: 'OBS_CLUSTER_SERVER_NEEDED',
    message: expect.stringContaining('zone z3 is to hold 1 replica(s) and has 0') as string,
  });
  await cluster.run(joins.addServer(fresh.address, 'z3', silent));
  expect(await failureOf(joins.addServer(fresh.address, null, silent))).toMatchObject({
    code: 'OBS_CLUSTER_SERVER_EXISTS',
  });
  expect(await failureOf(joins.addServer('10.0.0.99:1', null, silent))).toMatchObject({
    code: 'OBS_CLUSTER_SERVER_UNREACHABLE',
  });
  const told: StepReport[] = [];
  await cluster.run(servers.removeServer(cluster.at(2).address, report => told.push(report)));
  expect(cluster.placed(id)).toBe('node-1:F node-2:F node-4:F');
  expect(cluster.rootService.facts.servers.map(({ nodeId }) => nodeId)).toEqual([
    'node-1',
    'node-2',
    'node-4',
  ]);
  expect(told.map(({ detail }) => detail)).toContain('still there: sys, shop');
  await cluster.pass(2_000);
  expect(cluster.at(2).isMember).toBe(false);
});

test('a server that was added and does not report is not told to be part of the cluster', async () => {
  await start(['z1', 'z2', 'z3']);
  const fresh = cluster.add('z3', false);
  // It takes the order, and is cut off from the leader of the root service.
  const admit = fresh.handlers.get('join.admit');
  if (admit === undefined) throw new Error('no handler');
  fresh.handlers.set('join.admit', () => Promise.resolve());
  const { joins, facts } = cluster.rootService;
  expect(await failureOf(joins.addServer(fresh.address, 'z3', silent))).toMatchObject({
    code: 'OBS_CLUSTER_SERVER_UNHEARD',
    kind: 'unavailable',
  });
  // It takes part when it reports.
  fresh.handlers.set('join.admit', admit);
  await cluster.pass(6_000);
  expect(facts.serverAt(fresh.address).status).toBe('ACTIVE');
});

test('a stopped server leads nothing, and is not stopped while a tenant needs it', async () => {
  await start(['z1', 'z2', 'z3']);
  const id = await createTenant('shop', null, 'z1');
  const lone = await createTenant('lone', 'F@z2');
  const { servers } = cluster.rootService;
  const [one, two] = [cluster.at(0).address, cluster.at(1).address];
  expect(await failureOf(servers.stopServer(two))).toMatchObject({
    code: 'OBS_CLUSTER_SERVER_NEEDED',
    message: expect.stringContaining("tenant 'lone' would have 0 of 1 full replicas left") as string,
  });
  expect(cluster.streams.get(id)?.leader).toBe('node-1');
  await cluster.run(servers.stopServer(one));
  expect(cluster.streams.get(id)?.leader).not.toBe('node-1');
  expect(await failureOf(servers.stopServer(two))).toMatchObject({ code: 'OBS_CLUSTER_STOPS_ELSEWHERE' });
  expect(await failureOf(servers.transferLeader('shop', one))).toMatchObject({
    code: 'OBS_LOCALITY_NO_REPLICA',
    message: expect.stringContaining('it is stopped') as string,
  });
  await cluster.run(servers.startServer(one));
  await cluster.run(servers.transferLeader('shop', one));
  expect(cluster.streams.get(id)?.leader).toBe('node-1');
  expect(await failureOf(servers.transferLeader('lone', one))).toMatchObject({
    code: 'OBS_LOCALITY_NO_REPLICA',
  });
  expect(await failureOf(servers.stopServer('10.9.9.9:1'))).toMatchObject({
    code: 'OBS_CLUSTER_NO_SUCH_SERVER',
  });
  expect(cluster.placed(lone)).toBe('node-2:F');
});

test('a leadership is handed over again when it did not get there', async () => {
  await start(['z1', 'z2', 'z3']);
  const id = await createTenant('shop');
  const stream = cluster.streams.get(id);
  if (stream === undefined) throw new Error('no stream');
  expect(stream.leader).toBe('node-1');
  const { servers } = cluster.rootService;
  stream.handOversLost = 2;
  await cluster.run(servers.transferLeader('shop', cluster.at(2).address));
  expect(stream.leader).toBe('node-3');
  // Who leads may have to wait for the other first.
  const handOver = cluster.at(2).handlers.get('stream.transfer');
  if (handOver === undefined) throw new Error('no handler');
  let refusals = 0;
  cluster.at(2).handlers.set('stream.transfer', (...order) => {
    refusals += 1;
    if (refusals > 3) return handOver(...order);
    const details = { stream: 1001, node: 'node-2', end: 1, needed: 2 };
    return Promise.reject(new ObError('OBS_LOG_NOT_CAUGHT_UP', details));
  });
  await cluster.run(servers.transferLeader('shop', cluster.at(1).address));
  expect(stream.leader).toBe('node-2');
  expect(refusals).toBe(4);
});

test('a leadership that does not get there in time may be asked for again, and who leads is said', async () => {
  await start(['z1', 'z2', 'z3']);
  const id = await createTenant('shop');
  const stream = cluster.streams.get(id);
  if (stream === undefined) throw new Error('no stream');
  stream.handOversLost = Infinity;
  const { servers } = cluster.rootService;
  expect(await failureOf(servers.transferLeader('shop', cluster.at(2).address))).toMatchObject({
    code: 'OBS_LOCALITY_LEADER_NOT_MOVED',
    kind: 'unavailable',
    message: expect.stringContaining(`${cluster.at(0).address} leads it now`) as string,
    hint: expect.stringContaining('Try again') as string,
  });
  // What does not pass is said at once.
  const before = cluster.clock.now();
  cluster
    .at(0)
    .handlers.set('stream.transfer', () =>
      Promise.reject(new ObError('OBS_LOG_CONFIG_REFUSED', { stream: 1001, why: 'it has no F replica' })),
    );
  expect(await failureOf(servers.transferLeader('shop', cluster.at(2).address))).toMatchObject({
    code: 'OBS_LOG_CONFIG_REFUSED',
  });
  expect(cluster.clock.now() - before).toBeLessThan(1_000);
});

test('a server that comes back without its data takes the place of the one before', async () => {
  await start(['z1', 'z2', 'z3']);
  const id = await createTenant('shop');
  cluster.at(2).wipe();
  await cluster.pass(15_000);
  expect(cluster.placed(id)).toBe('node-1:F node-2:F node-3-again:F');
  const { facts } = cluster.rootService;
  expect(cluster.placed(facts.tenant('sys').id)).toBe('node-1:F node-2:F node-3-again:F');
  expect(facts.servers.map(({ nodeId, status }) => `${nodeId} ${status}`)).toEqual([
    'node-1 ACTIVE',
    'node-2 ACTIVE',
    'node-3-again ACTIVE',
  ]);
  expect(facts.jobs.map(({ kind, status }) => `${kind} ${status}`)).toEqual([
    'MOVE_REPLICAS SUCCESS',
    'MOVE_REPLICAS SUCCESS',
  ]);
});

test('a server that cannot come back as it is keeps no other one waiting', async () => {
  await start(['z1', 'z2', 'z3', 'z4', 'z5']);
  const used = cluster.at(3);
  used.wipe();
  const describe = used.describe.bind(used);
  used.describe = () => ({ ...describe(), contents: 'tenants of somebody else' });
  cluster.at(4).wipe();
  await cluster.pass(15_000);
  expect(cluster.rootService.facts.servers.map(({ nodeId, status }) => `${nodeId} ${status}`)).toEqual([
    'node-1 ACTIVE',
    'node-2 ACTIVE',
    'node-3 ACTIVE',
    'node-4 INACTIVE',
    'node-5-again ACTIVE',
  ]);
});

test('a server that is only down keeps its place and is shown as inactive', async () => {
  await start(['z1', 'z2', 'z3']);
  const id = await createTenant('shop');
  cluster.at(1).isUp = false;
  await cluster.pass(6_000);
  const status = (): (string | undefined)[] => cluster.rootService.facts.servers.map(entry => entry.status);
  expect(status()).toEqual(['ACTIVE', 'INACTIVE', 'ACTIVE']);
  expect(cluster.placed(id)).toBe('node-1:F node-2:F node-3:F');
  cluster.at(1).isUp = true;
  await cluster.pass(2_000);
  expect(status()).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE']);
  expect(cluster.rootService.facts.jobs).toEqual([]);
});

test('replicas from before they had numbers get those of their rows', async () => {
  await start(['z1', 'z2', 'z3']);
  await cluster.pass(3_000);
  const { facts } = cluster.rootService;
  const sys = facts.tenant('sys').id;
  const numbers = facts.replicasOf(sys).map(({ replicaId }) => replicaId);
  expect(cluster.servers.map(server => server.find(sys)?.replicaId)).toEqual(numbers);
});

test('the picture says how servers are configured that were heard', async () => {
  await start(['z1', 'z2', 'z3']);
  cluster.at(2).isUp = false;
  await cluster.pass(2_000);
  cluster.at(1).leaseMs = 1_800;
  await cluster.pass(2_000);
  const { servers } = cluster.rootService.facts.picture;
  expect(servers.map(({ leaseMs }) => leaseMs).slice(0, 2)).toEqual([1_200, 1_800]);
});
