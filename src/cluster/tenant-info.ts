/** The picture of a tenant that `status`, the views and the metrics show, read from its parts without waiting. */
import type { LogState } from '../base/log-access.ts';
import { lsn, roleEpoch, type Scn, scn, scnUnlimited } from '../base/scalars.ts';
import { isUnfinished } from '../role/row.ts';
import { restoreSourceText } from '../standby/restore-source.ts';
import type { StandbyLag } from '../standby/sync-status.ts';
import type { TenantInfo } from './operations.ts';
import type { StoredRestoreSource } from './sys-store.ts';
import type { ClosedTenant } from './tenant-registry.ts';
import type { TenantUnit } from './tenant-unit.ts';
import type { UnitLeadership } from './unit-leadership.ts';
import type { UnitHost } from './unit-host.ts';

const noLag: StandbyLag = {
  transport: { bytes: 0, seconds: 0 },
  flush: { bytes: 0, seconds: 0 },
  apply: { bytes: 0, seconds: 0 },
  datumTime: null,
};

/** Of a replica that does not lead: what it knows itself, which is neither the role's row nor who pulls from the leader. */
export function tenantInfo(host: UnitHost, unit: TenantUnit): TenantInfo {
  const { leadership } = unit;
  return leadership === null ? replicaInfo(unit) : leaderInfo(host, unit, leadership);
}

function leaderInfo(host: UnitHost, unit: TenantUnit, leadership: UnitLeadership): TenantInfo {
  const { record, log, engine } = unit;
  const { role, pull, archive } = leadership;
  const { row, writesRefused } = role.view();
  const state = log.state();
  const { appliedLsn, readableScn, checkpointLsn } = engine.state();
  const status = pull.status();
  const isStandby = row.role !== 'PRIMARY';
  const least = (...scns: Scn[]): Scn => scn(Math.min(...scns));
  return {
    tenantId: record.id,
    name: record.name,
    incarnation: record.incarnation,
    createTime: record.createTime,
    status: record.status === 'NORMAL' && row.role === 'RESTORE' ? 'RESTORE' : record.status,
    role: row.role,
    switchoverStatus: row.switchoverStatus,
    roleEpoch: row.epoch,
    syncScn: state.end.scn,
    replayableScn: least(state.end.scn, row.recoveryUntilScn),
    readableScn,
    recoveryUntilScn: row.recoveryUntilScn,
    logMode: archive.dest?.enabled === true ? 'ARCHIVELOG' : 'NOARCHIVELOG',
    failure: null,
    writesRefused:
      isStandby && row.fenced === null ? null : refusalText(leadership, writesRefused?.message ?? null),
    nextStep: nextStep(record.name, leadership),
    log: logInfo(state),
    applied: { lsn: appliedLsn, checkpointLsn },
    standby:
      isStandby && !isUnfinished(row)
        ? {
            source: pull.source === null ? null : sourceText(pull.source),
            transport: status?.transport ?? null,
            syncStatus: pull.source === null ? 'NOT AVAILABLE' : (status?.status ?? 'NOT AVAILABLE'),
            comment:
              pull.source === null ? 'no log restore source is set' : (status?.comment ?? 'not pulling'),
            lag: status?.lag ?? noLag,
          }
        : null,
    archive: archiveInfo(leadership),
    placement: null,
    followers: host.followers(record.incarnation).map(follower => ({
      address: follower.address ?? '',
      site: follower.site,
      connected: follower.connected,
      ackedLsn: follower.ackedLsn,
      ackedTime: follower.ackedTime,
    })),
  };
}

function replicaInfo({ record, log, replica }: TenantUnit): TenantInfo {
  const state = log.state();
  const engine = replica.hasEngine ? replica.engine.state() : null;
  const isStandby = state.accessMode !== 'APPEND';
  return {
    tenantId: record.id,
    name: record.name,
    incarnation: record.incarnation,
    createTime: record.createTime,
    status: record.status,
    role: isStandby ? 'STANDBY' : 'PRIMARY',
    switchoverStatus: 'NORMAL',
    roleEpoch: roleEpoch(0),
    syncScn: state.end.scn,
    replayableScn: state.end.scn,
    readableScn: engine?.readableScn ?? scn(0),
    recoveryUntilScn: scnUnlimited,
    logMode: 'NOARCHIVELOG',
    failure: null,
    writesRefused: isStandby ? null : (replica.problem ?? replica.notLeading()).message,
    nextStep: null,
    log: logInfo(state),
    applied: { lsn: engine?.appliedLsn ?? lsn(0), checkpointLsn: engine?.checkpointLsn ?? lsn(0) },
    standby: null,
    archive: null,
    placement: null,
    followers: [],
  };
}

/** The picture of a tenant that did not open: who it is, what it was, and why it does not serve. */
export function closedTenantInfo({ record, row, failure }: ClosedTenant): TenantInfo {
  const { code, kind, message, hint } = failure;
  const [none, never] = [lsn(0), scn(0)];
  return {
    tenantId: record.id,
    name: record.name,
    incarnation: record.incarnation,
    createTime: record.createTime,
    status: record.status,
    role: row?.role ?? 'STANDBY',
    switchoverStatus: row?.switchoverStatus ?? 'NORMAL',
    roleEpoch: row?.epoch ?? roleEpoch(0),
    syncScn: never,
    replayableScn: never,
    readableScn: never,
    recoveryUntilScn: row?.recoveryUntilScn ?? scnUnlimited,
    logMode: 'NOARCHIVELOG',
    failure: { code, kind, message, hint },
    writesRefused: `it did not open: ${code}: ${message}`,
    nextStep: `${hint} Then: obstandby tenant open ${record.name}`,
    log: {
      accessMode: 'RAW_WRITE',
      proposalId: 0,
      beginLsn: none,
      endLsn: none,
      endScn: never,
      checksum: 0,
      proposalHistory: [],
    },
    applied: { lsn: none, checkpointLsn: none },
    standby: null,
    archive: null,
    placement: null,
    followers: [],
  };
}

/** The log as operators see it. */
export const logInfo = (state: LogState): TenantInfo['log'] => ({
  accessMode: state.accessMode,
  proposalId: state.proposalId,
  beginLsn: state.beginLsn,
  endLsn: state.end.lsn,
  endScn: state.end.scn,
  checksum: state.end.checksum,
  proposalHistory: state.proposalHistory,
});

/** The commands to give, with the names and addresses that are known here. */
function nextStep(name: string, { role, pull }: UnitLeadership): string | null {
  const { row, running, writesRefused } = role.view();
  if (row.fenced !== null) {
    const { by, suffix } = row.fenced;
    if (suffix === null)
      return `Wait: site ${by.site} has to tell where its history left this one. Is it running?`;
    const from = by.address ?? 'HOST:PORT';
    return (
      `Its log holds ${suffix.transactions} transactions that the primary at ${from} has not: save what you need of them, ` +
      `then make it a standby: obstandby tenant drop ${name} --force; obstandby standby create ${name} --from ${from} --user root@${name}`
    );
  }
  if (isUnfinished(row)) {
    if (running !== null) return 'Wait: the role change is running.';
    return `Finish the role change: obstandby resume ${name}; or undo it: obstandby rollback ${name}`;
  }
  if (row.role === 'PRIMARY') {
    if (writesRefused?.details['waiting'] === 'restart check') {
      return 'Wait a moment: it asks its standbys and its archive whether another site was promoted.';
    }
    return writesRefused?.hint.replaceAll('TENANT', name) ?? null;
  }
  if (row.sealed !== null && pull.source === null) {
    return (
      `The log is sealed for a switchover: obstandby switchover ${name} --to-primary at the standby's site, ` +
      `then obstandby standby source ${name} here; or undo it: obstandby rollback ${name}`
    );
  }
  if (pull.source === null)
    return `Name the primary: obstandby standby source ${name} --from HOST:PORT --user root@${name}`;
  return null;
}

function refusalText({ local }: UnitLeadership, decided: string | null): string | null {
  if (decided !== null) return decided;
  if (local.refusal !== null) return local.refusal;
  return local.writable ? null : 'the tenant is opening';
}

function archiveInfo({ archive }: UnitLeadership): TenantInfo['archive'] {
  const { dest, problem } = archive;
  if (dest === null) return null;
  const status = archive.status();
  const shown = status?.dest ?? dest.location.replace(/\?.*$/, '');
  const idle = problem === '' ? 'archives while this site is primary' : problem;
  return {
    dest: shown,
    state: status?.state ?? (dest.enabled ? (problem === '' ? 'PREPARE' : 'INTERRUPTED') : 'STOP'),
    roundId: status?.round?.roundId ?? 0,
    pieceId: status?.round?.usedPieceId ?? 0,
    checkpointScn: status?.checkpointScn ?? scn(0),
    archivedLsn: status?.archivedLsn ?? lsn(0),
    comment: status?.comment ?? (dest.enabled ? idle : ''),
  };
}

/** The stored source as LOG_RESTORE_SOURCE text without secrets. */
const sourceText = ({ service, location, delayMs }: StoredRestoreSource): string =>
  restoreSourceText({
    service:
      service === null
        ? null
        : {
            addresses: service.addresses,
            user: service.credential.user,
            tenant: service.tenant,
            password: '',
          },
    location,
    delayMs,
  });
