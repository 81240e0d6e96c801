import { expect, test } from 'vitest';
import { tenantInfo } from '../../../test/support/tenant-info.ts';
import { ObError } from '../../base/errors.ts';
import { lsn, roleEpoch, scn, tenantId } from '../../base/scalars.ts';
import type { ServerOperations } from '../../cluster/cluster-operations.ts';
import { StatementText } from '../dialect/statement-text.ts';
import type { PlanAnswer } from '../plan.ts';
import { executeAdmin } from './execute.ts';
import { parseAdminStatement } from './grammar.ts';

const mode = { noBackslashEscapes: false, ansiQuotes: false, textIsBytes: false };

/** What each verb of `Operations` answers here; every other verb answers nothing. */
const answers: Readonly<Record<string, unknown>> = {
  tenants: [
    tenantInfo({ tenantId: tenantId(1), name: 'sys' }),
    tenantInfo({ name: 'a' }),
    tenantInfo({ tenantId: tenantId(1003), name: 'b' }),
  ],
  backup: { backupId: '7', startLsn: lsn(0), minimumScn: scn(5) },
  checkpoint: lsn(4096),
  switchoverToStandby: [
    { step: 'fence', site: 'here', state: 'done', detail: 'writes are refused', ms: 1 },
    { step: 'seal', site: 'here', state: 'done', detail: 'sealed at LSN 4096', ms: 1 },
  ],
  activateStandby: {
    tenant: 'a',
    incarnation: 'i',
    oldEpoch: roleEpoch(1),
    newEpoch: roleEpoch(2),
    cutLsn: lsn(100),
    cutScn: scn(50),
    knownEndLsn: lsn(160),
    knownEndScn: scn(60),
    lastContact: null,
    lostTransactions: null,
    lostLsnEnd: null,
    lostScnEnd: null,
    forced: false,
  },
};

/** Runs a statement and tells which operations it asked for. */
async function run(text: string, tenant = 'sys'): Promise<{ calls: unknown[][]; answer: PlanAnswer }> {
  const calls: unknown[][] = [];
  const operations = new Proxy({} as ServerOperations, {
    get:
      (_, verb: string) =>
      (...given: unknown[]) => {
        calls.push([verb, ...given]);
        return Promise.resolve(answers[verb] ?? []);
      },
  });
  const sys = tenant === 'sys';
  const statement = parseAdminStatement(new StatementText(text, mode), sys);
  if (statement === null) throw new Error(`not parsed: ${text}`);
  return { calls, answer: await executeAdmin(statement, { tenant, sys, operations }) };
}

test.each([
  ['CREATE TENANT a', [['createTenant', { name: 'a', ifNotExists: false }]]],
  [
    "CREATE TENANT IF NOT EXISTS a PAGE_SIZE = 4096 ROOT_PASSWORD = 'p'",
    [['createTenant', { name: 'a', ifNotExists: true, pageBytes: 4096, rootPassword: 'p' }]],
  ],
  ['DROP TENANT a FORCE', [['dropTenant', 'a', { force: true, ifExists: false }]]],
  [
    "CREATE STANDBY TENANT a LOG_RESTORE_SOURCE = 'LOCATION=x'",
    [['createStandbyTenant', { name: 'a', source: 'LOCATION=x', ifNotExists: false }]],
  ],
  [
    "CREATE TENANT a LOCALITY = 'F@z1, R@z2', PRIMARY_ZONE = 'z1'",
    [['createTenant', { name: 'a', ifNotExists: false, locality: 'F@z1, R@z2', primaryZone: 'z1' }]],
  ],
  ["ALTER TENANT a LOCALITY = 'F@z1'", [['alterTenant', 'a', { locality: 'F@z1' }]]],
  ['ALTER TENANT a PRIMARY_ZONE = RANDOM', [['alterTenant', 'a', { primaryZone: 'RANDOM' }]]],
  ["ALTER SYSTEM ADD SERVER '10.0.0.1:2885' ZONE 'z1'", [['addServer', '10.0.0.1:2885', 'z1']]],
  [
    "ALTER SYSTEM DELETE SERVER 'h:1', 'h:2'",
    [
      ['removeServer', 'h:1'],
      ['removeServer', 'h:2'],
    ],
  ],
  ["ALTER SYSTEM STOP SERVER 'h:1'", [['stopServer', 'h:1']]],
  ["ALTER SYSTEM CANCEL DELETE SERVER 'h:1'", [['startServer', 'h:1']]],
  [
    "ALTER SYSTEM SWITCH REPLICA LEADER LS = 1001 SERVER = 'h:1' TENANT = a",
    [['transferLeader', 'a', 'h:1']],
  ],
  ["ALTER SYSTEM SET LOG_RESTORE_SOURCE = '' TENANT = a", [['setLogRestoreSource', 'a', '']]],
  ["ALTER SYSTEM SET LOG_ARCHIVE_DEST = 'LOCATION=x' TENANT = a", [['setLogArchiveDest', 'a', 'LOCATION=x']]],
  [
    "ALTER SYSTEM SET LOG_ARCHIVE_DEST_STATE = 'DEFER' TENANT = a",
    [['setLogArchiveDestState', 'a', 'DEFER']],
  ],
  ['ALTER SYSTEM ARCHIVELOG TENANT = ALL', [['tenants'], ['archivelog', 'a'], ['archivelog', 'b']]],
  [
    'ALTER SYSTEM NOARCHIVELOG TENANT = b, a',
    [
      ['noarchivelog', 'b'],
      ['noarchivelog', 'a'],
    ],
  ],
  [
    'ALTER SYSTEM RECOVER STANDBY TENANT = a UNTIL SCN = 9',
    [['recoverStandby', 'a', { kind: 'scn', scn: 9 }]],
  ],
  ['ALTER SYSTEM SWITCHOVER TO PRIMARY TENANT = a VERIFY', [['switchoverToPrimary', 'a', { verify: true }]]],
  ['ALTER SYSTEM RESUME SWITCHOVER TENANT = a', [['resume', 'a']]],
  ['ALTER SYSTEM ROLLBACK SWITCHOVER TENANT = a', [['rollback', 'a']]],
  ["ALTER SYSTEM RESTORE r FROM 'x' UNTIL SCN = 4", [['restore', { name: 'r', from: 'x', untilScn: 4 }]]],
])('%s asks for the operation', async (text, calls) => {
  expect(await run(text)).toMatchObject({ calls, answer: { kind: 'ok' } });
});

test('in a user tenant the statement is about that tenant', async () => {
  expect((await run('ALTER SYSTEM ARCHIVELOG', 'a')).calls).toEqual([['archivelog', 'a']]);
  expect((await run('ALTER SYSTEM SWITCHOVER TO STANDBY', 'a')).calls).toEqual([
    ['switchoverToStandby', 'a', { verify: false }],
  ]);
});

test('a role change says how far it came', async () => {
  expect((await run('ALTER SYSTEM SWITCHOVER TO STANDBY TENANT = a')).answer).toEqual({
    kind: 'ok',
    info: '2 of 2 steps done; seal: sealed at LSN 4096',
  });
});

test('a failover says what it kept and what it is known to have lost', async () => {
  const { calls, answer } = await run("ALTER SYSTEM ACTIVATE STANDBY TENANT = a MAX_LAG = '2s'");
  expect(calls).toEqual([['activateStandby', 'a', { maxLagMs: 2000, force: false, verify: false }]]);
  expect(answer).toMatchObject({
    kind: 'ok',
    info: expect.stringContaining('kept up to SCN 50, LSN 100; after it 60 bytes'),
  });
});

test('a backup tells its id, a checkpoint its LSN', async () => {
  expect((await run('ALTER SYSTEM BACKUP TENANT = a, b')).answer).toEqual({
    kind: 'ok',
    info: 'a: backup 7, consistent from SCN 5; b: backup 7, consistent from SCN 5',
  });
  expect((await run('ALTER SYSTEM MINOR FREEZE TENANT = a')).answer).toEqual({
    kind: 'ok',
    info: 'a: LSN 4096',
  });
});

test('what the operation throws is what the client gets', async () => {
  const error = new ObError('OBS_BUG', { what: 'x' });
  const operations = { checkpoint: () => Promise.reject(error) } as unknown as ServerOperations;
  const statement = { kind: 'checkpoint', tenants: ['a'] } as const;
  await expect(executeAdmin(statement, { tenant: 'sys', sys: true, operations })).rejects.toBe(error);
});
