/**
 * A cluster of servers without processes, disks or logs: the root service and the agents are the real ones, a log stream is a list of members that
 * elects whoever it can. Time passes only while somebody waits for it.
 */
import { ObError } from '../../src/base/errors.ts';
import type { ConfigVersion, LogState } from '../../src/base/log-access.ts';
import {
  lsn,
  type MonoMs,
  monoMs,
  type NodeId,
  nodeId,
  proposalId,
  scn,
  type TenantId,
  wallMicros,
} from '../../src/base/scalars.ts';
import { LocalSysStore } from '../../src/cluster/local-sys-store.ts';
import type { ServerDescription } from '../../src/cluster/root/join-plan.ts';
import { LeaderCalls } from '../../src/cluster/root/leader-calls.ts';
import type { LocalReplica, LocalReplicas, ReplicaSpec } from '../../src/cluster/root/local-replicas.ts';
import type { ConfigChange } from '../../src/cluster/root/locality-core.ts';
import { NodeAgent } from '../../src/cluster/root/node-agent.ts';
import type { NodeCalls, RequestHandler } from '../../src/cluster/root/node-calls.ts';
import { ArbitrationStore } from '../../src/cluster/root/arbitration-store.ts';
import type { ClusterPicture, ServerEvent } from '../../src/cluster/root/picture.ts';
import { replicaPriorities, sysRow } from '../../src/cluster/root/root-facts.ts';
import { RootService } from '../../src/cluster/root/root-service.ts';
import { RootStore } from '../../src/cluster/root/root-store.ts';
import { SecretBox } from '../../src/cluster/secret-box.ts';
import { SysSession } from '../../src/cluster/sys-session.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { nodeRandom } from '../../src/platform/random.ts';
import { DirectEngine } from './direct-engine.ts';

const clusterId = '11111111-1111-4111-8111-111111111111';

class FakeClock implements Clock {
  #now = 1_000;
  #timers: { at: number; run: () => void }[] = [];

  now = (): MonoMs => monoMs(this.#now);
  wall = () => wallMicros(1_700_000_000_000_000 + this.#now * 1_000);

  after(delayMs: number, run: () => void) {
    const timer = { at: this.#now + delayMs, run };
    this.#timers.push(timer);
    return { cancel: () => void (this.#timers = this.#timers.filter(other => other !== timer)) };
  }

  advance(ms: number): void {
    this.#now += ms;
    const due = this.#timers.filter(({ at }) => at <= this.#now).sort((one, other) => one.at - other.at);
    this.#timers = this.#timers.filter(({ at }) => at > this.#now);
    for (const { run } of due) run();
  }
}

/** The log stream of one tenant, wherever its replicas are. */
class FakeStream {
  members: readonly NodeId[];
  learners: readonly NodeId[];
  degraded: readonly NodeId[] = [];
  arbiter: NodeId | null = null;
  sequence = 1;
  leader: NodeId | null = null;
  hasLed = false;
  end = 4096;
  /** hand-overs from now on that the other does not hear of */
  handOversLost = 0;

  constructor(members: readonly NodeId[], learners: readonly NodeId[]) {
    this.members = members;
    this.learners = learners;
  }

  get version(): ConfigVersion {
    return { proposalId: proposalId(1), sequence: this.sequence };
  }

  change(change: ConfigChange): void {
    if (change.kind === 'replace') throw new Error('no stream here is degraded and moved');
    const { kind, node } = change;
    if (kind === 'set-arbiter' || kind === 'remove-arbiter') {
      this.arbiter = kind === 'set-arbiter' ? node : null;
      this.sequence += 1;
      return;
    }
    const without = (nodes: readonly NodeId[]) => nodes.filter(other => other !== node);
    const wasMember = this.members.includes(node);
    this.members = kind === 'promote' ? [...without(this.members), node] : without(this.members);
    this.learners = without(this.learners);
    if (kind === 'add-learner' || (kind === 'demote' && wasMember)) this.learners = [...this.learners, node];
    this.sequence += 1;
  }
}

class FakeReplica implements LocalReplica {
  readonly tenantId: TenantId;
  replicaId: number;
  readonly blockBytes = 65_536;
  readonly #server: FakeServer;
  priority = 0;
  end = 0;

  constructor(server: FakeServer, tenant: TenantId, replicaId: number) {
    this.#server = server;
    this.tenantId = tenant;
    this.replicaId = replicaId;
  }

  get #stream(): FakeStream {
    const stream = this.#server.cluster.streams.get(this.tenantId);
    if (stream === undefined) throw new Error(`no stream of tenant ${this.tenantId}`);
    return stream;
  }

  state(): LogState {
    const { members, learners, degraded, arbiter, version, leader } = this.#stream;
    const leads = leader === this.#server.node;
    const end = { lsn: lsn(this.end), scn: scn(1), checksum: 0 };
    return {
      role: leads ? 'leader' : 'follower',
      isActive: leads,
      isImpaired: false,
      leader,
      end,
      config: { version, members, learners, degraded, arbiter },
    } as LogState;
  }

  changeConfig(change: ConfigChange): Promise<ConfigVersion> {
    this.#stream.change(change);
    return Promise.resolve(this.#stream.version);
  }

  transfer(to: NodeId): Promise<void> {
    const stream = this.#stream;
    const isLost = stream.handOversLost > 0;
    if (isLost) stream.handOversLost -= 1;
    stream.leader = isLost ? null : to;
    return Promise.resolve();
  }

  setPriority(priority: number): void {
    this.priority = priority;
  }

  inform(): void {}
}

export class FakeServer implements LocalReplicas {
  readonly cluster: FakeCluster;
  readonly address: string;
  readonly zone: string;
  readonly handlers = new Map<string, RequestHandler>();
  readonly replicas = new Map<TenantId, FakeReplica>();
  node: NodeId;
  isUp = true;
  leaseMs = 1_200;
  /** part of the cluster */
  isMember: boolean;
  picture: ClusterPicture | null = null;
  agent: NodeAgent;
  /** for its next report */
  readonly events: ServerEvent[] = [];

  constructor(cluster: FakeCluster, index: number, zone: string, isMember: boolean) {
    this.cluster = cluster;
    this.address = `10.0.0.${index}:2885`;
    this.zone = zone;
    this.node = nodeId(`node-${index}`);
    this.isMember = isMember;
    this.agent = this.#start();
  }

  #start(): NodeAgent {
    const calls = this.cluster.callsOf(this);
    calls.onRequest('join.describe', () => Promise.resolve(this.describe()));
    calls.onRequest('join.admit', () => {
      this.isMember = true;
      return Promise.resolve();
    });
    calls.onRequest('tenant.finish', body => {
      const { tenantId: id } = body as { tenantId: TenantId };
      const leader = this.cluster.streams.get(id)?.leader ?? null;
      if (leader === this.node) return Promise.resolve();
      const details = { what: `tenant ${id}`, self: this.node, node: leader };
      return Promise.reject(new ObError('OBS_CLUSTER_NOT_LEADER', details));
    });
    return new NodeAgent({ self: this.node, calls, replicas: this });
  }

  /** It lost its data and is another server under the old address. */
  wipe(): void {
    this.handlers.clear();
    this.replicas.clear();
    this.node = nodeId(`${this.node}-again`);
    this.isMember = false;
    this.picture = null;
    this.agent = this.#start();
  }

  describe(): ServerDescription {
    const { node, address, zone, isMember } = this;
    return {
      nodeId: node,
      address,
      zone,
      region: 'r',
      clusterName: 'c',
      version: '1',
      leaseMs: this.leaseMs,
      clusterId: isMember ? clusterId : null,
      contents: null,
      join: null,
    };
  }

  find(tenant: TenantId): FakeReplica | undefined {
    return this.replicas.get(tenant);
  }

  all(): readonly FakeReplica[] {
    return [...this.replicas.values()];
  }

  create({ tenant, replicaId, birth, priority }: ReplicaSpec): Promise<void> {
    const { streams } = this.cluster;
    if (!streams.has(tenant.id)) streams.set(tenant.id, new FakeStream(birth.members, birth.learners));
    const replica = new FakeReplica(this, tenant.id, replicaId);
    replica.setPriority(priority);
    this.replicas.set(tenant.id, replica);
    return Promise.resolve();
  }

  drop(tenant: TenantId): Promise<void> {
    this.replicas.delete(tenant);
    return Promise.resolve();
  }

  number(tenant: TenantId, replicaId: number): Promise<void> {
    const replica = this.replicas.get(tenant);
    if (replica !== undefined) replica.replicaId = replicaId;
    return Promise.resolve();
  }
}

/** An arbiter as the root service meets it. */
export class FakeArbiter {
  readonly address: string;
  readonly name: string;
  node: NodeId;
  isUp = true;
  adoptedBy: string | null = null;

  constructor(address: string, name: string) {
    this.address = address;
    this.name = name;
    this.node = nodeId(`z-${address}`);
  }

  /** It lost its data and is another arbiter under the old address. */
  wipe(): void {
    this.node = nodeId(`${this.node}-again`);
    this.adoptedBy = null;
  }

  async answer(op: string, body: unknown): Promise<unknown> {
    await Promise.resolve();
    const { address, node } = this;
    if (!this.isUp)
      throw new ObError('OBS_NODE_UNREACHABLE', { node: '(any)', address, why: 'ECONNREFUSED' });
    if (this.name !== 'c') throw new ObError('OBS_ARBITER_NO_SUCH_CLUSTER', { address, cluster: 'c' });
    const { clusterId: asked } = body as { clusterId?: string };
    if (this.adoptedBy !== null && asked !== undefined && asked !== this.adoptedBy)
      throw new ObError('OBS_ARBITER_OTHER_CLUSTER', { cluster: 'c', theirs: this.adoptedBy, ours: asked });
    if (op === 'arbiter.adopt') this.adoptedBy = asked ?? null;
    else if (op === 'arbiter.release') this.adoptedBy = null;
    const { adoptedBy, name } = this;
    return {
      format: 'obstandby-arbiter',
      nodeId: node,
      version: '1',
      clusterName: name,
      clusterId: adoptedBy,
      streams: 0,
    };
  }
}

export class FakeCluster {
  readonly clock = new FakeClock();
  readonly servers: FakeServer[] = [];
  readonly streams = new Map<TenantId, FakeStream>();
  readonly failures: unknown[] = [];
  readonly #engine = new DirectEngine();
  #epoch = 0;
  #sys: LocalSysStore | null = null;
  #store: RootStore | null = null;
  #arbitration: ArbitrationStore | null = null;
  readonly arbiters: FakeArbiter[] = [];
  root: RootService | null = null;

  /** One server in each zone named; the sys tenant's replicas are on the first `sysCount` of them. */
  static async start(zones: readonly string[], sysCount = 3): Promise<FakeCluster> {
    const cluster = new FakeCluster();
    for (const zone of zones) cluster.add(zone, true);
    const sysId = sysRow('sys').id;
    const sysNodes = cluster.servers.slice(0, sysCount);
    cluster.streams.set(
      sysId,
      new FakeStream(
        sysNodes.map(({ node }) => node),
        [],
      ),
    );
    for (const server of sysNodes) server.replicas.set(sysId, new FakeReplica(server, sysId, 0));
    cluster.#sys = await LocalSysStore.open(
      cluster.#engine.engine,
      new SecretBox(new Uint8Array(32), nodeRandom),
    );
    const session = new SysSession(cluster.#engine.engine);
    cluster.#store = new RootStore(session);
    cluster.#arbitration = new ArbitrationStore(session);
    await cluster.lead(cluster.at(0));
    return cluster;
  }

  add(zone: string, isMember: boolean): FakeServer {
    const server = new FakeServer(this, this.servers.length + 1, zone, isMember);
    this.servers.push(server);
    return server;
  }

  at(index: number): FakeServer {
    const server = this.servers[index];
    if (server === undefined) throw new Error(`no server ${index}`);
    return server;
  }

  get rootService(): RootService {
    if (this.root === null) throw new Error('nobody leads the root service');
    return this.root;
  }

  get store(): RootStore {
    if (this.#store === null) throw new Error('not started');
    return this.#store;
  }

  get arbitration(): ArbitrationStore {
    if (this.#arbitration === null) throw new Error('not started');
    return this.#arbitration;
  }

  /** An arbiter that serves a cluster of this name. */
  addArbiter(name: string): FakeArbiter {
    const arbiter = new FakeArbiter(`10.0.1.${this.arbiters.length + 1}:2887`, name);
    this.arbiters.push(arbiter);
    return arbiter;
  }

  get sys(): LocalSysStore {
    if (this.#sys === null) throw new Error('not started');
    return this.#sys;
  }

  callsOf(server: FakeServer): NodeCalls {
    const ask = (to: FakeServer | undefined, who: string, op: string, body: unknown): Promise<unknown> => {
      if (to === undefined || !to.isUp || !server.isUp)
        return Promise.reject(new ObError('OBS_NODE_UNREACHABLE', { node: who, address: who, why: 'down' }));
      const handler = to.handlers.get(op);
      if (handler === undefined) return Promise.reject(new ObError('OBS_NODE_BAD_REQUEST', { what: op }));
      const copy = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null)) as unknown;
      return handler(copy(body), { nodeId: server.node, address: server.address }, () => {}).then(copy);
    };
    return {
      request: (to, op, body) =>
        ask(
          this.servers.find(({ node, isMember }) => isMember && node === to),
          to,
          op,
          body,
        ),
      requestAt: (to, op, body) => {
        const address = `${to.host}:${to.port}`;
        const arbiter = this.arbiters.find(each => each.address === address);
        if (arbiter !== undefined) return arbiter.answer(op, body);
        return ask(
          this.servers.find(each => each.address === address),
          address,
          op,
          body,
        );
      },
      onRequest: (op, handler) => {
        server.handlers.set(op, handler);
        return () => server.handlers.delete(op);
      },
    };
  }

  /** The sys tenant leads at this server from now on. */
  async lead(server: FakeServer): Promise<void> {
    this.root?.stop();
    const calls = this.callsOf(server);
    this.#epoch += 1;
    const leaders = new LeaderCalls({
      calls,
      clock: this.clock,
      localLeader: tenant => server.find(tenant)?.state().leader,
      replicaNodes: tenant =>
        this.root?.facts.replicasOf(tenant).map(({ node }) => node) ?? this.servers.map(({ node }) => node),
    });
    this.root = await RootService.start({
      clusterId,
      self: server.node,
      epoch: this.#epoch,
      store: this.store,
      arbitration: this.arbitration,
      tenants: this.sys,
      sys: sysRow('sys'),
      calls,
      leaders,
      clock: this.clock,
      logger: silentLogger,
      first: {
        servers: this.servers.filter(({ isMember }) => isMember).map(each => each.describe()),
        sysReplicas: this.servers
          .filter(({ replicas }) => replicas.has(sysRow('sys').id))
          .map(({ node }) => ({ node, type: 'F' })),
      },
      version: '1',
      leaseMs: 1200,
      clusterName: 'c',
      sealJoinKey: () => '',
      seal: value => JSON.stringify(value),
      blockBytes: 65_536,
      reached: () => {},
      onFatal: error => this.failures.push(error),
    });
  }

  /** Lets time pass until the work is done. */
  async run<Value>(work: Promise<Value>): Promise<Value> {
    let isOver = false;
    const end = (): void => {
      isOver = true;
    };
    work.then(end, end);
    for (let step = 0; !isOver; step += 1) {
      if (step > 20_000) throw new Error('it does not end');
      await this.#live();
    }
    if (this.failures.length > 0) throw this.failures[0];
    return work;
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) await this.#live();
    if (this.failures.length > 0) throw this.failures[0];
  }

  async #live(): Promise<void> {
    for (const stream of this.streams.values()) this.#elect(stream);
    this.clock.advance(50);
    if (this.clock.now() % 1_000 === 0) await this.#beat();
    await new Promise(resolve => setImmediate(resolve));
  }

  #elect(stream: FakeStream): void {
    const holders = (nodes: readonly NodeId[]): FakeReplica[] =>
      nodes.flatMap(node => {
        const server = this.servers.find(each => each.node === node && each.isUp);
        const [id] = [...this.streams].find(([, each]) => each === stream) ?? [];
        const replica = id === undefined ? undefined : server?.find(id);
        return replica === undefined ? [] : [replica];
      });
    const voters = holders(stream.members);
    const isLost = (leader: NodeId | null): boolean =>
      leader === null || !this.servers.some(({ node, isUp }) => isUp && node === leader);
    if (voters.length <= stream.members.length / 2) stream.leader = null;
    else if (isLost(stream.leader)) {
      // The first time whoever is there first.
      const [best] = stream.hasLed ? [...voters].sort((one, other) => one.priority - other.priority) : voters;
      stream.hasLed = true;
      stream.leader = stream.members.find(node => holders([node])[0] === best) ?? null;
    }
    if (stream.leader !== null)
      for (const replica of holders([...stream.members, ...stream.learners])) replica.end = stream.end;
  }

  async #beat(): Promise<void> {
    for (const server of this.servers) {
      if (!server.isUp || !server.isMember || this.root === null) continue;
      const { nodeId: node, address, zone, region, version } = server.describe();
      const addresses = { sqlAddress: null, peerAddress: null, httpAddress: null };
      try {
        const { picture } = await this.root.hear({
          server: { nodeId: node, address, zone, region, version, startTime: 1, ...addresses },
          leaseMs: server.describe().leaseMs,
          replicas: server.agent.reports(),
          revision: server.picture?.revision ?? null,
          events: server.events.splice(0),
        });
        if (picture !== null) server.picture = picture;
      } catch (error) {
        if (!(error instanceof ObError) || error.code !== 'OBS_CLUSTER_NO_SUCH_SERVER') throw error;
        server.isMember = false;
      }
      const { picture } = server;
      if (picture !== null)
        for (const replica of server.all())
          replica.setPriority(replicaPriorities(picture, server.node).get(replica.tenantId) ?? 0);
    }
  }

  /** `node:type`, as the stream of a tenant is now. */
  placed(tenant: TenantId): string {
    const stream = this.streams.get(tenant);
    const shown = (nodes: readonly NodeId[], type: string) => nodes.map(node => `${node}:${type}`);
    return [...shown(stream?.members ?? [], 'F'), ...shown(stream?.learners ?? [], 'R')].sort().join(' ');
  }

  async close(): Promise<void> {
    this.root?.stop();
    await this.store.close();
    await this.sys.close();
    await this.#engine.close();
  }
}
