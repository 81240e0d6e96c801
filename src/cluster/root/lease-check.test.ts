import { expect, test } from 'vitest';
import { monoMs, nodeId } from '../../base/scalars.ts';
import { silentLogger } from '../../platform/logger.ts';
import { LeaseCheck } from './lease-check.ts';

const beat = (leaseMs: number | undefined, node = 'a') => ({
  server: {
    nodeId: nodeId(node),
    address: '10.0.0.1:2885',
    zone: 'z',
    region: 'r',
    version: '1',
    startTime: 1,
    sqlAddress: null,
    peerAddress: null,
    httpAddress: null,
  },
  leaseMs,
  replicas: [],
  revision: null,
  events: [],
});

test('a server with another lease is told of at once, once a minute, and again when it is another anew', () => {
  const told: unknown[] = [];
  const check = new LeaseCheck(1_200, { ...silentLogger, warn: context => told.push(context) });
  const toldAt = (at: number, leaseMs: number | undefined, node?: string): number => {
    check.look(beat(leaseMs, node), monoMs(at));
    return told.splice(0).length;
  };
  expect([toldAt(1, 1_200), toldAt(2, undefined)]).toEqual([0, 0]);
  check.look(beat(1_800), monoMs(3));
  expect(told.splice(0)).toMatchObject([
    {
      code: 'OBS_CLUSTER_LEASE_DIFFERS',
      message: expect.stringMatching(/10\.0\.0\.1:2885 .*1800.*1200/) as string,
    },
  ]);
  expect([toldAt(60_002, 1_800), toldAt(60_002, 900, 'b'), toldAt(60_003, 1_800)]).toEqual([0, 1, 1]);
  expect([toldAt(60_004, 1_200), toldAt(60_005, 1_800)]).toEqual([0, 1]);
});
