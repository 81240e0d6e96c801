/**
 * The users of a tenant, kept in the tenant's own database (`__obs_user`), so that they travel with it: a standby has
 * the primary's users. A row holds what checks a password in three ways — MySQL's two double hashes and a SCRAM
 * verifier for standbys that log in — and never the password.
 *
 * All functions take a session opened with `internal`: the table is hidden from clients.
 */
import { ObError } from '../base/errors.ts';
import { passwordLengthMax, scramIterations, userNameLengthMax, usersMax } from '../base/limits.ts';
import { deriveScramKeys, type ScramVerifier, scramVerifierOf } from '../codec/scram.ts';
import type { Random } from '../platform/random.ts';
import type { Cell, EngineSession, TenantEngine } from '../tenant/engine.ts';
import { holds, type PrivilegeSet, parsePrivileges, privilegesText } from './privileges.ts';
import { doubleHash } from './protocol/scrambles.ts';

/** The checks of one password. The hashes of the empty password are empty. */
export interface Credentials {
  readonly nativeHash: Uint8Array;
  readonly sha2Hash: Uint8Array;
  readonly scram: ScramVerifier;
}

export interface StoredUser extends Credentials {
  readonly name: string;
  readonly privileges: PrivilegeSet;
  readonly locked: boolean;
}

/** The user that exists in every tenant, holds everything and cannot be dropped. */
export const rootUser = 'root';

const createTable = `CREATE TABLE IF NOT EXISTS __obs_user (
  name TEXT NOT NULL PRIMARY KEY,
  native_hash BLOB NOT NULL,
  sha2_hash BLOB NOT NULL,
  scram_salt BLOB NOT NULL,
  scram_iterations INTEGER NOT NULL,
  scram_stored_key BLOB NOT NULL,
  scram_server_key BLOB NOT NULL,
  privileges TEXT NOT NULL,
  locked INTEGER NOT NULL
) WITHOUT ROWID`;

const selectUser = `SELECT name, native_hash, sha2_hash, scram_salt, scram_iterations, scram_stored_key, scram_server_key,
  privileges, locked FROM __obs_user WHERE name = ?`;

const upsertUser = `INSERT INTO __obs_user (name, native_hash, sha2_hash, scram_salt, scram_iterations, scram_stored_key,
  scram_server_key, privileges, locked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (name) DO UPDATE SET native_hash = excluded.native_hash, sha2_hash = excluded.sha2_hash,
  scram_salt = excluded.scram_salt, scram_iterations = excluded.scram_iterations,
  scram_stored_key = excluded.scram_stored_key, scram_server_key = excluded.scram_server_key,
  privileges = excluded.privileges, locked = excluded.locked`;

/** Hashes a password. The clear text is not kept. */
export async function credentialsOf(password: string, random: Random): Promise<Credentials> {
  if (password.length > passwordLengthMax) {
    throw new ObError('OBS_SQL_USER_INVALID', {
      what: `a password has at most ${passwordLengthMax} characters`,
    });
  }
  const keys = await deriveScramKeys(password, random.bytes(16), scramIterations);
  const empty = password === '';
  return {
    nativeHash: empty ? new Uint8Array() : doubleHash('mysql_native_password', password),
    sha2Hash: empty ? new Uint8Array() : doubleHash('caching_sha2_password', password),
    scram: scramVerifierOf(keys),
  };
}

/**
 * Makes the user table and root, who holds everything. Part of creating a tenant; repeating it changes nothing.
 * The session must be internal and outside a transaction.
 */
export async function createInitialUsers(
  session: EngineSession,
  rootPassword: string,
  random: Random,
): Promise<void> {
  const credentials = await credentialsOf(rootPassword, random);
  await inWriteTransaction(session, async () => {
    await run(session, createTable, []);
    if ((await findUser(session, rootUser)) !== undefined) return;
    await storeUser(session, {
      ...credentials,
      name: rootUser,
      privileges: new Set(['ALL']),
      locked: false,
    });
  });
}

/** The user, or undefined. A tenant whose user table has not arrived yet (an empty standby) has no users. */
export async function findUser(session: EngineSession, name: string): Promise<StoredUser | undefined> {
  const [present] = await rows(session, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", [
    '__obs_user',
  ]);
  if (present === undefined) return undefined;
  const [row] = await rows(session, selectUser, [name]);
  return row === undefined ? undefined : userOfRow(row);
}

/** Creates the user or replaces the stored row. */
export async function storeUser(session: EngineSession, user: StoredUser): Promise<void> {
  if (user.name === '' || user.name.length > userNameLengthMax) {
    throw new ObError('OBS_SQL_USER_INVALID', { what: `a name has 1 to ${userNameLengthMax} characters` });
  }
  const [count] = await rows(session, 'SELECT count(*) FROM __obs_user WHERE name <> ?', [user.name]);
  if (Number(count?.[0] ?? 0) >= usersMax) {
    throw new ObError('OBS_SQL_USER_INVALID', { what: `a tenant has at most ${usersMax} users` });
  }
  await run(session, upsertUser, [
    user.name,
    user.nativeHash,
    user.sha2Hash,
    user.scram.salt,
    user.scram.iterations,
    user.scram.storedKey,
    user.scram.serverKey,
    privilegesText(user.privileges),
    user.locked ? 1 : 0,
  ]);
}

export async function removeUser(session: EngineSession, name: string): Promise<void> {
  await run(session, 'DELETE FROM __obs_user WHERE name = ?', [name]);
}

/**
 * What a standby's login is checked against: undefined for an unknown or locked user, one without REPLICATION SLAVE,
 * and one without a password.
 */
export async function verifierFor(engine: TenantEngine, name: string): Promise<ScramVerifier | undefined> {
  const user = await readUser(engine, name);
  if (user === undefined || user.locked || user.nativeHash.length === 0) return undefined;
  return holds(user.privileges, 'REPLICATION SLAVE') ? user.scram : undefined;
}

/** Reads one user in an internal session of its own. */
export async function readUser(engine: TenantEngine, name: string): Promise<StoredUser | undefined> {
  const session = engine.openSession({ internal: true, weak: true });
  try {
    return await findUser(session, name);
  } finally {
    await session.close();
  }
}

/** Runs `body` in a write transaction: all of it or, if it throws, nothing. */
export async function inWriteTransaction<Result>(
  session: EngineSession,
  body: () => Promise<Result>,
): Promise<Result> {
  await session.begin('write');
  let result: Result;
  try {
    result = await body();
  } catch (error) {
    if (session.inTransaction) await session.rollback();
    throw error;
  }
  await session.commit();
  return result;
}

async function rows(
  session: EngineSession,
  sql: string,
  parameters: readonly Cell[],
): Promise<readonly (readonly Cell[])[]> {
  const result = await session.execute({ sql, parameters, rowsMax: 2 });
  return result.kind === 'rows' ? result.rows : [];
}

async function run(session: EngineSession, sql: string, parameters: readonly Cell[]): Promise<void> {
  await session.execute({ sql, parameters, rowsMax: 0 });
}

const bytesOf = (cell: Cell | undefined): Uint8Array =>
  cell instanceof Uint8Array ? cell : new Uint8Array();

const userOfRow = (row: readonly Cell[]): StoredUser => ({
  name: String(row[0]),
  nativeHash: bytesOf(row[1]),
  sha2Hash: bytesOf(row[2]),
  scram: {
    salt: bytesOf(row[3]),
    iterations: Number(row[4]),
    storedKey: bytesOf(row[5]),
    serverKey: bytesOf(row[6]),
  },
  privileges: parsePrivileges(String(row[7])),
  locked: Number(row[8]) !== 0,
});
