import { expect, test } from 'vitest';
import { ObError } from '../../base/errors.ts';
import { type MonoMs, type NodeId, nodeId, tenantId } from '../../base/scalars.ts';
import type { Clock } from '../../platform/clock.ts';
import { LeaderCalls } from './leader-calls.ts';
import type { NodeCalls } from './node-calls.ts';

const tenant = tenantId(1002);
const [a, b, c] = ['a', 'b', 'c'].map(nodeId) as [NodeId, NodeId, NodeId];
const notLeader = (self: NodeId, leader: NodeId | null): ObError =>
  new ObError('OBS_CLUSTER_NOT_LEADER', { what: 'it', self, node: leader });

/** What each server answers, in turn; the last answer stays. */
function calls(script: Record<string, (ObError | string)[]>) {
  const asked: string[] = [];
  let now = 0;
  const clock = {
    now: () => now as MonoMs,
    after: (ms: number, callback: () => void) => {
      now += ms;
      queueMicrotask(callback);
      return { cancel: () => {} };
    },
  } as unknown as Clock;
  const port = {
    request: (to: NodeId) => {
      asked.push(to);
      const answers = script[to] ?? [];
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      if (answer === undefined) return Promise.reject(new ObError('OBS_NODE_UNKNOWN', { node: to }));
      return answer instanceof ObError ? Promise.reject(answer) : Promise.resolve(answer);
    },
  } as unknown as NodeCalls;
  let local: NodeId | null | undefined;
  const leaders = new LeaderCalls({
    calls: port,
    clock,
    localLeader: () => local,
    replicaNodes: () => [a, b, c],
  });
  const options = { findMs: 1_000, timeoutMs: 1_000, repeatable: false };
  return {
    asked,
    leaders,
    ask: (differences: Partial<typeof options> = {}) =>
      leaders.ask(tenant, "tenant 'shop'", 'op', {}, { ...options, ...differences }),
    know: (leader: NodeId | null) => {
      local = leader;
    },
  };
}

test('a server that does not lead names the one that does, and it is remembered', async () => {
  const { ask, asked, leaders } = calls({ a: [notLeader(a, c)], c: ['done'] });
  expect(await ask()).toBe('done');
  expect(await ask()).toBe('done');
  expect(asked).toEqual(['a', 'c', 'c']);
  expect(leaders.leaderOf(tenant)).toBe(c);
});

test('the replica here knows best', async () => {
  const { ask, asked, know } = calls({ b: ['done'] });
  know(b);
  await ask();
  expect(asked).toEqual(['b']);
});

test('a server that is down is passed over, and during an election all are asked again', async () => {
  const down = new ObError('OBS_NODE_UNREACHABLE', { node: a, address: 'x', why: 'down' });
  const { ask, asked } = calls({
    a: [down],
    b: [notLeader(b, null), 'done'],
    c: [notLeader(c, null)],
  });
  expect(await ask()).toBe('done');
  expect(asked).toEqual(['a', 'b', 'c', 'a', 'b']);
});

test('two that name each other are not believed for ever', async () => {
  const { ask } = calls({ a: [notLeader(a, b)], b: [notLeader(b, a)], c: [notLeader(c, null)] });
  await expect(ask()).rejects.toMatchObject({ code: 'OBS_CLUSTER_NO_LEADER' });
});

test('what may have been done is not asked of another server, unless it can be repeated', async () => {
  const lost = new ObError('OBS_NODE_LOST', { node: a, op: 'op', why: 'cut' });
  const script = () => ({ a: [lost], b: ['done'] });
  await expect(calls(script()).ask()).rejects.toMatchObject({
    code: 'OBS_CLUSTER_OUTCOME_UNKNOWN',
    kind: 'unknown',
  });
  expect(await calls(script()).ask({ repeatable: true })).toBe('done');
});

test('what the leader throws is what the caller gets, also when it is a standby', async () => {
  const standby = new ObError('OBS_TENANT_READ_ONLY', { tenant: 'shop' });
  await expect(calls({ a: [standby] }).ask()).rejects.toBe(standby);
});
