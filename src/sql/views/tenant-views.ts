/** Views of tenants, servers, log streams and sessions. */
import type { TenantInfo } from '../../cluster/operations.ts';
import type { Cell } from '../../tenant/engine.ts';
import { scnCell, timeCell } from './scn-cells.ts';
import type { ServerRow, ViewDefinition, ViewInput } from './view-definitions.ts';

const sysTenantId = 1;
/** one log stream a tenant: 1 in sys, 1001 in the others */
export const streamOf = (tenant: TenantInfo): number => (tenant.tenantId === sysTenantId ? 1 : 1001);

const serverCells = (server: ServerRow | null): readonly [Cell, Cell] => [
  server?.ip ?? null,
  server?.rpcPort ?? null,
];

function tenantRow(tenant: TenantInfo): readonly Cell[] {
  const sys = tenant.tenantId === sysTenantId;
  const scns = [tenant.syncScn, tenant.replayableScn, tenant.readableScn, tenant.recoveryUntilScn];
  return [
    tenant.tenantId,
    tenant.name,
    sys ? 'SYS' : 'USER',
    timeCell(tenant.createTime),
    timeCell(tenant.createTime),
    null,
    null,
    null,
    'MYSQL',
    tenant.status,
    'NO',
    'NO',
    tenant.role,
    tenant.switchoverStatus,
    tenant.roleEpoch,
    ...scns.map(scn => (sys ? null : scnCell(scn))),
    tenant.logMode,
    'DISABLED',
    null,
    null,
    sys ? 1 : 1001,
    'MAXIMUM PERFORMANCE',
    'MAXIMUM PERFORMANCE',
  ];
}

function logStatRow(tenant: TenantInfo, server: ServerRow | null): readonly Cell[] {
  const { log } = tenant;
  const member = server === null ? null : `${server.ip}:${server.rpcPort}:1`;
  return [
    tenant.tenantId,
    streamOf(tenant),
    ...serverCells(server),
    'LEADER',
    log.proposalId,
    null,
    log.accessMode,
    member,
    1,
    'YES',
    tenant.applied.checkpointLsn,
    log.beginLsn,
    null,
    log.endLsn,
    scnCell(log.endScn),
    log.endLsn,
    scnCell(log.endScn),
    '',
    '',
    '',
  ];
}

const logStatColumns = [
  'TENANT_ID BIGINT',
  'LS_ID BIGINT',
  'SVR_IP VARCHAR(46)',
  'SVR_PORT BIGINT',
  'ROLE VARCHAR(32)',
  'PROPOSAL_ID BIGINT',
  'CONFIG_VERSION VARCHAR(128)',
  'ACCESS_MODE VARCHAR(32)',
  'PAXOS_MEMBER_LIST VARCHAR(1024)',
  'PAXOS_REPLICA_NUM BIGINT',
  'IN_SYNC VARCHAR(3)',
  'BASE_LSN BIGINT',
  'BEGIN_LSN BIGINT',
  'BEGIN_SCN BIGINT',
  'END_LSN BIGINT',
  'END_SCN BIGINT',
  'MAX_LSN BIGINT',
  'MAX_SCN BIGINT',
  'ARBITRATION_MEMBER VARCHAR(128)',
  'DEGRADED_LIST VARCHAR(1024)',
  'LEARNER_LIST VARCHAR(1024)',
];
const logStatRows = ({ tenants, server }: ViewInput): readonly (readonly Cell[])[] =>
  tenants.map(tenant => logStatRow(tenant, server));

const processColumns = [
  'ID BIGINT',
  'USER VARCHAR(128)',
  'HOST VARCHAR(128)',
  'DB VARCHAR(128)',
  'TENANT VARCHAR(128)',
  'COMMAND VARCHAR(64)',
  'TIME BIGINT',
  'STATE VARCHAR(64)',
  'INFO VARCHAR(1024)',
  'SVR_IP VARCHAR(46)',
  'SQL_PORT BIGINT',
  'IN_TRANSACTION VARCHAR(3)',
];
const processRows = ({ sessions, server }: ViewInput): readonly (readonly Cell[])[] =>
  sessions.map(session => [
    session.connectionId,
    session.user,
    session.host,
    session.schema,
    session.tenant,
    session.command,
    session.seconds,
    '',
    null,
    server?.ip ?? null,
    server?.sqlPort ?? null,
    session.inTransaction ? 'YES' : 'NO',
  ]);

export const tenantViews: readonly ViewDefinition[] = [
  {
    name: 'DBA_OB_TENANTS',
    perTenant: false,
    columns: [
      'TENANT_ID BIGINT',
      'TENANT_NAME VARCHAR(128)',
      'TENANT_TYPE VARCHAR(4)',
      'CREATE_TIME TIMESTAMP(6)',
      'MODIFY_TIME TIMESTAMP(6)',
      'PRIMARY_ZONE VARCHAR(128)',
      'LOCALITY VARCHAR(4096)',
      'PREVIOUS_LOCALITY VARCHAR(4096)',
      'COMPATIBILITY_MODE VARCHAR(6)',
      'STATUS VARCHAR(64)',
      'IN_RECYCLEBIN VARCHAR(3)',
      'LOCKED VARCHAR(3)',
      'TENANT_ROLE VARCHAR(64)',
      'SWITCHOVER_STATUS VARCHAR(64)',
      'SWITCHOVER_EPOCH BIGINT',
      'SYNC_SCN BIGINT',
      'REPLAYABLE_SCN BIGINT',
      'READABLE_SCN BIGINT',
      'RECOVERY_UNTIL_SCN BIGINT',
      'LOG_MODE VARCHAR(64)',
      'ARBITRATION_SERVICE_STATUS VARCHAR(64)',
      'UNIT_NUM BIGINT',
      'COMPATIBLE VARCHAR(64)',
      'MAX_LS_ID BIGINT',
      'PROTECTION_MODE VARCHAR(64)',
      'PROTECTION_LEVEL VARCHAR(64)',
    ],
    rows: ({ tenants }) => tenants.map(tenantRow),
  },
  { name: 'GV$OB_LOG_STAT', perTenant: false, columns: logStatColumns, rows: logStatRows },
  { name: 'V$OB_LOG_STAT', perTenant: false, columns: logStatColumns, rows: logStatRows },
  {
    name: 'DBA_OB_LS',
    perTenant: true,
    columns: [
      'LS_ID BIGINT',
      'STATUS VARCHAR(100)',
      'PRIMARY_ZONE VARCHAR(128)',
      'UNIT_GROUP_ID BIGINT',
      'LS_GROUP_ID BIGINT',
      'CREATE_SCN BIGINT',
      'DROP_SCN BIGINT',
      'SYNC_SCN BIGINT',
      'READABLE_SCN BIGINT',
      'FLAG VARCHAR(2048)',
    ],
    rows: ({ tenants }) =>
      tenants.map(tenant => [
        tenant.tenantId,
        streamOf(tenant),
        tenant.status === 'DROPPING'
          ? 'TENANT DROPPING'
          : tenant.status === 'CREATING'
            ? 'CREATING'
            : 'NORMAL',
        null,
        null,
        null,
        null,
        null,
        scnCell(tenant.syncScn),
        scnCell(tenant.readableScn),
        '',
      ]),
  },
  {
    name: 'DBA_OB_LS_HISTORY',
    perTenant: true,
    columns: [
      'LS_ID BIGINT',
      'LS_GROUP_ID BIGINT',
      'STATUS VARCHAR(100)',
      'FLAG VARCHAR(2048)',
      'CREATE_SCN BIGINT',
    ],
    rows: ({ tenants }) =>
      tenants.map(tenant => [tenant.tenantId, streamOf(tenant), null, 'NORMAL', '', null]),
  },
  {
    name: 'DBA_OB_ACCESS_POINT',
    perTenant: false,
    columns: ['TENANT_ID BIGINT', 'TENANT_NAME VARCHAR(128)', 'SVR_IP VARCHAR(46)', 'SQL_PORT BIGINT'],
    rows: ({ tenants, server }) =>
      server === null ? [] : tenants.map(tenant => [tenant.tenantId, tenant.name, server.ip, server.sqlPort]),
  },
  {
    name: 'DBA_OB_SERVERS',
    perTenant: false,
    columns: [
      'SVR_IP VARCHAR(46)',
      'SVR_PORT BIGINT',
      'ID BIGINT',
      'ZONE VARCHAR(128)',
      'SQL_PORT BIGINT',
      'WITH_ROOTSERVER VARCHAR(3)',
      'STATUS VARCHAR(64)',
      'START_SERVICE_TIME TIMESTAMP(6)',
      'STOP_TIME TIMESTAMP(6)',
      'BLOCK_MIGRATE_IN_TIME TIMESTAMP(6)',
      'CREATE_TIME TIMESTAMP(6)',
      'MODIFY_TIME TIMESTAMP(6)',
      'BUILD_VERSION VARCHAR(256)',
    ],
    rows: ({ server }) =>
      server === null
        ? []
        : [
            [
              server.ip,
              server.rpcPort,
              1,
              server.zone,
              server.sqlPort,
              'YES',
              'ACTIVE',
              timeCell(server.startTime),
              null,
              null,
              null,
              null,
              server.version,
            ],
          ],
  },
  { name: 'GV$OB_PROCESSLIST', perTenant: false, columns: processColumns, rows: processRows },
  { name: 'V$OB_PROCESSLIST', perTenant: false, columns: processColumns, rows: processRows },
  {
    name: 'GV$OB_PARAMETERS',
    perTenant: false,
    columns: [
      'SVR_IP VARCHAR(46)',
      'SVR_PORT BIGINT',
      'ZONE VARCHAR(128)',
      'SCOPE VARCHAR(32)',
      'TENANT_ID BIGINT',
      'NAME VARCHAR(256)',
      'DATA_TYPE VARCHAR(256)',
      'VALUE VARCHAR(4096)',
      'INFO VARCHAR(4096)',
      'SECTION VARCHAR(1024)',
      'EDIT_LEVEL VARCHAR(1024)',
      'DEFAULT_VALUE VARCHAR(4096)',
      'ISDEFAULT VARCHAR(3)',
    ],
    rows: () => [],
  },
  {
    name: 'DBA_OB_TENANT_EVENT_HISTORY',
    perTenant: true,
    columns: [
      'TIMESTAMP TIMESTAMP(6)',
      'MODULE VARCHAR(64)',
      'EVENT VARCHAR(64)',
      ...[1, 2, 3, 4, 5, 6].flatMap(index => [`NAME${index} VARCHAR(256)`, `VALUE${index} VARCHAR(4096)`]),
      'EXTRA_INFO VARCHAR(4096)',
      'SVR_IP VARCHAR(46)',
      'SVR_PORT BIGINT',
      'TRACE_ID VARCHAR(64)',
      'COST_TIME BIGINT',
      'RET_CODE BIGINT',
      'ERROR_MSG VARCHAR(512)',
    ],
    rows: () => [],
  },
];
