/** Bootstrap over servers that crash at every write and every message, and over lists and servers that cannot be used. */
import { expect, test } from 'vitest';
import { isObError, ObError } from '../../base/errors.ts';
import { nodeId } from '../../base/scalars.ts';
import { bootstrapCluster, type BootstrapOutcome } from './bootstrap.ts';
import type { ClusterFile } from './cluster-file.ts';
import { chooseSysNodes, joinPlanSchema, type JoinState } from './join-plan.ts';
import { WaitingServer } from './waiting-server.ts';

class Crash extends Error {}

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}

/** One server: what it has on disk, and its process while it runs. */
class Server {
  readonly address: string;
  readonly world: World;
  readonly zone: string;
  node: string;
  version = '1.0.0';
  leaseMs = 1200;
  contents: string | null = null;
  /** durable */
  state: JoinState | null = null;
  cluster: ClusterFile | null = null;
  key: Uint8Array | null = null;
  process: WaitingServer | null = null;

  constructor(world: World, index: number) {
    this.world = world;
    this.address = `10.0.0.${index}:2885`;
    this.zone = `zone${index}`;
    this.node = `node-${index}`;
  }

  async start(): Promise<void> {
    const { address, zone, version, leaseMs } = this;
    // What a process that has crashed still does reaches neither disk nor network.
    const life = { ended: false };
    this.world.lives.set(this, life);
    const durable = (change: () => void): void => {
      if (life.ended) throw new Crash();
      this.world.point(this);
      change();
      this.world.point(this);
    };
    const clusterNow = (): ClusterFile | null => this.cluster;
    this.process = await WaitingServer.open({
      facts: { nodeId: nodeId(this.node), address, zone, region: 'r', clusterName: 'c', version, leaseMs },
      directory: {
        get cluster() {
          return clusterNow();
        },
        contents: () => Promise.resolve(this.contents),
        join: (cluster, key) => {
          durable(() => {
            this.key = key;
          });
          durable(() => {
            this.cluster = cluster;
          });
          return Promise.resolve();
        },
      },
      store: {
        load: () => Promise.resolve(this.state),
        save: state => {
          durable(() => {
            this.state = state;
          });
          return Promise.resolve();
        },
      },
      openKey: sealed => new Uint8Array(Buffer.from(sealed, 'base64')),
    });
  }

  crash(): void {
    const life = this.world.lives.get(this);
    if (life !== undefined) life.ended = true;
    this.process = null;
  }

  async serve(op: string, body: unknown): Promise<unknown> {
    const { process } = this;
    if (process === null)
      throw new ObError('OBS_NODE_UNREACHABLE', { node: this.node, address: this.address, why: 'down' });
    const { planId } = body as { planId: string };
    switch (op) {
      case 'join.describe':
        return process.describe();
      case 'join.prepare':
        return process.prepare(joinPlanSchema.parse(body));
      case 'join.commit':
        return process.commit(planId);
      case 'join.abandon':
        return process.abandon(planId);
      default:
        throw new Error(op);
    }
  }
}

class World {
  readonly servers: Server[];
  readonly lives = new Map<Server, { ended: boolean }>();
  plans = 0;
  points = 0;
  /** how long messages take; null: no time */
  draw: (() => number) | null = null;
  /** the point at which somebody crashes, and who: the one whose point it is, or the coordinator */
  crashAt = 0;

  constructor(count: number) {
    this.servers = Array.from({ length: count }, (_, index) => new Server(this, index + 1));
  }

  get addresses(): string[] {
    return this.servers.map(({ address }) => address);
  }

  at(index: number): Server {
    const server = this.servers[index];
    if (server === undefined) throw new Error(`no server ${index}`);
    return server;
  }

  async start(): Promise<void> {
    for (const server of this.servers) if (server.process === null) await server.start();
  }

  /** Whose process ends here, if it is the chosen point. */
  point(server: Server): void {
    this.points += 1;
    if (this.points !== this.crashAt) return;
    server.crash();
    throw new Crash();
  }

  bootstrap(by: Server, addresses: readonly string[] = this.addresses): Promise<BootstrapOutcome> {
    const { process } = by;
    if (process === null) throw new Error('it is down');
    return bootstrapCluster({
      self: process,
      addresses,
      ask: async (address, op, body) => {
        const life = this.lives.get(by);
        this.point(by);
        const target = this.servers.find(server => server.address === address);
        if (target === undefined)
          throw new ObError('OBS_NODE_UNREACHABLE', { node: '?', address, why: 'nobody' });
        try {
          await this.#travel();
          const answer = await target.serve(op, body);
          await this.#travel();
          if (life?.ended === true) throw new Crash();
          this.point(by);
          return answer;
        } catch (error) {
          if (!(error instanceof Crash) || life?.ended === true) throw error;
          throw new ObError('OBS_NODE_LOST', { node: target.node, op, why: 'it crashed' });
        }
      },
      newPlanId: () => `00000000-0000-4000-8000-${String((this.plans += 1)).padStart(12, '0')}`,
      sealKey: planId => Buffer.from(`key of ${planId}`).toString('base64'),
      progress: () => {},
    });
  }

  async #travel(): Promise<void> {
    const turns = this.draw === null ? 0 : Math.floor(this.draw() * 20);
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
  }

  /** What is wrong with the cluster that was made. */
  problems(): string[] {
    const clusters = new Set(this.servers.map(({ cluster }) => cluster?.clusterId));
    const keys = new Set(this.servers.map(({ key }) => Buffer.from(key ?? []).toString()));
    return [
      ...(clusters.size === 1 && !clusters.has(undefined) ? [] : [`clusters ${[...clusters].join(' and ')}`]),
      ...(keys.size === 1 && keys.has(`key of ${[...clusters][0]}`)
        ? []
        : [`keys ${[...keys].join(' and ')}`]),
      ...this.servers
        .filter(({ cluster, node }) => cluster?.nodeId !== node)
        .map(({ node }) => `${node} is another`),
    ];
  }
}

const failureOf = async (attempt: Promise<unknown>): Promise<ObError> => {
  try {
    await attempt;
  } catch (error) {
    if (isObError(error)) return error;
    throw error;
  }
  throw new Error('it was accepted');
};

test('servers that wait become one cluster', async () => {
  const world = new World(3);
  await world.start();
  const joined = Promise.all(world.servers.flatMap(server => server.process?.joined ?? []));
  const outcome = await world.bootstrap(world.at(0));
  expect(outcome).toMatchObject({ servers: world.addresses, missing: [] });
  expect(world.problems()).toEqual([]);
  expect(await joined).toHaveLength(3);
  expect(await failureOf(world.bootstrap(world.at(0)))).toMatchObject({ code: 'OBS_CLUSTER_BOOTSTRAPPED' });
});

test('whoever crashes wherever, the command run again at any server that waits ends it', async () => {
  const clean = new World(3);
  await clean.start();
  await clean.bootstrap(clean.at(0));
  const problems: string[] = [];
  for (let crashAt = 1; crashAt <= clean.points; crashAt += 1) {
    for (const again of [0, 1, 2]) {
      const world = new World(3);
      world.crashAt = crashAt;
      await world.start();
      await world.bootstrap(world.at(0)).catch((error: unknown) => {
        if (!(error instanceof Crash) && !isObError(error)) throw error;
      });
      await world.start();
      // Who became a member already is not asked again; any that waits will do.
      const by = [world.at(again), ...world.servers].find(({ cluster }) => cluster === null);
      if (by !== undefined) await world.bootstrap(by);
      for (const problem of world.problems())
        problems.push(`crash at ${crashAt}, again at ${again}: ${problem}`);
    }
  }
  expect(problems).toEqual([]);
});

test('two that begin at once agree on one plan, in whatever order their messages go and whoever crashes', async () => {
  const problems: string[] = [];
  for (let seed = 1; seed <= 400; seed += 1) {
    const world = new World(3);
    world.draw = random(seed);
    if (seed % 2 === 0) world.crashAt = 1 + Math.floor(world.draw() * 60);
    await world.start();
    const outcomes = await Promise.allSettled([0, 1, 2].map(index => world.bootstrap(world.at(index))));
    for (const outcome of outcomes)
      if (outcome.status === 'rejected' && !isObError(outcome.reason) && !(outcome.reason instanceof Crash))
        throw outcome.reason;
    await world.start();
    const waiting = world.servers.find(({ cluster }) => cluster === null);
    if (waiting !== undefined)
      await world
        .bootstrap(waiting)
        .catch((error: unknown) => problems.push(`seed ${seed}: ${String(error)}`));
    for (const problem of world.problems()) problems.push(`seed ${seed}: ${problem}`);
  }
  expect(problems).toEqual([]);
});

test('once it was decided, a server that is gone does not hold up the others', async () => {
  const world = new World(3);
  await world.start();
  const { clusterId } = await world.bootstrap(world.at(0));
  // As if server 3 had not heard of the decision yet, and server 1, which made it, were lost.
  const [gone, member, waiting] = [world.at(0), world.at(1), world.at(2)];
  const { servers = [], sysNodes = [] } = member.cluster ?? {};
  const sealedKey = Buffer.from(`key of ${clusterId}`).toString('base64');
  gone.crash();
  waiting.crash();
  waiting.cluster = null;
  waiting.state = {
    plan: { planId: clusterId, servers: [...servers], sysNodes: [...sysNodes], sealedKey },
    phase: 'prepared',
  };
  await waiting.start();
  expect(await world.bootstrap(waiting)).toMatchObject({ clusterId, missing: [gone.address] });
  expect(world.problems()).toEqual([]);
});

test('a list that cannot be used is refused with the reason', async () => {
  const world = new World(3);
  await world.start();
  const refusal = (addresses: string[]): Promise<ObError> =>
    failureOf(world.bootstrap(world.at(0), addresses));
  const [one = '', two = ''] = world.addresses;
  expect((await refusal([one, two, one])).message).toContain(`'${one}' is in it twice`);
  expect((await refusal([two])).message).toContain(`this server, ${one}, is not in it`);
  expect((await refusal([one, 'nowhere'])).message).toContain("'nowhere' is no host:port");
  expect(await refusal([one, '10.9.9.9:1'])).toMatchObject({ code: 'OBS_CLUSTER_SERVER_UNREACHABLE' });
  expect(world.servers.every(({ state }) => state === null)).toBe(true);
});

test('servers that do not fit are refused by name, and nothing is prepared', async () => {
  const cases: [change: (server: Server) => void, code: string, text: string][] = [
    [server => (server.version = '0.9.0'), 'OBS_CLUSTER_SERVER_REFUSED', 'it runs version 0.9.0'],
    [server => (server.leaseMs = 900), 'OBS_CLUSTER_SERVER_REFUSED', 'palf.leaseMs is 900'],
    [server => (server.node = 'node-1'), 'OBS_CLUSTER_SERVER_REFUSED', 'is a copy of that of'],
    [server => (server.contents = 'the files of tenant 1002'), 'OBS_CLUSTER_SERVER_NOT_EMPTY', 'tenant 1002'],
  ];
  for (const [change, code, text] of cases) {
    const world = new World(2);
    change(world.at(1));
    await world.start();
    const error = await failureOf(world.bootstrap(world.at(0)));
    expect(error).toMatchObject({ code, message: expect.stringContaining(text) as string });
    expect(world.servers.every(({ state }) => state === null)).toBe(true);
  }
});

test('a server of another cluster is refused, whoever asks', async () => {
  const world = new World(3);
  await world.start();
  await world.bootstrap(world.at(0), world.addresses.slice(0, 2));
  const error = await failureOf(world.bootstrap(world.at(2)));
  expect(error).toMatchObject({ code: 'OBS_CLUSTER_SERVER_OTHER_CLUSTER' });
  expect(error.message).toContain(world.at(0).cluster?.clusterId);
});

test('a server that was prepared for other servers waits for those, until their coordinator lets it go', async () => {
  const world = new World(3);
  await world.start();
  const planId = '00000000-0000-4000-8000-0000000000ff';
  const facts = world.servers
    .slice(0, 2)
    .map(({ node, address, zone }) => ({ nodeId: nodeId(node), address, zone, region: 'r' }));
  const plan = {
    planId,
    servers: facts,
    sysNodes: [nodeId('node-1')],
    sealedKey: Buffer.from('k').toString('base64'),
  };
  await world.at(0).process?.prepare(plan);
  await world.at(1).process?.prepare(plan);
  expect(await failureOf(world.bootstrap(world.at(2)))).toMatchObject({
    code: 'OBS_CLUSTER_BOOTSTRAP_OTHER',
  });
  expect(await world.bootstrap(world.at(0))).toMatchObject({ missing: [] });
  expect(world.problems()).toEqual([]);
});

test('the sys tenant has one replica in each zone first, and an odd number of them', () => {
  const servers = (...zones: string[]) =>
    zones.map((zone, index) => ({ nodeId: nodeId(`n${index}`), address: `h:${index}`, zone, region: 'r' }));
  const chosen = (...zones: string[]): string[] => chooseSysNodes(servers(...zones)).map(String);
  expect(chosen('a')).toEqual(['n0']);
  expect(chosen('a', 'b')).toEqual(['n0', 'n1']);
  expect(chosen('a', 'b', 'c')).toEqual(['n0', 'n1', 'n2']);
  expect(chosen('a', 'a', 'b', 'c')).toEqual(['n0', 'n2', 'n3']);
  expect(chosen('a', 'b', 'c', 'd')).toHaveLength(3);
  expect(chosen('a', 'b', 'c', 'd', 'e', 'f')).toHaveLength(5);
  expect(chosen('a', 'a', 'a', 'a')).toHaveLength(3);
});
