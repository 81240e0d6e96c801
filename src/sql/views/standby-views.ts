/** Views of standbys: where they pull from, how far they are, and what a failover lost. */
import type { TenantInfo } from '../../cluster/operations.ts';
import type { Cell } from '../../tenant/engine.ts';
import { scnCell, timeCell } from './scn-cells.ts';
import { streamOf } from './tenant-views.ts';
import type { ViewDefinition } from './view-definitions.ts';

type Standby = NonNullable<TenantInfo['standby']>;

const standbys = (tenants: readonly TenantInfo[]): readonly (readonly [TenantInfo, Standby])[] =>
  tenants.flatMap(tenant => (tenant.standby === null ? [] : [[tenant, tenant.standby] as const]));

/** OceanBase's number behind a state; 0 is healthy. */
const errorNumbers: Readonly<Record<string, number>> = {
  NORMAL: 0,
  'SOURCE HAS A GAP': -4018,
  'STANDBY LOG NOT MATCH': -4016,
  'CHECK USER OR PASSWORD': -1045,
  'CHECK NETWORK': -4638,
  'FETCH LOG TIMEOUT': -4012,
};

function restoreStatus(tenant: TenantInfo, standby: Standby): readonly Cell[] {
  const number = Object.hasOwn(errorNumbers, standby.syncStatus)
    ? errorNumbers[standby.syncStatus]
    : undefined;
  return [
    tenant.tenantId,
    streamOf(tenant),
    tenant.log.endLsn,
    scnCell(tenant.syncScn),
    standby.syncStatus,
    number ?? null,
    standby.comment,
  ];
}

export const standbyViews: readonly ViewDefinition[] = [
  {
    name: 'V$OB_LS_LOG_RESTORE_STATUS',
    perTenant: false,
    columns: [
      'TENANT_ID BIGINT',
      'LS_ID BIGINT',
      'SYNC_LSN BIGINT',
      'SYNC_SCN BIGINT',
      'SYNC_STATUS VARCHAR(128)',
      'ERR_CODE BIGINT',
      'COMMENT VARCHAR(1024)',
    ],
    rows: ({ tenants }) => standbys(tenants).map(([tenant, standby]) => restoreStatus(tenant, standby)),
  },
  {
    name: 'DBA_OB_LOG_RESTORE_SOURCE',
    perTenant: false,
    columns: [
      'TENANT_ID BIGINT',
      'ID BIGINT',
      'TYPE VARCHAR(32)',
      'VALUE VARCHAR(4096)',
      'RECOVERY_UNTIL_SCN BIGINT',
    ],
    rows: ({ tenants }) =>
      standbys(tenants).flatMap(([tenant, { source }]) =>
        source === null || source === ''
          ? []
          : [
              [
                tenant.tenantId,
                1,
                /^\s*location=/i.test(source) ? 'LOCATION' : 'SERVICE',
                source,
                scnCell(tenant.recoveryUntilScn),
              ],
            ],
      ),
  },
  {
    name: 'GV$OB_STANDBY_LAG',
    perTenant: false,
    columns: [
      'TENANT_ID BIGINT',
      'LS_ID BIGINT',
      'TRANSPORT VARCHAR(16)',
      'TRANSPORT_LAG_BYTES BIGINT',
      'TRANSPORT_LAG_SECONDS DOUBLE',
      'FLUSH_LAG_BYTES BIGINT',
      'FLUSH_LAG_SECONDS DOUBLE',
      'APPLY_LAG_BYTES BIGINT',
      'APPLY_LAG_SECONDS DOUBLE',
      'DATUM_TIME TIMESTAMP(6)',
      'SYNC_STATUS VARCHAR(128)',
    ],
    rows: ({ tenants }) =>
      standbys(tenants).map(([tenant, { lag, transport, syncStatus }]) => [
        tenant.tenantId,
        streamOf(tenant),
        transport,
        lag.transport.bytes,
        lag.transport.seconds,
        lag.flush.bytes,
        lag.flush.seconds,
        lag.apply.bytes,
        lag.apply.seconds,
        timeCell(lag.datumTime),
        syncStatus,
      ]),
  },
  {
    name: 'GV$OB_STANDBY_FOLLOWERS',
    perTenant: false,
    columns: [
      'TENANT_ID BIGINT',
      'SITE VARCHAR(128)',
      'ADDRESS VARCHAR(256)',
      'CONNECTED VARCHAR(3)',
      'ACKED_LSN BIGINT',
      'ACKED_TIME TIMESTAMP(6)',
    ],
    rows: ({ tenants }) =>
      tenants.flatMap(tenant =>
        tenant.followers.map(follower => [
          tenant.tenantId,
          follower.site,
          follower.address,
          follower.connected ? 'YES' : 'NO',
          follower.ackedLsn,
          timeCell(follower.ackedTime),
        ]),
      ),
  },
  {
    name: 'DBA_OB_LOSS_CERTIFICATES',
    perTenant: false,
    columns: [
      'TENANT_NAME VARCHAR(128)',
      'OLD_EPOCH BIGINT',
      'NEW_EPOCH BIGINT',
      'CUT_LSN BIGINT',
      'CUT_SCN BIGINT',
      'KNOWN_END_LSN BIGINT',
      'KNOWN_END_SCN BIGINT',
      'LAST_CONTACT TIMESTAMP(6)',
      'LOST_TRANSACTIONS BIGINT',
      'LOST_LSN_END BIGINT',
      'LOST_SCN_END BIGINT',
      'FORCED VARCHAR(3)',
    ],
    rows: ({ certificates }) =>
      certificates.map(certificate => [
        certificate.tenant,
        certificate.oldEpoch,
        certificate.newEpoch,
        certificate.cutLsn,
        scnCell(certificate.cutScn),
        certificate.knownEndLsn,
        certificate.knownEndScn === null ? null : scnCell(certificate.knownEndScn),
        timeCell(certificate.lastContact),
        certificate.lostTransactions,
        certificate.lostLsnEnd,
        certificate.lostScnEnd === null ? null : scnCell(certificate.lostScnEnd),
        certificate.forced ? 'YES' : 'NO',
      ]),
  },
];
