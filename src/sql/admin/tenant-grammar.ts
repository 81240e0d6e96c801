/** CREATE TENANT, CREATE STANDBY TENANT, ALTER TENANT, DROP TENANT, and the statements of OceanBase's resource model, which are refused by name. */
import { ObError } from '../../base/errors.ts';
import type { TokenCursor } from '../dialect/token-cursor.ts';
import { optionalEquals } from './clauses.ts';
import type { AdminStatement, PlacementClauses } from './statement.ts';

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
  if (verb === 'alter') return alterTenant(cursor);
  throw notYet(`${verb.toUpperCase()} TENANT`);
}

/** Options that mean nothing here yet; taking them without effect would be a lie. */
const laterOptions = new Set([
  'resource_pool_list',
  'zone_list',
  'replica_num',
  'unit_num',
  'enable_extended_rowid',
]);

interface TenantOptions {
  pageBytes: number | null;
  rootPassword: string | null;
  source: string | null;
  locality: string | null;
  primaryZone: string | null;
  arbitration: boolean | null;
}

function tenantOptions(cursor: TokenCursor): TenantOptions {
  const options: TenantOptions = {
    pageBytes: null,
    rootPassword: null,
    source: null,
    locality: null,
    primaryZone: null,
    arbitration: null,
  };
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
    case 'locality':
      cursor.at++;
      optionalEquals(cursor);
      options.locality = cursor.string();
      return;
    case 'primary_zone':
      cursor.at++;
      optionalEquals(cursor);
      options.primaryZone = cursor.nameOrString();
      return;
    case 'enable_arbitration_service':
      cursor.at++;
      optionalEquals(cursor);
      options.arbitration = switchValue(cursor);
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
    placement: placementOf(options),
  };
}

const placementOf = ({ locality, primaryZone, arbitration }: TenantOptions): PlacementClauses => ({
  locality,
  primaryZone,
  arbitration,
});

/** TRUE, FALSE, 1, 0, ON, OFF, YES, NO: as OceanBase takes switches. */
function switchValue(cursor: TokenCursor): boolean {
  const at = cursor.at;
  const token = cursor.statement.tokens[at];
  const text = token?.kind === 'number' ? String(cursor.integer()) : cursor.nameOrString().toLowerCase();
  if (['true', '1', 'on', 'yes'].includes(text)) return true;
  if (['false', '0', 'off', 'no'].includes(text)) return false;
  throw cursor.statement.errorAt(at);
}

/** ALTER TENANT t [SET] LOCALITY = '…', PRIMARY_ZONE = '…', ENABLE_ARBITRATION_SERVICE = true|false. */
function alterTenant(cursor: TokenCursor): AdminStatement {
  const name = cursor.nameOrString();
  cursor.take('set');
  const at = cursor.at;
  const options = tenantOptions(cursor);
  const { locality, primaryZone, arbitration, pageBytes, rootPassword, source } = options;
  const others = [pageBytes, rootPassword, source].some(value => value !== null);
  const isNothing = locality === null && primaryZone === null && arbitration === null;
  if (others || isNothing) throw cursor.statement.errorAt(at);
  return { kind: 'alter-tenant', name, placement: placementOf(options) };
}

function createStandbyTenant(cursor: TokenCursor): AdminStatement {
  const ifNotExists = cursor.take('if', 'not', 'exists');
  const name = cursor.nameOrString();
  const options = tenantOptions(cursor);
  const { source } = options;
  return {
    kind: 'create-standby-tenant',
    name,
    ifNotExists,
    source: source ?? '',
    placement: placementOf(options),
  };
}

function dropTenant(cursor: TokenCursor): AdminStatement {
  const ifExists = cursor.take('if', 'exists');
  const name = cursor.nameOrString();
  const force = cursor.takeOne('force', 'purge') === 'force';
  cursor.expectEnd();
  return { kind: 'drop-tenant', name, ifExists, force };
}
