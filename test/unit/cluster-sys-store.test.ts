/** The sys store of a node where the sys tenant does not lead: calls that get lost, doubled, or find no leader. */
import { afterEach, expect, test } from 'vitest';
import { ClusterSysStore } from '../../src/cluster/cluster-sys-store.ts';
import { LocalSysStore } from '../../src/cluster/local-sys-store.ts';
import { SecretBox } from '../../src/cluster/secret-box.ts';
import { serveSysCall } from '../../src/cluster/sys-calls.ts';
import type { SysStore } from '../../src/cluster/sys-store.ts';
import { ObError } from '../../src/base/errors.ts';
import { lsn, roleEpoch, scn, type TenantId, wallMicros } from '../../src/base/scalars.ts';
import { nodeClock } from '../../src/platform/clock.ts';
import { nodeRandom } from '../../src/platform/random.ts';
import { newPrimaryRow, type RoleRow } from '../../src/role/row.ts';
import { DirectEngine } from '../support/direct-engine.ts';

const key = new Uint8Array(32).fill(7);
const opened: DirectEngine[] = [];

afterEach(async () => {
  for (const engine of opened.splice(0)) await engine.close();
});

/** What happens to one call on its way. */
type Fate = 'arrives' | 'answer lost' | 'no leader';

interface Rig {
  readonly store: ClusterSysStore;
  readonly tables: LocalSysStore;
  readonly bodies: string[];
  /** fates of the next calls; then all arrive */
  readonly fates: Fate[];
  local: SysStore | null;
}

async function startRig(remoteKey = key): Promise<Rig> {
  const engine = new DirectEngine();
  opened.push(engine);
  const box = new SecretBox(key, nodeRandom);
  const tables = await LocalSysStore.open(engine.engine, box);
  const rig: Rig = {
    tables,
    bodies: [],
    fates: [],
    local: null,
    store: new ClusterSysStore({
      local: () => rig.local,
      remote: async body => {
        rig.bodies.push(JSON.stringify(body));
        const fate = rig.fates.shift() ?? 'arrives';
        if (fate === 'no leader') throw new ObError('OBS_PEER_NOT_LEADER', {});
        const answer = await serveSysCall(tables, new SecretBox(remoteKey, nodeRandom), body);
        if (fate === 'answer lost') throw new ObError('OBS_NODE_LOST', { node: 'b', op: 'sys-store' });
        return JSON.parse(JSON.stringify(answer)) as unknown;
      },
      box,
      clock: nodeClock,
    }),
  };
  return rig;
}

async function withTenant(store: SysStore): Promise<{ id: TenantId; row: RoleRow }> {
  const createTime = wallMicros(5);
  const { id } = await store.addTenant({ name: 'shop', incarnation: 'i-1', createTime, pageBytes: 4096 });
  const row = newPrimaryRow({ tenant: 'shop', incarnation: 'i-1', site: 'A' }, createTime);
  await store.insertRole(id, row);
  return { id, row };
}

const route = {
  addresses: [{ host: '127.0.0.1', port: 1 }],
  tenant: 'shop',
  credential: {
    kind: 'keys' as const,
    user: 'root',
    salt: new Uint8Array([1, 2]),
    iterations: 4096,
    clientKey: new Uint8Array([3, 255]),
    serverKey: new Uint8Array(),
  },
};

test('what is stored through another node is what its tables have, and comes back the same', async () => {
  const { store, tables } = await startRig();
  const { id, row } = await withTenant(store);
  await store.setRestoreSource(id, { service: route, location: null, delayMs: 7 });
  await store.setSourceEnd(id, { lsn: lsn(1), scn: scn(2), wall: wallMicros(3), epoch: roleEpoch(1) });
  await store.rememberFollower(id, { site: 'B', address: '127.0.0.1:1', route });
  const event = { time: wallMicros(9), module: 'role', event: 'opened', detail: { epoch: 1, why: null } };
  await store.addEvent(id, event);
  expect(await store.tenants()).toEqual(await tables.tenants());
  expect(await store.role(id)).toEqual(row);
  expect(await store.unitState(id)).toEqual(await tables.unitState(id));
  expect((await store.unitState(id)).restoreSource?.service).toEqual(route);
  expect(await store.followers(id)).toEqual([{ site: 'B', address: '127.0.0.1:1', route }]);
  expect(await store.events(id)).toEqual([event]);
  expect(await store.forgetFollower(id, 'B')).toBe(true);
  await store.removeTenant(id);
  expect(await tables.tenants()).toEqual([]);
});

test('credentials cross sealed, and a node with another key learns and changes nothing', async () => {
  const rig = await startRig();
  const { id } = await withTenant(rig.store);
  await rig.store.setArchiveDest(id, {
    location: 's3://bucket?secret=hush',
    binding: 'Optional',
    pieceSwitchIntervalMs: 1,
    lagTargetMs: null,
    enabled: true,
    deferred: false,
  });
  expect(rig.bodies.join()).not.toMatch(/hush|setArchiveDest/);
  const stranger = await startRig(new Uint8Array(32).fill(8));
  await expect(stranger.store.tenants()).rejects.toMatchObject({ code: 'OBS_SERVER_SECRET_KEY' });
});

test('a compare-and-set whose answer was lost is known to be done, with its step announced once', async () => {
  const rig = await startRig();
  const { id, row } = await withTenant(rig.store);
  const begun: string[] = [];
  const roles = rig.store.roleStore(id, step => begun.push(step));
  const next: RoleRow = { ...row, revision: 2, step: 'B2' };
  rig.fates.push('answer lost');
  expect(await roles.compareAndSet(row, next, [])).toEqual({ stored: true, row: next });
  expect(await rig.tables.role(id)).toEqual(next);
  expect(begun).toEqual(['B2']);
});

test('a compare-and-set that lost to another one is told so, whatever was lost on the way', async () => {
  const rig = await startRig();
  const { id, row } = await withTenant(rig.store);
  const winner: RoleRow = { ...row, revision: 2, epoch: roleEpoch(9) };
  await rig.tables.roleStore(id, () => {}).compareAndSet(row, winner, []);
  rig.fates.push('no leader', 'answer lost');
  const loser: RoleRow = { ...row, revision: 2, epoch: roleEpoch(2) };
  const answer = await rig.store.roleStore(id, () => {}).compareAndSet(row, loser, []);
  expect(answer).toEqual({ stored: false, row: winner });
});

test('a name reserved by a call whose answer was lost is the same reservation; another one of that name is refused', async () => {
  const rig = await startRig();
  rig.fates.push('answer lost');
  const wanted = { name: 'shop', incarnation: 'i-1', createTime: wallMicros(5), pageBytes: 4096 };
  const reserved = await rig.store.addTenant(wanted);
  expect(await rig.tables.tenants()).toEqual([reserved]);
  await expect(rig.store.addTenant({ ...wanted, incarnation: 'i-2' })).rejects.toMatchObject({
    code: 'OBS_SERVER_TENANT_EXISTS',
  });
});

test('an event whose answer was lost is not written twice, and its caller hears that it is not known', async () => {
  const rig = await startRig();
  const { id } = await withTenant(rig.store);
  rig.fates.push('no leader', 'answer lost');
  const event = { time: wallMicros(9), module: 'role', event: 'opened', detail: {} };
  await expect(rig.store.addEvent(id, event)).rejects.toMatchObject({ code: 'OBS_NODE_LOST' });
  expect(await rig.tables.events(id)).toHaveLength(1);
});

test('where the sys tenant leads no call leaves the process, from the moment it leads', async () => {
  const rig = await startRig();
  await withTenant(rig.store);
  const before = rig.bodies.length;
  rig.local = rig.tables;
  expect(await rig.store.tenants()).toHaveLength(1);
  expect(rig.bodies).toHaveLength(before);
  rig.local = null;
  expect(await rig.store.tenants()).toHaveLength(1);
  expect(rig.bodies).toHaveLength(before + 1);
});

test('what is refused is refused at once: a role that is not there, a call that is none', async () => {
  const rig = await startRig();
  const { id } = await withTenant(rig.store);
  await rig.store.removeTenant(id);
  const box = new SecretBox(key, nodeRandom);
  const odd = Buffer.from(box.seal('{"method":"close","parameters":[]}', 'sys request')).toString('base64');
  await expect(serveSysCall(rig.tables, box, { sealed: odd })).rejects.toMatchObject({
    code: 'OBS_NODE_BAD_REQUEST',
  });
  await expect(serveSysCall(rig.tables, box, { sealed: 'AA' })).rejects.toMatchObject({ kind: 'invalid' });
  await expect(serveSysCall(rig.tables, box, null)).rejects.toMatchObject({ code: 'OBS_NODE_BAD_REQUEST' });
  await expect(rig.tables.role(id)).rejects.toMatchObject({ code: 'OBS_SERVER_TENANT_NO_ROLE' });
});
