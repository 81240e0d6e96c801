/**
 * Prometheus metrics of a server, read from the same picture that `status` prints, of its own replicas: each server is asked. Names carry units; a tenant is a
 * label, so that hundreds of them stay one series family each.
 */
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { TenantInfo } from '../cluster/operations.ts';

/** The replica here leads: it alone tells of its role, its standbys and its archive. */
const leads = (info: TenantInfo): boolean => info.roleEpoch > 0;
const ofLeader = (info: TenantInfo, value: number | undefined): number | undefined =>
  leads(info) ? value : undefined;

interface TenantGauge {
  readonly name: string;
  readonly help: string;
  /** undefined: no sample for this tenant */
  readonly value: (info: TenantInfo) => number | undefined;
}

const tenantGauges: readonly TenantGauge[] = [
  {
    name: 'obstandby_tenant_primary',
    help: '1 when the tenant is primary here; told where it leads',
    value: info => ofLeader(info, Number(info.role === 'PRIMARY')),
  },
  {
    name: 'obstandby_tenant_writable',
    help: '1 when it takes writes',
    value: info => ofLeader(info, Number(info.role === 'PRIMARY' && info.writesRefused === null)),
  },
  {
    name: 'obstandby_replica_leads',
    help: '1 when the replica on this server leads',
    value: info => Number(leads(info)),
  },
  {
    name: 'obstandby_tenant_open',
    help: '0 when the tenant did not open at start: obstandby status tells why',
    value: info => Number(info.failure === null),
  },
  {
    name: 'obstandby_tenant_role_epoch',
    help: 'role epoch',
    value: info => ofLeader(info, info.roleEpoch),
  },
  {
    name: 'obstandby_tenant_log_end_bytes',
    help: 'committed end of the log (LSN)',
    value: info => info.log.endLsn,
  },
  {
    name: 'obstandby_tenant_log_kept_bytes',
    help: 'log kept on disk',
    value: info => info.log.endLsn - info.log.beginLsn,
  },
  { name: 'obstandby_tenant_sync_scn', help: 'sync SCN in microseconds', value: info => info.syncScn },
  {
    name: 'obstandby_tenant_readable_scn',
    help: 'readable SCN in microseconds',
    value: info => info.readableScn,
  },
  {
    name: 'obstandby_tenant_checkpoint_lag_bytes',
    help: 'log not yet durable in the database file',
    value: info => info.log.endLsn - info.applied.checkpointLsn,
  },
  {
    name: 'obstandby_standby_transport_lag_seconds',
    help: 'age of the newest log not received',
    value: info => info.standby?.lag.transport.seconds,
  },
  {
    name: 'obstandby_standby_apply_lag_seconds',
    help: 'age of the newest log not visible to readers',
    value: info => info.standby?.lag.apply.seconds,
  },
  {
    name: 'obstandby_standby_apply_lag_bytes',
    help: 'log not visible to readers',
    value: info => info.standby?.lag.apply.bytes,
  },
  {
    name: 'obstandby_standby_sync_normal',
    help: '1 when the restore source works',
    value: info => (info.standby === null ? undefined : Number(info.standby.syncStatus === 'NORMAL')),
  },
  {
    name: 'obstandby_archive_lag_bytes',
    help: 'log not archived',
    value: info => (info.archive === null ? undefined : info.log.endLsn - info.archive.archivedLsn),
  },
  {
    name: 'obstandby_archive_doing',
    help: '1 when archiving runs',
    value: info => (info.archive === null ? undefined : Number(info.archive.state === 'DOING')),
  },
  {
    name: 'obstandby_followers_connected',
    help: 'standbys that pull now',
    value: info => ofLeader(info, info.followers.filter(follower => follower.connected).length),
  },
];

/** Returns the function that renders `/metrics`, of this server's own replicas. */
export function createMetrics(tenantsHere: () => Promise<readonly TenantInfo[]>): () => Promise<string> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauges = tenantGauges.map(row => ({
    row,
    gauge: new Gauge({ name: row.name, help: row.help, labelNames: ['tenant'], registers: [registry] }),
  }));
  return async () => {
    const tenants = await tenantsHere();
    for (const { row, gauge } of gauges) {
      gauge.reset();
      for (const info of tenants) {
        const value = row.value(info);
        if (value !== undefined) gauge.set({ tenant: info.name }, value);
      }
    }
    return registry.metrics();
  };
}
