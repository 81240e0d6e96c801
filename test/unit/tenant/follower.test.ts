/** Followers, role changes, drains, checkpoints, snapshots and reopening, over real logs. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { EngineSession } from '../../../src/tenant/engine.ts';
import { incarnation, outcomeOf, rows, run, TenantSite } from '../../support/tenant-site.ts';
import { CheckpointMeta } from '../../../src/tenant/pages/checkpoint-meta.ts';

const open: TenantSite[] = [];
const directories: string[] = [];
let leader: TenantSite;
let session: EngineSession;

const site = async (options: Parameters<typeof TenantSite.open>[0]) => {
  const made = await TenantSite.open(options);
  open.push(made);
  return made;
};
const directory = () => {
  const made = mkdtempSync(join(tmpdir(), 'obs-tenant-'));
  directories.push(made);
  return made;
};

beforeEach(async () => {
  leader = await site({ directory: directory() });
  session = leader.engine.openSession();
  await run(session, 'CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)');
  await run(session, 'CREATE INDEX i ON t(a)');
});
afterEach(async () => {
  for (const made of open.splice(0)) {
    await made.close();
    expect(made.fatal).toEqual([]);
  }
  for (const made of directories.splice(0)) rmSync(made, { recursive: true, force: true });
});

const load = async (into: EngineSession, from: number, to: number) => {
  for (let id = from; id <= to; id++) {
    await run(into, 'INSERT INTO t VALUES (?, ?, ?)', id, id * 7, `row ${id} `.repeat(20));
    if (id % 5 === 0) await run(into, 'UPDATE t SET a = a + 1 WHERE id % 3 = ?', id % 3);
    if (id % 11 === 0) await run(into, 'DELETE FROM t WHERE id = ?', id - 3);
  }
};

const content = async (of: TenantSite) => {
  const reader = of.engine.openSession();
  try {
    const all = await rows(reader, 'SELECT * FROM t ORDER BY id');
    const byIndex = await rows(reader, 'SELECT id FROM t ORDER BY a, id');
    const [[check]] = (await rows(reader, 'PRAGMA integrity_check')) as [[string]];
    expect(check).toBe('ok');
    return createHash('sha256')
      .update(JSON.stringify([all, byIndex]))
      .digest('hex');
  } finally {
    await reader.close();
  }
};

/** The database file of a closed site. */
const fileOf = (of: TenantSite) => readFileSync(join(of.directory, 'db', 'tenant.db'));

const closeOne = async (one: TenantSite) => {
  open.splice(open.indexOf(one), 1);
  await one.close();
  expect(one.fatal).toEqual([]);
};

test("a follower shows what the leader committed, and its file equals the leader's byte for byte", async () => {
  const follower = await site({ mode: 'follower', directory: directory() });
  await load(session, 1, 40);
  await follower.follow(leader);
  expect(await content(follower)).toBe(await content(leader));
  await run(session, 'ALTER TABLE t ADD COLUMN c DEFAULT 5');
  await load2(session);
  await run(session, 'VACUUM');
  await follower.follow(leader);
  expect(await content(follower)).toBe(await content(leader));
  await leader.engine.checkpoint();
  await follower.engine.checkpoint();
  await session.close();
  await closeOne(leader);
  await closeOne(follower);
  expect(fileOf(follower).equals(fileOf(leader))).toBe(true);
});

const load2 = async (into: EngineSession) => {
  await run(into, 'INSERT INTO t(id, a, b) VALUES (1000, 1, randomblob(50000))');
};

test('a follower refuses writes and shows the readable SCN, which keep-alives advance', async () => {
  const follower = await site({ mode: 'follower', directory: directory() });
  await follower.follow(leader);
  const reader = follower.engine.openSession();
  expect(await outcomeOf(run(reader, 'INSERT INTO t VALUES (1, 1, 1)'))).toBe('OBS_TENANT_READ_ONLY');
  expect(await outcomeOf(run(reader, 'WITH x AS (SELECT 1) DELETE FROM t'))).toBe('OBS_TENANT_READ_ONLY');
  expect(await outcomeOf(reader.begin('write'))).toBe('OBS_TENANT_READ_ONLY');
  const before = follower.engine.state();
  leader.stream.append({ kind: 'keep-alive', body: [] });
  await leader.stream.committed(leader.stream.state().maxLsn);
  await follower.follow(leader);
  const after = follower.engine.state();
  expect(after.readableScn).toBeGreaterThan(before.readableScn);
  expect(after.appliedLsn).toBe(leader.stream.state().end.lsn);
});

test('an idle leader appends keep-alives by itself', async () => {
  const idle = await site({ engine: { limits: { keepAliveMs: 5 } } });
  const scns = new Set<number>();
  await new Promise<void>(resolve => {
    idle.stream.onCommitted(({ scn }) => {
      scns.add(scn);
      if (scns.size === 3) resolve();
    });
  });
  expect(idle.log.appended.every(({ kind }) => kind === 'keep-alive')).toBe(true);
});

test('a read transaction on a follower keeps its snapshot while log is applied', async () => {
  const follower = await site({ mode: 'follower', directory: directory() });
  await load(session, 1, 5);
  await follower.follow(leader);
  const reader = follower.engine.openSession();
  await reader.begin('read');
  expect(await rows(reader, 'SELECT max(id) FROM t')).toEqual([[5]]);
  await load(session, 6, 10);
  await follower.follow(leader);
  expect(await rows(reader, 'SELECT max(id) FROM t')).toEqual([[5]]);
  await reader.commit();
  expect(await rows(reader, 'SELECT max(id) FROM t')).toEqual([[10]]);
});

test('log that does not continue what was applied is refused, damaged log as well', async () => {
  const follower = await site({ mode: 'follower', directory: directory() });
  await load(session, 1, 5);
  const chunk = await leader.stream.read(leader.stream.state().beginLsn, 1_000_000);
  const damaged = { ...chunk, bytes: chunk.bytes.slice() };
  damaged.bytes[100] = (damaged.bytes[100] ?? 0) ^ 1;
  expect(await outcomeOf(follower.engine.apply(damaged))).toBe('OBS_TENANT_REDO_CORRUPT');
  expect(await outcomeOf(follower.engine.apply({ ...chunk, start: chunk.end }))).toBe(
    'OBS_TENANT_APPLY_ORDER',
  );
  await follower.engine.apply(chunk);
  expect(await content(follower)).toBe(await content(leader));
});

test('roles change over and back without losing or inventing a row', async () => {
  const other = await site({ mode: 'follower', directory: directory() });
  await load(session, 1, 20);
  // to the other side
  await leader.engine.drainWrites('switchover', 100);
  expect(await outcomeOf(run(session, 'DELETE FROM t'))).toBe('OBS_TENANT_WRITES_REFUSED');
  await leader.stream.changeMode({
    to: 'RAW_WRITE',
    expectedModeVersion: leader.stream.state().modeVersion,
    referenceScn: leader.stream.state().end.scn,
  });
  await leader.engine.demote();
  await other.follow(leader);
  await other.stream.changeMode({
    to: 'APPEND',
    expectedModeVersion: other.stream.state().modeVersion,
    referenceScn: other.stream.state().end.scn,
  });
  other.stream.append({ kind: 'role', body: [new TextEncoder().encode('{}')] });
  await other.stream.committed(other.stream.state().maxLsn);
  await other.engine.promote();
  const writer = other.engine.openSession();
  await load(writer, 21, 40);
  expect(await outcomeOf(run(session, 'DELETE FROM t'))).toBe('OBS_TENANT_READ_ONLY');
  // and the old leader follows it
  await leader.follow(other);
  expect(await content(leader)).toBe(await content(other));
  await load(writer, 41, 50);
  await leader.follow(other);
  expect(await content(leader)).toBe(await content(other));
});

test('a drain lets a running transaction finish, refuses new writes, and can be undone', async () => {
  const other = leader.engine.openSession();
  await session.begin('write');
  await run(session, 'INSERT INTO t VALUES (1, 1, 1)');
  const drained = leader.engine.drainWrites('maintenance', 10_000);
  expect(await outcomeOf(run(other, 'INSERT INTO t VALUES (2, 2, 2)'))).toBe('OBS_TENANT_WRITES_REFUSED');
  await run(session, 'INSERT INTO t VALUES (3, 3, 3)');
  await session.commit();
  await drained;
  expect(await rows(other, 'SELECT id FROM t ORDER BY id')).toEqual([[1], [3]]);
  leader.engine.resumeWrites();
  await run(other, 'INSERT INTO t VALUES (2, 2, 2)');
});

test('a drain rolls back what does not finish in time', async () => {
  await session.begin('write');
  await run(session, 'INSERT INTO t VALUES (1, 1, 1)');
  await leader.engine.drainWrites('maintenance', 10);
  expect(await outcomeOf(session.commit())).toBe('OBS_TENANT_TRANSACTION_ENDED');
  expect(await rows(session, 'SELECT id FROM t')).toEqual([]);
});

test.each(['leader', 'follower'] as const)(
  'a reopened %s has everything, from the log alone or a checkpoint',
  async mode => {
    const place = directory();
    let one = await site({ directory: place, mode });
    const write = async (from: number, to: number) => {
      await load(session, from, to);
      if (mode === 'follower') await one.follow(leader);
    };
    const source = mode === 'leader' ? one : leader;
    if (mode === 'leader') {
      session = one.engine.openSession();
      await run(session, 'CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)');
    }
    const reopen = async () => {
      await closeOne(one);
      one = await site({ directory: place, mode });
      if (mode === 'leader') session = one.engine.openSession();
    };
    await write(1, 20);
    let expected = await content(source);
    await reopen();
    expect(await content(one)).toBe(expected);
    await one.engine.checkpoint();
    await write(21, 30);
    await one.engine.checkpoint();
    await write(31, 40);
    expected = await content(mode === 'leader' ? one : leader);
    const { checkpointLsn } = one.engine.state();
    expect(one.checkpoints.at(-1)?.lsn).toBe(checkpointLsn);
    await reopen();
    expect(one.engine.state().checkpointLsn).toBe(checkpointLsn);
    expect(await content(one)).toBe(expected);
  },
);

test('checkpoints come by themselves when the WAL has grown, and the WAL starts over', async () => {
  const small = await site({
    engine: { limits: { checkpointWalBytes: 200_000, checkpointSpacingMs: 0, walBytesMax: 1_000_000 } },
  });
  const writer = small.engine.openSession();
  await run(writer, 'CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)');
  await load(writer, 1, 400);
  expect(small.checkpoints.length).toBeGreaterThan(3);
  expect(small.engine.state().walBytes).toBeLessThan(1_000_000);
  await content(small);
});

test('long readers hold checkpoints back on both sides, and nothing is lost by it', async () => {
  const limits = {
    checkpointWalBytes: 100_000,
    checkpointSpacingMs: 0,
    walBytesMax: 200_000,
    readersWaitMs: 2,
  };
  const one = await site({ engine: { limits } });
  const two = await site({ mode: 'follower', engine: { limits } });
  const writer = one.engine.openSession();
  await run(writer, 'CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)');
  await two.follow(one);
  for (let round = 0; round < 3; round++) {
    const readers = [one, two].map(of => of.engine.openSession());
    for (const reader of readers) {
      await reader.begin('read');
      expect(await rows(reader, 'SELECT count(*) FROM t')).toHaveLength(1);
    }
    const seen = await Promise.all(readers.map(reader => rows(reader, 'SELECT count(*), max(id) FROM t')));
    await load(writer, round * 60 + 1, round * 60 + 60);
    await two.follow(one);
    for (const [index, reader] of readers.entries()) {
      expect(await rows(reader, 'SELECT count(*), max(id) FROM t')).toEqual(seen[index]);
      await reader.close();
    }
    await load(writer, round * 60 + 1001, round * 60 + 1030);
    await two.follow(one);
    expect(await content(two)).toBe(await content(one));
  }
  await Promise.all([one.engine.checkpoint(), two.engine.checkpoint()]);
  expect(one.engine.state().checkpointLsn).toBe(one.stream.state().end.lsn);
});

test('a hot snapshot and the log make the same database elsewhere', async () => {
  await load(session, 1, 50);
  await leader.engine.checkpoint();
  await load(session, 51, 60);
  const snapshot = await leader.engine.snapshot();
  const pieces: { position: number; bytes: Uint8Array }[] = [];
  for (let piece = await snapshot.next(); piece !== undefined; piece = await snapshot.next()) {
    pieces.push(piece);
    await load(session, 61 + pieces.length * 10, 65 + pieces.length * 10);
    await leader.engine.checkpoint();
  }
  const { minimumLsn, fileBytes } = snapshot.finish();
  expect(minimumLsn).toBeGreaterThanOrEqual(snapshot.startLsn);
  expect(minimumLsn).toBeLessThanOrEqual(leader.stream.state().end.lsn);
  await snapshot.close();
  // as a new standby does it
  const place = directory();
  mkdirSync(join(place, 'db'));
  const file = new Uint8Array(fileBytes);
  for (const { position, bytes } of pieces) file.set(bytes, position);
  writeFileSync(join(place, 'db', 'tenant.db'), file);
  const start = { lsn: snapshot.startLsn, scn: snapshot.startScn, checksum: snapshot.startChecksum };
  const meta = new CheckpointMeta(join(place, 'db', 'checkpoint'), incarnation);
  meta.write({
    position: start,
    pageBytes: snapshot.pageBytes,
    databasePages: fileBytes / snapshot.pageBytes,
    incarnation,
  });
  meta.close();
  const copy = await site({ directory: place, mode: 'follower', log: { initialPosition: start } });
  await copy.follow(leader);
  expect(await content(copy)).toBe(await content(leader));
});

test('an engine rests when nobody uses it, and serves again', async () => {
  const resting = await site({ engine: { limits: { keepAliveMs: 5, restAfterMs: 10 } } });
  const user = resting.engine.openSession();
  await run(user, 'CREATE TABLE t(a)');
  await new Promise<void>(resolve => {
    let commits = 0;
    resting.stream.onCommitted(() => {
      commits += 1;
      if (commits === 6) resolve();
    });
  });
  await run(user, 'INSERT INTO t VALUES (1)');
  expect(await rows(user, 'SELECT a FROM t')).toEqual([[1]]);
});
