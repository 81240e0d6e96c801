/**
 * OceanBase's administration statements. In the sys tenant a statement names its tenant, in a user tenant it must not. Statements
 * OceanBase has and this server has not are refused by their name; what is neither is error 1064. No error ever shows a literal.
 */
import { ObError } from '../../base/errors.ts';
import type { StatementText } from '../dialect/statement-text.ts';
import { TokenCursor } from '../dialect/token-cursor.ts';
import { durationMs, optionalEquals, TenantClauses, until } from './clauses.ts';
import type { AdminStatement } from './statement.ts';
import { parseTenantStatement } from './tenant-grammar.ts';

/** Null when the statement is none of these. Throws OBS_SQL_PARSE, OBS_SQL_NOT_SUPPORTED_YET, OBS_SQL_TENANT_CLAUSE. */
export function parseAdminStatement(statement: StatementText, sys: boolean): AdminStatement | null {
  const cursor = new TokenCursor(statement);
  if (!cursor.take('alter', 'system')) return parseTenantStatement(cursor, sys);
  const parsed = alterSystem(cursor, sys);
  cursor.expectEnd();
  return parsed;
}

function alterSystem(cursor: TokenCursor, sys: boolean): AdminStatement {
  const tenants = new TenantClauses(cursor, sys);
  const verb = cursor.word();
  switch (verb) {
    case 'set':
      return setParameter(cursor, tenants, sys);
    case 'archivelog':
    case 'noarchivelog':
      cursor.at++;
      return { kind: verb, tenants: tenants.several() };
    case 'recover':
      return recoverStandby(cursor, tenants);
    case 'switchover':
      return switchover(cursor, tenants);
    case 'activate':
      return activateStandby(cursor, tenants);
    case 'resume':
    case 'rollback':
      if (cursor.word(1) !== 'switchover') break;
      cursor.at += 2;
      return { kind: verb === 'resume' ? 'resume-switchover' : 'rollback-switchover', tenant: tenants.one() };
    case 'backup':
      return backup(cursor, tenants);
    case 'restore':
      return restore(cursor, sys);
    case 'checkpoint':
      cursor.at++;
      return { kind: 'checkpoint', tenants: tenants.several() };
    case 'minor':
      cursor.at++;
      cursor.expect('freeze');
      return { kind: 'checkpoint', tenants: tenants.several() };
    case 'add':
    case 'delete':
    case 'start':
    case 'stop':
      if (verb === 'add' && cursor.word(1) === 'arbitration') return arbitrationService(cursor, verb, sys);
      if (cursor.word(1) !== 'server') break;
      return servers(cursor, verb, sys);
    case 'remove':
    case 'replace':
      if (cursor.word(1) !== 'arbitration') break;
      return arbitrationService(cursor, verb, sys);
    case 'cancel':
      if (cursor.word(1) !== 'delete' || cursor.word(2) !== 'server') break;
      cursor.at++;
      return servers(cursor, 'start', sys);
    case 'switch':
      if (cursor.word(1) !== 'replica') break;
      return switchReplica(cursor, sys);
    default:
  }
  throw later(cursor);
}

/** ADD | DELETE | START | STOP SERVER 'ip:port' [, 'ip:port'] [ZONE [=] 'z']. */
function servers(
  cursor: TokenCursor,
  action: Extract<AdminStatement, { kind: 'servers' }>['action'],
  sys: boolean,
): AdminStatement {
  const what = `ALTER SYSTEM ${cursor.word().toUpperCase()} SERVER`;
  if (!sys) throw new ObError('OBS_SQL_SYS_ONLY', { what });
  cursor.at++;
  cursor.expect('server');
  const addresses: string[] = [];
  do addresses.push(serverAddress(cursor, what));
  while (cursor.takeSymbol(','));
  let zone: string | null = null;
  if (cursor.take('zone')) {
    optionalEquals(cursor);
    zone = cursor.nameOrString();
  }
  return { kind: 'servers', action, addresses, zone };
}

/** ADD | REMOVE ARBITRATION SERVICE 'ip:port', REPLACE ARBITRATION SERVICE 'old' WITH 'new'. */
function arbitrationService(
  cursor: TokenCursor,
  action: 'add' | 'remove' | 'replace',
  sys: boolean,
): AdminStatement {
  const what = `ALTER SYSTEM ${action.toUpperCase()} ARBITRATION SERVICE`;
  if (!sys) throw new ObError('OBS_SQL_SYS_ONLY', { what });
  cursor.at++;
  cursor.expect('arbitration', 'service');
  const address = serverAddress(cursor, what);
  if (action !== 'replace') return { kind: 'arbitration-service', action, address };
  cursor.expect('with');
  return { kind: 'replace-arbitration-service', old: address, address: serverAddress(cursor, what) };
}

/** SWITCH REPLICA LEADER LS [=] n SERVER [=] 'ip:port' TENANT [=] t, its clauses in any order. */
function switchReplica(cursor: TokenCursor, sys: boolean): AdminStatement {
  const what = 'ALTER SYSTEM SWITCH REPLICA';
  if (!sys) throw new ObError('OBS_SQL_SYS_ONLY', { what });
  cursor.expect('switch', 'replica');
  if (cursor.expectOne('leader', 'follower') === 'follower')
    throw new ObError('OBS_SQL_NOT_SUPPORTED_YET', { what: `${what} FOLLOWER` });
  let stream: number | null = null;
  let server: string | null = null;
  let tenant: string | null = null;
  while (!cursor.done) {
    const clause = cursor.expectOne('ls', 'server', 'tenant');
    optionalEquals(cursor);
    if (clause === 'ls') stream = cursor.integer();
    else if (clause === 'server') server = serverAddress(cursor, what);
    else tenant = cursor.nameOrString();
    cursor.takeSymbol(',');
  }
  if (server === null || tenant === null) throw cursor.error();
  const own = tenant.toLowerCase() === 'sys' ? 1 : 1001;
  if (stream !== null && stream !== own)
    throw new ObError('OBS_SQL_ARGUMENT', { what: `LS: the log stream of tenant ${tenant} is ${own}` });
  return { kind: 'transfer-leader', tenant, server };
}

function serverAddress(cursor: TokenCursor, what: string): string {
  const address = cursor.string();
  if (!/^\S+:\d{1,5}$/.test(address))
    throw new ObError('OBS_SQL_ARGUMENT', { what: `${what}: write 'host:port' of its door` });
  return address;
}

/** Verbs OceanBase has behind ALTER SYSTEM. */
const laterVerbs = new Set([
  'add',
  'alter',
  'begin',
  'cancel',
  'change',
  'clear',
  'decommission',
  'delete',
  'drop',
  'enable',
  'disable',
  'end',
  'flashback',
  'flush',
  'force',
  'isolate',
  'kill',
  'load',
  'major',
  'migrate',
  'modify',
  'move',
  'purge',
  'recover',
  'refresh',
  'reload',
  'remove',
  'replace',
  'report',
  'restart',
  'resume',
  'rollback',
  'run',
  'start',
  'stop',
  'suspend',
  'switch',
  'transfer',
  'upgrade',
  'validate',
]);

function later(cursor: TokenCursor): ObError {
  if (!laterVerbs.has(cursor.word())) return cursor.error();
  const words = ['ALTER SYSTEM'];
  for (let ahead = 0; ahead < 3 && /^[a-z_]+$/.test(cursor.word(ahead)); ahead++)
    words.push(cursor.word(ahead).toUpperCase());
  return new ObError('OBS_SQL_NOT_SUPPORTED_YET', { what: words.join(' ') });
}

function setParameter(cursor: TokenCursor, tenants: TenantClauses, sys: boolean): AdminStatement {
  cursor.expect('set');
  const at = cursor.at;
  const name = cursor.name().toLowerCase();
  switch (name) {
    case 'log_restore_source': {
      optionalEquals(cursor);
      const source = cursor.string();
      return { kind: 'set-log-restore-source', tenant: tenants.one(), source };
    }
    case 'log_archive_dest': {
      optionalEquals(cursor);
      const dest = cursor.string();
      return { kind: 'set-log-archive-dest', tenant: tenants.one(), dest };
    }
    case 'log_archive_dest_state': {
      optionalEquals(cursor);
      const valueAt = cursor.at;
      const state = cursor.nameOrString().toUpperCase();
      if (state !== 'ENABLE' && state !== 'DEFER') throw cursor.statement.errorAt(valueAt);
      return { kind: 'set-log-archive-dest-state', tenant: tenants.one(), state };
    }
    case 'arbitration_timeout':
    case 'arbitration_degradation_policy': {
      optionalEquals(cursor);
      const value = cursor.nameOrString();
      const isClusters = name === 'arbitration_degradation_policy';
      if (isClusters && !sys) throw new ObError('OBS_SQL_SYS_ONLY', { what: `ALTER SYSTEM SET ${name}` });
      const isOwn = isClusters || cursor.done;
      return { kind: 'set-parameter', name, value, tenants: isOwn ? null : tenants.several() };
    }
    case 'standby':
      throw new ObError('OBS_SQL_NOT_SUPPORTED_YET', { what: 'ALTER SYSTEM SET STANDBY TENANT TO MAXIMIZE' });
    default:
      if (cursor.statement.tokens[at]?.kind !== 'word' || cursor.symbol() !== '=')
        throw cursor.statement.errorAt(at);
      throw new ObError('OBS_SQL_NOT_SUPPORTED_YET', { what: `ALTER SYSTEM SET ${name}` });
  }
}

function recoverStandby(cursor: TokenCursor, tenants: TenantClauses): AdminStatement {
  cursor.expect('recover');
  if (cursor.word() !== 'standby') {
    cursor.at--;
    throw later(cursor);
  }
  cursor.at++;
  const tenant = tenants.one();
  if (cursor.take('cancel')) return { kind: 'recover-standby', tenant, until: { kind: 'cancel' } };
  return { kind: 'recover-standby', tenant, until: until(cursor) };
}

function switchover(cursor: TokenCursor, tenants: TenantClauses): AdminStatement {
  cursor.expect('switchover', 'to');
  const target = cursor.expectOne('standby', 'primary');
  let verify = cursor.take('verify');
  const tenant = tenants.one();
  verify = cursor.take('verify') || verify;
  return { kind: target === 'standby' ? 'switchover-to-standby' : 'switchover-to-primary', tenant, verify };
}

function activateStandby(cursor: TokenCursor, tenants: TenantClauses): AdminStatement {
  cursor.expect('activate', 'standby');
  let tenant: string | null | undefined;
  let verify = false;
  let force = false;
  let maxLagMs: number | null = null;
  while (!cursor.done) {
    if (cursor.take('verify')) verify = true;
    else if (cursor.take('force')) force = true;
    else if (cursor.take('max_lag')) {
      optionalEquals(cursor);
      maxLagMs = durationMs(cursor);
    } else if (tenant === undefined && cursor.word() === 'tenant') tenant = tenants.one();
    else throw cursor.error();
    cursor.takeSymbol(',');
  }
  return {
    kind: 'activate-standby',
    tenant: tenant === undefined ? tenants.none() : tenant,
    verify,
    force,
    maxLagMs,
  };
}

/** BACKUP DATABASE [TENANT = …] [TO '…'] and BACKUP TENANT = t1,t2 [TO '…']. */
function backup(cursor: TokenCursor, tenants: TenantClauses): AdminStatement {
  cursor.expect('backup');
  if (cursor.word() === 'incremental')
    throw new ObError('OBS_SQL_NOT_SUPPORTED_YET', { what: 'ALTER SYSTEM BACKUP INCREMENTAL' });
  if (cursor.word() !== 'tenant') cursor.expect('database');
  if (cursor.take('plus')) cursor.expect('archivelog');
  const list = tenants.several();
  const dest = cursor.take('to') ? cursor.string() : null;
  return { kind: 'backup', tenants: list, dest };
}

/** RESTORE [TENANT] name FROM 'uri[,uri]' [UNTIL …] [WITH '…']. */
function restore(cursor: TokenCursor, sys: boolean): AdminStatement {
  cursor.expect('restore');
  if (!sys) throw new ObError('OBS_SQL_SYS_ONLY', { what: 'ALTER SYSTEM RESTORE' });
  cursor.take('tenant');
  const name = cursor.nameOrString();
  cursor.expect('from');
  const from = cursor.string();
  const bound = cursor.word() === 'until' ? until(cursor) : null;
  if (cursor.take('with')) cursor.string();
  return { kind: 'restore', name, from, until: bound?.kind === 'scn' ? bound.scn : null };
}
