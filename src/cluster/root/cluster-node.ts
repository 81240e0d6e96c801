/**
 * What one server is in its cluster: reports to the root service, keeps the picture it is told, gives its replicas their place in elections, and is
 * the root service while the sys tenant leads here. A server of its own is a cluster of one, by the same code.
 */
import { z } from 'zod';
import { isSurvivable, ObError } from '../../base/errors.ts';
import { heartbeatMs, leaderDiskRoomBytes, rootCallMs } from '../../base/limits.ts';
import type { NodeId, TenantId } from '../../base/scalars.ts';
import type { Clock, Timer } from '../../platform/clock.ts';
import { isNoRoom } from '../../platform/disk.ts';
import type { Logger } from '../../platform/logger.ts';
import type { NodeDoors } from '../unit-host.ts';
import { type ArbitrationPicture, noArbitration } from './arbitration.ts';
import { ArbitrationWatch } from './arbitration-watch.ts';
import type { ClusterServer } from './cluster-file.ts';
import { LeaderCalls } from './leader-calls.ts';
import type { LocalReplicas } from './local-replicas.ts';
import { NodeAgent } from './node-agent.ts';
import { parseBody } from './node-body.ts';
import type { NodeCalls } from './node-calls.ts';
import { type ClusterPicture, heartbeatSchema, isNewer, pictureSchema, type ServerFacts } from './picture.ts';
import { replicaPriorities, sysTenant } from './root-facts.ts';
import type { RootService } from './root-service.ts';

/** Behind every zone, and before a server that is stopped. */
const fullDiskPriority = 500;
const beatAnswer = z.object({ picture: pictureSchema.nullable() });

export interface ClusterNodeOptions {
  readonly self: NodeId;
  readonly calls: NodeCalls;
  readonly replicas: LocalReplicas;
  readonly clock: Clock;
  readonly logger: Logger;
  /** of this server now */
  readonly facts: () => ServerFacts;
  readonly leaseMs: number;
  /** bytes that are free where the replicas are */
  readonly freeBytes: () => Promise<number>;
  /** from before anybody has told more */
  readonly known: {
    readonly servers: readonly ClusterServer[];
    readonly sysNodes: readonly NodeId[];
    readonly arbitration: ArbitrationPicture | null;
  };
  /** the other servers, and the arbiter, are these from now on */
  readonly onServers: (
    servers: readonly ClusterServer[],
    sysNodes: readonly NodeId[],
    arbitration: ArbitrationPicture,
  ) => Promise<void>;
  readonly onFatal: (error: unknown) => void;
}

export class ClusterNode {
  readonly leaders: LeaderCalls;
  readonly #options: ClusterNodeOptions;
  readonly #agent: NodeAgent;
  readonly #watch: ArbitrationWatch;
  readonly #stops: (() => void)[];
  #picture: ClusterPicture | null = null;
  #root: RootService | null = null;
  #timer: Timer | null = null;
  #problem: string | null = 'the root service was not heard yet';
  #stopped = false;
  /** what was told last of the other servers, until it is remembered */
  #news: {
    readonly servers: readonly ClusterServer[];
    readonly sysNodes: readonly NodeId[];
    readonly arbitration: ArbitrationPicture;
  } | null = null;
  #isForgetful = false;
  /** its disk is nearly full: writes would fail here that another server can take */
  #isFull = false;

  constructor(options: ClusterNodeOptions) {
    const { self, calls, replicas, clock } = options;
    this.#options = options;
    this.#agent = new NodeAgent({ self, calls, replicas });
    this.#watch = new ArbitrationWatch({
      ...options,
      picture: () => this.arbitration,
      stopped: () => this.#stoppedServers(),
      servers: () => (this.picture?.servers ?? options.known.servers).map(({ nodeId }) => nodeId),
      isFull: () => this.#isFull,
      isRootReachable: () => this.problem === null,
    });
    this.leaders = new LeaderCalls({
      calls,
      clock,
      localLeader: tenant => replicas.find(tenant)?.state().leader,
      replicaNodes: tenant => this.#nodesOf(tenant),
    });
    this.#stops = [
      () => this.#agent.stop(),
      () => this.#watch.stop(),
      calls.onRequest('root.heartbeat', body => this.root().hear(parseBody(heartbeatSchema, body))),
      calls.onRequest('root.picture', () => Promise.resolve({ picture: this.root().facts.picture })),
    ];
  }

  start(): void {
    this.#watch.start();
    this.#schedule(0);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#root?.stop();
    this.#root = null;
    for (const stop of this.#stops) stop();
  }

  /** The sys tenant leads here: this root service is the cluster's. Null: it leads here no more. */
  lead(root: RootService | null): void {
    this.#root?.stop();
    this.#root = root;
    if (root !== null) this.#hurry();
  }

  get leadsRoot(): boolean {
    return this.#root !== null;
  }

  /** Throws OBS_CLUSTER_NOT_LEADER with where it is led, as far as is known here. */
  root(): RootService {
    if (this.#root !== null) return this.#root;
    const leader = this.leaders.leaderOf(sysTenant.id);
    const node = leader === this.#options.self ? null : leader;
    throw new ObError('OBS_CLUSTER_NOT_LEADER', {
      what: 'the root service',
      self: this.#options.self,
      node,
    });
  }

  /** The newest picture there is here; null before the first. */
  get picture(): ClusterPicture | null {
    return this.#root?.facts.picture ?? this.#picture;
  }

  /** The arbiter and its terms, as far as is known here: as they were when nobody can tell. */
  get arbitration(): ArbitrationPicture {
    return this.picture?.arbitration ?? this.#options.known.arbitration ?? noArbitration;
  }

  #stoppedServers(): ReadonlySet<NodeId> {
    const stopped = (this.picture?.servers ?? []).filter(({ stopTime }) => stopTime !== null);
    return new Set(stopped.map(({ nodeId }) => nodeId));
  }

  /** Why the picture may be old, or null. */
  get problem(): string | null {
    return this.#root === null ? this.#problem : null;
  }

  /** The picture as the root service has it now; what is known here when it cannot be asked. */
  async freshPicture(): Promise<ClusterPicture | null> {
    if (this.#root !== null) return this.#root.facts.picture;
    await this.#beat();
    return this.picture;
  }

  /** Throws OBS_SERVER_NO_SUCH_TENANT when the root service does not know it either, OBS_CLUSTER_NO_LEADER when it cannot be asked. */
  async tenantId(name: string): Promise<TenantId> {
    const find = (picture: ClusterPicture | null): TenantId | undefined =>
      picture?.tenants.find(tenant => tenant.name === name)?.tenantId;
    const id = find(this.picture) ?? find(await this.freshPicture());
    if (id !== undefined) return id;
    const { problem } = this;
    if (problem !== null)
      throw new ObError('OBS_CLUSTER_NO_LEADER', { what: 'the root service', why: problem });
    throw new ObError('OBS_SERVER_NO_SUCH_TENANT', { tenant: name });
  }

  doorsOf(node: NodeId): NodeDoors | null {
    const server = this.picture?.servers.find(({ nodeId }) => nodeId === node);
    return server === undefined ? null : { sql: server.sqlAddress, peer: server.peerAddress };
  }

  /** Those that may lead first. */
  replicasOf(tenantName: string): readonly NodeId[] {
    const tenant = this.picture?.tenants.find(({ name }) => name === tenantName);
    return tenant === undefined ? [] : this.#nodesOf(tenant.tenantId);
  }

  #nodesOf(tenant: TenantId): readonly NodeId[] {
    const { known } = this.#options;
    const replicas = this.picture?.tenants.find(({ tenantId }) => tenantId === tenant)?.replicas ?? [];
    const nodes = [...replicas]
      .sort((one, other) => (one.type < other.type ? -1 : 1))
      .map(({ node }) => node);
    if (tenant !== sysTenant.id) return nodes;
    // Whoever is asked for the root service knows where it is, or knows somebody who does.
    const others = (this.picture?.servers ?? known.servers).map(({ nodeId }) => nodeId);
    return [...new Set([...nodes, ...known.sysNodes, ...others])];
  }

  #schedule(ms: number): void {
    this.#timer = this.#options.clock.after(ms, () => {
      this.#beat().then(() => {
        if (!this.#stopped) this.#schedule(heartbeatMs);
      }, this.#options.onFatal);
    });
  }

  #hurry(): void {
    if (this.#stopped) return;
    this.#timer?.cancel();
    this.#schedule(0);
  }

  async #beat(): Promise<void> {
    const { facts, leaseMs } = this.#options;
    await this.#lookAtDisk();
    const beat = {
      server: facts(),
      leaseMs,
      replicas: this.#agent.reports(),
      revision: this.#picture?.revision ?? null,
      events: this.#watch.events,
    };
    const options = { findMs: 0, timeoutMs: rootCallMs, repeatable: true };
    try {
      const answer = await this.leaders.ask(
        sysTenant.id,
        'the root service',
        'root.heartbeat',
        beat,
        options,
      );
      this.#problem = null;
      this.#watch.forgetEvents(beat.events);
      const { picture } = parseBody(beatAnswer, answer);
      if (picture !== null) this.#take(picture);
      else this.#place();
      await this.#remember();
    } catch (error) {
      if (!isSurvivable(error)) throw error;
      this.#problem = error.message;
    }
  }

  #take(picture: ClusterPicture): void {
    if (this.#picture !== null && isNewer(this.#picture.revision, picture.revision)) return;
    this.#picture = picture;
    this.leaders.keepOnly(new Set(picture.tenants.map(({ tenantId }) => tenantId)));
    this.#place();
    // Of two servers at one address the newer one is there.
    const servers = picture.servers
      .filter(({ address, id }) =>
        picture.servers.every(other => other.address !== address || other.id <= id),
      )
      .map(({ nodeId, address, zone, region }) => ({ nodeId, address, zone, region }));
    const sys = picture.tenants.find(({ tenantId }) => tenantId === sysTenant.id);
    const sysNodes = sys?.replicas.map(({ node }) => node) ?? [];
    this.#news = { servers, sysNodes, arbitration: picture.arbitration };
  }

  /** A disk without room takes it later: it only helps the next start to find the others. */
  async #remember(): Promise<void> {
    const news = this.#news;
    if (news === null) return;
    try {
      await this.#options.onServers(news.servers, news.sysNodes, news.arbitration);
      if (this.#news === news) this.#news = null;
      this.#isForgetful = false;
    } catch (error) {
      if (!isNoRoom(error)) throw error;
      if (!this.#isForgetful)
        this.#options.logger.warn({}, 'there is no room to note where the other servers are');
      this.#isForgetful = true;
    }
  }

  async #lookAtDisk(): Promise<void> {
    const before = this.#isFull;
    // A disk that does not say is not what this looks for.
    const free = await this.#options.freeBytes().catch(() => Number.POSITIVE_INFINITY);
    this.#isFull = free < leaderDiskRoomBytes * (before ? 2 : 1);
    if (this.#isFull === before) return;
    this.#options.logger.warn(
      { freeBytes: free },
      this.#isFull ? 'the disk is nearly full: others lead if they can' : 'the disk has room again',
    );
    this.#place();
  }

  /** Gives the replicas here their place in elections; again and again, since one may have been opened anew. */
  #place(): void {
    const { picture } = this;
    if (picture === null) return;
    const priorities = replicaPriorities(picture, this.#options.self);
    for (const replica of this.#options.replicas.all())
      replica.setPriority((priorities.get(replica.tenantId) ?? 0) + (this.#isFull ? fullDiskPriority : 0));
  }
}
