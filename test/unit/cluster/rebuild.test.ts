/** A replica that needs log nobody has any more, or whose own files are damaged: copied from the leader while that works on. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { isObError, ObError } from '../../../src/base/errors.ts';
import { tailBytesMax } from '../../../src/base/limits.ts';
import { tenantPaths } from '../../../src/cluster/tenant-paths.ts';
import { type Disk, type DiskFile, nodeDisk } from '../../../src/platform/disk.ts';
import { run, type TenantNode, TenantNodes, weakly } from '../../support/tenant-nodes.ts';

let cluster: TenantNodes;

afterEach(() => cluster.close());

/** A log that keeps a few blocks, so that a replica that is away for a moment has missed too much. */
const small = { logDiskBytesMax: 1_048_576 };

/** Writes until nobody who runs has the oldest log any more, on disk or in memory. */
async function outgrow(leader: TenantNode): Promise<number> {
  let count = 0;
  while (cluster.running.some(({ unit }) => unit.log.state().beginLsn <= tailBytesMax + 65_536)) {
    for (let each = 0; each < 4; each += 1) {
      await run(leader, `INSERT INTO t VALUES (${count}, '${'x'.repeat(20_000)}')`).then(
        () => {
          count += 1;
        },
        // Blocks go in the background.
        (error: unknown) => {
          if (!isObError(error, 'OBS_LOG_DISK_FULL')) throw error;
        },
      );
    }
    await cluster.settled();
    for (const { unit } of cluster.running) await unit.engine.checkpoint();
  }
  return count;
}

async function startWithTable(): Promise<{ leader: TenantNode; away: TenantNode }> {
  cluster = await TenantNodes.start({ settings: small });
  const leader = await cluster.writable();
  await run(leader, 'CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)');
  await cluster.settled();
  return { leader, away: must(cluster.followersOf(leader)[0], 'a follower') };
}

test('a replica that has missed too much log is copied anew, follows, and can lead', {
  timeout: 60_000,
}, async () => {
  const { leader, away } = await startWithTable();
  await away.close();
  const count = await outgrow(leader);
  const back = await cluster.startNode(away.id);
  await run(leader, "INSERT INTO t VALUES (1000000, 'during the copy')");
  await cluster.settled();
  expect(back.unit.log.state().beginLsn).toBeGreaterThan(0);
  expect(await weakly(back, 'SELECT count(*) FROM t')).toEqual([[count + 1]]);
  expect(new Set(await cluster.digests()).size).toBe(1);
  await cluster.leadAt(back);
  await run(back, "INSERT INTO t VALUES (1000001, 'by the copy')");
  expect(new Set(await cluster.digests()).size).toBe(1);
});

test('a rebuild that its node does not survive is begun anew at its next start', {
  timeout: 60_000,
}, async () => {
  const { leader, away } = await startWithTable();
  await away.close();
  await outgrow(leader);
  const first = await cluster.startNode(away.id);
  await cluster.until('a rebuild that has begun', () => first.unit.log.state().isImpaired);
  await first.close();
  const back = await cluster.startNode(away.id);
  await cluster.settled();
  expect(back.unit.log.state().isImpaired).toBe(false);
  expect(new Set(await cluster.digests()).size).toBe(1);
});

test('a copy that is lost on its way is asked for again', { timeout: 60_000 }, async () => {
  const { leader, away } = await startWithTable();
  await away.close();
  await outgrow(leader);
  cluster.mesh.copiesToLose = 2;
  const back = await cluster.startNode(away.id);
  await cluster.until('copies that were lost', () => cluster.mesh.copiesToLose === 0);
  await cluster.settled();
  expect(back.unit.log.state().isImpaired).toBe(false);
  expect(back.unit.replica.problem).toBe(null);
  expect(new Set(await cluster.digests()).size).toBe(1);
});

test('a rebuild that was begun is finished with another replica when the leader dies: the vote is needed', {
  timeout: 60_000,
}, async () => {
  const { leader, away } = await startWithTable();
  const stays = must(
    cluster.followersOf(leader).find(node => node !== away),
    'a third node',
  );
  spoil(away);
  cluster.mesh.copiesToLose = 1;
  await run(leader, "INSERT INTO t VALUES (1, 'one')");
  await cluster.until('a rebuild that has begun', () => away.unit.log.state().isImpaired);
  await leader.close();
  await cluster.until('the copy that was lost', () => cluster.mesh.copiesToLose === 0);
  await run(await cluster.writable(), "INSERT INTO t VALUES (2, 'two')");
  await cluster.settled();
  expect(stays.leads || away.leads).toBe(true);
  expect(await weakly(away, 'SELECT id FROM t ORDER BY id')).toEqual([[1], [2]]);
  expect(new Set(await cluster.digests()).size).toBe(1);
});

/** From now on nothing of what the log has goes into the engine that is open there now; it fails when it is told to. */
function spoil(node: TenantNode, when: Promise<void> = Promise.resolve()): void {
  const { engine } = node.unit;
  const damage = new ObError('OBS_TENANT_REDO_CORRUPT', { path: 'a test', detail: 'it is made up' });
  engine.apply = () => when.then(() => Promise.reject(damage));
}

test('a replica whose engine cannot apply its log is copied anew, also when it finds out while nobody leads', {
  timeout: 60_000,
}, async () => {
  const { away } = await startWithTable();
  const failure = Promise.withResolvers<void>();
  const { end } = away.unit.log.state();
  spoil(away, failure.promise);
  await cluster.until('log to apply', () => away.unit.log.state().end.lsn > end.lsn);
  for (const node of cluster.running) if (node !== away) cluster.mesh.cut(node.id, away.id);
  await cluster.until('a replica that knows no leader', () => away.unit.log.state().leader === null);
  failure.resolve();
  await cluster.until('a replica that cannot go on', () => away.unit.replica.problem !== null);
  cluster.heal();
  await run(await cluster.writable(), "INSERT INTO t VALUES (1, 'one')");
  await cluster.settled();
  expect(await weakly(away, 'SELECT id FROM t')).toEqual([[1]]);
  expect(new Set(await cluster.digests()).size).toBe(1);
});

test('a copy for which there is no room ends nothing, leaves nothing behind, and is asked for again', {
  timeout: 60_000,
}, async () => {
  const { leader, away } = await startWithTable();
  const { databaseFile } = tenantPaths(away.directory, cluster.record.id);
  let isFull = true;
  const disk: Disk = {
    ...nodeDisk,
    async open(path, options) {
      const file = await nodeDisk.open(path, options);
      if (path !== `${databaseFile}.part`) return file;
      return Object.assign(file, {
        write: (...to: Parameters<DiskFile['write']>): Promise<void> => {
          if (!isFull) return Object.getPrototypeOf(file).write.apply(file, to) as Promise<void>;
          return Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' }));
        },
      });
    },
  };
  Object.assign(away.host, { disk });
  spoil(away);
  await run(leader, "INSERT INTO t VALUES (1, 'one')");
  await cluster.until('a copy without room', () => {
    return away.unit.replica.problem?.code === 'OBS_REPLICA_COPY_NO_ROOM';
  });
  expect(existsSync(`${databaseFile}.part`)).toBe(false);
  isFull = false;
  await cluster.settled();
  expect(new Set(await cluster.digests()).size).toBe(1);
});

test('a leader of a standby whose engine cannot apply the log hands over, and is copied anew', {
  timeout: 60_000,
}, async () => {
  cluster = await TenantNodes.start({ site: 'here' });
  await run(await cluster.writable(), 'CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)');
  const there = await TenantNodes.start({ site: 'there', standbyOf: cluster });
  try {
    await there.settled(cluster);
    const spoiled = await there.led();
    spoil(spoiled);
    await run(await cluster.writable(), "INSERT INTO t VALUES (1, 'one')");
    await there.settled(cluster);
    expect(spoiled.leads).toBe(false);
    expect(await weakly(spoiled, 'SELECT id FROM t')).toEqual([[1]]);
    expect(spoiled.unit.replica.problem).toBe(null);
  } finally {
    await there.close();
  }
});

test('a leader whose engine is just being opened anew when its term ends follows', {
  timeout: 60_000,
}, async () => {
  cluster = await TenantNodes.start({ site: 'here' });
  await run(await cluster.writable(), 'CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)');
  const there = await TenantNodes.start({ site: 'there', standbyOf: cluster });
  try {
    await there.settled(cluster);
    const spoiled = await there.led();
    const { engine, replica } = spoiled.unit;
    const closing = Promise.withResolvers<void>();
    const close = engine.close.bind(engine);
    engine.close = async () => {
      closing.resolve();
      there.isolate(spoiled);
      await there.until('the end of its term', () => !replica.leads);
      await close();
    };
    engine.apply = () => Promise.reject(new ObError('OBS_LOG_RECYCLED', { from: 0, begin: 1 }));
    await run(await cluster.writable(), "INSERT INTO t VALUES (1, 'one')");
    await closing.promise;
    await there.until('a replica that follows', () => !replica.leads && replica.leadership === null);
    there.heal();
    await there.settled(cluster);
    expect(new Set(await there.digests(cluster)).size).toBe(1);
  } finally {
    await there.close();
  }
});

test('a sole replica whose engine cannot apply its log has a role, and is promoted by force', {
  timeout: 60_000,
}, async () => {
  cluster = await TenantNodes.start({ site: 'here', count: 1 });
  const primary = await cluster.writable();
  await run(primary, 'CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)');
  const there = await TenantNodes.start({ site: 'there', standbyOf: cluster, count: 1 });
  try {
    await there.settled(cluster);
    const sole = await there.led();
    spoil(sole);
    await run(primary, "INSERT INTO t VALUES (1, 'one')");
    await there.until('damage', () => sole.unit.replica.problem !== null);
    await primary.close();
    const order = { kind: 'activate', operationId: 'failover', maxLagMs: null, verify: false } as const;
    const refused = sole.unit.role.command({ ...order, force: false });
    await expect(refused).rejects.toMatchObject({ code: 'OBS_ROLE_APPLY_STOPPED' });
    await sole.unit.role.command({ ...order, force: true });
    await run(await there.writable(), "INSERT INTO t VALUES (2, 'two')");
    expect(await weakly(sole, 'SELECT id FROM t')).toEqual([[2]]);
  } finally {
    await there.close();
  }
});

test('a replica whose checkpoint record is damaged is copied anew; its log was whole', {
  timeout: 60_000,
}, async () => {
  const { leader, away } = await startWithTable();
  await run(leader, "INSERT INTO t VALUES (1, 'one')");
  await cluster.settled();
  await away.unit.engine.checkpoint();
  await away.close();
  const { database } = tenantPaths(away.directory, cluster.record.id);
  const records = readdirSync(database).filter(name => name.startsWith('checkpoint'));
  for (const name of records) writeFileSync(join(database, name), Buffer.alloc(512, 0x5a));
  const back = await cluster.startNode(away.id);
  await cluster.settled();
  expect(await weakly(back, 'SELECT id FROM t')).toEqual([[1]]);
  expect(new Set(await cluster.digests()).size).toBe(1);
  expect(existsSync(`${tenantPaths(away.directory, cluster.record.id).databaseFile}.part`)).toBe(false);
});
