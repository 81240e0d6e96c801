/**
 * What a user of a tenant may do: a set of privileges at the level of the whole tenant. Pure. Nobody can give, take or
 * reset what exceeds his own set: whoever may create users is not thereby root.
 */
import type { Privilege, StatementClass } from './plan.ts';

export type PrivilegeSet = ReadonlySet<Privilege>;

const everyPrivilege: readonly Privilege[] = [
  'SELECT',
  'INSERT',
  'UPDATE',
  'DELETE',
  'DDL',
  'SUPER',
  'REPLICATION SLAVE',
  'CREATE USER',
];

const known: ReadonlySet<string> = new Set<string>(['ALL', ...everyPrivilege]);

export const holds = (held: PrivilegeSet, wanted: Privilege): boolean =>
  held.has('ALL') || (wanted !== 'ALL' && held.has(wanted));

/** Whether `held` includes all of `wanted`. */
export const covers = (held: PrivilegeSet, wanted: Iterable<Privilege>): boolean => {
  for (const privilege of wanted) if (!holds(held, privilege)) return false;
  return true;
};

/** What a statement needs, or null if any user may run it. */
export function privilegeOf(statement: StatementClass): Privilege | null {
  switch (statement) {
    case 'select':
      return 'SELECT';
    case 'insert':
      return 'INSERT';
    case 'update':
      return 'UPDATE';
    case 'delete':
      return 'DELETE';
    case 'ddl':
      return 'DDL';
    case 'savepoint':
    case 'show':
      return null;
  }
}

export const granted = (held: PrivilegeSet, more: readonly Privilege[]): PrivilegeSet =>
  more.includes('ALL') || held.has('ALL') ? new Set(['ALL']) : new Set([...held, ...more]);

/** Taking one privilege from ALL leaves the others. */
export function revoked(held: PrivilegeSet, less: readonly Privilege[]): PrivilegeSet {
  if (less.includes('ALL')) return new Set();
  const base = held.has('ALL') ? everyPrivilege : [...held];
  return new Set(base.filter(privilege => !less.includes(privilege)));
}

/** The stored form: names joined by commas, in the catalogue's order. */
export const privilegesText = (held: PrivilegeSet): string =>
  held.has('ALL') ? 'ALL' : everyPrivilege.filter(privilege => held.has(privilege)).join(',');

/** Names this version does not know (written by a newer one) grant nothing here. */
export const parsePrivileges = (text: string): PrivilegeSet =>
  new Set(text.split(',').filter((name): name is Privilege => known.has(name)));

/** As SHOW GRANTS prints them. */
export function grantsText(user: string, held: PrivilegeSet): string {
  const list = held.has('ALL') ? 'ALL PRIVILEGES' : privilegesText(held).replaceAll(',', ', ');
  const quoted = `\`${user.replaceAll('`', '``')}\`@\`%\``;
  return `GRANT ${list === '' ? 'USAGE' : list} ON *.* TO ${quoted}`;
}
