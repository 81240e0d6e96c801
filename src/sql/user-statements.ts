/**
 * Runs CREATE USER, ALTER USER, DROP USER, GRANT, REVOKE and SHOW GRANTS against the tenant's user table. Each
 * statement is one transaction. Checks that the one who asks holds what he gives or touches; root cannot be lessened.
 */
import { unreachable } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import type { Random } from '../platform/random.ts';
import type { EngineSession } from '../tenant/engine.ts';
import type { PlanAnswer, UserStatement } from './plan.ts';
import { covers, granted, grantsText, holds, type PrivilegeSet, revoked } from './privileges.ts';
import {
  type Credentials,
  credentialsOf,
  findUser,
  inWriteTransaction,
  removeUser,
  rootUser,
  type StoredUser,
  storeUser,
} from './users.ts';

interface UserStatementContext {
  /** internal, outside a transaction */
  readonly session: EngineSession;
  readonly random: Random;
  /** who asks */
  readonly user: string;
  readonly privileges: PrivilegeSet;
}

export async function executeUserStatement(
  statement: UserStatement,
  context: UserStatementContext,
): Promise<PlanAnswer> {
  switch (statement.kind) {
    case 'create':
      return createUsers(statement, context);
    case 'alter':
      return alterUsers(statement, context);
    case 'drop':
      return dropUsers(statement, context);
    case 'grant':
    case 'revoke':
      return changeGrants(statement, context);
    case 'show-grants':
      return showGrants(statement.name ?? context.user, context);
    default:
      return unreachable(statement);
  }
}

const done: PlanAnswer = { kind: 'ok' };

function mustManageUsers(context: UserStatementContext): void {
  if (!holds(context.privileges, 'CREATE USER')) {
    throw new ObError('OBS_SQL_PRIVILEGE', { privilege: 'CREATE USER' });
  }
}

/** Whoever resets a password can log in as that user: he must hold all that user holds. */
function mustCover(context: UserStatementContext, target: PrivilegeSet): void {
  if (!covers(context.privileges, target)) throw new ObError('OBS_SQL_PRIVILEGE', { privilege: 'ALL' });
}

async function createUsers(
  statement: Extract<UserStatement, { kind: 'create' }>,
  context: UserStatementContext,
): Promise<PlanAnswer> {
  mustManageUsers(context);
  const made: (Credentials & { readonly name: string; readonly locked: boolean })[] = [];
  for (const { name, password, locked } of statement.users) {
    made.push({ ...(await credentialsOf(password, context.random)), name, locked });
  }
  await inWriteTransaction(context.session, async () => {
    for (const user of made) {
      if ((await findUser(context.session, user.name)) === undefined) {
        await storeUser(context.session, { ...user, privileges: new Set() });
      } else if (!statement.ifNotExists) {
        throw new ObError('OBS_SQL_USER_EXISTS', { user: user.name });
      }
    }
  });
  return done;
}

async function alterUsers(
  statement: Extract<UserStatement, { kind: 'alter' }>,
  context: UserStatementContext,
): Promise<PlanAnswer> {
  const changes: { name: string; credentials: Credentials | undefined; locked: boolean | undefined }[] = [];
  for (const { name, password, locked } of statement.users) {
    // A user may change his own password without any privilege, but not unlock himself.
    if ((name ?? context.user) !== context.user || locked !== undefined) mustManageUsers(context);
    changes.push({
      name: name ?? context.user,
      credentials: password === undefined ? undefined : await credentialsOf(password, context.random),
      locked,
    });
  }
  await inWriteTransaction(context.session, async () => {
    for (const { name, credentials, locked } of changes) {
      const found = await existing(context.session, name, 'ALTER USER', statement.ifExists);
      if (found === undefined) continue;
      if (name !== context.user) mustCover(context, found.privileges);
      if (name === rootUser && locked === true) {
        throw new ObError('OBS_SQL_USER_INVALID', { what: 'root cannot be locked' });
      }
      await storeUser(context.session, { ...found, ...credentials, locked: locked ?? found.locked });
    }
  });
  return done;
}

async function dropUsers(
  statement: Extract<UserStatement, { kind: 'drop' }>,
  context: UserStatementContext,
): Promise<PlanAnswer> {
  mustManageUsers(context);
  await inWriteTransaction(context.session, async () => {
    for (const name of statement.names) {
      const found = await existing(context.session, name, 'DROP USER', statement.ifExists);
      if (found === undefined) continue;
      if (name === rootUser) throw new ObError('OBS_SQL_USER_INVALID', { what: 'root cannot be dropped' });
      mustCover(context, found.privileges);
      await removeUser(context.session, name);
    }
  });
  return done;
}

async function changeGrants(
  statement: Extract<UserStatement, { kind: 'grant' | 'revoke' }>,
  context: UserStatementContext,
): Promise<PlanAnswer> {
  mustManageUsers(context);
  mustCover(context, new Set(statement.privileges));
  const grants = statement.kind === 'grant';
  await inWriteTransaction(context.session, async () => {
    for (const name of statement.names) {
      const found = await existing(context.session, name, grants ? 'GRANT' : 'REVOKE', false);
      if (found === undefined) continue;
      if (name === rootUser && !grants) {
        throw new ObError('OBS_SQL_USER_INVALID', { what: 'root keeps all privileges' });
      }
      const change = grants ? granted : revoked;
      await storeUser(context.session, {
        ...found,
        privileges: change(found.privileges, statement.privileges),
      });
    }
  });
  return done;
}

async function showGrants(name: string, context: UserStatementContext): Promise<PlanAnswer> {
  if (name !== context.user) mustManageUsers(context);
  const found = await existing(context.session, name, 'SHOW GRANTS', false);
  const column = { name: `Grants for ${name}@%`, declaredType: null, table: null, originColumn: null };
  const rows = found === undefined ? [] : [[grantsText(name, found.privileges)]];
  return { kind: 'rows', columns: [column], rows };
}

async function existing(
  session: EngineSession,
  name: string,
  operation: string,
  mayLack: boolean,
): Promise<StoredUser | undefined> {
  const found = await findUser(session, name);
  if (found === undefined && !mayLack) throw new ObError('OBS_SQL_NO_SUCH_USER', { operation, user: name });
  return found;
}
