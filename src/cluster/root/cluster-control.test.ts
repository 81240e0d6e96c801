import { expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { ObError } from '../../base/errors.ts';
import { nodeId } from '../../base/scalars.ts';
import { silentLogger } from '../../platform/logger.ts';
import type { TenantEngine } from '../../tenant/engine.ts';
import type { SysStore } from '../sys-store.ts';
import { ClusterControl, type ClusterControlOptions } from './cluster-control.ts';

test('a root service that does not begin leaves no session behind', async () => {
  const self = nodeId('self');
  const clock = new ManualClock();
  const control = new ClusterControl({
    self,
    clusterId: 'c',
    calls: { onRequest: () => () => {} },
    replicas: { find: () => undefined, all: () => [] },
    clock,
    logger: silentLogger,
    joinKey: null,
    sysIncarnation: 'sys',
    facts: () => ({ nodeId: self, address: '10.0.0.1:2885', zone: 'z', region: 'r', version: '1' }),
    known: { servers: [], sysNodes: [], firstSysNodes: [self], arbitration: null },
    leaseMs: 1_200,
    onFatal: () => {},
  } as unknown as ClusterControlOptions);
  let open = 0;
  const engine = {
    openSession: () => {
      open += 1;
      return {
        execute: () => Promise.reject(new ObError('OBS_LOG_LEASE_LOST', { stream: 1 })),
        close: () => {
          open -= 1;
          return Promise.resolve();
        },
      };
    },
  } as unknown as TenantEngine;
  const lead = control.onLead({ engine, store: {} as SysStore, epoch: 1 });
  await expect(lead).rejects.toMatchObject({ code: 'OBS_LOG_LEASE_LOST' });
  expect(open).toBe(0);
  expect(control.node.leadsRoot).toBe(false);
});
