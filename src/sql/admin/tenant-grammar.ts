/** CREATE TENANT, CREATE STANDBY TENANT, DROP TENANT, and the statements of OceanBase's resource model, which are refused by name. */
import { ObError } from '../../base/errors.ts';
import type { TokenCursor } from '../dialect/token-cursor.ts';
import { optionalEquals } from './clauses.ts';
import type { AdminStatement } from './statement.ts';

const notYet = (what: string): ObError => new ObError('OBS_SQL_NOT_SUPPORTED_YET', { what });

/** Null when the statement is not about tenants or resources. */
export function parseTenantStatement(cursor: TokenCursor, sys: boolean): AdminStatement | null {
  const verb = cursor.word();
  if (verb !== 'create' && verb !== 'drop' && verb !== 'alter' && verb !== 'purge' && verb !== 'flashback')
    return null;
  const subject = cursor.word(1);
  const sysOnly = (what: string): void => {
    if (!sys) throw new ObError('OBS_SQL_SYS_ONLY', { what });
  };
  if (subject === 'resource') {
    const kind = cursor.word(2);
    if (kind !== 'unit' && kind !== 'pool') return null;
    throw notYet(`${verb.toUpperCase()} RESOURCE ${kind.toUpperCase()}`);
  }
  if (subject === 'standby' && cursor.word(2) === 'tenant' && verb === 'create') {
    sysOnly('CREATE STANDBY TENANT');
    cursor.at += 3;
    return createStandbyTenant(cursor);
  }
  if (subject !== 'tenant') return null;
  sysOnly(`${verb.toUpperCase()} TENANT`);
  cursor.at += 2;
  if (verb === 'create') return createTenant(cursor);
  if (verb === 'drop') return dropTenant(cursor);
  throw notYet(`${verb.toUpperCase()} TENANT`);
}

/** Options whose meaning comes with several servers; taking them without effect would be a lie. */
const laterOptions = new Set([
  'locality',
  'primary_zone',
  'resource_pool_list',
  'zone_list',
  'replica_num',
  'unit_num',
  'enable_arbitration_service',
  'enable_extended_rowid',
]);

interface TenantOptions {
  pageBytes: number | null;
  rootPassword: string | null;
  source: string | null;
}

function tenantOptions(cursor: TokenCursor): TenantOptions {
  const options: TenantOptions = { pageBytes: null, rootPassword: null, source: null };
  while (!cursor.done && cursor.word() !== 'set') {
    oneOption(cursor, options);
    cursor.takeSymbol(',');
  }
  if (cursor.take('set')) {
    do {
      const at = cursor.at;
      const name = cursor.name().toLowerCase();
      cursor.expectSymbol('=');
      const value = cursor.nameOrString();
      if (name !== 'ob_tcp_invited_nodes' || value !== '%') {
        if (!/^[a-z_]+$/.test(name)) throw cursor.statement.errorAt(at);
        throw notYet(`CREATE TENANT … SET ${name}`);
      }
    } while (cursor.takeSymbol(','));
  }
  cursor.expectEnd();
  return options;
}

function oneOption(cursor: TokenCursor, options: TenantOptions): void {
  const name = cursor.word();
  if (laterOptions.has(name)) throw notYet(`the tenant option ${name.toUpperCase()}`);
  switch (name) {
    case 'log_restore_source':
      cursor.at++;
      optionalEquals(cursor);
      options.source = cursor.string();
      return;
    case 'root_password':
      cursor.at++;
      optionalEquals(cursor);
      options.rootPassword = cursor.string();
      return;
    case 'page_size': {
      cursor.at++;
      optionalEquals(cursor);
      options.pageBytes = cursor.integer();
      const bytes = options.pageBytes;
      if (bytes < 512 || bytes > 65_536 || (bytes & (bytes - 1)) !== 0)
        throw new ObError('OBS_SQL_ARGUMENT', { what: 'PAGE_SIZE: a power of two from 512 to 65536' });
      return;
    }
    case 'character':
    case 'charset':
    case 'default':
    case 'collate':
    case 'comment':
      cursor.take('default');
      if (cursor.take('character')) cursor.expect('set');
      else cursor.at++;
      optionalEquals(cursor);
      cursor.nameOrString();
      return;
    default:
      throw cursor.error();
  }
}

function createTenant(cursor: TokenCursor): AdminStatement {
  const ifNotExists = cursor.take('if', 'not', 'exists');
  const name = cursor.nameOrString();
  const sourceAt = cursor.statement.find(cursor.at, cursor.end, new Set(['log_restore_source']));
  const options = tenantOptions(cursor);
  if (options.source !== null) throw cursor.statement.errorAt(sourceAt);
  return {
    kind: 'create-tenant',
    name,
    ifNotExists,
    pageBytes: options.pageBytes,
    rootPassword: options.rootPassword,
  };
}

function createStandbyTenant(cursor: TokenCursor): AdminStatement {
  const ifNotExists = cursor.take('if', 'not', 'exists');
  const name = cursor.nameOrString();
  const { source } = tenantOptions(cursor);
  return { kind: 'create-standby-tenant', name, ifNotExists, source: source ?? '' };
}

function dropTenant(cursor: TokenCursor): AdminStatement {
  const ifExists = cursor.take('if', 'exists');
  const name = cursor.nameOrString();
  const force = cursor.takeOne('force', 'purge') === 'force';
  cursor.expectEnd();
  return { kind: 'drop-tenant', name, ifExists, force };
}
