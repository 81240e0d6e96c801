/** CREATE, ALTER, DROP USER, GRANT, REVOKE. Passwords are taken out of the text here and never appear in an error. */
import { ObError } from '../../base/errors.ts';
import type { Privilege, UserStatement } from '../plan.ts';
import type { StatementText } from './statement-text.ts';
import { TokenCursor } from './token-cursor.ts';

/** Null when the statement is none of these. */
export function parseUserStatement(statement: StatementText): UserStatement | null {
  const cursor = new TokenCursor(statement);
  if (cursor.take('create', 'user')) return createUser(cursor);
  if (cursor.take('alter', 'user')) return alterUser(cursor);
  if (cursor.take('drop', 'user')) return dropUser(cursor);
  if (cursor.take('grant')) return grant(cursor, 'grant');
  if (cursor.take('revoke')) return grant(cursor, 'revoke');
  return null;
}

/** `name`, 'name'@'host': the host is read and means nothing, every user may come from anywhere. */
function userName(cursor: TokenCursor): string {
  const name = cursor.nameOrString();
  if (cursor.peek()?.kind === 'user-variable') cursor.at++;
  return name;
}

function currentUser(cursor: TokenCursor): boolean {
  if (
    !cursor.take('current_user') &&
    !(cursor.word() === 'user' && cursor.symbol(1) === '(' && cursor.take('user'))
  )
    return false;
  if (cursor.symbol() === '(') cursor.brackets();
  return true;
}

/** The password behind IDENTIFIED; hashes are refused, as the other verifiers could not be made from one. */
function identified(cursor: TokenCursor): string | undefined {
  if (!cursor.take('identified')) return undefined;
  if (cursor.take('with')) {
    cursor.nameOrString();
    if (cursor.word() === 'as')
      throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'users made from a password hash' });
    if (!cursor.take('by')) return undefined;
  } else {
    cursor.expect('by');
  }
  if (cursor.word() === 'password' || cursor.word() === 'random')
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: `IDENTIFIED BY ${cursor.word().toUpperCase()}` });
  const password = cursor.string();
  if (cursor.take('replace')) cursor.string();
  cursor.take('retain', 'current', 'password');
  return password;
}

/** ACCOUNT LOCK and what else may follow; only the lock means something. */
function accountOptions(cursor: TokenCursor): boolean | undefined {
  let locked: boolean | undefined;
  while (!cursor.done) {
    if (cursor.take('account')) locked = cursor.expectOne('lock', 'unlock') === 'lock';
    else if (cursor.take('require')) cursor.expectOne('none', 'ssl', 'x509');
    else if (cursor.take('password', 'expire')) cursor.takeOne('never', 'default');
    else if (cursor.takeOne('comment', 'attribute') !== undefined) cursor.string();
    else throw cursor.error();
  }
  return locked;
}

function createUser(cursor: TokenCursor): UserStatement {
  const ifNotExists = cursor.take('if', 'not', 'exists');
  const users: { name: string; password: string }[] = [];
  do users.push({ name: userName(cursor), password: identified(cursor) ?? '' });
  while (cursor.takeSymbol(','));
  const locked = accountOptions(cursor) ?? false;
  return { kind: 'create', users: users.map(user => ({ ...user, locked })), ifNotExists };
}

function alterUser(cursor: TokenCursor): UserStatement {
  const ifExists = cursor.take('if', 'exists');
  const users: { name: string | null; password: string | undefined }[] = [];
  do {
    const name = currentUser(cursor) ? null : userName(cursor);
    users.push({ name, password: identified(cursor) });
  } while (cursor.takeSymbol(','));
  const locked = accountOptions(cursor);
  return {
    kind: 'alter',
    users: users.map(({ name, password }) => ({
      name,
      ...(password === undefined ? {} : { password }),
      ...(locked === undefined ? {} : { locked }),
    })),
    ifExists,
  };
}

function dropUser(cursor: TokenCursor): UserStatement {
  const ifExists = cursor.take('if', 'exists');
  const names: string[] = [];
  do names.push(userName(cursor));
  while (cursor.takeSymbol(','));
  cursor.expectEnd();
  return { kind: 'drop', names, ifExists };
}

/** MySQL's privileges as the tenant's; those that stand for DDL are all DDL. */
const privilegeNames: Readonly<Record<string, Privilege>> = {
  all: 'ALL',
  'all privileges': 'ALL',
  select: 'SELECT',
  'show view': 'SELECT',
  'show databases': 'SELECT',
  insert: 'INSERT',
  update: 'UPDATE',
  delete: 'DELETE',
  create: 'DDL',
  alter: 'DDL',
  drop: 'DDL',
  index: 'DDL',
  references: 'DDL',
  trigger: 'DDL',
  'create view': 'DDL',
  ddl: 'DDL',
  super: 'SUPER',
  'alter system': 'SUPER',
  'replication slave': 'REPLICATION SLAVE',
  'replication client': 'REPLICATION SLAVE',
  'create user': 'CREATE USER',
  'grant option': 'CREATE USER',
};

function grant(cursor: TokenCursor, kind: 'grant' | 'revoke'): UserStatement {
  const privileges: Privilege[] = [];
  let usageOnly = false;
  do {
    const from = cursor.at;
    const words: string[] = [];
    while (
      cursor.word() !== '' &&
      cursor.word() !== 'on' &&
      cursor.word() !== 'from' &&
      cursor.word() !== 'to'
    ) {
      words.push(cursor.word());
      cursor.at++;
      if (words.length > 3) throw cursor.statement.errorAt(from);
    }
    if (cursor.symbol() === '(')
      throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'privileges on columns' });
    const name = words.join(' ');
    if (name === 'usage') {
      usageOnly = true;
      continue;
    }
    const privilege = Object.hasOwn(privilegeNames, name) ? privilegeNames[name] : undefined;
    if (privilege === undefined) throw cursor.statement.errorAt(from);
    if (!privileges.includes(privilege)) privileges.push(privilege);
  } while (cursor.takeSymbol(','));
  if (privileges.length === 0 && !usageOnly) throw cursor.error();
  if (cursor.take('on')) grantLevel(cursor);
  else if (kind === 'grant' || !privileges.includes('ALL')) throw cursor.error();
  cursor.expect(kind === 'grant' ? 'to' : 'from');
  const names: string[] = [];
  do {
    names.push(userName(cursor));
    if (identified(cursor) !== undefined)
      throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'GRANT … IDENTIFIED BY' });
  } while (cursor.takeSymbol(','));
  if (cursor.take('with', 'grant', 'option') && !privileges.includes('CREATE USER'))
    privileges.push('CREATE USER');
  cursor.expectEnd();
  return { kind, privileges, names };
}

/** Privileges hold for the whole tenant: `*.*`, `db.*` and `*` say that; one table would not be true. */
function grantLevel(cursor: TokenCursor): void {
  cursor.take('table');
  if (cursor.takeSymbol('*')) {
    if (cursor.takeSymbol('.')) cursor.expectSymbol('*');
    return;
  }
  cursor.name();
  if (cursor.takeSymbol('.') && cursor.takeSymbol('*')) return;
  throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'privileges on one table' });
}
