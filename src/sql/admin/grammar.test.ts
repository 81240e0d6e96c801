import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ObError } from '../../base/errors.ts';
import { StatementText } from '../dialect/statement-text.ts';
import { parseAdminStatement } from './grammar.ts';

const mode = { noBackslashEscapes: false, ansiQuotes: false, textIsBytes: false };
/** no LOCALITY, no PRIMARY_ZONE, no ENABLE_ARBITRATION_SERVICE */
const nowhere = { locality: null, primaryZone: null, arbitration: null };
const parse = (text: string, sys: boolean): unknown =>
  parseAdminStatement(new StatementText(text, mode), sys);

test.each([
  [
    'CREATE TENANT t1',
    {
      kind: 'create-tenant',
      name: 't1',
      ifNotExists: false,
      pageBytes: null,
      rootPassword: null,
      placement: nowhere,
    },
  ],
  [
    "CREATE TENANT IF NOT EXISTS `t 1` PAGE_SIZE = 8192, ROOT_PASSWORD = 'pw', CHARSET = utf8mb4, COMMENT 'x' SET ob_tcp_invited_nodes='%'",
    {
      kind: 'create-tenant',
      name: 't 1',
      ifNotExists: true,
      pageBytes: 8192,
      rootPassword: 'pw',
      placement: nowhere,
    },
  ],
  [
    "CREATE TENANT t1 LOCALITY='F@z1, R@z2', PRIMARY_ZONE='z1;z2' SET ob_tcp_invited_nodes='%'",
    {
      kind: 'create-tenant',
      name: 't1',
      ifNotExists: false,
      pageBytes: null,
      rootPassword: null,
      placement: { ...nowhere, locality: 'F@z1, R@z2', primaryZone: 'z1;z2' },
    },
  ],
  [
    "ALTER TENANT t1 LOCALITY = 'F@z1,F@z2'",
    { kind: 'alter-tenant', name: 't1', placement: { ...nowhere, locality: 'F@z1,F@z2' } },
  ],
  [
    "ALTER TENANT sys SET PRIMARY_ZONE RANDOM, LOCALITY 'F@z1'",
    { kind: 'alter-tenant', name: 'sys', placement: { ...nowhere, locality: 'F@z1', primaryZone: 'RANDOM' } },
  ],
  [
    "CREATE TENANT t1 LOCALITY='F@z1,F@z2', ENABLE_ARBITRATION_SERVICE = true",
    {
      kind: 'create-tenant',
      name: 't1',
      ifNotExists: false,
      pageBytes: null,
      rootPassword: null,
      placement: { locality: 'F@z1,F@z2', primaryZone: null, arbitration: true },
    },
  ],
  [
    'ALTER TENANT t1 SET ENABLE_ARBITRATION_SERVICE = FALSE',
    { kind: 'alter-tenant', name: 't1', placement: { ...nowhere, arbitration: false } },
  ],
  [
    'ALTER TENANT t1 ENABLE_ARBITRATION_SERVICE 1',
    { kind: 'alter-tenant', name: 't1', placement: { ...nowhere, arbitration: true } },
  ],
  [
    "ALTER SYSTEM ADD ARBITRATION SERVICE '10.0.0.9:2887'",
    { kind: 'arbitration-service', action: 'add', address: '10.0.0.9:2887' },
  ],
  [
    "ALTER SYSTEM REMOVE ARBITRATION SERVICE '10.0.0.9:2887'",
    { kind: 'arbitration-service', action: 'remove', address: '10.0.0.9:2887' },
  ],
  [
    "ALTER SYSTEM REPLACE ARBITRATION SERVICE 'h:1' WITH 'h:2'",
    { kind: 'replace-arbitration-service', old: 'h:1', address: 'h:2' },
  ],
  [
    "ALTER SYSTEM SET arbitration_timeout = '5s' TENANT = t1",
    { kind: 'set-parameter', name: 'arbitration_timeout', value: '5s', tenants: ['t1'] },
  ],
  [
    "ALTER SYSTEM SET ARBITRATION_TIMEOUT '30d' TENANT = ALL",
    { kind: 'set-parameter', name: 'arbitration_timeout', value: '30d', tenants: 'all' },
  ],
  [
    "ALTER SYSTEM SET arbitration_degradation_policy = 'CLUSTER_POLICY'",
    {
      kind: 'set-parameter',
      name: 'arbitration_degradation_policy',
      value: 'CLUSTER_POLICY',
      tenants: null,
    },
  ],
  [
    "ALTER SYSTEM ADD SERVER '10.0.0.1:2885', 'h:1' ZONE = 'z1'",
    { kind: 'servers', action: 'add', addresses: ['10.0.0.1:2885', 'h:1'], zone: 'z1' },
  ],
  ["ALTER SYSTEM DELETE SERVER 'h:1'", { kind: 'servers', action: 'delete', addresses: ['h:1'], zone: null }],
  ["ALTER SYSTEM STOP SERVER 'h:1'", { kind: 'servers', action: 'stop', addresses: ['h:1'], zone: null }],
  ["ALTER SYSTEM START SERVER 'h:1'", { kind: 'servers', action: 'start', addresses: ['h:1'], zone: null }],
  [
    "ALTER SYSTEM CANCEL DELETE SERVER 'h:1'",
    { kind: 'servers', action: 'start', addresses: ['h:1'], zone: null },
  ],
  [
    "ALTER SYSTEM SWITCH REPLICA LEADER LS = 1001 SERVER = 'h:1' TENANT = t1",
    { kind: 'transfer-leader', tenant: 't1', server: 'h:1' },
  ],
  [
    "ALTER SYSTEM SWITCH REPLICA LEADER TENANT sys, SERVER 'h:1', LS 1",
    { kind: 'transfer-leader', tenant: 'sys', server: 'h:1' },
  ],
  ['DROP TENANT t1', { kind: 'drop-tenant', name: 't1', ifExists: false, force: false }],
  ['DROP TENANT IF EXISTS t1 FORCE', { kind: 'drop-tenant', name: 't1', ifExists: true, force: true }],
  [
    "CREATE STANDBY TENANT IF NOT EXISTS s LOG_RESTORE_SOURCE = 'SERVICE=10.0.0.1:2881 USER=rep@t PASSWORD=pw'",
    {
      kind: 'create-standby-tenant',
      name: 's',
      ifNotExists: true,
      source: 'SERVICE=10.0.0.1:2881 USER=rep@t PASSWORD=pw',
      placement: nowhere,
    },
  ],
  [
    'CREATE STANDBY TENANT s',
    { kind: 'create-standby-tenant', name: 's', ifNotExists: false, source: '', placement: nowhere },
  ],
  [
    "ALTER SYSTEM SET LOG_RESTORE_SOURCE = 'LOCATION=file:///a' TENANT = s",
    { kind: 'set-log-restore-source', tenant: 's', source: 'LOCATION=file:///a' },
  ],
  [
    "ALTER SYSTEM SET LOG_RESTORE_SOURCE '' TENANT s",
    { kind: 'set-log-restore-source', tenant: 's', source: '' },
  ],
  [
    "ALTER SYSTEM SET LOG_ARCHIVE_DEST='LOCATION=file:///b BINDING=Mandatory' TENANT = 't1'",
    { kind: 'set-log-archive-dest', tenant: 't1', dest: 'LOCATION=file:///b BINDING=Mandatory' },
  ],
  [
    "alter system set log_archive_dest_state='defer' tenant=t1",
    { kind: 'set-log-archive-dest-state', tenant: 't1', state: 'DEFER' },
  ],
  ['ALTER SYSTEM ARCHIVELOG TENANT = ALL', { kind: 'archivelog', tenants: 'all' }],
  ['ALTER SYSTEM NOARCHIVELOG TENANT = t1, t2', { kind: 'noarchivelog', tenants: ['t1', 't2'] }],
  [
    'ALTER SYSTEM RECOVER STANDBY TENANT = s UNTIL UNLIMITED',
    { kind: 'recover-standby', tenant: 's', until: { kind: 'unlimited' } },
  ],
  [
    'ALTER SYSTEM RECOVER STANDBY TENANT s CANCEL',
    { kind: 'recover-standby', tenant: 's', until: { kind: 'cancel' } },
  ],
  [
    'ALTER SYSTEM RECOVER STANDBY TENANT = s UNTIL SCN = 1700000000000000',
    { kind: 'recover-standby', tenant: 's', until: { kind: 'scn', scn: 1_700_000_000_000_000 } },
  ],
  [
    'ALTER SYSTEM RECOVER STANDBY TENANT = s UNTIL SCN = 4611686018427387903',
    { kind: 'recover-standby', tenant: 's', until: { kind: 'unlimited' } },
  ],
  [
    "ALTER SYSTEM RECOVER STANDBY TENANT = s UNTIL TIME='2023-11-14 22:13:20.000005'",
    { kind: 'recover-standby', tenant: 's', until: { kind: 'scn', scn: 1_700_000_000_000_005 } },
  ],
  [
    'ALTER SYSTEM SWITCHOVER TO STANDBY TENANT = t1',
    { kind: 'switchover-to-standby', tenant: 't1', verify: false },
  ],
  [
    'ALTER SYSTEM SWITCHOVER TO PRIMARY TENANT t1 VERIFY',
    { kind: 'switchover-to-primary', tenant: 't1', verify: true },
  ],
  [
    'ALTER SYSTEM SWITCHOVER TO PRIMARY VERIFY TENANT t1',
    { kind: 'switchover-to-primary', tenant: 't1', verify: true },
  ],
  [
    "ALTER SYSTEM ACTIVATE STANDBY TENANT = s FORCE MAX_LAG = '500ms'",
    { kind: 'activate-standby', tenant: 's', verify: false, force: true, maxLagMs: 500 },
  ],
  [
    'ALTER SYSTEM ACTIVATE STANDBY TENANT = s VERIFY',
    { kind: 'activate-standby', tenant: 's', verify: true, force: false, maxLagMs: null },
  ],
  ['ALTER SYSTEM RESUME SWITCHOVER TENANT = s', { kind: 'resume-switchover', tenant: 's' }],
  ['ALTER SYSTEM ROLLBACK SWITCHOVER TENANT = s', { kind: 'rollback-switchover', tenant: 's' }],
  ['ALTER SYSTEM BACKUP DATABASE TENANT = t1', { kind: 'backup', tenants: ['t1'], dest: null }],
  [
    "ALTER SYSTEM BACKUP TENANT = t1,t2 TO 'file:///c'",
    { kind: 'backup', tenants: ['t1', 't2'], dest: 'file:///c' },
  ],
  [
    "ALTER SYSTEM RESTORE r FROM 'file:///d,file:///e' UNTIL SCN=17 WITH 'pool_list=p'",
    { kind: 'restore', name: 'r', from: 'file:///d,file:///e', until: 17 },
  ],
  ["ALTER SYSTEM RESTORE r FROM 'file:///d'", { kind: 'restore', name: 'r', from: 'file:///d', until: null }],
  ['ALTER SYSTEM CHECKPOINT TENANT = t1', { kind: 'checkpoint', tenants: ['t1'] }],
  ['ALTER SYSTEM MINOR FREEZE TENANT = (t1, t2)', { kind: 'checkpoint', tenants: ['t1', 't2'] }],
])('sys: %s', (text, statement) => {
  expect(parse(text, true)).toEqual(statement);
});

test.each([
  ['ALTER SYSTEM SWITCHOVER TO STANDBY', { kind: 'switchover-to-standby', tenant: null, verify: false }],
  [
    'ALTER SYSTEM ACTIVATE STANDBY',
    { kind: 'activate-standby', tenant: null, verify: false, force: false, maxLagMs: null },
  ],
  ['ALTER SYSTEM ARCHIVELOG', { kind: 'archivelog', tenants: null }],
  ["ALTER SYSTEM SET LOG_ARCHIVE_DEST = ''", { kind: 'set-log-archive-dest', tenant: null, dest: '' }],
  [
    'ALTER SYSTEM RECOVER STANDBY UNTIL UNLIMITED',
    { kind: 'recover-standby', tenant: null, until: { kind: 'unlimited' } },
  ],
])('user tenant: %s', (text, statement) => {
  expect(parse(text, false)).toEqual(statement);
});

test.each([
  [true, 'ALTER SYSTEM SWITCHOVER TO STANDBY', 'OBS_SQL_TENANT_CLAUSE'],
  [true, 'ALTER SYSTEM ARCHIVELOG', 'OBS_SQL_TENANT_CLAUSE'],
  [true, 'ALTER SYSTEM SWITCHOVER TO STANDBY TENANT = sys', 'OBS_SQL_TENANT_CLAUSE'],
  [false, 'ALTER SYSTEM SWITCHOVER TO STANDBY TENANT = t1', 'OBS_SQL_TENANT_CLAUSE'],
  [false, 'ALTER SYSTEM ARCHIVELOG TENANT = ALL', 'OBS_SQL_TENANT_CLAUSE'],
  [false, 'CREATE TENANT t1', 'OBS_SQL_SYS_ONLY'],
  [false, 'DROP TENANT t1', 'OBS_SQL_SYS_ONLY'],
  [false, "ALTER SYSTEM RESTORE r FROM 'x'", 'OBS_SQL_SYS_ONLY'],
  [true, "CREATE TENANT t1 RESOURCE_POOL_LIST=('p')", 'OBS_SQL_NOT_SUPPORTED_YET'],
  [true, 'CREATE TENANT t1 ENABLE_ARBITRATION_SERVICE = perhaps', 'OBS_SQL_PARSE'],
  [true, "CREATE RESOURCE UNIT u MEMORY_SIZE='5G'", 'OBS_SQL_NOT_SUPPORTED_YET'],
  [true, "CREATE RESOURCE POOL p UNIT='u'", 'OBS_SQL_NOT_SUPPORTED_YET'],
  [false, 'ALTER TENANT t1 SET ENABLE_ARBITRATION_SERVICE = true', 'OBS_SQL_SYS_ONLY'],
  [true, 'ALTER TENANT t1', 'OBS_SQL_PARSE'],
  [true, "ALTER TENANT t1 ROOT_PASSWORD = 'x'", 'OBS_SQL_PARSE'],
  [false, "ALTER TENANT t1 LOCALITY='F@z1'", 'OBS_SQL_SYS_ONLY'],
  [false, "ALTER SYSTEM STOP SERVER 'h:1'", 'OBS_SQL_SYS_ONLY'],
  [true, "ALTER SYSTEM STOP SERVER 'h'", 'OBS_SQL_ARGUMENT'],
  [true, 'ALTER SYSTEM STOP SERVER', 'OBS_SQL_PARSE'],
  [true, 'ALTER SYSTEM STOP ZONE z1', 'OBS_SQL_NOT_SUPPORTED_YET'],
  [true, "ALTER SYSTEM SWITCH REPLICA LEADER LS=5 SERVER='h:1' TENANT=t", 'OBS_SQL_ARGUMENT'],
  [true, "ALTER SYSTEM SWITCH REPLICA LEADER LS=1001 SERVER='h:1'", 'OBS_SQL_PARSE'],
  [true, "ALTER SYSTEM SWITCH REPLICA FOLLOWER LS=1001 SERVER='h:1' TENANT=t", 'OBS_SQL_NOT_SUPPORTED_YET'],
  [true, "ALTER SYSTEM ADD ARBITRATION SERVICE '1.2.3.4'", 'OBS_SQL_ARGUMENT'],
  [false, "ALTER SYSTEM ADD ARBITRATION SERVICE '1.2.3.4:2882'", 'OBS_SQL_SYS_ONLY'],
  [true, "ALTER SYSTEM REPLACE ARBITRATION SERVICE 'h:1'", 'OBS_SQL_PARSE'],
  [true, 'ALTER SYSTEM REMOVE ARBITRATION SERVICE', 'OBS_SQL_PARSE'],
  [false, "ALTER SYSTEM SET arbitration_degradation_policy = 'LS_POLICY'", 'OBS_SQL_SYS_ONLY'],
  [true, 'ALTER SYSTEM FLASHBACK STANDBY LOG TO SCN = 5 TENANT = t1', 'OBS_SQL_NOT_SUPPORTED_YET'],
  [true, 'ALTER SYSTEM SET STANDBY TENANT TO MAXIMIZE PROTECTION TENANT = t1', 'OBS_SQL_NOT_SUPPORTED_YET'],
  [true, "ALTER SYSTEM SET SYNC_STANDBY_DEST = 'SERVICE=x'", 'OBS_SQL_NOT_SUPPORTED_YET'],
  [true, 'ALTER SYSTEM SET archive_lag_target = 5', 'OBS_SQL_NOT_SUPPORTED_YET'],
  [true, 'ALTER SYSTEM MAJOR FREEZE', 'OBS_SQL_NOT_SUPPORTED_YET'],
  [true, 'ALTER SYSTEM BACKUP INCREMENTAL DATABASE', 'OBS_SQL_NOT_SUPPORTED_YET'],
  [true, 'ALTER SYSTEM FROBNICATE', 'OBS_SQL_PARSE'],
  [true, 'ALTER SYSTEM', 'OBS_SQL_PARSE'],
  [true, 'ALTER SYSTEM SWITCHOVER TO', 'OBS_SQL_PARSE'],
  [true, 'ALTER SYSTEM SWITCHOVER TO STANDBY TENANT = t1 NOW', 'OBS_SQL_PARSE'],
  [true, 'ALTER SYSTEM RECOVER STANDBY TENANT = s UNTIL', 'OBS_SQL_PARSE'],
  [true, 'ALTER SYSTEM RECOVER STANDBY TENANT = s UNTIL SCN = -1', 'OBS_SQL_PARSE'],
  [true, "ALTER SYSTEM RECOVER STANDBY TENANT = s UNTIL TIME = 'yesterday'", 'OBS_SQL_ARGUMENT'],
  [true, "ALTER SYSTEM RECOVER STANDBY TENANT = s UNTIL TIME = '2025-02-30 00:00:00'", 'OBS_SQL_ARGUMENT'],
  [true, "ALTER SYSTEM ACTIVATE STANDBY TENANT = s MAX_LAG = 'long'", 'OBS_SQL_ARGUMENT'],
  [true, "ALTER SYSTEM SET LOG_ARCHIVE_DEST_STATE = 'PERHAPS' TENANT = t1", 'OBS_SQL_PARSE'],
  [true, 'CREATE TENANT t1 PAGE_SIZE = 5000', 'OBS_SQL_ARGUMENT'],
  [true, "CREATE TENANT t1 LOG_RESTORE_SOURCE = 'x'", 'OBS_SQL_PARSE'],
])('sys %s: %s is refused with %3$s', (sys, text, code) => {
  expect(() => parse(text, sys)).toThrow(expect.objectContaining({ code }));
});

test.each(['SELECT 1', 'CREATE TABLE tenant (id INT)', 'DROP TABLE t', 'ALTER TABLE t ADD a INT'])(
  '%s is no administration statement',
  text => {
    expect(parse(text, true)).toBe(null);
  },
);

test('an error names the statement of a later stage, and never its literals', () => {
  expect(() => parse("ALTER SYSTEM ADD REPLICA LS 'secret:2882'", true)).toThrow(
    "This version of obstandby doesn't yet support ALTER SYSTEM ADD REPLICA",
  );
});

test('no error of a broken statement shows a password', () => {
  const secret = 'hunter2secret';
  const statements = [
    `CREATE STANDBY TENANT s LOG_RESTORE_SOURCE = 'SERVICE=h:1 USER=u@t PASSWORD=${secret}'`,
    `ALTER SYSTEM SET LOG_RESTORE_SOURCE = 'SERVICE=h:1 USER=u@t PASSWORD=${secret}' TENANT = s`,
    `CREATE TENANT t ROOT_PASSWORD = '${secret}'`,
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...statements),
      fc.nat(200),
      fc.constantFrom('', ' ', 'x', "'", ',', '=', 'TENANT', '"', '(', '/*', '`', ';', '\\'),
      fc.boolean(),
      (text, at, extra, cut) => {
        const broken = cut ? text.slice(0, at) + extra : text.slice(0, at) + extra + text.slice(at);
        try {
          parse(broken, true);
        } catch (error) {
          expect(error).toBeInstanceOf(ObError);
          const shown = JSON.stringify(error);
          expect(shown).not.toMatch(/hunter|secret/);
        }
      },
    ),
    { numRuns: 3_000 },
  );
});
