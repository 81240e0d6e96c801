import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { DialectSession } from '../../../test/support/dialect-session.ts';
import { tenantInfo } from '../../../test/support/tenant-info.ts';
import { lsn, nodeId, scn, tenantId, wallMicros } from '../../base/scalars.ts';
import type {
  ArbitrationInfo,
  ClusterInfo,
  ServerEventInfo,
  ServerOperations,
  TenantJob,
} from '../../cluster/cluster-operations.ts';
import type { TenantInfo } from '../../cluster/operations.ts';
import { type Clock, nodeClock } from '../../platform/clock.ts';
import type { Cell } from '../../tenant/engine.ts';
import type { RowsAnswer, SessionRow, ViewContext } from '../plan.ts';
import { viewTables } from './view-definitions.ts';
import { ViewEngine } from './view-engine.ts';

const shop = tenantInfo({
  tenantId: tenantId(1002),
  name: 'shop',
  role: 'PRIMARY',
  placement: {
    locality: 'FULL{1}@z1',
    previousLocality: null,
    primaryZone: 'z1',
    arbitration: 'ENABLED',
    leader: '10.0.0.1:2885',
    leaderSql: '10.0.0.1:2881',
  },
});
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
const server = (index: number, differences: object = {}) => ({
  id: index,
  nodeId: nodeId(`n${index}`),
  address: `10.0.0.${index}:2885`,
  zone: `z${index}`,
  region: 'south',
  status: 'ACTIVE',
  stopTime: null,
  createTime: wallMicros(1_700_000_000_000_000),
  startTime: wallMicros(1_700_000_000_000_000),
  version: '1',
  sqlAddress: `10.0.0.${index}:2881`,
  peerAddress: null,
  httpAddress: null,
  isRoot: index === 2,
  ...differences,
});
const replica = (index: number, role: 'LEADER' | 'FOLLOWER', differences: object = {}) => ({
  tenantId: tenantId(1002),
  stream: 1001,
  nodeId: nodeId(`n${index}`),
  role,
  type: 'FULL',
  leader: nodeId('n1'),
  proposalId: 7,
  configVersion: { proposalId: 7, sequence: 3 },
  accessMode: 'APPEND',
  members: [nodeId('n1'), nodeId('n2')],
  learners: [nodeId('n3')],
  degraded: [],
  arbiter: nodeId('z-arbiter'),
  isImpaired: false,
  baseLsn: lsn(1),
  beginLsn: lsn(2),
  endLsn: lsn(3),
  endScn: scn(1_700_000_000_000_000),
  maxLsn: lsn(4),
  maxScn: scn(1_700_000_000_000_001),
  ...differences,
});
const cluster = {
  clusterId: 'c',
  clusterName: 'cluster',
  self: nodeId('n2'),
  servers: [
    server(1),
    server(2),
    server(3, { status: 'INACTIVE', zone: 'z2', stopTime: wallMicros(1_700_000_000_000_000) }),
  ],
  tenants: [
    {
      tenantId: tenantId(1002),
      name: 'shop',
      status: 'NORMAL',
      locality: 'FULL{1}@z1',
      previousLocality: null,
      primaryZone: 'z1',
      replicas: [1, 2, 3].map(index => ({ nodeId: nodeId(`n${index}`), type: 'FULL' })),
    },
  ],
  replicas: [
    replica(1, 'LEADER'),
    replica(2, 'FOLLOWER'),
    replica(3, 'FOLLOWER', { type: 'READONLY', endScn: scn(1_699_999_990_000_000) }),
    replica(1, 'LEADER', { tenantId: tenantId(1), stream: 1 }),
  ],
  silent: [],
  problem: null,
  arbiter: { nodeId: nodeId('z-arbiter'), address: '10.0.9.1:2887' },
} as unknown as ClusterInfo;
const jobs: TenantJob[] = [1002, 1003].map((id, index) => ({
  id: index + 1,
  tenantId: tenantId(id),
  tenant: 't',
  type: 'ALTER_TENANT_LOCALITY',
  status: index === 0 ? 'INPROGRESS' : 'SUCCESS',
  previousLocality: 'FULL{1}@z1',
  locality: 'FULL{1}@z2',
  detail: index === 0 ? 'adding a learner on node n2' : '',
  startTime: wallMicros(1_700_000_000_000_000),
  modifyTime: wallMicros(1_700_000_000_000_000),
}));
const arbitration: ArbitrationInfo = {
  service: {
    address: '10.0.9.1:2887',
    nodeId: nodeId('z-arbiter'),
    previousAddress: '10.0.9.2:2887',
    createTime: wallMicros(1_700_000_000_000_000),
    modifyTime: wallMicros(1_700_000_000_000_000),
  },
  problem: null,
  policy: 'CLUSTER_POLICY',
  tenants: [1, 1002].map(id => ({
    tenantId: tenantId(id),
    tenant: id === 1 ? 'sys' : 'shop',
    state: 'ENABLED',
    timeoutMs: id === 1 ? 5_000 : 3_500,
    detail: '',
  })),
  tasks: (['SUCCESS', 'INPROGRESS'] as const).map((status, index) => ({
    id: index + 1,
    tenantId: tenantId(1002 - 1001 * index),
    tenant: 'shop',
    type: 'ADD REPLICA',
    status,
    service: '10.0.9.1:2887',
    detail: 'setting the arbiter',
    startTime: wallMicros(1_700_000_000_000_000),
    modifyTime: wallMicros(1_700_000_000_000_000),
  })),
  servers: [
    { nodeId: nodeId('n1'), status: 'ACTIVE' },
    { nodeId: nodeId('n2'), status: 'INACTIVE' },
  ],
  streams: [
    {
      tenantId: tenantId(1002),
      stream: 1001,
      proposalId: 7,
      configVersion: { proposalId: 7, sequence: 3 },
      accessMode: 'APPEND',
      members: [nodeId('n1')],
      degraded: [nodeId('n2')],
      arbiter: nodeId('z-arbiter'),
    },
  ],
};
const events: ServerEventInfo[] = [
  {
    time: 1_700_000_000_000_000,
    address: '10.0.0.1:2885',
    tenantId: tenantId(1002),
    module: 'ARBITRATION',
    event: 'DEGRADE',
    detail: { replica: 'n2', verdict: 'dead' },
  },
];
const operations = {
  arbitration: () => Promise.resolve(arbitration),
  serverEvents: () => Promise.resolve(events),
  cluster: () => Promise.resolve(cluster),
  tenantJobs: () => Promise.resolve(jobs),
  tenants: () => Promise.resolve(everyone),
  tenant: (name: string) => Promise.resolve(everyone.find(tenant => tenant.name === name) as TenantInfo),
  lossCertificate: () => Promise.resolve(null),
} as unknown as ServerOperations;

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

test('the arbitration service is shown: the arbiter, how servers see it, what it remembers, what was degraded', async () => {
  const rowsOf = async (tenant: string, query: string) => (await ask(tenant, query)).rows;
  expect(
    await rowsOf(
      'sys',
      'SELECT ARBITRATION_SERVICE_KEY, ARBITRATION_SERVICE, PREVIOUS_ARBITRATION_SERVICE, TYPE FROM oceanbase.DBA_OB_ARBITRATION_SERVICE',
    ),
  ).toEqual([['default', '10.0.9.1:2887', '10.0.9.2:2887', 'ADDR']]);
  expect(
    await rowsOf('sys', 'SELECT SVR_IP, STATUS FROM oceanbase.GV$OB_ARBITRATION_SERVICE_STATUS ORDER BY 1'),
  ).toEqual([
    ['10.0.0.1', 'ACTIVE'],
    ['10.0.0.2', 'INACTIVE'],
  ]);
  const members =
    'SELECT TENANT_ID, LS_ID, SVR_IP, PAXOS_REPLICA_NUM, ARBITRATION_MEMBER, DEGRADED_LIST FROM oceanbase.GV$OB_ARBITRATION_MEMBER_INFO';
  const row = [1002, 1001, '10.0.9.1', 2, '10.0.9.1:2887', '10.0.0.2:2885:1'];
  expect(await rowsOf('shop', members)).toEqual([row]);
  expect(await rowsOf('copy', members)).toEqual([]);
  expect(
    await rowsOf(
      'shop',
      "SELECT ARBITRATION_MEMBER, DEGRADED_LIST, PAXOS_REPLICA_NUM FROM oceanbase.GV$OB_LOG_STAT WHERE ROLE = 'LEADER'",
    ),
  ).toEqual([['10.0.9.1:2887', '', 2]]);
  expect(
    await rowsOf('sys', 'SELECT ARBITRATION_SERVICE_STATUS FROM oceanbase.DBA_OB_TENANTS ORDER BY TENANT_ID'),
  ).toEqual([['DISABLED'], ['ENABLED'], ['DISABLED'], ['DISABLED']]);
  expect(await rowsOf('sys', 'SELECT TASK_ID FROM oceanbase.CDB_OB_LS_ARB_REPLICA_TASKS')).toEqual([[2]]);
  expect(await rowsOf('shop', 'SELECT RESULT FROM oceanbase.DBA_OB_LS_ARB_REPLICA_TASK_HISTORY')).toEqual([
    ['SUCCESS'],
  ]);
  expect(
    await rowsOf(
      'sys',
      'SELECT SVR_IP, MODULE, EVENT, NAME1, VALUE1, NAME2, VALUE2 FROM oceanbase.DBA_OB_SERVER_EVENT_HISTORY',
    ),
  ).toEqual([['10.0.0.1', 'ARBITRATION', 'DEGRADE', 'TENANT_ID', '1002', 'REPLICA', 'n2']]);
  expect(await rowsOf('shop', 'SELECT * FROM oceanbase.DBA_OB_SERVER_EVENT_HISTORY')).toEqual([]);
  expect(
    await rowsOf(
      'shop',
      "SELECT NAME, VALUE, ISDEFAULT FROM oceanbase.GV$OB_PARAMETERS WHERE SVR_IP = '10.0.0.1' ORDER BY NAME",
    ),
  ).toEqual([
    ['arbitration_degradation_policy', 'CLUSTER_POLICY', 'NO'],
    ['arbitration_timeout', '3500ms', 'NO'],
  ]);
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

test('the log of every replica is shown, with who takes part', async () => {
  const stat =
    'SELECT TENANT_ID, SVR_IP, SVR_PORT, ROLE, IN_SYNC, PAXOS_REPLICA_NUM FROM oceanbase.GV$OB_LOG_STAT ORDER BY 1, 2';
  expect((await ask('sys', stat)).rows).toEqual([
    [1, '10.0.0.1', 2885, 'LEADER', 'YES', 2],
    [1002, '10.0.0.1', 2885, 'LEADER', 'YES', 2],
    [1002, '10.0.0.2', 2885, 'FOLLOWER', 'YES', 2],
    [1002, '10.0.0.3', 2885, 'FOLLOWER', 'NO', 2],
  ]);
  const lists =
    'SELECT CONFIG_VERSION, PAXOS_MEMBER_LIST, LEARNER_LIST, BASE_LSN, BEGIN_LSN, END_LSN, MAX_LSN, MAX_SCN FROM oceanbase.V$OB_LOG_STAT';
  expect((await ask('shop', lists)).rows).toEqual([
    [
      '{proposal_id:7, config_seq:3}',
      '10.0.0.1:2885:1,10.0.0.2:2885:1',
      '10.0.0.3:2885:1',
      1,
      2,
      3,
      4,
      1_700_000_000_000_001,
    ],
  ]);
  expect((await ask('copy', 'SELECT count(*) FROM oceanbase.GV$OB_LOG_STAT')).rows).toEqual([[0]]);
});

test('where replicas are and who leads is told of the own tenant, and of all to sys', async () => {
  const own =
    'SELECT LS_ID, SVR_IP, SQL_PORT, ZONE, ROLE, REPLICA_TYPE FROM oceanbase.DBA_OB_LS_LOCATIONS ORDER BY 2';
  expect((await ask('shop', own)).rows).toEqual([
    [1001, '10.0.0.1', 2881, 'z1', 'LEADER', 'FULL'],
    [1001, '10.0.0.2', 2881, 'z2', 'FOLLOWER', 'FULL'],
    [1001, '10.0.0.3', 2881, 'z2', 'FOLLOWER', 'READONLY'],
  ]);
  expect((await ask('sys', own)).rows).toHaveLength(1);
  expect((await ask('sys', 'SELECT count(*) FROM oceanbase.CDB_OB_LS_LOCATIONS')).rows).toEqual([[4]]);
  const place = 'SELECT PRIMARY_ZONE, LOCALITY, PREVIOUS_LOCALITY FROM oceanbase.DBA_OB_TENANTS';
  expect((await ask('shop', place)).rows).toEqual([['z1', 'FULL{1}@z1', null]]);
});

test('servers, zones and tasks are shown as the root service has them', async () => {
  const servers =
    'SELECT SVR_IP, ID, ZONE, WITH_ROOTSERVER, STATUS, STOP_TIME FROM oceanbase.DBA_OB_SERVERS ORDER BY ID';
  expect((await ask('sys', servers)).rows).toEqual([
    ['10.0.0.1', 1, 'z1', 'NO', 'ACTIVE', null],
    ['10.0.0.2', 2, 'z2', 'YES', 'ACTIVE', null],
    ['10.0.0.3', 3, 'z2', 'NO', 'INACTIVE', '2023-11-14 22:13:20.000000'],
  ]);
  expect((await ask('sys', 'SELECT ZONE, REGION FROM oceanbase.DBA_OB_ZONES')).rows).toEqual([
    ['z1', 'south'],
    ['z2', 'south'],
  ]);
  expect((await ask('sys', 'SELECT count(*) FROM oceanbase.GV$OB_SERVERS')).rows).toEqual([[2]]);
  const tasks = 'SELECT JOB_ID, JOB_STATUS, PROGRESS, EXTRA_INFO FROM oceanbase.DBA_OB_TENANT_JOBS';
  expect((await ask('shop', tasks)).rows).toEqual([
    [1, 'INPROGRESS', 0, "FROM: 'FULL{1}@z1', TO: 'FULL{1}@z2': adding a learner on node n2"],
  ]);
  expect((await ask('sys', tasks)).rows).toHaveLength(2);
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
