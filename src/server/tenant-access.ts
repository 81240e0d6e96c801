/**
 * How the doors of a server find its tenants: the MySQL front-end by name (`sys` included), peers of other sites by name and
 * only user tenants. A tenant that is led by another server, or has no replica here, is told with where it is.
 */
import { ObError } from '../base/errors.ts';
import {
  lsn,
  type NodeId,
  roleEpoch,
  scn,
  scnUnlimited,
  type TenantId,
  tenantId,
  wallMicros,
} from '../base/scalars.ts';
import type { TenantInfo } from '../cluster/operations.ts';
import type { SysUnit } from '../cluster/sys-unit.ts';
import { logInfo, tenantInfo } from '../cluster/tenant-info.ts';
import { sysTenantId } from '../cluster/tenant-paths.ts';
import type { TenantReplica } from '../cluster/tenant-replica.ts';
import type { NodeDoors, UnitHost } from '../cluster/unit-host.ts';
import type { TenantAccess, TenantDirectory } from '../sql/directory.ts';
import { verifierFor } from '../sql/users.ts';
import type { PeerDirectory } from '../standby/network/peer-tenant.ts';
import { awaySysEngine } from './away-sys.ts';
import type { TenantParts } from './tenant-parts.ts';

type Parts = Pick<TenantParts, 'host' | 'registry' | 'replicas' | 'control' | 'box'>;

export function sqlDirectory(parts: Parts): TenantDirectory {
  const { host, registry, replicas } = parts;
  const accesses = new WeakMap<object, TenantAccess>();
  const accessOf = (
    key: object,
    id: TenantId,
    replica: TenantReplica,
    more: Pick<TenantAccess, 'info' | 'writable'>,
  ): TenantAccess => {
    const known = accesses.get(key);
    if (known !== undefined) return known;
    const access: TenantAccess = {
      id,
      name: replica.tenant.name,
      get engine() {
        return replica.engine;
      },
      admit: () => replica.admit(),
      ...more,
    };
    accesses.set(key, access);
    return access;
  };
  const away = awaySysAccess(parts);
  return {
    find(name) {
      if (name === 'sys') {
        const { sys } = replicas;
        if (sys === null) return away;
        return accessOf(sys, sysTenantId, sys.replica, {
          info: () => sysInfo(sys),
          writable: () => sys.replica.leads,
        });
      }
      const unit = registry.find(name);
      if (unit !== undefined) {
        return accessOf(unit, unit.record.id, unit.replica, {
          info: () => tenantInfo(host, unit),
          writable: () => unit.leadership?.local.writable ?? false,
        });
      }
      // Before a login nothing is told of files and damage.
      if (registry.absence(name) !== undefined)
        throw new ObError('OBS_SERVER_TENANT_CLOSED', { tenant: name });
      const [node] = nodesFor(parts, name);
      if (node !== undefined) throw elsewhere(parts, name, node);
      return undefined;
    },
  };
}

/** The sys tenant where it has no replica: asked where it leads. */
function awaySysAccess(parts: Parts): TenantAccess {
  const { control, host } = parts;
  const { leaders } = control.node;
  const refusal = (): ObError => elsewhere(parts, 'sys', leaders.leaderOf(sysTenantId));
  const engine = awaySysEngine({ leaders, box: parts.box, elsewhere: refusal });
  return {
    id: sysTenantId,
    name: 'sys',
    engine,
    info: () => awaySysInfo(`sys-${host.siteId}`),
    writable: () => false,
    admit: () => Promise.reject(refusal()),
  };
}

export function peerDirectory(parts: Parts): PeerDirectory {
  const { registry } = parts;
  return {
    find(name) {
      const unit = registry.find(name);
      if (unit !== undefined) {
        if (unit.leadership !== null) return unit.leadership.peerTenant();
        if (unit.replica.leads) throw notReady(name, 'it is being opened');
        throw peersElsewhere(parts, name, unit.log.state().leader);
      }
      // Not "dropped": its standbys wait.
      if (registry.absence(name) !== undefined) throw notReady(name, 'it is being opened, or did not open');
      const [node] = nodesFor(parts, name);
      if (node !== undefined) throw peersElsewhere(parts, name, node);
      return undefined;
    },
    async verifier(name, user) {
      const unit = registry.find(name);
      return unit === undefined ? undefined : verifierFor(unit.engine, user);
    },
  };
}

/** Where to ask for a tenant that has no replica here: its leader if that is known. */
function nodesFor({ host, control }: Parts, name: string): readonly NodeId[] {
  const nodes = host.cluster?.replicasOf(name) ?? [];
  const tenant = control.node.picture?.tenants.find(each => each.name === name);
  const leader = tenant === undefined ? null : control.node.leaders.leaderOf(tenantId(tenant.tenantId));
  return leader === null ? nodes : [leader, ...nodes];
}

const elsewhere = ({ host }: Parts, name: string, node: NodeId | null): ObError =>
  new ObError('OBS_TENANT_NOT_LEADER', {
    tenant: name,
    leader: doorsOf(host, node)?.sql ?? notKnown,
    node,
  });

const peersElsewhere = ({ host }: Parts, name: string, node: NodeId | null): ObError =>
  new ObError('OBS_PEER_NOT_LEADER', {
    tenant: name,
    address: 'this node',
    leader: doorsOf(host, node)?.peer ?? notKnown,
  });

const notKnown = 'an address that is not known yet';

const doorsOf = (host: UnitHost, node: NodeId | null): NodeDoors | null =>
  node === null ? null : (host.cluster?.doorsOf(node) ?? null);

const notReady = (tenant: string, why: string): ObError => new ObError('OBS_PEER_NOT_READY', { tenant, why });

/** The sys tenant has no role that changes: it is primary in its cluster, for ever. */
function sysInfo({ replica }: SysUnit): TenantInfo {
  const state = replica.log.state();
  const { appliedLsn, checkpointLsn, readableScn } = replica.engine.state();
  return {
    ...awaySysInfo(replica.tenant.incarnation),
    syncScn: state.end.scn,
    replayableScn: state.end.scn,
    readableScn: scn(readableScn),
    log: logInfo(state),
    applied: { lsn: appliedLsn, checkpointLsn },
  };
}

/** What is known of it without a replica. */
function awaySysInfo(incarnation: string): TenantInfo {
  const [none, never] = [lsn(0), scn(0)];
  return {
    tenantId: sysTenantId,
    name: 'sys',
    incarnation,
    createTime: wallMicros(0),
    status: 'NORMAL',
    role: 'PRIMARY',
    switchoverStatus: 'NORMAL',
    roleEpoch: roleEpoch(1),
    syncScn: never,
    replayableScn: never,
    readableScn: never,
    recoveryUntilScn: scnUnlimited,
    logMode: 'NOARCHIVELOG',
    failure: null,
    writesRefused: null,
    nextStep: null,
    placement: null,
    log: {
      accessMode: 'APPEND',
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
    followers: [],
  };
}
