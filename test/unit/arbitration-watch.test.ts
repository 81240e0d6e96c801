/** Probes between servers: who is told dead, and when nobody can say; what the log streams are told, and what is noted. */
import { afterEach, expect, test } from 'vitest';
import { ObError } from '../../src/base/errors.ts';
import type { LogState } from '../../src/base/log-access.ts';
import { type NodeId, nodeId, tenantId } from '../../src/base/scalars.ts';
import { noArbitration } from '../../src/cluster/root/arbitration.ts';
import { ArbitrationWatch } from '../../src/cluster/root/arbitration-watch.ts';
import type { LocalReplica, LocalReplicas } from '../../src/cluster/root/local-replicas.ts';
import type { NodeCalls, RequestHandler } from '../../src/cluster/root/node-calls.ts';
import type { ArbitrationNews } from '../../src/palf/inputs.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { ManualClock } from '../support/manual-clock.ts';

const [self, peer, third, arbiter] = ['n1', 'n2', 'n3', 'z'].map(nodeId) as [NodeId, NodeId, NodeId, NodeId];
const tenant = tenantId(1002);
const refused = new ObError('OBS_NODE_UNREACHABLE', {
  node: 'n2',
  address: 'a',
  why: 'connect ECONNREFUSED',
});
const silent = new ObError('OBS_NODE_TIMEOUT', { node: 'n2', op: 'node.health', timeoutMs: 1 });

type Answer = unknown;
/** What each node answers; an error is thrown. */
const answers = new Map<string, Answer>();
const handlers = new Map<string, RequestHandler>();
let clock: ManualClock;
let told: ArbitrationNews[] = [];
let degraded: readonly NodeId[] = [];
let leads = true;
let isStuck = false;
let sequence = 1;
let stopped: readonly NodeId[] = [];
let watch: ArbitrationWatch | null = null;

const healthy = { isFull: false, working: [tenant] };

function begin(servers: readonly NodeId[] = [self, peer]): void {
  clock = new ManualClock();
  told = [];
  degraded = [];
  leads = true;
  isStuck = false;
  stopped = [];
  answers.clear();
  handlers.clear();
  answers.set('n2 node.health', healthy);
  answers.set('z arbiter.hears', { nodes: [] });
  answers.set('n3 node.hears', { nodes: [] });
  const calls: NodeCalls = {
    request: (to, op) => {
      const answer = answers.get(`${to} ${op}`) ?? silent;
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
    requestAt: () => Promise.reject(silent),
    onRequest: (op, handler) => {
      handlers.set(op, handler);
      return () => handlers.delete(op);
    },
  };
  const replica = {
    tenantId: tenant,
    state: () =>
      ({
        isActive: leads,
        isImpaired: false,
        isStuck,
        config: {
          members: [self, peer].filter(node => !degraded.includes(node)),
          degraded,
          learners: [],
          arbiter,
          version: { proposalId: 7, sequence },
        },
      }) as unknown as LogState,
    inform: (news: ArbitrationNews) => void told.push(news),
  } as unknown as LocalReplica;
  const replicas = { all: () => [replica], find: () => replica } as unknown as LocalReplicas;
  watch = new ArbitrationWatch({
    self,
    calls,
    replicas,
    clock,
    logger: silentLogger,
    picture: () => ({
      ...noArbitration,
      arbiter: { nodeId: arbiter, address: 'z:1' },
      timeouts: [{ tenantId: tenant, timeoutMs: 3_000 }],
    }),
    stopped: () => new Set(stopped),
    servers: () => servers,
    isFull: () => false,
    isRootReachable: () => true,
    onFatal: error => {
      throw error;
    },
  });
  watch.start();
}
afterEach(() => watch?.stop());

/** Lets time pass, and everything that it brings be done. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    clock.advance(100);
    await new Promise(resolve => setImmediate(resolve));
  }
}

const verdict = (): string | undefined => {
  const last = told.findLast(news => news.kind === 'verdict');
  return last?.kind === 'verdict' ? last.verdict : undefined;
};

test('a server that answers speaks for itself', async () => {
  begin();
  await pass(1_200);
  expect(verdict()).toBe('alive');
  answers.set('n2 node.health', { isFull: false, working: [] });
  await pass(600);
  expect(verdict()).toBe('rebuilding');
  answers.set('n2 node.health', { isFull: true, working: [tenant] });
  await pass(600);
  expect(verdict()).toBe('disk-full');
  answers.set('n2 node.health', healthy);
  stopped = [peer];
  await pass(600);
  expect(verdict()).toBe('stopped');
});

test('a server says of a replica whose disk does not answer that it does not work', async () => {
  begin();
  const health = () =>
    handlers.get('node.health')?.({}, { nodeId: peer, address: '' }, () => {}) ?? Promise.reject(silent);
  expect(await health()).toEqual(healthy);
  isStuck = true;
  expect(await health()).toEqual({ isFull: false, working: [] });
});

test('a machine that refuses the connection says that the process is gone', async () => {
  begin();
  await pass(1_200);
  answers.set('n2 node.health', refused);
  // Nobody else is needed to say so.
  answers.set('z arbiter.hears', silent);
  await pass(600);
  expect(verdict()).toBe('dead');
});

test('one that is silent is dead when the arbiter answers, and not before some time has passed', async () => {
  begin();
  await pass(1_200);
  answers.set('n2 node.health', silent);
  await pass(600);
  expect(verdict()).toBe('unknown');
  await pass(2_000);
  expect(verdict()).toBe('dead');
  answers.set('n2 node.health', healthy);
  await pass(600);
  expect(verdict()).toBe('alive');
});

test('what a server said once is not said again for it while it is silent', async () => {
  begin();
  await pass(1_200);
  expect(verdict()).toBe('alive');
  const heard = told.filter(news => news.kind === 'verdict' && news.verdict === 'alive').length;
  // The probe does not end.
  answers.set('n2 node.health', new Promise(() => {}));
  await pass(5_000);
  expect(told.filter(news => news.kind === 'verdict' && news.verdict === 'alive')).toHaveLength(heard);
});

test('when nobody else answers it may be this server that is cut off: nobody can say', async () => {
  begin([self, peer, third]);
  await pass(1_200);
  answers.set('n2 node.health', silent);
  answers.set('z arbiter.hears', silent);
  answers.set('n3 node.hears', silent);
  await pass(10_000);
  expect(verdict()).toBe('unknown');
  expect(told.some(news => news.kind === 'verdict' && news.verdict === 'dead')).toBe(false);
  // A third server is enough.
  answers.set('n3 node.hears', { nodes: [] });
  await pass(1_200);
  expect(verdict()).toBe('dead');
});

test('before the first probe nothing is known', () => {
  begin();
  clock.advance(500);
  expect(verdict()).toBeUndefined();
});

test('the streams are told the terms and whether the root service is reached', async () => {
  begin();
  await pass(600);
  expect(told).toContainEqual({ kind: 'set-arbitration', timeoutMs: 3_000, policy: 'LS_POLICY' });
  expect(told).toContainEqual({ kind: 'root-service', reachable: true });
});

test('each change of the degraded replicas is noted once, by the record that made it, and by whoever sees it', async () => {
  begin();
  await pass(1_000);
  [degraded, sequence] = [[peer], 4];
  await pass(1_200);
  [degraded, sequence] = [[], 5];
  await pass(1_200);
  expect(watch?.events.map(({ event, boot, detail }) => [event, boot, detail['replica']])).toEqual([
    ['DEGRADE', '1002.7.4', peer],
    ['UPGRADE', '1002.7.5', peer],
  ]);
  watch?.forgetEvents(watch.events.slice(0, 1));
  expect(watch?.events.map(({ event }) => event)).toEqual(['UPGRADE']);
  // As a follower it tells the same, but not that it was degraded itself.
  leads = false;
  [degraded, sequence] = [[peer], 6];
  await pass(1_200);
  expect(watch?.events.map(({ event, boot }) => [event, boot])).toEqual([
    ['UPGRADE', '1002.7.5'],
    ['DEGRADE', '1002.7.6'],
  ]);
  [degraded, sequence] = [[peer, self], 7];
  await pass(1_200);
  expect(watch?.events).toHaveLength(2);
});

test('it tells others how it is, and whom it hears', async () => {
  begin();
  await pass(1_200);
  const from = { nodeId: peer, address: '' };
  const asked = (op: string): Promise<unknown> | undefined => handlers.get(op)?.({}, from, () => {});
  expect(await asked('node.health')).toEqual({ isFull: false, working: [tenant] });
  expect(await asked('node.hears')).toEqual({ nodes: [peer] });
  expect(await asked('node.arbiter')).toEqual({ active: true });
  answers.set('z arbiter.hears', silent);
  await pass(5_000);
  expect(await asked('node.arbiter')).toEqual({ active: false });
});
