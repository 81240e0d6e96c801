import { afterEach, beforeEach, expect, test } from 'vitest';
import { nodeRandom } from '../../../src/platform/random.ts';
import { loginAllowed, pluginToSwitchTo } from '../../../src/sql/login-core.ts';
import type { Privilege, UserStatement } from '../../../src/sql/plan.ts';
import { authenticationPlugins } from '../../../src/sql/protocol/handshake.ts';
import { scrambleOf } from '../../../src/sql/protocol/scrambles.ts';
import { executeUserStatement } from '../../../src/sql/user-statements.ts';
import { createInitialUsers, findUser, readUser, verifierFor } from '../../../src/sql/users.ts';
import type { EngineSession } from '../../../src/tenant/engine.ts';
import { DirectEngine } from '../../support/direct-engine.ts';

let engine: DirectEngine;
let session: EngineSession;

beforeEach(async () => {
  engine = new DirectEngine();
  session = engine.openSession();
  await createInitialUsers(session, 'secret', nodeRandom);
});

afterEach(() => engine.close());

const as =
  (user: string, ...privileges: Privilege[]) =>
  (statement: UserStatement) =>
    executeUserStatement(statement, { session, random: nodeRandom, user, privileges: new Set(privileges) });
const root = as('root', 'ALL');
const create = (name: string, password: string): UserStatement => ({
  kind: 'create',
  users: [{ name, password, locked: false }],
  ifNotExists: false,
});
const grant = (privilege: Privilege, name: string): UserStatement => ({
  kind: 'grant',
  privileges: [privilege],
  names: [name],
});

async function mayLogIn(name: string, password: string, loopback = true): Promise<boolean> {
  const challenge = nodeRandom.bytes(20);
  const user = await readUser(engine.engine, name);
  const verdicts = authenticationPlugins.map(plugin =>
    loginAllowed(user, {
      challenge: { plugin, bytes: challenge },
      scramble: scrambleOf(plugin, challenge, password),
      loopback,
    }),
  );
  expect(new Set(verdicts).size).toBe(1);
  return verdicts[0] ?? false;
}

test('root has the password the tenant was created with; creating again changes nothing', async () => {
  await createInitialUsers(session, 'another', nodeRandom);
  expect(await mayLogIn('root', 'secret')).toBe(true);
  expect(await mayLogIn('root', 'another')).toBe(false);
  expect(await mayLogIn('root', '')).toBe(false);
  expect(await mayLogIn('nobody', 'secret')).toBe(false);
  expect(await mayLogIn('nobody', '')).toBe(false);
});

test('a user without a password comes in from this machine only', async () => {
  await root(create('open', ''));
  expect(await mayLogIn('open', '')).toBe(true);
  expect(await mayLogIn('open', '', false)).toBe(false);
  expect(await mayLogIn('open', 'guess')).toBe(false);
});

test('a locked user stays out, with any password', async () => {
  await root(create('app', 'pw'));
  expect(await mayLogIn('app', 'pw')).toBe(true);
  await root({ kind: 'alter', users: [{ name: 'app', locked: true }], ifExists: false });
  expect(await mayLogIn('app', 'pw')).toBe(false);
});

test('the table holds no password', async () => {
  await root(create('app', 'a very secret word'));
  const dump = await session.execute({ sql: 'SELECT * FROM __obs_user', parameters: [], rowsMax: 10 });
  expect(JSON.stringify(dump)).not.toContain('a very secret word');
});

test('users may change their own password and nobody else’s', async () => {
  await root(create('app', 'old'));
  await root(create('other', 'old'));
  const app = as('app');
  await app({ kind: 'alter', users: [{ name: null, password: 'new' }], ifExists: false });
  expect(await mayLogIn('app', 'new')).toBe(true);
  const refused = [
    { kind: 'alter', users: [{ name: 'other', password: 'new' }], ifExists: false },
    { kind: 'alter', users: [{ name: 'app', locked: false }], ifExists: false },
    create('third', 'pw'),
    { kind: 'drop', names: ['other'], ifExists: false },
    grant('SELECT', 'app'),
    { kind: 'show-grants', name: 'other' },
  ] as const satisfies readonly UserStatement[];
  for (const statement of refused) {
    await expect(app(statement)).rejects.toMatchObject({ code: 'OBS_SQL_PRIVILEGE' });
  }
  expect(await mayLogIn('other', 'old')).toBe(true);
});

test('who may create users cannot make himself, or become, more than he is', async () => {
  await root(create('clerk', 'pw'));
  const clerk = as('clerk', 'CREATE USER', 'SELECT');
  await expect(clerk(grant('ALL', 'clerk'))).rejects.toMatchObject({ code: 'OBS_SQL_PRIVILEGE' });
  await expect(clerk(grant('SUPER', 'clerk'))).rejects.toMatchObject({ code: 'OBS_SQL_PRIVILEGE' });
  const takeRoot: UserStatement = {
    kind: 'alter',
    users: [{ name: 'root', password: 'mine' }],
    ifExists: false,
  };
  await expect(clerk(takeRoot)).rejects.toMatchObject({ code: 'OBS_SQL_PRIVILEGE' });
  await clerk(grant('SELECT', 'clerk'));
  expect([...((await findUser(session, 'clerk'))?.privileges ?? [])]).toEqual(['SELECT']);
});

test('root can be neither dropped, locked nor lessened', async () => {
  const statements: UserStatement[] = [
    { kind: 'drop', names: ['root'], ifExists: false },
    { kind: 'alter', users: [{ name: 'root', locked: true }], ifExists: false },
    { kind: 'revoke', privileges: ['SUPER'], names: ['root'] },
  ];
  for (const statement of statements) {
    await expect(root(statement)).rejects.toMatchObject({ code: 'OBS_SQL_USER_INVALID' });
  }
});

test('a statement about several users changes all of them or none', async () => {
  await root(create('first', 'pw'));
  const both: UserStatement = { kind: 'drop', names: ['first', 'missing'], ifExists: false };
  await expect(root(both)).rejects.toMatchObject({ code: 'OBS_SQL_NO_SUCH_USER' });
  expect(await mayLogIn('first', 'pw')).toBe(true);
  await root({ ...both, ifExists: true });
  expect(await mayLogIn('first', 'pw')).toBe(false);
});

test('grants add up, and taking one from ALL leaves the rest', async () => {
  await root(create('app', 'pw'));
  await root(grant('SELECT', 'app'));
  await root(grant('INSERT', 'app'));
  const shown = await as('app')({ kind: 'show-grants', name: null });
  expect(shown).toMatchObject({ rows: [['GRANT SELECT, INSERT ON *.* TO `app`@`%`']] });
  await root(grant('ALL', 'app'));
  await root({ kind: 'revoke', privileges: ['SUPER', 'CREATE USER'], names: ['app'] });
  const left = (await findUser(session, 'app'))?.privileges;
  expect(left?.has('SUPER')).toBe(false);
  expect(left?.has('DELETE')).toBe(true);
});

test('only unlocked users with a password and REPLICATION SLAVE have a verifier for standbys', async () => {
  await root(create('sync', 'pw'));
  expect(await verifierFor(engine.engine, 'sync')).toBeUndefined();
  await root(grant('REPLICATION SLAVE', 'sync'));
  expect((await verifierFor(engine.engine, 'sync'))?.storedKey.length).toBe(32);
  await root({ kind: 'alter', users: [{ name: 'sync', locked: true }], ifExists: false });
  expect(await verifierFor(engine.engine, 'sync')).toBeUndefined();
  expect(await verifierFor(engine.engine, 'nobody')).toBeUndefined();
  await root(create('open', ''));
  await root(grant('ALL', 'open'));
  expect(await verifierFor(engine.engine, 'open')).toBeUndefined();
});

test('a client is asked again in the way it knows', () => {
  expect(pluginToSwitchTo('mysql_native_password', null)).toBeUndefined();
  expect(pluginToSwitchTo('mysql_native_password', 'mysql_native_password')).toBeUndefined();
  expect(pluginToSwitchTo('mysql_native_password', 'caching_sha2_password')).toBe('caching_sha2_password');
  expect(pluginToSwitchTo('caching_sha2_password', 'sha256_password')).toBe('caching_sha2_password');
});
