import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { DialectSession } from '../../../test/support/dialect-session.ts';
import { tenantInfo } from '../../../test/support/tenant-info.ts';
import { lsn, scn, tenantId, wallMicros } from '../../base/scalars.ts';
import type { Operations, TenantInfo } from '../../cluster/operations.ts';
import { type Clock, nodeClock } from '../../platform/clock.ts';
import type { Cell } from '../../tenant/engine.ts';
import type { RowsAnswer, SessionRow, ViewContext } from '../plan.ts';
import { viewTables } from './view-definitions.ts';
import { ViewEngine } from './view-engine.ts';

const shop = tenantInfo({ tenantId: tenantId(1002), name: 'shop', role: 'PRIMARY' });
const copy = tenantInfo({
  tenantId: tenantId(1003),
  name: 'copy',
  role: 'STANDBY',
  syncScn: scn(1_700_000_000_000_005),
  readableScn: scn(1_699_999_990_000_000),
  recoveryUntilScn: scn(Number.MAX_SAFE_INTEGER),
  standby: {
    source: 'SERVICE=10.0.0.1:2881 USER=rep@shop PASSWORD=******',
    transport: 'network',
    syncStatus: 'NORMAL',
    comment: '',
    lag: {
      transport: { bytes: 10, seconds: 0.5 },
      flush: { bytes: 20, seconds: 0.6 },
      apply: { bytes: 30, seconds: 0.7 },
      datumTime: wallMicros(1_700_000_000_000_000),
    },
  },
});
const archived = tenantInfo({
  tenantId: tenantId(1004),
  name: 'kept',
  role: 'PRIMARY',
  archive: {
    dest: 'LOCATION=file:///archive/kept BINDING=Mandatory PIECE_SWITCH_INTERVAL=1d',
    state: 'DOING',
    roundId: 2,
    pieceId: 3,
    checkpointScn: scn(1_700_000_000_000_000),
    archivedLsn: lsn(4096),
    comment: '',
  },
});
const everyone = [tenantInfo({ tenantId: tenantId(1), name: 'sys', role: 'PRIMARY' }), shop, copy, archived];
const sessions: SessionRow[] = ['shop', 'copy'].map((tenant, index) => ({
  connectionId: index + 1,
  user: 'root',
  tenant,
  host: 'localhost',
  schema: null,
  command: 'Sleep',
  seconds: 0,
  inTransaction: false,
}));
const operations = {
  tenants: () => Promise.resolve(everyone),
  tenant: (name: string) => Promise.resolve(everyone.find(tenant => tenant.name === name) as TenantInfo),
  lossCertificate: () => Promise.resolve(null),
} as unknown as Operations;

let engine: ViewEngine;
const open = (): ViewEngine =>
  new ViewEngine({
    clock: nodeClock,
    timeoutMs: 30_000,
    server: () => ({
      ip: '127.0.0.1',
      sqlPort: 2881,
      rpcPort: 2882,
      zone: 'z1',
      version: '1',
      startTime: null,
    }),
  });
beforeAll(() => {
  engine = open();
});
afterAll(() => engine.close());

/** Translates and runs a query as a session of `tenant`. */
async function ask(
  tenant: string,
  text: string,
  parameters: readonly Cell[] = [],
  asked: ViewEngine = engine,
): Promise<RowsAnswer> {
  const sys = tenant === 'sys';
  const session = new DialectSession({ tenant, sys, schema: null });
  const [plan] = await session.plans(text);
  if (plan?.kind === 'error') throw plan.error;
  if (plan?.kind !== 'view') throw new Error(`not a view query: ${text}`);
  const context: ViewContext = {
    tenant,
    sys,
    schema: null,
    operations,
    rowsMax: 1_000,
    query: () => Promise.reject(new Error('not asked')),
    dialect: session.context,
    sessions: () => sessions,
  };
  return asked.run(plan.sql, parameters, context);
}

test('the sys tenant sees every tenant, a user tenant only itself', async () => {
  const query = 'SELECT TENANT_NAME FROM oceanbase.DBA_OB_TENANTS ORDER BY TENANT_ID';
  expect((await ask('sys', query)).rows).toEqual([['sys'], ['shop'], ['copy'], ['kept']]);
  expect((await ask('shop', query)).rows).toEqual([['shop']]);
});

test('rows of one session are gone before the next one asks', async () => {
  await ask('sys', 'SELECT * FROM oceanbase.DBA_OB_TENANTS');
  const { rows } = await ask(
    'shop',
    "SELECT count(*) FROM oceanbase.DBA_OB_TENANTS WHERE 'x' <> 'CDB_OB_LS'",
  );
  expect(rows).toEqual([[1]]);
});

test('a CDB view is the DBA view with the tenant, for sys alone', async () => {
  expect((await ask('sys', 'SELECT TENANT_ID, LS_ID FROM oceanbase.CDB_OB_LS ORDER BY 1')).rows).toEqual([
    [1, 1],
    [1002, 1001],
    [1003, 1001],
    [1004, 1001],
  ]);
  expect((await ask('sys', 'SELECT LS_ID FROM oceanbase.DBA_OB_LS')).rows).toEqual([[1]]);
  expect((await ask('shop', 'SELECT * FROM oceanbase.CDB_OB_LS')).rows).toEqual([]);
});

test('the lag query of the documentation works: joins, SCN_TO_TIMESTAMP, parameters', async () => {
  const { columns, rows } = await ask(
    'sys',
    'SELECT t.TENANT_NAME, SCN_TO_TIMESTAMP(t.SYNC_SCN), r.SYNC_STATUS, t.RECOVERY_UNTIL_SCN FROM `oceanbase`.`DBA_OB_TENANTS` t JOIN oceanbase.V$OB_LS_LOG_RESTORE_STATUS r ON r.TENANT_ID = t.TENANT_ID WHERE t.TENANT_ROLE = ?',
    ['STANDBY'],
  );
  expect(rows).toEqual([['copy', '2023-11-14 22:13:20.000005', 'NORMAL', 4611686018427387903n]]);
  expect(columns[1]?.name).toBe('SCN_TO_TIMESTAMP(t.SYNC_SCN)');
});

test('TIMESTAMP_TO_SCN undoes SCN_TO_TIMESTAMP', async () => {
  const { rows } = await ask(
    'copy',
    'SELECT TIMESTAMP_TO_SCN(SCN_TO_TIMESTAMP(SYNC_SCN)) - SYNC_SCN FROM oceanbase.DBA_OB_TENANTS',
  );
  expect(rows).toEqual([[0]]);
});

test('the archive views tell destination, round and progress', async () => {
  expect(
    (await ask('kept', 'SELECT NAME, VALUE FROM oceanbase.DBA_OB_ARCHIVE_DEST ORDER BY NAME')).rows,
  ).toEqual([
    ['binding', 'MANDATORY'],
    ['dest_id', '1001'],
    ['path', 'file:///archive/kept'],
    ['piece_switch_interval', '1d'],
    ['state', 'ENABLE'],
  ]);
  expect(
    (await ask('kept', 'SELECT ROUND_ID, STATUS, CHECKPOINT_SCN_DISPLAY FROM oceanbase.DBA_OB_ARCHIVELOG'))
      .rows,
  ).toEqual([[2, 'DOING', '2023-11-14 22:13:20.000000']]);
  expect(
    (await ask('sys', 'SELECT TENANT_ID, SYNCHRONIZED FROM oceanbase.V$OB_ARCHIVE_DEST_STATUS')).rows,
  ).toEqual([[1004, 'YES']]);
});

test.each([...viewTables.values()].map(table => table.name))('%s can be read whole', async name => {
  const { columns } = await ask('sys', `SELECT * FROM oceanbase.${name}`);
  const wanted = viewTables.get(name.toLowerCase())?.columns.map(column => column.split(' ')[0]);
  expect(columns.map(column => column.name)).toEqual(wanted);
});

test('with oceanbase as the chosen database the names need no qualifier', async () => {
  const session = new DialectSession({ tenant: 'sys', sys: true, schema: 'oceanbase' });
  expect(await session.plans('SELECT tenant_name FROM DBA_OB_TENANTS')).toEqual([
    { kind: 'view', sql: 'SELECT tenant_name FROM DBA_OB_TENANTS' },
  ]);
});

test('SHOW PROCESSLIST and SHOW TENANTS are views too', async () => {
  expect((await ask('shop', 'SHOW PROCESSLIST')).rows).toEqual([
    [1, 'root', 'localhost', null, 'Sleep', 0, '', null],
  ]);
  expect((await ask('sys', 'SHOW FULL PROCESSLIST')).rows).toHaveLength(2);
  expect((await ask('sys', "SHOW TENANTS LIKE 'sh%'")).rows.map(row => row[1])).toEqual(['shop']);
});

test.each([
  ['SELECT * FROM oceanbase.NO_SUCH', 'OBS_SQL_NO_SUCH_TABLE'],
  ['SELECT NO_SUCH FROM oceanbase.DBA_OB_TENANTS', 'OBS_SQL_NO_SUCH_COLUMN'],
  ['SELECT FROM WHERE oceanbase.DBA_OB_TENANTS', 'OBS_SQL_SYNTAX'],
])('%s is refused with %s', async (text, code) => {
  await expect(ask('sys', text)).rejects.toMatchObject({ code });
});

test('a result over the limit is refused, not cut', async () => {
  const numbers = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)';
  await expect(ask('sys', `${numbers} SELECT i FROM n, oceanbase.DBA_OB_SERVERS`)).rejects.toMatchObject({
    code: 'OBS_SQL_RESULT_TOO_LARGE',
  });
});

test('a query that takes too long is given up and the next one is answered by a new thread', async () => {
  const alarms: (() => void)[] = [];
  const clock: Clock = {
    ...nodeClock,
    after(_delayMs, callback) {
      alarms.push(callback);
      return { cancel() {} };
    },
  };
  const impatient = new ViewEngine({ clock, timeoutMs: 5_000, server: () => null });
  const long =
    'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000000) SELECT count(*) FROM n, oceanbase.DBA_OB_TENANTS';
  const running = ask('sys', long, [], impatient);
  const waiting = ask('shop', 'SELECT count(*) FROM oceanbase.DBA_OB_TENANTS', [], impatient);
  await vi.waitUntil(() => alarms.length > 0);
  alarms[0]?.();
  await expect(running).rejects.toMatchObject({ code: 'OBS_SQL_VIEW_TIMEOUT' });
  expect((await waiting).rows).toEqual([[1]]);
  await impatient.close();
});

test('after it is closed it answers nothing', async () => {
  const closed = open();
  const running = ask('sys', 'SELECT 1 FROM oceanbase.DBA_OB_SERVERS', [], closed);
  await closed.close();
  await expect(running).rejects.toMatchObject({ code: 'OBS_SQL_VIEW_BUSY' });
  await expect(ask('sys', 'SELECT 1 FROM oceanbase.DBA_OB_SERVERS', [], closed)).rejects.toMatchObject({
    code: 'OBS_SQL_VIEW_BUSY',
  });
});
