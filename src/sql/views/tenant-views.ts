/** Views of tenants, their log streams and their sessions. */
import type { TenantInfo } from '../../cluster/operations.ts';
import type { Cell } from '../../tenant/engine.ts';
import { scnCell, timeCell } from './scn-cells.ts';
import type { ViewDefinition, ViewInput } from './view-definitions.ts';

const sysTenantId = 1;
/** one log stream a tenant: 1 in sys, 1001 in the others */
export const streamOf = (tenant: TenantInfo): number => (tenant.tenantId === sysTenantId ? 1 : 1001);

function tenantRow(tenant: TenantInfo): readonly Cell[] {
  const sys = tenant.tenantId === sysTenantId;
  const scns = [tenant.syncScn, tenant.replayableScn, tenant.readableScn, tenant.recoveryUntilScn];
  return [
    tenant.tenantId,
    tenant.name,
    sys ? 'SYS' : 'USER',
    timeCell(tenant.createTime),
    timeCell(tenant.createTime),
    tenant.placement?.primaryZone ?? null,
    tenant.placement?.locality ?? null,
    tenant.placement?.previousLocality ?? null,
    'MYSQL',
    tenant.status,
    'NO',
    'NO',
    tenant.role,
    tenant.switchoverStatus,
    tenant.roleEpoch,
    ...scns.map(scn => (sys ? null : scnCell(scn))),
    tenant.logMode,
    tenant.placement?.arbitration ?? 'DISABLED',
    null,
    null,
    sys ? 1 : 1001,
    'MAXIMUM PERFORMANCE',
    'MAXIMUM PERFORMANCE',
  ];
}

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
        tenant.placement?.primaryZone ?? null,
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
  { name: 'GV$OB_PROCESSLIST', perTenant: false, columns: processColumns, rows: processRows },
  { name: 'V$OB_PROCESSLIST', perTenant: false, columns: processColumns, rows: processRows },
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
