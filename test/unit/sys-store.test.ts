/** The root service's store: role rows change by compare-and-set together with their journal, secrets are sealed. */
import { afterEach, expect, test } from 'vitest';
import { SecretBox } from '../../src/cluster/secret-box.ts';
import { LocalSysStore } from '../../src/cluster/local-sys-store.ts';
import type { SysStore } from '../../src/cluster/sys-store.ts';
import { sysMigrations } from '../../src/cluster/sys-schema.ts';
import { followersMax, roleJournalsMax } from '../../src/base/limits.ts';
import { roleEpoch, type TenantId, wallMicros } from '../../src/base/scalars.ts';
import { nodeRandom } from '../../src/platform/random.ts';
import { newPrimaryRow, type RoleRow } from '../../src/role/row.ts';
import type { JournalEntry } from '../../src/role/steps.ts';
import { DirectEngine } from '../support/direct-engine.ts';

const key = new Uint8Array(32).fill(7);
const opened: DirectEngine[] = [];

afterEach(async () => {
  for (const engine of opened.splice(0)) await engine.close();
});

async function openStore(
  engine = new DirectEngine(),
): Promise<{ store: LocalSysStore; engine: DirectEngine }> {
  opened.push(engine);
  return { store: await LocalSysStore.open(engine.engine, new SecretBox(key, nodeRandom)), engine };
}

async function withTenant(store: SysStore): Promise<{ id: TenantId; row: RoleRow }> {
  const createTime = wallMicros(5);
  const { id } = await store.addTenant({ name: 'shop', incarnation: 'i-1', createTime, pageBytes: 4096 });
  const row = newPrimaryRow({ tenant: 'shop', incarnation: 'i-1', site: 'A' }, createTime);
  await store.insertRole(id, row);
  return { id, row };
}

const entry = (step: JournalEntry['step'], state: JournalEntry['state']): JournalEntry => ({
  operationId: 'op-1',
  kind: 'switchover',
  site: 'A',
  step,
  state,
  detail: '',
  startTime: wallMicros(1),
  endTime: null,
});

test('a role row comes back as it was stored, and a change by compare-and-set is the new row', async () => {
  const { store } = await openStore();
  const { id, row } = await withTenant(store);
  const roles = store.roleStore(id, () => {});
  expect(await roles.load()).toEqual(row);
  const next = { ...row, revision: 2, epoch: roleEpoch(2) };
  expect(await roles.compareAndSet(row, next, [])).toEqual({ stored: true, row: next });
  expect(await roles.load()).toEqual(next);
});

test('a change that reasoned about an older row is refused with the row that is there, its journal unwritten', async () => {
  const { store } = await openStore();
  const { id, row } = await withTenant(store);
  const roles = store.roleStore(id, () => {});
  const winner = { ...row, revision: 2, epoch: roleEpoch(3) };
  const loser = { ...row, revision: 2, epoch: roleEpoch(2) };
  const answers = await Promise.all([
    roles.compareAndSet(row, winner, [entry('T0', 'done')]),
    roles.compareAndSet(row, loser, [entry('T1', 'done')]),
  ]);
  expect(answers.map(({ stored }) => stored)).toEqual([true, false]);
  expect(answers[1]?.row).toEqual(winner);
  expect((await roles.readJournal('op-1')).map(({ step }) => step)).toEqual(['T0']);
});

test('a step journaled again keeps its place and shows its newest state', async () => {
  const { store } = await openStore();
  const { id } = await withTenant(store);
  const roles = store.roleStore(id, () => {});
  await roles.writeJournal([entry('T0', 'done'), entry('T1', 'running')]);
  await roles.writeJournal([entry('O3', 'running')]);
  await roles.writeJournal([entry('T1', 'done')]);
  const journal = await roles.readJournal('op-1');
  expect(journal.map(({ step, state }) => `${step} ${state}`)).toEqual(['T0 done', 'T1 done', 'O3 running']);
  expect(await roles.readJournal('op-2')).toEqual([]);
});

test('the journals of the newest operations are kept, those of older ones go', async () => {
  const { store } = await openStore();
  const { id } = await withTenant(store);
  const roles = store.roleStore(id, () => {});
  const operations = Array.from({ length: roleJournalsMax + 2 }, (_, index) => `op-${index}`);
  await roles.writeJournal(operations.map(operationId => ({ ...entry('T0', 'done'), operationId })));
  expect(await roles.readJournal('op-0')).toEqual([]);
  expect(await roles.readJournal('op-1')).toEqual([]);
  expect(await roles.readJournal('op-2')).toHaveLength(1);
  expect(await roles.readJournal(operations.at(-1) ?? '')).toHaveLength(1);
});

test('the beginning of a step is announced once it is durable, and only then', async () => {
  const { store } = await openStore();
  const { id, row } = await withTenant(store);
  const begun: string[] = [];
  const roles = store.roleStore(id, step => begun.push(step));
  const next: RoleRow = { ...row, revision: 2, step: 'B2' };
  await roles.compareAndSet(row, next, []);
  await roles.compareAndSet(row, { ...row, revision: 2, step: 'O6' }, []);
  expect(begun).toEqual(['B2']);
});

test('the store opens again on its tables and finds what it had', async () => {
  const { store, engine } = await openStore();
  const { id, row } = await withTenant(store);
  await store.close();
  const { store: again } = await openStore(engine);
  expect(await again.roleStore(id, () => {}).load()).toEqual(row);
  expect((await again.tenants()).map(({ name }) => name)).toEqual(['shop']);
});

test('tables of a newer version are refused, and left as they are', async () => {
  const { store, engine } = await openStore();
  await withTenant(store);
  await store.close();
  const session = engine.engine.openSession({ internal: true });
  await session.execute({
    sql: 'INSERT INTO __obs_version (version) VALUES (999)',
    parameters: [],
    rowsMax: 1,
  });
  const opening = openStore(engine);
  await expect(opening).rejects.toMatchObject({
    code: 'OBS_SERVER_FORMAT_NEWER',
    message: expect.stringMatching(
      /sys tenant has format version 999; this program knows up to \d/,
    ) as string,
  });
  const versions = await session.execute({
    sql: 'SELECT count(*) FROM __obs_version',
    parameters: [],
    rowsMax: 1,
  });
  expect(versions).toMatchObject({ kind: 'rows', rows: [[sysMigrations.length + 1]] });
});

test('a sealed secret opens under its own key and context alone', () => {
  const box = new SecretBox(key, nodeRandom);
  const sealed = box.seal('s3 key', 'archive 1002');
  expect(box.open(sealed, 'archive 1002')).toBe('s3 key');
  expect(Buffer.from(sealed).includes('s3 key')).toBe(false);
  expect(() => box.open(sealed, 'archive 1003')).toThrow();
  expect(() => new SecretBox(new Uint8Array(32), nodeRandom).open(sealed, 'archive 1002')).toThrow();
  const flipped = Uint8Array.from(sealed);
  flipped[20] = (flipped[20] ?? 0) ^ 1;
  expect(() => box.open(flipped, 'archive 1002')).toThrow();
});

test('so many sites follow a tenant and no more; who is known is kept, and may move', async () => {
  const { store } = await openStore();
  const { id } = await withTenant(store);
  const other = await store.addTenant({
    name: 'other',
    incarnation: 'i-2',
    createTime: wallMicros(5),
    pageBytes: 4096,
  });
  const follower = (site: string, port = 1) => ({
    site,
    address: `10.0.0.1:${port}`,
    route: {
      addresses: [{ host: '10.0.0.1', port }],
      tenant: 'shop',
      credential: { kind: 'password' as const, user: 'root', password: '' },
    },
  });
  for (let count = 0; count < followersMax; count += 1)
    await store.rememberFollower(id, follower(`s${count}`));
  await expect(store.rememberFollower(id, follower('one more'))).rejects.toMatchObject({
    code: 'OBS_SERVER_FOLLOWERS_FULL',
  });
  await store.rememberFollower(id, follower('s3', 2));
  await store.rememberFollower(other.id, follower('one more'));
  const known = await store.followers(id);
  expect(known).toHaveLength(followersMax);
  expect(known.find(({ site }) => site === 's3')?.address).toBe('10.0.0.1:2');
  await store.forgetFollower(id, 's0');
  await store.rememberFollower(id, follower('one more'));
  expect((await store.followers(id)).map(({ site }) => site)).toContain('one more');
});
