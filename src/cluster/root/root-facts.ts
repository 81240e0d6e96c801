/**
 * What the leader of the root service knows: its rows, read again after each change, and which servers answer. Makes the picture that all servers
 * are told, and the servers as placement sees them. Decides nothing.
 */
import { ObError } from '../../base/errors.ts';
import { pictureBytesMax } from '../../base/limits.ts';
import { type NodeId, type TenantId, tenantId, wallMicros } from '../../base/scalars.ts';
import type { Clock } from '../../platform/clock.ts';
import type { StoredTenant } from '../sys-store.ts';
import {
  type ArbitrationPicture,
  type ArbitrationState,
  degradationPolicies,
  noArbitration,
  parseTimeout,
} from './arbitration.ts';
import type { ArbitrationService, ArbitrationStore, StoredParameter } from './arbitration-store.ts';
import { parsePrimaryZone, type PrimaryZone, zonePriority } from './locality.ts';
import type { SeenServer } from './locality-core.ts';
import type { ClusterPicture, ReplicaReport, ServerEntry } from './picture.ts';
import type { PlacedReplica, RootJob, RootStore, StreamRow } from './root-store.ts';
import type { ServerWatch } from './server-watch.ts';

export const sysTenant: Pick<StoredTenant, 'id' | 'name'> = { id: tenantId(1), name: 'sys' };

/** A stopped server leads only when nobody else can. */
const stoppedPriority = 1_000;

export interface RootFactsOptions {
  readonly clusterId: string;
  readonly self: NodeId;
  readonly epoch: number;
  readonly store: RootStore;
  readonly arbitration: ArbitrationStore;
  readonly tenants: () => Promise<readonly StoredTenant[]>;
  /** the sys tenant's row, which is in no table */
  readonly sys: StoredTenant;
  readonly watch: ServerWatch;
  readonly clock: Clock;
}

export class RootFacts {
  readonly #options: RootFactsOptions;
  servers: readonly ServerEntry[] = [];
  streams: readonly StreamRow[] = [];
  replicas: readonly PlacedReplica[] = [];
  tenants: readonly StoredTenant[] = [];
  jobs: readonly RootJob[] = [];
  /** the cluster's arbiter; null: it has none */
  arbitration: ArbitrationService | null = null;
  parameters: readonly StoredParameter[] = [];
  #picture: ClusterPicture | null = null;
  #number = 0;

  constructor(options: RootFactsOptions) {
    this.#options = options;
  }

  /** Reads everything again; the picture is a new one if anything in it changed. */
  async refresh(): Promise<void> {
    const { store, arbitration, tenants, sys } = this.#options;
    this.servers = await store.servers();
    this.streams = await store.streams();
    this.replicas = await store.replicas();
    this.tenants = [sys, ...(await tenants())];
    this.jobs = await store.jobs();
    this.arbitration = await arbitration.service();
    this.parameters = await arbitration.parameters();
    const next = this.#draw();
    const before = this.#picture;
    if (
      before !== null &&
      JSON.stringify({ ...before, revision: 0 }) === JSON.stringify({ ...next, revision: 0 })
    )
      return;
    this.#number += 1;
    this.#picture = { ...next, revision: { epoch: this.#options.epoch, number: this.#number } };
  }

  get picture(): ClusterPicture {
    if (this.#picture === null) throw new ObError('OBS_BUG', { what: 'a picture before the rows were read' });
    return this.#picture;
  }

  /** Throws OBS_CLUSTER_TENANTS_MAX when what all servers are told would become too long. */
  mustHaveRoom(): void {
    const bytes = Buffer.byteLength(JSON.stringify(this.picture));
    const count = this.tenants.length;
    if (bytes > pictureBytesMax)
      throw new ObError('OBS_CLUSTER_TENANTS_MAX', { count, bytes, limit: pictureBytesMax });
  }

  /** Throws OBS_CLUSTER_NO_SUCH_SERVER. */
  serverAt(address: string): ServerEntry {
    const server = this.servers.findLast(entry => entry.address === address);
    if (server === undefined) throw new ObError('OBS_CLUSTER_NO_SUCH_SERVER', { address });
    return server;
  }

  server(node: NodeId): ServerEntry | undefined {
    return this.servers.find(({ nodeId }) => nodeId === node);
  }

  /** Throws OBS_SERVER_NO_SUCH_TENANT. */
  tenant(name: string): StoredTenant {
    const tenant = this.tenants.find(entry => entry.name === name);
    if (tenant === undefined) throw new ObError('OBS_SERVER_NO_SUCH_TENANT', { tenant: name });
    return tenant;
  }

  stream(tenant: TenantId): StreamRow | undefined {
    return this.streams.find(({ tenantId: id }) => id === tenant);
  }

  arbitrationOf(tenant: TenantId): ArbitrationState {
    return this.stream(tenant)?.arbitration ?? 'DISABLED';
  }

  /** The newest report of the stream's leader, of servers that are alive: what one said before it died is the past. */
  leaderReport(tenant: TenantId): ReplicaReport | undefined {
    const { watch, clock } = this.#options;
    const reports = this.servers.flatMap(({ nodeId }) => {
      if (!this.isAlive(nodeId)) return [];
      const report = watch.beat(nodeId)?.replicas.find(({ tenantId, leads }) => leads && tenantId === tenant);
      return report === undefined ? [] : [{ report, ageMs: watch.silentMs(nodeId, clock.now()) ?? 0 }];
    });
    return reports.sort((one, other) => one.ageMs - other.ageMs)[0]?.report;
  }

  /** Replicas that are there or are to be: not those on their way out. */
  replicasOf(tenant: TenantId): readonly PlacedReplica[] {
    return this.replicas.filter(row => row.tenantId === tenant && !row.dropping);
  }

  tenantsOn(node: NodeId): readonly StoredTenant[] {
    return this.tenants.filter(({ id }) => this.replicasOf(id).some(row => row.node === node));
  }

  zones(): ReadonlySet<string> {
    return new Set(this.servers.filter(({ status }) => status !== 'DELETING').map(({ zone }) => zone));
  }

  /** How many servers of each zone may hold a replica. */
  serversOfZones(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { zone, status } of this.servers)
      if (status !== 'DELETING') counts.set(zone, (counts.get(zone) ?? 0) + 1);
    return counts;
  }

  /** Every server has answered, or was silent for long enough to be taken for dead. */
  heardFromAll(): boolean {
    const nodes = this.servers.map(({ nodeId }) => nodeId);
    return this.#options.watch.knows(nodes, this.#options.clock.now());
  }

  isAlive(node: NodeId): boolean {
    return this.#options.watch.isAlive(node, this.#options.clock.now());
  }

  /** The servers as placement and tasks of a tenant see them. */
  seenServers(tenant: TenantId | null): readonly SeenServer[] {
    const primaryZone = this.#primaryZone(tenant);
    return this.servers.map(({ nodeId: node, zone, status, stopTime }) => {
      const alive = this.isAlive(node);
      return {
        node,
        zone,
        alive,
        takes: alive && status !== 'DELETING' && stopTime === null,
        keeps: status !== 'DELETING',
        load: this.replicas.filter(row => row.node === node && !row.dropping).length,
        priority: zonePriority(primaryZone, zone) + (stopTime === null ? 0 : stoppedPriority),
      };
    });
  }

  #primaryZone(tenant: TenantId | null): PrimaryZone {
    const stream = tenant === null ? undefined : this.stream(tenant);
    return primaryZoneOf(stream?.primaryZone ?? 'RANDOM');
  }

  #arbitrationPicture(): ArbitrationPicture {
    const policy = this.parameters.find(({ name }) => name === 'arbitration_degradation_policy')?.value;
    const timeouts = this.parameters.filter(({ name }) => name === 'arbitration_timeout');
    const { arbitration } = this;
    return {
      arbiter: arbitration === null ? null : { nodeId: arbitration.nodeId, address: arbitration.address },
      policy: degradationPolicies.find(known => known === policy) ?? noArbitration.policy,
      timeouts: timeouts.flatMap(({ tenantId: id, value }) => {
        const timeoutMs = parseTimeout(value);
        return timeoutMs === null ? [] : [{ tenantId: id, timeoutMs }];
      }),
    };
  }

  #draw(): Omit<ClusterPicture, 'revision'> {
    const { clusterId, self, watch } = this.#options;
    return {
      clusterId,
      root: self,
      arbitration: this.#arbitrationPicture(),
      servers: this.servers.map(server => {
        const leaseMs = watch.beat(server.nodeId)?.leaseMs;
        return leaseMs === undefined ? server : { ...server, leaseMs };
      }),
      tenants: this.tenants.map(({ id, name, incarnation, status }) => {
        const stream = this.stream(id);
        return {
          tenantId: id,
          name,
          incarnation,
          status,
          locality: stream?.locality ?? '',
          previousLocality: stream?.previousLocality ?? null,
          primaryZone: stream?.primaryZone ?? 'RANDOM',
          arbitration: stream?.arbitration ?? 'DISABLED',
          replicas: this.replicasOf(id).map(({ node, type, replicaId }) => ({ node, type, replicaId })),
        };
      }),
    };
  }
}

/** A stored primary zone; its zones were checked when it was set and may be gone since. */
const primaryZoneOf = (text: string): PrimaryZone => parsePrimaryZone(text, new Set(text.split(/[;,]/)));

/** What an election of each tenant compares at a server: lower leads rather. */
export function replicaPriorities(picture: ClusterPicture, node: NodeId): ReadonlyMap<TenantId, number> {
  const server = picture.servers.find(({ nodeId }) => nodeId === node);
  if (server === undefined) return new Map();
  const base = server.stopTime === null && server.status !== 'DELETING' ? 0 : stoppedPriority;
  return new Map(
    picture.tenants.map(({ tenantId: id, primaryZone }) => [
      id,
      base + zonePriority(primaryZoneOf(primaryZone), server.zone),
    ]),
  );
}

/** The row of the sys tenant, which the tables do not have. */
export const sysRow = (incarnation: string): StoredTenant => ({
  ...sysTenant,
  incarnation,
  status: 'NORMAL',
  createTime: wallMicros(0),
  pageBytes: 4096,
});
