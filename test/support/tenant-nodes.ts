/**
 * A few nodes of one cluster in this process, each with its own directory and workers and a replica of one tenant. Real logs,
 * real engines, real roles; between the nodes a network that a test can cut, and one store for the rows of the sys tenant.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { must } from '../../src/base/assert.ts';
import { isObError, ObError } from '../../src/base/errors.ts';
import type { NodeId } from '../../src/base/scalars.ts';
import { lsn, nodeId, roleEpoch } from '../../src/base/scalars.ts';
import { LocalSysStore } from '../../src/cluster/local-sys-store.ts';
import type { PeerRoute } from '../../src/cluster/peer-link.ts';
import { guideOp, serveGuide } from '../../src/cluster/leader-guide.ts';
import { openReplicaLog, userLogStream } from '../../src/cluster/replica-log.ts';
import { serveCopy } from '../../src/cluster/replica-copy.ts';
import { SecretBox } from '../../src/cluster/secret-box.ts';
import { SiteNames } from '../../src/cluster/site-names.ts';
import type { StoredTenant, SysStore } from '../../src/cluster/sys-store.ts';
import { tenantPaths } from '../../src/cluster/tenant-paths.ts';
import { TenantUnit } from '../../src/cluster/tenant-unit.ts';
import type { UnitHost, UnitSettings } from '../../src/cluster/unit-host.ts';
import { logStart } from '../../src/logstream/log-stream-options.ts';
import type { StreamKey } from '../../src/logstream/member-net.ts';
import type { ByteStream, StreamItem } from '../../src/logstream/peers/byte-stream.ts';
import { nodeClock } from '../../src/platform/clock.ts';
import { nodeDisk } from '../../src/platform/disk.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { type NetAddress, nodeNet } from '../../src/platform/net.ts';
import { nodeRandom } from '../../src/platform/random.ts';
import { newPrimaryRow, newStandbyRow } from '../../src/role/row.ts';
import { LogServer } from '../../src/standby/network/log-server.ts';
import type { PeerTenant } from '../../src/standby/network/peer-tenant.ts';
import { addressText } from '../../src/standby/restore-source.ts';
import { siteAddressText } from '../../src/standby/site-address.ts';
import type { Cell, StatementResult } from '../../src/tenant/engine.ts';
import { WorkerPool } from '../../src/tenant/worker-pool.ts';
import { DirectEngine } from './direct-engine.ts';
import { verifierOf } from './peer-sites.ts';

const blockBytes = 65_536;
/** long enough that a busy machine changes no leader by itself */
const timing = { leaseMs: 900, renewMs: 150, canvassMs: 20 };
const waitMs = 20_000;

type Handler = (from: NodeId, payload: Uint8Array) => void;

/** Messages and copies between nodes; what is cut is lost, in one direction. */
class Mesh {
  readonly #handlers = new Map<string, Handler>();
  readonly #cuts = new Set<string>();
  readonly nodes: Map<NodeId, TenantNode>;
  /** so many of the next copies end when they have begun */
  copiesToLose = 0;

  constructor(nodes: Map<NodeId, TenantNode>) {
    this.nodes = nodes;
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cuts.add(`${from} ${to}`);
  }

  heal(): void {
    this.#cuts.clear();
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.#cuts.has(`${from} ${to}`);
  }

  /** Throws as a node's links do when the other cannot be asked. */
  #reach(self: NodeId, to: NodeId, isAnswered = true): TenantNode {
    const node = this.nodes.get(to);
    if (!isAnswered || node?.isOpen !== true || this.isCut(self, to) || this.isCut(to, self))
      throw new ObError('OBS_NODE_UNREACHABLE', { node: to, address: 'a test', why: 'it is cut off' });
    return node;
  }

  linksOf(self: NodeId) {
    const at = (node: NodeId, { tenantId, stream }: StreamKey) => `${node} ${tenantId} ${stream}`;
    return {
      send: (to: NodeId, key: StreamKey, parts: readonly Uint8Array[]): void => {
        const payload = new Uint8Array(Buffer.concat(parts));
        setImmediate(() => {
          if (!this.isCut(self, to)) this.#handlers.get(at(to, key))?.(self, payload);
        });
      },
      onMessages: (key: StreamKey, handler: Handler): (() => void) => {
        this.#handlers.set(at(self, key), handler);
        return () => this.#handlers.delete(at(self, key));
      },
      request: async (to: NodeId, op: string, body: unknown): Promise<unknown> => {
        const { unit } = this.#reach(self, to, op === guideOp);
        await new Promise<void>(resolve => setImmediate(resolve));
        return JSON.parse(JSON.stringify(serveGuide(() => unit.replica, body))) as unknown;
      },
      openStream: async (to: NodeId, _op: string, body: unknown): Promise<ByteStream> => {
        const source = this.#reach(self, to);
        const isLost = this.copiesToLose > 0;
        if (isLost) this.copiesToLose -= 1;
        let left = isLost ? 2 : Number.POSITIVE_INFINITY;
        return copyOf(source, self, body, () => {
          left -= 1;
          return left < 0 || this.isCut(to, self);
        });
      },
    };
  }
}

/** The stream of a copy, without a network. */
function copyOf(source: TenantNode, reader: NodeId, body: unknown, isCut: () => boolean): ByteStream {
  const items: StreamItem[] = [];
  let isEnded = false;
  let failure: unknown;
  let wake = (): void => {};
  const push = async (item: StreamItem): Promise<void> => {
    if (isCut()) throw new ObError('OBS_NODE_LOST', { node: reader, op: 'copy', why: 'it is cut off' });
    items.push(item);
    wake();
    await new Promise<void>(resolve => setImmediate(resolve));
  };
  let open = true;
  const sink = {
    get open() {
      return open;
    },
    write: (bytes: Uint8Array) => push({ kind: 'bytes', bytes: Uint8Array.from(bytes) }),
    note: (value: unknown) => push({ kind: 'note', body: JSON.parse(JSON.stringify(value)) as unknown }),
  };
  const find = () => {
    const { unit } = source;
    return { engine: unit.engine, log: unit.log, incarnation: unit.record.incarnation };
  };
  serveCopy(find, nodeClock, body, { nodeId: reader }, sink)
    .catch((error: unknown) => {
      failure = error;
    })
    .finally(() => {
      isEnded = true;
      wake();
    });
  return {
    async next() {
      for (;;) {
        const item = items.shift();
        if (item !== undefined) return item;
        if (failure !== undefined) throw failure;
        if (isEnded) return undefined;
        await new Promise<void>(resolve => {
          wake = resolve;
        });
      }
    },
    close() {
      open = false;
    },
  };
}

export interface NodesOptions {
  readonly count?: number;
  readonly settings?: Partial<UnitSettings>;
  /** learners, by number; default none */
  readonly learners?: readonly number[];
  /** a standby of that cluster's tenant, from its first byte on; default: a new primary */
  readonly standbyOf?: TenantNodes;
  /** how old log must be for that standby to show it; default 0 */
  readonly delayMs?: number;
  /** its site, told to the sites it talks to */
  readonly site?: string;
}

const user = 'root';
const password = 'correct horse';

/** One node, from a start of its process on. */
export class TenantNode {
  readonly id: NodeId;
  readonly directory: string;
  readonly pool: WorkerPool;
  readonly host: UnitHost;
  readonly fatal: unknown[] = [];
  readonly server: LogServer;
  /** where other sites reach it */
  address: NetAddress | null = null;
  #unit: TenantUnit | null = null;

  constructor(id: NodeId, directory: string, hostOf: (node: TenantNode) => UnitHost) {
    this.id = id;
    this.directory = directory;
    this.pool = new WorkerPool({ workers: 1, onFatal: error => this.fatal.push(error) });
    this.host = hostOf(this);
    this.server = new LogServer({
      net: nodeNet,
      address: { host: '127.0.0.1', port: 0 },
      cluster: this.host.clusterName,
      site: this.host.siteId,
      advertise: () => this.host.advertise(),
      directory: {
        find: name => (name === 'shop' && this.isOpen ? this.#peerTenant() : undefined),
        verifier: () => verifierOf(password),
      },
      clock: nodeClock,
      random: nodeRandom,
      logger: silentLogger,
      onFatal: error => this.fatal.push(error),
    });
  }

  #peerTenant(): PeerTenant {
    const { leadership, log } = this.unit;
    if (leadership !== null) return leadership.peerTenant();
    const { leader } = log.state();
    const at = leader === null ? null : this.host.cluster?.doorsOf(leader)?.peer;
    throw new ObError('OBS_PEER_NOT_LEADER', {
      tenant: 'shop',
      address: 'a node',
      leader: at ?? 'not known',
    });
  }

  get unit(): TenantUnit {
    return must(this.#unit, 'a replica that is open');
  }

  set unit(unit: TenantUnit) {
    this.#unit = unit;
  }

  get isOpen(): boolean {
    return this.#unit !== null;
  }

  get leads(): boolean {
    return this.#unit?.log.state().isActive === true;
  }

  /** The engine takes writes. */
  get isWritable(): boolean {
    return this.#unit?.leadership?.local.writable === true;
  }

  async close(): Promise<void> {
    const unit = this.#unit;
    this.#unit = null;
    await this.server.stop();
    this.address = null;
    await unit?.close();
    await this.pool.close();
  }
}

export class TenantNodes {
  readonly root = mkdtempSync(join(tmpdir(), 'obstandby-nodes-'));
  readonly nodes = new Map<NodeId, TenantNode>();
  readonly mesh = new Mesh(this.nodes);
  readonly ids: readonly NodeId[];
  readonly #options: NodesOptions;
  readonly #engine = new DirectEngine();
  #store: SysStore | null = null;
  record!: StoredTenant;

  private constructor(options: NodesOptions) {
    this.#options = options;
    this.ids = Array.from({ length: options.count ?? 3 }, (_, index) => nodeId(`node-${index + 1}`));
  }

  /** All nodes run, and the tenant is open for writes at one of them. */
  static async start(options: NodesOptions = {}): Promise<TenantNodes> {
    const cluster = await TenantNodes.prepare(options);
    for (const id of cluster.ids) await cluster.startNode(id);
    if (options.standbyOf === undefined) await cluster.writable();
    return cluster;
  }

  /** The rows are there, and no node runs. */
  static async prepare(options: NodesOptions = {}): Promise<TenantNodes> {
    const cluster = new TenantNodes(options);
    const box = new SecretBox(new Uint8Array(32).fill(7), nodeRandom);
    const store = await LocalSysStore.open(cluster.#engine.engine, box);
    cluster.#store = store;
    const createTime = nodeClock.wall();
    const source = options.standbyOf;
    const incarnation = source?.record.incarnation ?? nodeRandom.uuid();
    const record = await store.addTenant({ name: 'shop', incarnation, createTime, pageBytes: 4096 });
    cluster.record = { ...record, status: 'NORMAL' };
    const identity = { tenant: 'shop', incarnation, site: cluster.site };
    if (source === undefined) await store.insertRole(record.id, newPrimaryRow(identity, createTime));
    else {
      const openings = [{ epoch: roleEpoch(1), cut: logStart }];
      await store.insertRole(record.id, newStandbyRow(identity, roleEpoch(1), openings));
      const { delayMs = 0 } = options;
      await store.setRestoreSource(record.id, { service: source.route(), location: null, delayMs });
    }
    return cluster;
  }

  get site(): string {
    return this.#options.site ?? 'site';
  }

  /** How another site logs in here. */
  route(): PeerRoute {
    const addresses = this.running.flatMap(({ address }) => address ?? []);
    return { addresses, tenant: 'shop', credential: { kind: 'password', user, password } };
  }

  get store(): SysStore {
    return must(this.#store, 'the store');
  }

  node(id: NodeId): TenantNode {
    return must(this.nodes.get(id), 'a node');
  }

  get running(): readonly TenantNode[] {
    return [...this.nodes.values()].filter(node => node.isOpen);
  }

  async startNode(id: NodeId): Promise<TenantNode> {
    const directory = join(this.root, id);
    const node = new TenantNode(id, directory, owner => this.#hostOf(owner));
    this.nodes.set(id, node);
    node.address = await node.server.start();
    const learners = (this.#options.learners ?? []).map(index => must(this.ids[index], 'a learner'));
    const members = this.ids.filter(each => !learners.includes(each));
    const birth = { birth: { members, learners }, blockBytes, priority: 0 };
    const isFirst = !existsSync(tenantPaths(directory, this.record.id).log);
    if (this.#options.standbyOf !== undefined && isFirst) {
      const initial = { position: logStart, checkpointLsn: lsn(0), proposalHistory: [], blockBytes };
      await (await openReplicaLog(node.host, this.record, userLogStream, { initial, birth })).close();
    }
    node.unit = await TenantUnit.open(node.host, this.record, birth);
    return node;
  }

  /** Its process ends in peace, and begins again. */
  async restart(node: TenantNode): Promise<TenantNode> {
    await node.close();
    return this.startNode(node.id);
  }

  /** Nothing goes to the node, or comes from it, until `heal`. */
  isolate(node: TenantNode): void {
    for (const id of this.ids) {
      if (id === node.id) continue;
      this.mesh.cut(id, node.id);
      this.mesh.cut(node.id, id);
    }
  }

  heal(): void {
    this.mesh.heal();
  }

  /** The node where the tenant takes writes, once there is one among those. */
  async writable(among: () => readonly TenantNode[] = () => this.running): Promise<TenantNode> {
    await this.until('a node where the tenant takes writes', () => among().some(node => node.isWritable));
    return must(
      among().find(node => node.isWritable),
      'a writable node',
    );
  }

  /** The tenant takes writes at that node; a leadership that was handed over may come back, and is handed over again. */
  async leadAt(node: TenantNode): Promise<void> {
    const deadline = nodeClock.now() + waitMs;
    while (!node.isWritable) {
      const leading = this.running.find(each => each.leads && each !== node);
      await leading?.unit.log.transfer(node.id).catch((error: unknown) => {
        if (!isObError(error)) throw error;
      });
      if (nodeClock.now() > deadline) throw new Error(`never led: ${node.id}; ${this.picture()}`);
      await new Promise<void>(resolve => setTimeout(resolve, 20));
    }
  }

  followersOf(leader: TenantNode): readonly TenantNode[] {
    return this.running.filter(node => node !== leader);
  }

  /** The node where the tenant's log leads and its role is known. */
  async led(): Promise<TenantNode> {
    const find = () => this.running.find(({ unit }) => unit.leadership !== null);
    await this.until('a node that leads', () => find() !== undefined);
    return must(find(), 'a node that leads');
  }

  /** Every running replica shows all that its cluster has committed by now, or the other one has. */
  async settled(other: TenantNodes = this): Promise<void> {
    const { end } = (await other.led()).unit.log.state();
    await this.until('replicas that show everything', () =>
      this.running.every(({ unit }) => unit.replica.hasEngine && unit.engine.state().appliedLsn >= end.lsn),
    );
  }

  /** The databases of all running replicas, page by page; nobody may write meanwhile. */
  async digests(other: TenantNodes = this): Promise<string[]> {
    await this.settled(other);
    // Keep-alive entries change no page.
    for (const { unit } of this.running) await unit.engine.checkpoint();
    return this.running.map(({ directory }) =>
      createHash('sha256')
        .update(readFileSync(tenantPaths(directory, this.record.id).databaseFile))
        .digest('hex'),
    );
  }

  async until(what: string, holds: () => boolean): Promise<void> {
    const deadline = nodeClock.now() + waitMs;
    while (!holds()) {
      const [fatal] = this.running.flatMap(node => node.fatal);
      if (fatal !== undefined) throw fatal;
      if (nodeClock.now() > deadline) throw new Error(`never came: ${what}; ${this.picture()}`);
      await new Promise<void>(resolve => setTimeout(resolve, 5));
    }
  }

  picture(): string {
    return this.running
      .map(({ id, unit }) => {
        const { role, leader, end, proposalId, accessMode, isImpaired } = unit.log.state();
        const { problem } = unit.replica;
        const engine = unit.replica.hasEngine ? unit.engine.state() : null;
        const roleRow = unit.leadership?.role.view();
        return JSON.stringify({
          id,
          role,
          leader,
          proposalId,
          accessMode,
          isImpaired,
          end: end.lsn,
          engine: engine === null ? null : `${engine.mode} ${engine.appliedLsn}`,
          problem: problem?.message ?? null,
          tenant: roleRow === undefined ? null : `${roleRow.row.role} ${roleRow.writesRefused?.code}`,
        });
      })
      .join('\n');
  }

  async close(): Promise<void> {
    this.heal();
    await Promise.all(this.running.map(node => node.close()));
    await this.#engine.close();
    rmSync(this.root, { recursive: true, force: true });
    const [fatal] = [...this.nodes.values()].flatMap(node => node.fatal);
    if (fatal !== undefined) throw fatal;
  }

  #hostOf(node: TenantNode): UnitHost {
    const settings: UnitSettings = {
      blockBytes,
      logDiskBytesMax: 67_108_864,
      pageBytes: 4096,
      engine: { keepAliveMs: 50 },
      archiveLagTargetMs: 50,
      drainMs: 1_000,
      catchUpMs: 10_000,
      probeMs: 500,
      restartFencing: 'strict',
      ...this.#options.settings,
    };
    return {
      self: node.id,
      dataDirectory: node.directory,
      siteId: this.site,
      clusterName: `cluster of ${this.site}`,
      advertise: () => siteAddressText(this.route().addresses),
      clock: nodeClock,
      disk: nodeDisk,
      net: nodeNet,
      peerTls: null,
      random: nodeRandom,
      logger: silentLogger,
      pool: node.pool,
      store: this.store,
      settings,
      siteNames: new SiteNames(),
      variables: {},
      cluster: {
        links: this.mesh.linksOf(node.id),
        timing,
        doorsOf: id => {
          const address = this.nodes.get(id)?.address ?? null;
          return { sql: `${id}:2881`, peer: address === null ? null : addressText(address) };
        },
        replicasOf: () => this.ids,
      },
      followers: incarnation => node.server.followers(incarnation),
      forgetFollowers: incarnation => node.server.forget(incarnation),
      reached: () => {},
      mayChangeRoles: () => Promise.resolve(true),
      onFatal: error => node.fatal.push(error),
    };
  }
}

/** One statement in a session of its own, as a client's session runs it: admitted, then answered. */
export async function run(node: TenantNode, sql: string, ...parameters: Cell[]): Promise<StatementResult> {
  await node.unit.replica.admit();
  return runIn(node, {}, sql, ...parameters);
}

/** The same for a weak read: any replica answers. */
export async function weakly(node: TenantNode, sql: string): Promise<readonly (readonly Cell[])[]> {
  const result = await runIn(node, { weak: true }, sql);
  return result.kind === 'rows' ? result.rows : [];
}

export async function rows(node: TenantNode, sql: string): Promise<readonly (readonly Cell[])[]> {
  const result = await run(node, sql);
  return result.kind === 'rows' ? result.rows : [];
}

async function runIn(
  node: TenantNode,
  options: { readonly weak?: boolean },
  sql: string,
  ...parameters: Cell[]
): Promise<StatementResult> {
  const session = node.unit.engine.openSession(options);
  try {
    return await session.execute({ sql, parameters, rowsMax: 100_000 });
  } finally {
    await session.close();
  }
}

/** `done`, or the error's kind. */
export async function kindOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    if (isObError(error)) return error.kind;
    throw error;
  }
}
