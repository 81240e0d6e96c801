/** Views of the arbitration service: the arbiter, how servers see it, what it remembers, what is under way, and what was degraded. */
import type { ArbitrationInfo } from '../../cluster/cluster-operations.ts';
import { wallMicros } from '../../base/scalars.ts';
import type { Cell } from '../../tenant/engine.ts';
import { addressCells, arbiterText, memberList, serverOf } from './cluster-views.ts';
import { timeCell } from './scn-cells.ts';
import type { ViewDefinition, ViewInput } from './view-definitions.ts';

type Task = ArbitrationInfo['tasks'][number];

const taskColumns = [
  'CREATE_TIME TIMESTAMP(6)',
  'MODIFY_TIME TIMESTAMP(6)',
  'LS_ID BIGINT',
  'TASK_ID BIGINT',
  'TRACE_ID VARCHAR(64)',
  'TASK_TYPE VARCHAR(128)',
  'ARBITRATION_SERVICE VARCHAR(256)',
  'ARBITRATION_SERVICE_TYPE VARCHAR(64)',
  'COMMENT VARCHAR(4096)',
];
const taskRow = (task: Task): readonly Cell[] => [
  task.tenantId,
  timeCell(task.startTime),
  timeCell(task.modifyTime),
  task.tenantId === 1 ? 1 : 1001,
  task.id,
  null,
  task.type,
  task.service,
  'ADDR',
  task.detail,
];

function parameterRows({ arbitration, cluster }: ViewInput): readonly (readonly Cell[])[] {
  if (arbitration === null) return [];
  const defaults = { timeout: '5s', policy: 'LS_POLICY' };
  const cells = (
    address: string,
    zone: string,
    tenantId: number | null,
    name: string,
    type: string,
    value: string,
    info: string,
    byDefault: string,
  ): readonly Cell[] => [
    ...addressCells(address),
    zone,
    tenantId === null ? 'CLUSTER' : 'TENANT',
    tenantId,
    name,
    type,
    value,
    info,
    'ROOT_SERVICE',
    'DYNAMIC_EFFECTIVE',
    byDefault,
    value === byDefault ? 'YES' : 'NO',
  ];
  return (cluster?.servers ?? []).flatMap(({ address, zone }) => [
    cells(
      address,
      zone,
      null,
      'arbitration_degradation_policy',
      'STRING',
      arbitration.policy,
      'whether a leader has to reach the root service to degrade a replica',
      defaults.policy,
    ),
    ...arbitration.tenants.map(({ tenantId, timeoutMs }) =>
      cells(
        address,
        zone,
        tenantId,
        'arbitration_timeout',
        'TIME',
        timeoutMs % 1000 === 0 ? `${timeoutMs / 1000}s` : `${timeoutMs}ms`,
        'how long a replica is waited for before it is degraded',
        defaults.timeout,
      ),
    ),
  ]);
}

export const arbitrationViews: readonly ViewDefinition[] = [
  {
    name: 'DBA_OB_ARBITRATION_SERVICE',
    perTenant: false,
    needs: 'cluster',
    needsArbitration: true,
    sysOnly: true,
    columns: [
      'CREATE_TIME TIMESTAMP(6)',
      'MODIFY_TIME TIMESTAMP(6)',
      'ARBITRATION_SERVICE_KEY VARCHAR(256)',
      'ARBITRATION_SERVICE VARCHAR(256)',
      'PREVIOUS_ARBITRATION_SERVICE VARCHAR(256)',
      'TYPE VARCHAR(64)',
    ],
    rows: ({ arbitration }) => {
      const service = arbitration?.service ?? null;
      if (service === null) return [];
      const { createTime, modifyTime, address, previousAddress } = service;
      return [[timeCell(createTime), timeCell(modifyTime), 'default', address, previousAddress, 'ADDR']];
    },
  },
  {
    name: 'GV$OB_ARBITRATION_SERVICE_STATUS',
    perTenant: false,
    needs: 'cluster',
    needsArbitration: true,
    sysOnly: true,
    columns: [
      'SVR_IP VARCHAR(46)',
      'SVR_PORT BIGINT',
      'ARBITRATION_SERVICE_ADDRESS VARCHAR(256)',
      'STATUS VARCHAR(64)',
    ],
    rows: input =>
      (input.arbitration?.servers ?? []).map(({ nodeId, status }) => [
        ...addressCells(serverOf(input, nodeId)?.address),
        input.arbitration?.service?.address ?? null,
        status,
      ]),
  },
  {
    name: 'GV$OB_ARBITRATION_MEMBER_INFO',
    perTenant: false,
    needs: 'cluster',
    needsArbitration: true,
    columns: [
      'TENANT_ID BIGINT',
      'LS_ID BIGINT',
      'SVR_IP VARCHAR(46)',
      'SVR_PORT BIGINT',
      'PROPOSAL_ID BIGINT',
      'CONFIG_VERSION VARCHAR(128)',
      'ACCESS_MODE VARCHAR(32)',
      'PAXOS_MEMBER_LIST VARCHAR(1024)',
      'PAXOS_REPLICA_NUM BIGINT',
      'ARBITRATION_MEMBER VARCHAR(128)',
      'DEGRADED_LIST VARCHAR(1024)',
    ],
    rows: input =>
      (input.arbitration?.streams ?? []).map(stream => [
        stream.tenantId,
        stream.stream,
        ...addressCells(input.arbitration?.service?.address),
        stream.proposalId,
        `{proposal_id:${stream.configVersion.proposalId}, config_seq:${stream.configVersion.sequence}}`,
        stream.accessMode,
        memberList(input, stream.members),
        stream.members.length + stream.degraded.length,
        arbiterText(input, stream.arbiter),
        memberList(input, stream.degraded),
      ]),
  },
  {
    name: 'DBA_OB_LS_ARB_REPLICA_TASKS',
    perTenant: true,
    needs: 'cluster',
    needsArbitration: true,
    columns: taskColumns,
    rows: ({ arbitration }) =>
      (arbitration?.tasks ?? []).filter(({ status }) => status === 'INPROGRESS').map(taskRow),
  },
  {
    name: 'DBA_OB_LS_ARB_REPLICA_TASK_HISTORY',
    perTenant: true,
    needs: 'cluster',
    needsArbitration: true,
    columns: [...taskColumns, 'FINISH_TIME TIMESTAMP(6)', 'RESULT VARCHAR(64)'],
    rows: ({ arbitration }) =>
      (arbitration?.tasks ?? [])
        .filter(({ status }) => status !== 'INPROGRESS')
        .map(task => [...taskRow(task), timeCell(task.modifyTime), task.status]),
  },
  {
    name: 'DBA_OB_SERVER_EVENT_HISTORY',
    perTenant: false,
    needs: 'events',
    sysOnly: true,
    columns: [
      'TIMESTAMP TIMESTAMP(6)',
      'SVR_IP VARCHAR(46)',
      'SVR_PORT BIGINT',
      'MODULE VARCHAR(64)',
      'EVENT VARCHAR(64)',
      ...[1, 2, 3, 4, 5, 6].flatMap(index => [`NAME${index} VARCHAR(256)`, `VALUE${index} VARCHAR(256)`]),
      'EXTRA_INFO VARCHAR(512)',
    ],
    rows: ({ events }) =>
      events.map(({ time, address, module, event, tenantId, detail }) => {
        const named = [['TENANT_ID', tenantId], ...Object.entries(detail)].slice(0, 6);
        const cells = Array.from({ length: 6 }, (_, index) => named[index] ?? ['', '']).flat();
        const shown = cells.map((cell, index) =>
          index % 2 === 0 ? String(cell).toUpperCase() : String(cell ?? ''),
        );
        return [timeCell(wallMicros(time)), ...addressCells(address), module, event, ...shown, ''];
      }),
  },
  {
    name: 'GV$OB_PARAMETERS',
    perTenant: false,
    needs: 'cluster',
    needsArbitration: true,
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
    rows: parameterRows,
  },
];
