import { expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { heartbeatMs } from '../../base/limits.ts';
import { nodeId } from '../../base/scalars.ts';
import { silentLogger } from '../../platform/logger.ts';
import { noArbitration } from './arbitration.ts';
import { ClusterNode } from './cluster-node.ts';
import type { LocalReplicas } from './local-replicas.ts';
import type { NodeCalls } from './node-calls.ts';
import type { ClusterPicture } from './picture.ts';

const self = nodeId('self');
const other = nodeId('other');
const own = { nodeId: self, address: '10.0.0.1:2885', zone: 'z', region: 'r' };
const addresses = { sqlAddress: null, peerAddress: null, httpAddress: null };
const picture: ClusterPicture = {
  revision: { epoch: 1, number: 1 },
  clusterId: 'c',
  root: other,
  servers: [
    {
      ...own,
      ...addresses,
      id: 1,
      status: 'ACTIVE',
      stopTime: null,
      createTime: 1,
      startTime: 1,
      version: '1',
    },
  ],
  tenants: [],
  arbitration: noArbitration,
};

test('a disk without room for the list of servers ends nothing: it is noted when there is room', async () => {
  const clock = new ManualClock();
  const failures: unknown[] = [];
  const noted: unknown[] = [];
  let asked = 0;
  let isFull = true;
  const calls = {
    onRequest: () => () => {},
    request: () => {
      asked += 1;
      return Promise.resolve({ picture: asked === 1 ? picture : null });
    },
  } as unknown as NodeCalls;
  const node = new ClusterNode({
    self,
    calls,
    replicas: { find: () => undefined, all: () => [] } as unknown as LocalReplicas,
    clock,
    logger: silentLogger,
    facts: () => ({ ...own, ...addresses, startTime: 1, version: '1' }),
    leaseMs: 1200,
    freeBytes: () => Promise.resolve(1e12),
    known: { servers: [own], sysNodes: [other], arbitration: null },
    onServers: servers => {
      if (isFull) return Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' }));
      noted.push(servers);
      return Promise.resolve();
    },
    onFatal: error => failures.push(error),
  });
  const beat = async (): Promise<void> => {
    clock.advance(heartbeatMs);
    await new Promise(setImmediate);
  };
  node.start();
  await beat();
  await beat();
  expect(asked).toBe(2);
  isFull = false;
  await beat();
  await beat();
  expect(failures).toEqual([]);
  expect(noted).toEqual([[own]]);
  node.stop();
});
