/** The sys tenant's replica of a server over its starts: made once, removed as a whole, never begun anew by itself. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { nodeId, tenantId, wallMicros } from '../../../src/base/scalars.ts';
import { ReplicaSet } from '../../../src/cluster/replica-set.ts';
import type { ReplicaFile } from '../../../src/cluster/replica-file.ts';
import type { SysUnit } from '../../../src/cluster/sys-unit.ts';
import type { TenantRegistry } from '../../../src/cluster/tenant-registry.ts';
import type { ReplicaHost } from '../../../src/cluster/unit-host.ts';
import { type Disk, nodeDisk } from '../../../src/platform/disk.ts';

const sys = tenantId(1);
const first = {
  replicaId: 0,
  tenant: { id: sys, name: 'sys', incarnation: 'i', createTime: wallMicros(0), pageBytes: 4096 },
  blockBytes: 65_536,
  priority: 0,
  birth: { members: [nodeId('self')], learners: [] },
};

let root: string;
let opened: ReplicaFile[];
let errors: unknown[];
let closed: number;
let open: (file: ReplicaFile) => Promise<void>;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'obstandby-replicas-'));
  mkdirSync(join(root, 'tenants'));
  opened = [];
  errors = [];
  closed = 0;
  open = file => {
    opened.push(file);
    mkdirSync(path('log'), { recursive: true });
    writeFileSync(path('log', 'block'), 'x');
    return Promise.resolve();
  };
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const path = (...names: string[]): string => join(root, 'tenants', '1', ...names);

/** A start of a server of a cluster. */
function start(differences: Partial<Disk> = {}, cluster: object | null = {}): ReplicaSet {
  const host = {
    disk: { ...nodeDisk, ...differences },
    dataDirectory: root,
    cluster,
    logger: { error: (details: unknown) => errors.push(details), info: () => {}, warn: () => {} },
  } as unknown as ReplicaHost;
  return new ReplicaSet({
    host,
    registry: { closeAll: () => Promise.resolve() } as unknown as TenantRegistry,
    openSys: async file => {
      await open(file);
      const close = () => {
        closed += 1;
        return Promise.resolve();
      };
      return { close, replica: { log: {} } } as unknown as SysUnit;
    },
  });
}

test('a server that dies while it opens its first replica knows afterwards that it had one', async () => {
  const dies = open;
  open = file => dies(file).then(() => Promise.reject(new Error('the process ends')));
  await expect(start().openSys(first)).rejects.toThrow('the process ends');
  open = dies;
  await start().openSys(first);
  expect(opened).toHaveLength(2);
  // All of it vanishes: an empty log must not take its place among the voters.
  rmSync(path(), { recursive: true });
  await start().openSys(first);
  expect(opened).toHaveLength(2);
  expect(errors).toMatchObject([{ code: 'OBS_REPLICA_LOG_MISSING' }]);
  await expect(start({}, null).openSys(first)).rejects.toMatchObject({ code: 'OBS_REPLICA_LOG_MISSING' });
});

test('one that was removed is not missed, and another one can be ordered', async () => {
  const replicas = start();
  await replicas.openSys(first);
  await replicas.drop(sys);
  expect(existsSync(path())).toBe(false);
  const again = start();
  await again.openSys(first);
  expect(again.sys).toBe(null);
  expect(errors).toEqual([]);
  await again.create({ ...first, replicaId: 7 });
  expect(opened.map(({ replicaId }) => replicaId)).toEqual([0, 7]);
  rmSync(path(), { recursive: true });
  await start().openSys(first);
  expect(errors).toMatchObject([{ code: 'OBS_REPLICA_LOG_MISSING' }]);
});

test('what is left of one whose removal was cut short is removed, whenever it was cut', async () => {
  for (let stopAt = 0; ; stopAt += 1) {
    rmSync(join(root, 'tenants'), { recursive: true });
    mkdirSync(join(root, 'tenants'));
    opened = [];
    let removals = 0;
    const replicas = start({
      removeDirectory: directory => {
        if (removals === stopAt) return Promise.reject(new Error('the process ends'));
        removals += 1;
        return nodeDisk.removeDirectory(directory);
      },
    });
    await replicas.openSys(first);
    mkdirSync(path('db'));
    const end = await replicas.drop(sys).catch((error: unknown) => error);
    expect(existsSync(path('replica.json')), `after ${stopAt}`).toBe(end !== undefined);
    const next = start();
    await next.openSys(first);
    expect(next.sys).toBe(null);
    expect(existsSync(path())).toBe(false);
    if (end === undefined) break;
  }
  expect(errors).toEqual([]);
});

test('a replica is made in an empty place', async () => {
  mkdirSync(path('log'), { recursive: true });
  writeFileSync(path('log', 'old'), 'x');
  await start().create(first);
  expect(existsSync(path('log', 'old'))).toBe(false);
  expect(existsSync(path('log', 'block'))).toBe(true);
});

test('a replica that is being opened when all are closed is closed as well, and no other one is opened', async () => {
  const replicas = start();
  const opens = open;
  const { promise: isHeld, resolve: begun } = Promise.withResolvers<void>();
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>();
  open = async file => {
    begun();
    await held;
    await opens(file);
  };
  const opening = replicas.openSys(first);
  await isHeld;
  const behind = replicas.create({ ...first, replicaId: 7 }).catch((error: unknown) => error);
  const closing = replicas.close();
  goOn();
  await Promise.all([opening, closing]);
  expect(replicas.sys).toBe(null);
  expect(closed).toBe(1);
  expect(await behind).toMatchObject({ code: 'OBS_SERVER_CLOSING' });
  await expect(replicas.create({ ...first, replicaId: 8 })).rejects.toMatchObject({
    code: 'OBS_SERVER_CLOSING',
  });
  expect(opened.map(({ replicaId }) => replicaId)).toEqual([0]);
});
