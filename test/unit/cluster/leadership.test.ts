/** A tenant with three replicas whose leader changes: what each replica answers, and what becomes of every write. */
import { afterEach, expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { isObError } from '../../../src/base/errors.ts';
import { kindOf, rows, run, type TenantNode, TenantNodes, weakly } from '../../support/tenant-nodes.ts';

let cluster: TenantNodes;

afterEach(() => cluster.close());

const startWithTable = async (): Promise<TenantNode> => {
  cluster = await TenantNodes.start();
  const leader = await cluster.writable();
  await run(leader, 'CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)');
  return leader;
};

const ids = (found: readonly (readonly unknown[])[]): number[] => found.map(([id]) => Number(id));

test('followers show what the leader committed, and send who needs the newest to it', {
  timeout: 60_000,
}, async () => {
  const leader = await startWithTable();
  await run(leader, "INSERT INTO t VALUES (1, 'one')");
  await cluster.settled();
  for (const follower of cluster.followersOf(leader)) {
    expect(await weakly(follower, 'SELECT id, v FROM t')).toEqual([[1, 'one']]);
    await expect(rows(follower, 'SELECT id FROM t')).rejects.toMatchObject({
      code: 'OBS_TENANT_NOT_LEADER',
      details: { tenant: 'shop', leader: `${leader.id}:2881`, node: leader.id },
    });
    await expect(run(follower, 'DELETE FROM t')).rejects.toMatchObject({ kind: 'not-leader' });
    expect(() => follower.unit.lead()).toThrow(/is not led by this server/);
  }
  expect(new Set(await cluster.digests()).size).toBe(1);
});

test('a follower that is handed the leadership takes writes in the sessions it had', {
  timeout: 60_000,
}, async () => {
  const leader = await startWithTable();
  await run(leader, "INSERT INTO t VALUES (1, 'one')");
  await cluster.settled();
  const next = must(cluster.followersOf(leader)[0], 'a follower');
  const { engine } = next.unit;
  const session = engine.openSession();
  const old = leader.unit.engine.openSession();
  await cluster.leadAt(next);
  expect(next.unit.engine).toBe(engine);
  await session.execute({ sql: "INSERT INTO t VALUES (2, 'two')", parameters: [], rowsMax: 1 });
  expect(await rows(next, 'SELECT id FROM t ORDER BY id')).toEqual([[1], [2]]);
  // The one before follows, in the sessions it had.
  await cluster.settled();
  const seen = await old.execute({ sql: 'SELECT count(*) FROM t', parameters: [], rowsMax: 1 });
  expect(seen).toMatchObject({ rows: [[2]] });
  expect(await kindOf(old.execute({ sql: 'DELETE FROM t', parameters: [], rowsMax: 1 }))).toBe('not-leader');
  expect(new Set(await cluster.digests()).size).toBe(1);
});

test('a leader that is cut off tells its writers that the outcome is unknown, undoes their changes, and takes over what was decided', {
  timeout: 60_000,
}, async () => {
  const leader = await startWithTable();
  await run(leader, "INSERT INTO t VALUES (1, 'kept')");
  await cluster.settled();
  cluster.isolate(leader);
  const cutOff = [2, 3, 4].map(id => kindOf(run(leader, `INSERT INTO t VALUES (${id}, 'cut off')`)));
  const next = await cluster.writable(() => cluster.followersOf(leader));
  await run(next, "INSERT INTO t VALUES (2, 'decided')");
  // Taken by the log, and never answered by a majority.
  for (const outcome of await Promise.all(cutOff)) expect(['unknown', 'not-leader']).toContain(outcome);
  expect((await Promise.all(cutOff)).filter(kind => kind === 'unknown').length).toBeGreaterThan(0);
  expect(await kindOf(rows(leader, 'SELECT id FROM t'))).toBe('not-leader');
  await leader.unit.replica.settled();
  expect(await weakly(leader, 'SELECT id, v FROM t')).toEqual([[1, 'kept']]);
  cluster.heal();
  await cluster.settled();
  expect(await weakly(leader, 'SELECT id, v FROM t')).toEqual([
    [1, 'kept'],
    [2, 'decided'],
  ]);
  expect(new Set(await cluster.digests()).size).toBe(1);
});

test('a transaction that is open when its leader is cut off commits nothing', {
  timeout: 60_000,
}, async () => {
  const leader = await startWithTable();
  const session = leader.unit.engine.openSession();
  await session.begin('write');
  await session.execute({ sql: "INSERT INTO t VALUES (1, 'open')", parameters: [], rowsMax: 1 });
  cluster.isolate(leader);
  const next = await cluster.writable(() => cluster.followersOf(leader));
  expect(['not-leader', 'unavailable', 'unknown']).toContain(await kindOf(session.commit()));
  cluster.heal();
  await cluster.settled();
  expect(await rows(next, 'SELECT id FROM t')).toEqual([]);
  expect(new Set(await cluster.digests()).size).toBe(1);
});

test('leaders come and go under writes: what was acknowledged is there, what was refused is not, and all replicas are equal', {
  timeout: 60_000,
}, async () => {
  await startWithTable();
  const acknowledged: number[] = [];
  const unknown: number[] = [];
  const refused: number[] = [];
  let next = 1;
  let isOver = false;
  const write = async (): Promise<void> => {
    while (!isOver) {
      const id = next++;
      try {
        const node = must(cluster.running[id % cluster.running.length], 'a node');
        await run(node, `INSERT INTO t VALUES (${id}, 'row ${id}')`);
        acknowledged.push(id);
      } catch (error) {
        if (!isObError(error)) throw error;
        if (error.kind === 'unknown') unknown.push(id);
        else {
          expect(['not-leader', 'unavailable']).toContain(error.kind);
          refused.push(id);
        }
        await new Promise<void>(resolve => setTimeout(resolve, 1));
      }
    }
  };
  const writers = Array.from({ length: 6 }, write);
  for (let turn = 0; turn < 8; turn += 1) {
    const leader = await cluster.writable();
    const enough = acknowledged.length + 20;
    await cluster.until('some writes', () => acknowledged.length >= enough);
    if (turn % 3 === 2) {
      cluster.isolate(leader);
      await cluster.writable(() => cluster.followersOf(leader));
      cluster.heal();
    } else {
      const to = must(cluster.followersOf(leader)[turn % 2], 'a follower');
      // Refused when it is not caught up, or leads no more.
      await leader.unit.log.transfer(to.id).catch((error: unknown) => {
        if (!isObError(error)) throw error;
      });
    }
  }
  isOver = true;
  await Promise.all(writers);
  await cluster.settled();
  const leader = await cluster.writable();
  const found = new Set(ids(await rows(leader, 'SELECT id FROM t')));
  expect(acknowledged.filter(id => !found.has(id))).toEqual([]);
  expect(refused.filter(id => found.has(id))).toEqual([]);
  expect([...found].filter(id => !acknowledged.includes(id) && !unknown.includes(id))).toEqual([]);
  expect(new Set(await cluster.digests()).size).toBe(1);
});

test('transfers that follow each other at once leave one leader and equal replicas', {
  timeout: 60_000,
}, async () => {
  await startWithTable();
  for (let turn = 0; turn < 12; turn += 1) {
    const leading = cluster.running.find(node => node.leads);
    const to = must(cluster.ids[turn % cluster.ids.length], 'a node');
    if (leading === undefined || leading.id === to) {
      await new Promise<void>(resolve => setImmediate(resolve));
      continue;
    }
    await leading.unit.log.transfer(to).catch((error: unknown) => {
      if (!isObError(error)) throw error;
    });
    await cluster.until('somebody who leads', () => cluster.running.some(node => node.leads));
  }
  const leader = await cluster.writable();
  await run(leader, "INSERT INTO t VALUES (1, 'after')");
  await cluster.settled();
  expect(cluster.running.filter(node => node.isWritable)).toHaveLength(1);
  expect(new Set(await cluster.digests()).size).toBe(1);
});

test('a replica that was away catches up, whoever leads meanwhile', { timeout: 60_000 }, async () => {
  const leader = await startWithTable();
  const away = must(cluster.followersOf(leader)[0], 'a follower');
  await away.close();
  for (let id = 1; id <= 50; id += 1) await run(leader, `INSERT INTO t VALUES (${id}, 'row')`);
  const back = await cluster.startNode(away.id);
  await cluster.settled();
  expect(await weakly(back, 'SELECT count(*) FROM t')).toEqual([[50]]);
  expect(new Set(await cluster.digests()).size).toBe(1);
});
