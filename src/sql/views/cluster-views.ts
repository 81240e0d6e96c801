/** Views of the cluster: servers, zones, replicas and who leads them, tasks. A server is shown by the address that names it in statements. */
import type { ReplicaInfo, ServerInfo, TenantJob } from '../../cluster/cluster-operations.ts';
import type { NodeId } from '../../base/scalars.ts';
import type { Cell } from '../../tenant/engine.ts';
import { scnCell, timeCell } from './scn-cells.ts';
import type { ViewDefinition, ViewInput } from './view-definitions.ts';

/** A replica whose newest entry is older than its leader's by more is shown as not in sync. */
const inSyncMicros = 3_000_000;

/** `host:port` as the two columns that OceanBase has. */
export function addressCells(address: string | null | undefined): readonly [Cell, Cell] {
  if (address === null || address === undefined) return [null, null];
  const split = address.lastIndexOf(':');
  return [address.slice(0, split).replace(/^\[(.*)\]$/, '$1'), Number(address.slice(split + 1))];
}

const portCell = (address: string | null | undefined): Cell => addressCells(address)[1];

export const serverOf = ({ cluster }: ViewInput, node: NodeId): ServerInfo | undefined =>
  cluster?.servers.find(({ nodeId }) => nodeId === node);

/** `ip:port:1,ip:port:1`, as OceanBase writes lists of members. */
export const memberList = (input: ViewInput, nodes: readonly NodeId[]): string =>
  nodes.map(node => `${serverOf(input, node)?.address ?? node}:1`).join(',');

/** The arbiter is no server: it is known by its address alone. */
export const arbiterText = ({ cluster }: ViewInput, node: NodeId | null): string =>
  node === null ? '' : cluster?.arbiter?.nodeId === node ? cluster.arbiter.address : node;

const configText = ({ configVersion: { proposalId, sequence } }: ReplicaInfo): string =>
  `{proposal_id:${proposalId}, config_seq:${sequence}}`;

function isInSync(replica: ReplicaInfo, { cluster }: ViewInput): boolean {
  if (replica.role === 'LEADER') return true;
  const leader = cluster?.replicas.find(
    ({ tenantId, role }) => tenantId === replica.tenantId && role === 'LEADER',
  );
  return leader !== undefined && !replica.isImpaired && leader.endScn - replica.endScn <= inSyncMicros;
}

const logStatRow = (replica: ReplicaInfo, input: ViewInput): readonly Cell[] => [
  replica.tenantId,
  replica.stream,
  ...addressCells(serverOf(input, replica.nodeId)?.address),
  replica.role,
  replica.proposalId,
  configText(replica),
  replica.accessMode,
  memberList(input, replica.members),
  replica.members.length + replica.degraded.length,
  isInSync(replica, input) ? 'YES' : 'NO',
  replica.baseLsn,
  replica.beginLsn,
  null,
  replica.endLsn,
  scnCell(replica.endScn),
  replica.maxLsn,
  scnCell(replica.maxScn),
  arbiterText(input, replica.arbiter),
  memberList(input, replica.degraded),
  memberList(input, replica.learners),
];

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

function zoneRows({ cluster }: ViewInput): readonly (readonly Cell[])[] {
  const zones = new Map<string, ServerInfo>();
  for (const server of cluster?.servers ?? []) if (!zones.has(server.zone)) zones.set(server.zone, server);
  return [...zones]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([zone, { createTime, region }]) => [
      zone,
      timeCell(createTime),
      null,
      'ACTIVE',
      null,
      region,
      'ReadWrite',
    ]);
}

/** As far as it can be told: of one that runs, nothing in between. */
const progressOf = ({ status }: TenantJob): number => (status === 'INPROGRESS' ? 0 : 100);

export const clusterViews: readonly ViewDefinition[] = [
  {
    name: 'GV$OB_LOG_STAT',
    perTenant: false,
    needs: 'cluster',
    columns: logStatColumns,
    rows: input => (input.cluster?.replicas ?? []).map(replica => logStatRow(replica, input)),
  },
  {
    name: 'V$OB_LOG_STAT',
    perTenant: false,
    needs: 'cluster',
    columns: logStatColumns,
    rows: input =>
      (input.cluster?.replicas ?? [])
        .filter(({ nodeId }) => nodeId === input.cluster?.self)
        .map(replica => logStatRow(replica, input)),
  },
  {
    name: 'DBA_OB_LS_LOCATIONS',
    perTenant: true,
    needs: 'cluster',
    columns: [
      'CREATE_TIME TIMESTAMP(6)',
      'MODIFY_TIME TIMESTAMP(6)',
      'LS_ID BIGINT',
      'SVR_IP VARCHAR(46)',
      'SVR_PORT BIGINT',
      'SQL_PORT BIGINT',
      'ZONE VARCHAR(128)',
      'ROLE VARCHAR(8)',
      'MEMBER_LIST VARCHAR(2048)',
      'PAXOS_REPLICA_NUMBER BIGINT',
      'REPLICA_TYPE VARCHAR(64)',
      'LEARNER_LIST VARCHAR(2048)',
      'REBUILD VARCHAR(3)',
    ],
    rows: input =>
      (input.cluster?.replicas ?? []).map(replica => {
        const server = serverOf(input, replica.nodeId);
        return [
          replica.tenantId,
          null,
          null,
          replica.stream,
          ...addressCells(server?.address),
          portCell(server?.sqlAddress),
          server?.zone ?? null,
          replica.role,
          memberList(input, replica.members),
          replica.members.length,
          replica.type,
          memberList(input, replica.learners),
          replica.isImpaired ? 'YES' : 'NO',
        ];
      }),
  },
  {
    name: 'DBA_OB_SERVERS',
    perTenant: false,
    needs: 'cluster',
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
    rows: ({ cluster }) =>
      (cluster?.servers ?? []).map(server => [
        ...addressCells(server.address),
        server.id,
        server.zone,
        portCell(server.sqlAddress),
        server.isRoot ? 'YES' : 'NO',
        server.status,
        timeCell(server.startTime),
        timeCell(server.stopTime),
        null,
        timeCell(server.createTime),
        null,
        server.version,
      ]),
  },
  {
    name: 'GV$OB_SERVERS',
    perTenant: false,
    needs: 'cluster',
    columns: [
      'SVR_IP VARCHAR(46)',
      'SVR_PORT BIGINT',
      'ZONE VARCHAR(128)',
      'SQL_PORT BIGINT',
      'CPU_CAPACITY BIGINT',
      'CPU_CAPACITY_MAX DOUBLE',
      'CPU_ASSIGNED DOUBLE',
      'CPU_ASSIGNED_MAX DOUBLE',
      'MEM_CAPACITY BIGINT',
      'MEM_ASSIGNED BIGINT',
      'LOG_DISK_CAPACITY BIGINT',
      'LOG_DISK_ASSIGNED BIGINT',
      'LOG_DISK_IN_USE BIGINT',
      'DATA_DISK_CAPACITY BIGINT',
      'DATA_DISK_IN_USE BIGINT',
      'DATA_DISK_HEALTH_STATUS VARCHAR(20)',
      'MEMORY_LIMIT BIGINT',
      'DATA_DISK_ALLOCATED BIGINT',
      'DATA_DISK_ABNORMAL_TIME TIMESTAMP(6)',
      'SSL_CERT_EXPIRED_TIME TIMESTAMP(6)',
    ],
    rows: ({ cluster }) =>
      (cluster?.servers ?? [])
        .filter(({ status }) => status !== 'INACTIVE')
        .map(server => [
          ...addressCells(server.address),
          server.zone,
          portCell(server.sqlAddress),
          ...Array<null>(16).fill(null),
        ]),
  },
  {
    name: 'DBA_OB_ZONES',
    perTenant: false,
    needs: 'cluster',
    columns: [
      'ZONE VARCHAR(128)',
      'CREATE_TIME TIMESTAMP(6)',
      'MODIFY_TIME TIMESTAMP(6)',
      'STATUS VARCHAR(64)',
      'IDC VARCHAR(4096)',
      'REGION VARCHAR(4096)',
      'TYPE VARCHAR(4096)',
    ],
    rows: zoneRows,
  },
  {
    name: 'DBA_OB_TENANT_JOBS',
    perTenant: false,
    needs: 'jobs',
    columns: [
      'JOB_ID BIGINT',
      'JOB_TYPE VARCHAR(128)',
      'JOB_STATUS VARCHAR(128)',
      'RESULT_CODE BIGINT',
      'PROGRESS BIGINT',
      'START_TIME TIMESTAMP(6)',
      'MODIFY_TIME TIMESTAMP(6)',
      'TENANT_ID BIGINT',
      'SQL_TEXT VARCHAR(4096)',
      'EXTRA_INFO VARCHAR(4096)',
      'RS_SVR_IP VARCHAR(46)',
      'RS_SVR_PORT BIGINT',
    ],
    rows: ({ jobs }) =>
      jobs.map(job => [
        job.id,
        job.type,
        job.status,
        job.status === 'INPROGRESS' ? null : 0,
        progressOf(job),
        timeCell(job.startTime),
        timeCell(job.modifyTime),
        job.tenantId,
        null,
        `FROM: '${job.previousLocality}', TO: '${job.locality}'${job.detail === '' ? '' : `: ${job.detail}`}`,
        null,
        null,
      ]),
  },
  {
    name: 'DBA_OB_ACCESS_POINT',
    perTenant: false,
    needs: 'cluster',
    columns: ['TENANT_ID BIGINT', 'TENANT_NAME VARCHAR(128)', 'SVR_IP VARCHAR(46)', 'SQL_PORT BIGINT'],
    rows: input =>
      (input.cluster?.tenants ?? []).flatMap(({ tenantId, name, replicas }) =>
        replicas.flatMap(({ nodeId }) => {
          const sql = serverOf(input, nodeId)?.sqlAddress ?? null;
          return sql === null ? [] : [[tenantId, name, ...addressCells(sql)]];
        }),
      ),
  },
];
