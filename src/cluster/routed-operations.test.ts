import { expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { ObError } from '../base/errors.ts';
import { type NodeId, nodeId, tenantId } from '../base/scalars.ts';
import { nodeRandom } from '../platform/random.ts';
import type { ClusterNode } from './root/cluster-node.ts';
import { LeaderCalls } from './root/leader-calls.ts';
import type { LocalReplicas } from './root/local-replicas.ts';
import type { NodeCalls, RequestHandler } from './root/node-calls.ts';
import { type LocalVerbs, RoutedOperations, type RootVerbs } from './routed-operations.ts';
import { SecretBox } from './secret-box.ts';

const tenant = tenantId(1002);
const [a, b] = ['a', 'b'].map(nodeId) as [NodeId, NodeId];
const box = new SecretBox(new Uint8Array(32), nodeRandom);
const lost = new ObError('OBS_TENANT_NOT_LEADER', { tenant: 'sys', leader: 'b', node: b });
const silent = (): void => {};

/** Two servers; each runs what its verbs say. The first is asked first. */
function servers(verbs: Record<string, { root?: Partial<RootVerbs>; local?: Partial<LocalVerbs> }>) {
  const handlers = new Map<NodeId, RequestHandler>();
  const callsOf = (self: NodeId): NodeCalls =>
    ({
      request: (to: NodeId, _op: string, body: unknown) =>
        handlers.get(to)?.(body, { nodeId: self, address: '' }, silent),
      onRequest: (op: string, handler: RequestHandler) => {
        if (op === 'node.operate') handlers.set(self, handler);
        return silent;
      },
    }) as unknown as NodeCalls;
  const [first] = [a, b].map(self => {
    const calls = callsOf(self);
    const leaders = new LeaderCalls({
      calls,
      clock: new ManualClock(),
      localLeader: () => undefined,
      replicaNodes: () => [a, b],
    });
    const { root, local } = verbs[self] ?? {};
    return new RoutedOperations({
      node: { leaders, tenantId: () => Promise.resolve(tenant) } as unknown as ClusterNode,
      self,
      calls,
      replicas: {} as LocalReplicas,
      local: { settled: () => Promise.resolve(), mustLead: silent, ...local } as LocalVerbs,
      root: () => {
        if (root !== undefined) return root as RootVerbs;
        throw new ObError('OBS_CLUSTER_NOT_LEADER', { what: 'the root service', self, node: null });
      },
      box,
      clusterId: 'c',
      clusterName: 'c',
    });
  });
  if (first === undefined) throw new Error('two servers');
  return first;
}

test('a verb that was begun where the leadership was lost is not given to the next leader', async () => {
  const asked: NodeId[] = [];
  const operations = servers({
    a: { root: { createTenant: () => Promise.reject(lost) } },
    b: { root: { createTenant: () => Promise.resolve(void asked.push(b)) } },
  });
  await expect(operations.createTenant({ name: 'shop', ifNotExists: false })).rejects.toMatchObject({
    code: 'OBS_CLUSTER_OUTCOME_UNKNOWN',
    kind: 'unknown',
  });
  expect(asked).toEqual([]);
});

test('one that was not begun goes on to whoever leads, and so does one that only reads', async () => {
  const asked: NodeId[] = [];
  const mustLead = (): void => {
    throw lost;
  };
  const archivelog = (of: NodeId) => () => Promise.resolve(void asked.push(of));
  const operations = servers({
    a: { local: { mustLead, archivelog: archivelog(a) }, root: { tenantJobs: () => Promise.reject(lost) } },
    b: { local: { archivelog: archivelog(b) }, root: { tenantJobs: () => Promise.resolve([]) } },
  });
  await operations.archivelog('shop');
  expect(asked).toEqual([b]);
  expect(await operations.tenantJobs()).toEqual([]);
});

test('another site that does not lead is no reason to ask another server here', async () => {
  const elsewhere = new ObError('OBS_PEER_NOT_LEADER', { tenant: 'shop', address: 'x', leader: 'y' });
  const operations = servers({
    a: { root: { createStandbyTenant: () => Promise.reject(elsewhere) } },
    b: { root: { createStandbyTenant: () => Promise.resolve() } },
  });
  await expect(operations.createStandbyTenant({ name: 'shop', source: '', ifNotExists: false })).rejects.toBe(
    elsewhere,
  );
});
