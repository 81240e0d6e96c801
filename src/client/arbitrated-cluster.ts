/**
 * A cluster on this machine whose tenants have an even number of full replicas and an arbiter: 2F1A, or 4F1A, which is two
 * data centres of two servers each and an arbiter in a third place.
 */
import { must } from '../base/assert.ts';
import { LocalArbiter } from './local-arbiter.ts';
import {
  type ClusterPicture,
  LocalCluster,
  type LocalClusterOptions,
  type ReplicaPicture,
} from './local-cluster.ts';
import type { LocalSite } from './local-site.ts';

export type ArbitratedShape = '2F1A' | '4F1A';

const serversOf = { '2F1A': 2, '4F1A': 4 } as const;
const upgradeMs = 60_000;
const pollMs = 20;

export interface ServerEvent {
  readonly time: number;
  readonly address: string;
  readonly tenantId: number;
  readonly event: string;
  readonly detail: { readonly replica?: string; readonly verdict?: string };
}

/** What a server tells of itself is true of it, whomever else it reaches. */
interface Told extends ClusterPicture {
  readonly self: string;
}

export class ArbitratedCluster {
  readonly cluster: LocalCluster;
  readonly arbiter: LocalArbiter;
  readonly shape: ArbitratedShape;

  private constructor(shape: ArbitratedShape, cluster: LocalCluster, arbiter: LocalArbiter) {
    this.shape = shape;
    this.cluster = cluster;
    this.arbiter = arbiter;
  }

  /** Writes the configurations; nothing runs yet. */
  static async make(
    name: string,
    parent: string,
    shape: ArbitratedShape,
    options: Omit<LocalClusterOptions, 'servers'> & {
      /** what the arbiter's configuration says of its door */
      readonly arbiterListen?: Readonly<Record<string, unknown>>;
    } = {},
  ): Promise<ArbitratedCluster> {
    const cluster = await LocalCluster.make(name, parent, { ...options, servers: serversOf[shape] });
    const secretFile = must(cluster.secretFile, 'the secret of a cluster of several servers');
    const { environment, arbiterListen } = options;
    const clusters = [{ name, secretFile }];
    const arbiter = new LocalArbiter(`${name}-arbiter`, parent, clusters, environment, arbiterListen);
    return new ArbitratedCluster(shape, cluster, arbiter);
  }

  /** One full replica on every server, of the sys tenant too: the root service survives what a tenant survives. */
  get locality(): string {
    return this.cluster.servers.map((_, index) => `F@zone${index + 1}`).join(',');
  }

  /** Starts everything; at the first call the arbiter becomes the arbitration service. */
  async start(): Promise<void> {
    await Promise.all([this.arbiter.start(), this.cluster.start()]);
    await this.cluster.call('cluster-arbiter-add', { server: this.arbiter.address });
    if (this.shape === '2F1A') return;
    // A cluster of four servers begins with three replicas of the sys tenant.
    await this.cluster.call('tenant-alter', { name: 'sys', locality: this.locality });
    await this.cluster.call('tenant-alter', { name: 'sys', arbitration: true });
  }

  async createTenant(name: string, rootPassword: string): Promise<void> {
    await this.cluster.call('tenant-create', {
      name,
      rootPassword,
      locality: this.locality,
      arbitration: true,
    });
  }

  /** The replica that leads, as it tells of itself. */
  async leading(tenant: string): Promise<ReplicaPicture | undefined> {
    const asked = this.cluster.running.map(server => server.api.call<Told>('cluster-status', {}));
    const told = await Promise.allSettled(asked);
    const leaders = told.flatMap(answer => {
      if (answer.status === 'rejected') return [];
      const { self, tenants, replicas } = answer.value;
      const id = tenants.find(({ name }) => name === tenant)?.tenantId;
      return replicas.filter(
        ({ tenantId, nodeId, role }) => tenantId === id && nodeId === self && role === 'LEADER',
      );
    });
    return leaders.sort((one, other) => other.proposalId - one.proposalId)[0];
  }

  /** Resolves when nobody of the tenant, and of the sys tenant, is degraded; with how long that took. */
  async upgraded(...tenants: readonly string[]): Promise<number> {
    const since = performance.now();
    for (const tenant of [...tenants, 'sys'])
      for (;;) {
        const leader = await this.leading(tenant).catch(() => undefined);
        if (leader?.degraded.length === 0 && leader.members.length === this.cluster.servers.length) break;
        if (performance.now() - since > upgradeMs) throw new Error(`${tenant} is not upgraded`);
        await new Promise(resolve => setTimeout(resolve, pollMs));
      }
    return performance.now() - since;
  }

  events(): Promise<readonly ServerEvent[]> {
    return this.cluster.call<readonly ServerEvent[]>('cluster-events', {});
  }

  /** The servers of one data centre: half of all, with this one among them. */
  siteOf(server: LocalSite): readonly LocalSite[] {
    const { servers } = this.cluster;
    const half = servers.length / 2;
    return servers.indexOf(server) < half ? servers.slice(0, half) : servers.slice(half);
  }

  async kill(): Promise<void> {
    await Promise.all([this.cluster.kill(), this.arbiter.kill()]);
  }
}
