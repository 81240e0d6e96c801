/**
 * A cluster on this machine: server processes on loopback that share a secret, each in a zone of its own, made one cluster at the
 * first start. Servers are killed, stopped, held and wiped one by one; what is asked of the cluster is asked of any that runs.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../base/assert.ts';
import { isObError, ObError } from '../base/errors.ts';
import type { ApiProgress } from './api-client.ts';
import { freePort } from './free-port.ts';
import { LocalSite } from './local-site.ts';

const secretBytes = 36;
const leaderMs = 30_000;
const pollMs = 20;
/** For the servers that are asked who leads: some may be cut off. */
const answerMs = 3000;

export interface LocalClusterOptions {
  /** how many servers; one is a cluster of its own, without a secret (default: 3) */
  readonly servers?: number;
  readonly environment?: NodeJS.ProcessEnv;
  /** configuration sections of every server */
  readonly settings?: Readonly<Record<string, object | string>>;
  /** where the other servers reach the one whose cluster port this is, if not there: tests put relays in between */
  readonly advertise?: (server: string, port: number) => Promise<string>;
}

/** A replica as its server tells of it: of `cluster-status`, what is needed here. */
export interface ReplicaPicture {
  readonly tenantId: number;
  readonly nodeId: string;
  readonly role: 'LEADER' | 'FOLLOWER';
  readonly type: 'FULL' | 'READONLY';
  /** grows with every election, and with every opening of a leader's */
  readonly proposalId: number;
  readonly isImpaired: boolean;
  readonly endLsn: number;
  readonly members: readonly string[];
  readonly degraded: readonly string[];
  readonly arbiter: string | null;
}

export interface ClusterPicture {
  readonly clusterId: string;
  readonly servers: readonly { readonly nodeId: string; readonly address: string; readonly status: string }[];
  readonly tenants: readonly { readonly tenantId: number; readonly name: string }[];
  readonly replicas: readonly ReplicaPicture[];
  /** why it may be old, or null */
  readonly problem: string | null;
}

export class LocalCluster {
  /** what proves that a server, or an arbiter, is of this cluster; null: a cluster of one */
  readonly secretFile: string | null;
  readonly name: string;
  readonly servers: readonly LocalSite[];
  readonly #addresses: readonly string[];
  #isMade = false;

  private constructor(
    name: string,
    servers: readonly LocalSite[],
    addresses: readonly string[],
    secretFile: string | null,
  ) {
    this.secretFile = secretFile;
    this.name = name;
    this.servers = servers;
    this.#addresses = addresses;
  }

  /** Writes the configurations; nothing runs yet. */
  static async make(name: string, parent: string, options: LocalClusterOptions = {}): Promise<LocalCluster> {
    const { servers: count = 3, environment = process.env, settings = {}, advertise } = options;
    const names = Array.from({ length: count }, (_, index) => (count === 1 ? name : `${name}-${index + 1}`));
    if (count === 1) {
      const alone = new LocalSite(name, parent, environment, settings);
      return new LocalCluster(name, [alone], [], null);
    }
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    const secretFile = join(parent, `${name}.secret`);
    writeFileSync(secretFile, `${randomBytes(secretBytes).toString('base64')}\n`, { mode: 0o600 });
    const servers: LocalSite[] = [];
    const addresses: string[] = [];
    for (const [index, server] of names.entries()) {
      const port = await freePort();
      const address = (await advertise?.(server, port)) ?? `127.0.0.1:${port}`;
      addresses.push(address);
      servers.push(
        new LocalSite(server, parent, environment, {
          ...settings,
          clusterName: name,
          zone: `zone${index + 1}`,
          cluster: { ...(settings['cluster'] as object | undefined), port, secretFile, advertise: address },
        }),
      );
    }
    return new LocalCluster(name, servers, addresses, secretFile);
  }

  /** Starts every server that does not run; makes them a cluster at the first call. */
  async start(): Promise<void> {
    await Promise.all(this.servers.filter(server => !server.isRunning).map(server => server.start()));
    if (this.#isMade || this.servers.length === 1) return;
    await this.call('cluster-bootstrap', { servers: this.#addresses });
    this.#isMade = true;
    await Promise.all(this.servers.map(server => server.serving()));
    await this.#settled();
  }

  /** Resolves when the cluster has heard all its servers. */
  async #settled(): Promise<void> {
    const deadline = performance.now() + leaderMs;
    for (;;) {
      try {
        const { problem, servers } = await this.call<ClusterPicture>('cluster-status', {});
        if (problem === null && servers.every(({ status }) => status === 'ACTIVE')) return;
      } catch (error) {
        if (!isObError(error) || error.kind !== 'unavailable') throw error;
      }
      if (performance.now() > deadline)
        throw new ObError('OBS_CLUSTER_NO_LEADER', { what: this.name, why: `none within ${leaderMs} ms` });
      await new Promise(resolve => setTimeout(resolve, pollMs));
    }
  }

  /** The servers that can be asked. */
  get running(): readonly LocalSite[] {
    return this.servers.filter(server => server.isRunning && !server.isPaused);
  }

  /** Where the other servers reach this one: its name in the cluster. */
  addressOf(server: LocalSite): string {
    return must(this.#addresses[this.servers.indexOf(server)], 'an address of the server');
  }

  /** SERVICE list of the addresses at which another site reaches this one. */
  get peerAddresses(): string {
    return this.servers.map(server => server.addresses.peerAddress).join(';');
  }

  /** Asks one server after another until one can be asked. Rejects with what it answers. */
  async call<Value>(
    verb: string,
    value: object,
    onProgress: (report: ApiProgress) => void = () => {},
  ): Promise<Value> {
    let failure: unknown = new ObError('OBS_CLI_NOT_RUNNING', { path: this.name });
    for (const server of this.running) {
      try {
        return await server.api.call<Value>(verb, value, onProgress);
      } catch (error) {
        if (!isObError(error, 'OBS_API_UNREACHABLE')) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  /** The server that leads a tenant, once there is one. */
  async leaderOf(tenant: string): Promise<LocalSite> {
    if (this.servers.length === 1) return must(this.servers[0], 'the server');
    const deadline = performance.now() + leaderMs;
    for (;;) {
      const leader = await this.#findLeader(tenant).catch((error: unknown) => {
        if (performance.now() > deadline) throw error;
        return undefined;
      });
      if (leader !== undefined) return leader;
      if (performance.now() > deadline)
        throw new ObError('OBS_CLUSTER_NO_LEADER', { what: tenant, why: `none within ${leaderMs} ms` });
      await new Promise(resolve => setTimeout(resolve, pollMs));
    }
  }

  /** What the servers that answer say of their replicas of a tenant, by server. */
  async replicasOf(tenant: string): Promise<Map<LocalSite, ReplicaPicture>> {
    return this.#replicasIn(await this.call<ClusterPicture>('cluster-status', {}), tenant);
  }

  #replicasIn(
    { tenants, replicas, servers }: ClusterPicture,
    tenant: string,
  ): Map<LocalSite, ReplicaPicture> {
    const id = tenants.find(({ name }) => name === tenant)?.tenantId;
    const byServer = new Map<LocalSite, ReplicaPicture>();
    for (const replica of replicas) {
      // One that is gone may have left its address to another.
      const isIts = ({ nodeId, status }: ClusterPicture['servers'][number]): boolean =>
        nodeId === replica.nodeId && status !== 'DELETING';
      const address = servers.find(isIts)?.address;
      const index = address === undefined ? -1 : this.#addresses.indexOf(address);
      const server = this.servers[index];
      if (replica.tenantId === id && server !== undefined) byServer.set(server, replica);
    }
    return byServer;
  }

  /** Asks all: a server that is cut off knows nothing of who leads beyond it, and one that was replaced says so of itself still. */
  async #findLeader(tenant: string): Promise<LocalSite | undefined> {
    const told = await Promise.allSettled(
      this.running.map(server => inTime(server.api.call<ClusterPicture>('cluster-status', {}))),
    );
    const [newest] = told
      .flatMap(answer => (answer.status === 'fulfilled' ? [...this.#replicasIn(answer.value, tenant)] : []))
      .filter(([, { role }]) => role === 'LEADER')
      .sort(([, one], [, other]) => other.proposalId - one.proposalId);
    return newest?.[0];
  }

  async kill(): Promise<void> {
    await Promise.all(this.servers.map(server => server.kill()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map(server => server.stop()));
  }

  /** Leaves the servers running when this process ends. */
  detach(): void {
    for (const server of this.servers) server.detach();
  }
}

async function inTime<Value>(answer: Promise<Value>): Promise<Value> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${answerMs} ms`)), answerMs);
  answer.catch(() => {});
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
