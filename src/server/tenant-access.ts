/**
 * How the doors of a server find its tenants: the MySQL front-end by name (`sys` included), peers of other sites by name and
 * only user tenants.
 */
import { ObError } from '../base/errors.ts';
import { lsn, roleEpoch, scn, scnUnlimited, type TenantId, tenantId, wallMicros } from '../base/scalars.ts';
import type { TenantInfo } from '../cluster/operations.ts';
import { logInfo, tenantInfo } from '../cluster/tenant-info.ts';
import type { TenantRegistry } from '../cluster/tenant-registry.ts';
import type { UnitHost } from '../cluster/unit-host.ts';
import type { TenantAccess, TenantDirectory } from '../sql/directory.ts';
import { verifierFor } from '../sql/users.ts';
import type { PeerDirectory, PeerTenant } from '../standby/network/peer-tenant.ts';
import type { LogAccess } from '../base/log-access.ts';
import type { TenantEngine } from '../tenant/engine.ts';

export const sysTenantId: TenantId = tenantId(1);

export interface SysTenant {
  readonly engine: TenantEngine;
  readonly log: LogAccess;
  readonly incarnation: string;
}

export function sqlDirectory(host: UnitHost, registry: TenantRegistry, sys: SysTenant): TenantDirectory {
  const sysAccess: TenantAccess = {
    id: sysTenantId,
    name: 'sys',
    engine: sys.engine,
    info: () => sysInfo(sys),
    writable: () => true,
  };
  const accesses = new WeakMap<object, TenantAccess>();
  return {
    find(name) {
      if (name === 'sys') return sysAccess;
      const unit = registry.find(name);
      if (unit === undefined) {
        // Before a login nothing is told of files and damage.
        if (registry.absence(name) !== undefined)
          throw new ObError('OBS_SERVER_TENANT_CLOSED', { tenant: name });
        return undefined;
      }
      const known = accesses.get(unit);
      if (known !== undefined) return known;
      const access: TenantAccess = {
        id: unit.record.id,
        name,
        engine: unit.engine,
        info: () => tenantInfo(host, unit),
        writable: () => unit.local.writable,
      };
      accesses.set(unit, access);
      return access;
    },
  };
}

export function peerDirectory(registry: TenantRegistry): PeerDirectory {
  const tenants = new WeakMap<object, PeerTenant>();
  return {
    find(name) {
      const unit = registry.find(name);
      if (unit === undefined) {
        // Not "dropped": its standbys wait.
        if (registry.absence(name) !== undefined)
          throw new ObError('OBS_PEER_NOT_READY', {
            tenant: name,
            why: 'it is being opened, or did not open',
          });
        return undefined;
      }
      let tenant = tenants.get(unit);
      if (tenant === undefined) {
        tenant = unit.peerTenant();
        tenants.set(unit, tenant);
      }
      return tenant;
    },
    async verifier(name, user) {
      const unit = registry.find(name);
      return unit === undefined ? undefined : verifierFor(unit.engine, user);
    },
  };
}

/** The sys tenant has no role that changes: it is primary here, for ever. */
function sysInfo({ engine, log, incarnation }: SysTenant): TenantInfo {
  const state = log.state();
  const { appliedLsn, checkpointLsn, readableScn } = engine.state();
  if (engine.state().mode === 'closed') throw new ObError('OBS_SERVER_TENANT_BUSY', { tenant: 'sys' });
  return {
    tenantId: sysTenantId,
    name: 'sys',
    incarnation,
    createTime: wallMicros(0),
    status: 'NORMAL',
    role: 'PRIMARY',
    switchoverStatus: 'NORMAL',
    roleEpoch: roleEpoch(1),
    syncScn: state.end.scn,
    replayableScn: state.end.scn,
    readableScn: scn(readableScn),
    recoveryUntilScn: scnUnlimited,
    logMode: 'NOARCHIVELOG',
    failure: null,
    writesRefused: null,
    nextStep: null,
    log: logInfo(state),
    applied: { lsn: lsn(appliedLsn), checkpointLsn },
    standby: null,
    archive: null,
    followers: [],
  };
}
