/**
 * The inside of a server, below its doors: the tenants' host, their registry, the replica of the sys tenant, the root service
 * and the verbs, wired together. A server of its own is a cluster of one by the same code; it only has nobody to talk to.
 */
import { must } from '../base/assert.ts';
import { isObError, ObError } from '../base/errors.ts';
import { admitPollMs, admitWaitMs } from '../base/limits.ts';
import { type TenantId, wallMicros } from '../base/scalars.ts';
import { ClusterSysStore } from '../cluster/cluster-sys-store.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import { guideOp, serveGuide } from '../cluster/leader-guide.ts';
import { LocalWorks } from '../cluster/local-works.ts';
import { copyStreamOp, serveCopy } from '../cluster/replica-copy.ts';
import { ReplicaSet } from '../cluster/replica-set.ts';
import type { ArbitrationPicture } from '../cluster/root/arbitration.ts';
import { ClusterControl } from '../cluster/root/cluster-control.ts';
import type { ClusterServer } from '../cluster/root/cluster-file.ts';
import { LoneCalls, type NodeCalls } from '../cluster/root/node-calls.ts';
import type { ServerFacts } from '../cluster/root/picture.ts';
import { SecretBox } from '../cluster/secret-box.ts';
import { serveSysCall } from '../cluster/sys-calls.ts';
import { SysUnit } from '../cluster/sys-unit.ts';
import { sysTenantId } from '../cluster/tenant-paths.ts';
import type { TenantReplica } from '../cluster/tenant-replica.ts';
import { TenantRegistry } from '../cluster/tenant-registry.ts';
import type { ClusterPorts, UnitHost, UnitSettings } from '../cluster/unit-host.ts';
import type { NodeLinks } from '../logstream/peers/node-links.ts';
import { nodeRandom } from '../platform/random.ts';
import { parseAddress } from '../standby/restore-source.ts';
import type { TenantEngine } from '../tenant/engine.ts';
import { createInitialUsers, readUser } from '../sql/users.ts';
import { serveSysRead, sysReadOp } from './away-sys.ts';
import type { ClusterIdentity } from './cluster-identity.ts';
import type { ServerConfig } from './config-schema.ts';
import type { DataDirectory } from './data-directory.ts';

export interface TenantPartsOptions {
  readonly config: ServerConfig;
  readonly directory: DataDirectory;
  readonly settings: UnitSettings;
  readonly version: string;
  /** null for a server of its own */
  readonly cluster: { readonly identity: ClusterIdentity; readonly links: NodeLinks } | null;
  /** what of the host is the composition root's own affair */
  readonly host: Omit<UnitHost, 'store' | 'cluster' | 'self' | 'siteId' | 'settings' | 'dataDirectory'>;
  /** of this server now */
  readonly facts: () => Pick<ServerFacts, 'startTime' | 'sqlAddress' | 'peerAddress' | 'httpAddress'>;
}

/** How long one call of the sys store looks for its leader before its caller looks again. */
const sysFindMs = 1_000;

export class TenantParts {
  readonly host: UnitHost;
  readonly registry: TenantRegistry;
  readonly replicas: ReplicaSet;
  readonly control: ClusterControl;
  /** what this server's own replicas do and tell */
  readonly local: ControlPlane;
  readonly #options: TenantPartsOptions;
  /** the same key on every server of the cluster */
  readonly box: SecretBox;
  readonly #opened = Promise.withResolvers<void>();
  readonly #stops: (() => void)[] = [];

  constructor(options: TenantPartsOptions) {
    const { config, directory, settings, cluster } = options;
    const { nodeId: self, siteId } = directory;
    this.#options = options;
    this.box = new SecretBox(directory.secretKey, nodeRandom);
    const calls: NodeCalls = cluster?.links ?? new LoneCalls(self);
    this.host = {
      ...options.host,
      dataDirectory: config.dataDirectory,
      settings,
      self,
      siteId,
      cluster: cluster === null ? null : this.#ports(cluster.links),
      store: new ClusterSysStore({
        local: () => this.replicas.sys?.store ?? null,
        remote: (body, timeoutMs) =>
          this.control.node.leaders.ask(sysTenantId, 'the root service', 'sys.store', body, {
            findMs: Math.min(timeoutMs, sysFindMs),
            timeoutMs,
            repeatable: false,
          }),
        box: this.box,
        clock: options.host.clock,
      }),
    };
    this.registry = new TenantRegistry(this.host);
    this.replicas = new ReplicaSet({
      host: this.host,
      registry: this.registry,
      openSys: ({ tenant, ...birth }) =>
        SysUnit.open({
          host: this.host,
          tenant,
          birth,
          box: this.box,
          createUsers: engine => createSysUsers(engine),
          work: async parts => {
            // What it looks at first are the replicas of this server.
            await this.#opened.promise;
            return this.control.onLead(parts);
          },
        }),
    });
    this.local = new ControlPlane({ host: this.host, registry: this.registry });
    this.control = this.#makeControl(calls);
    this.#stops.push(
      calls.onRequest('sys.store', body => this.#serveSysStore(body)),
      calls.onRequest(sysReadOp, body => this.#serveSysRead(body)),
      calls.onRequest(guideOp, body => Promise.resolve(serveGuide(id => this.#replica(id), body))),
      ...(cluster === null ? [] : [this.#serveCopies(cluster.links)]),
    );
  }

  /** Opens what is here: the sys tenant's replica, then the others. A server of its own has all of them open then. */
  async open(): Promise<void> {
    const { directory } = this.#options;
    const { cluster, nodeId, siteId } = directory;
    const members = cluster === null ? [nodeId] : cluster.firstSysNodes;
    const first = {
      replicaId: 0,
      tenant: {
        id: sysTenantId,
        name: 'sys',
        incarnation: `sys-${siteId}`,
        createTime: wallMicros(0),
        pageBytes: 4096,
      },
      blockBytes: this.host.settings.blockBytes,
      priority: 0,
      birth: { members: [...members], learners: [] },
    };
    await this.replicas.openSys(members.includes(nodeId) ? first : null);
    await this.registry.openAll();
    this.#opened.resolve();
    this.control.start();
    if (cluster === null) await this.#rootLeads();
  }

  /** Whoever asks a server of its own for a tenant is not told that there is none because it has only just begun. */
  async #rootLeads(): Promise<void> {
    const { clock } = this.host;
    const deadline = clock.now() + admitWaitMs;
    while (!this.control.node.leadsRoot && clock.now() < deadline)
      await new Promise<void>(resolve => clock.after(admitPollMs, resolve));
  }

  async close(): Promise<void> {
    this.#opened.resolve();
    this.control.stop();
    for (const stop of this.#stops) stop();
    await this.replicas.close();
  }

  #makeControl(calls: NodeCalls): ClusterControl {
    const { config, directory, cluster, version, host } = this.#options;
    const address = cluster?.identity.address ?? `${config.cluster.host}:${config.cluster.port}`;
    return new ClusterControl({
      self: directory.nodeId,
      clusterId: directory.siteId,
      clusterName: config.clusterName,
      calls,
      replicas: this.replicas,
      works: new LocalWorks({ host: this.host, registry: this.registry, createUsers: makeUsers }),
      local: this.local,
      sysIncarnation: `sys-${directory.siteId}`,
      clock: host.clock,
      random: host.random,
      logger: host.logger,
      box: this.box,
      joinKey: cluster === null ? null : { secret: cluster.identity.secret, key: directory.secretKey },
      facts: () => ({
        nodeId: directory.nodeId,
        address,
        zone: config.zone,
        region: config.region,
        version,
        ...this.#options.facts(),
      }),
      freeBytes: () => host.disk.freeBytes(directory.path),
      known: {
        servers: directory.cluster?.servers ?? [],
        sysNodes: directory.cluster?.sysNodes ?? [],
        firstSysNodes: directory.cluster?.firstSysNodes ?? [directory.nodeId],
        arbitration: directory.cluster?.arbitration ?? null,
      },
      onServers: async (servers, sysNodes, arbitration) => {
        if (cluster === null) return;
        cluster.links.setNodes(nodesOf(servers, arbitration));
        await directory.remember(servers, sysNodes, arbitration);
      },
      version,
      leaseMs: config.palf.leaseMs,
      blockBytes: config.log.blockBytes,
      pageBytes: config.tenant.pageBytes,
      reached: host.reached,
      onFatal: host.onFatal,
    });
  }

  #ports(links: NodeLinks): ClusterPorts {
    const { leaseMs, renewMs, canvassMs } = this.#options.config.palf;
    return {
      links,
      timing: { leaseMs, renewMs, canvassMs },
      doorsOf: node => this.control.node.doorsOf(node),
      replicasOf: name => this.control.node.replicasOf(name),
    };
  }

  async #serveSysStore(body: unknown): Promise<unknown> {
    const store = this.replicas.sys?.store ?? null;
    if (store === null) throw this.#sysElsewhere();
    return serveSysCall(store, this.box, body);
  }

  async #serveSysRead(body: unknown): Promise<unknown> {
    const { sys } = this.replicas;
    if (sys === null || !sys.replica.leads) throw this.#sysElsewhere();
    return serveSysRead(sys.replica.engine, this.box, body);
  }

  #sysElsewhere(): ObError {
    const { self } = this.host;
    const leader = this.control.node.leaders.leaderOf(sysTenantId);
    const node = leader === self ? null : leader;
    return new ObError('OBS_CLUSTER_NOT_LEADER', { what: 'the root service', self, node });
  }

  #replica(id: TenantId): TenantReplica | undefined {
    if (id === sysTenantId) return this.replicas.sys?.replica;
    return this.registry.replica(id)?.unit?.replica;
  }

  #serveCopies(links: NodeLinks): () => void {
    return links.onStream(copyStreamOp, (body, from, sink) =>
      serveCopy(
        id => {
          const replica = this.#replica(id);
          if (replica === undefined) return undefined;
          const { engine, log, tenant } = replica;
          return { engine, log, incarnation: tenant.incarnation };
        },
        this.host.clock,
        body,
        from,
        sink,
      ),
    );
  }
}

/** The servers, and the arbiter if there is one, as the links want them. */
export function nodesOf(servers: readonly ClusterServer[], arbitration: ArbitrationPicture | null) {
  const arbiter = arbitration?.arbiter ?? null;
  return [...servers, ...(arbiter === null ? [] : [arbiter])].map(({ nodeId, address }) => ({
    id: nodeId,
    address: must(parseAddress(address), 'the address of a server'),
  }));
}

async function createSysUsers(engine: TenantEngine): Promise<void> {
  if (await hasUsers(engine)) return;
  await makeUsers(engine, '');
  // From here on a log that vanishes is missed, not begun anew.
  await engine.checkpoint();
}

async function hasUsers(engine: TenantEngine): Promise<boolean> {
  try {
    return (await readUser(engine, 'root')) !== undefined;
  } catch (error) {
    if (isObError(error, 'OBS_SQL_NO_SUCH_TABLE')) return false;
    throw error;
  }
}

async function makeUsers(engine: TenantEngine, rootPassword: string): Promise<void> {
  const session = engine.openSession({ internal: true });
  try {
    await createInitialUsers(session, rootPassword, nodeRandom);
  } finally {
    await session.close();
  }
}
