/** Requests between nodes: answers, errors, progress, time limits, lost connections. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { AssertionError } from '../../../src/base/assert.ts';
import { isObError, ObError } from '../../../src/base/errors.ts';
import { nodeJsonBytesMax, nodeRequestsMax } from '../../../src/base/limits.ts';
import { nodeId } from '../../../src/base/scalars.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { afterwards, introduce, startNode, stopNodes, until } from '../../support/nodes.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

afterEach(stopNodes);

const failure = async (attempt: Promise<unknown>): Promise<ObError> => {
  try {
    await attempt;
  } catch (error) {
    if (isObError(error)) return error;
    throw error;
  }
  throw new Error('it succeeded');
};

/** A handler that waits until it is let go. */
function gate(): { handler: () => Promise<string>; open: () => void; entered: () => number } {
  let entered = 0;
  const waiting: (() => void)[] = [];
  let opened = false;
  return {
    handler: async () => {
      entered += 1;
      if (!opened) await new Promise<void>(resolve => waiting.push(resolve));
      return 'through';
    },
    open: () => {
      opened = true;
      waiting.splice(0).forEach(wake => wake());
    },
    entered: () => entered,
  };
}

test('either end asks over the one link, and is told who asks', async () => {
  const a = await startNode('a', { advertise: () => 'a.example:7000' });
  const b = await startNode('b');
  await introduce(a, b);
  for (const node of [a, b]) node.links.onRequest('who', async (body, from) => ({ body, from }));
  const seenByB = await a.links.request(b.id, 'who', { x: [1, 'zwei', null] });
  expect(seenByB).toEqual({
    body: { x: [1, 'zwei', null] },
    from: { nodeId: 'a', address: 'a.example:7000' },
  });
  expect(await b.links.request(a.id, 'who', 1)).toEqual({
    body: 1,
    from: { nodeId: 'b', address: `127.0.0.1:${b.address.port}` },
  });
  expect(await b.links.request(a.id, 'who', undefined)).toMatchObject({ body: null });
});

test('many at once come back to the one who asked each', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  await introduce(a, b);
  b.links.onRequest('square', async body => {
    if (Number(body) % 3 === 0) await new Promise(resolve => setImmediate(resolve));
    return Number(body) ** 2;
  });
  const numbers = Array.from({ length: 100 }, (_, n) => n);
  expect(await Promise.all(numbers.map(n => a.links.request(b.id, 'square', n)))).toEqual(
    numbers.map(n => n * n),
  );
});

test('a node asks itself without a network, with the same copies and limits', async () => {
  const clock = new ManualClock();
  const a = await startNode('a', { clock });
  const inner = { list: [1] };
  const told: unknown[] = [];
  a.links.onRequest('here', async (body, from, progress) => {
    expect(body).not.toBe(inner);
    progress({ half: true });
    return { body, from: from.nodeId };
  });
  const onProgress = (body: unknown): void => {
    told.push(body);
  };
  expect(await a.links.request(a.id, 'here', inner, { onProgress })).toEqual({ body: inner, from: 'a' });
  expect(told).toEqual([{ half: true }]);
  expect((await failure(a.links.request(a.id, 'nothing', null))).code).toBe('OBS_NODE_BAD_REQUEST');
  const slow = gate();
  a.links.onRequest('slow', slow.handler);
  const late = failure(a.links.request(a.id, 'slow', null, { timeoutMs: 100 }));
  clock.advance(100);
  expect((await late).code).toBe('OBS_NODE_TIMEOUT');
  slow.open();
});

test('a node whose id is not known is asked at its address, and a node whose link is down too', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  b.links.onRequest('who', async (_, from) => from.nodeId);
  a.links.onRequest('who', async (_, from) => from.nodeId);
  expect(await a.links.requestAt(b.address, 'who', null)).toBe('a');
  // b knows where a is; a does not know b, so there is no link until b's knock is answered.
  b.links.setNodes([a]);
  expect(await b.links.request(a.id, 'who', null)).toBe('b');
  expect(b.links.connected(a.id)).toBe(false);
});

test('a request to who takes the connection and says nothing ends when the asker said', async () => {
  const clock = new ManualClock();
  const mute = createServer().listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const accepted = once(mute, 'connection');
  const { port } = mute.address() as AddressInfo;
  const a = await startNode('a', { clock });
  let failed: ObError | undefined;
  const late = failure(a.links.requestAt({ host: '127.0.0.1', port }, 'who', null, { timeoutMs: 400 })).then(
    error => {
      failed = error;
    },
  );
  const [socket] = (await accepted) as [Socket];
  // Its greeting is here: the connection is made.
  await once(socket, 'data');
  clock.advance(399);
  await new Promise(resolve => setImmediate(resolve));
  expect(failed).toBeUndefined();
  clock.advance(1);
  await late;
  expect(failed?.code).toBe('OBS_NODE_UNREACHABLE');
  expect(failed?.details['why']).toBe('no handshake within 400 ms');
  socket.destroy();
  mute.close();
});

test('errors cross with their code, kind and details', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  await introduce(a, b);
  b.links.onRequest('refuse', async () => {
    throw new ObError('OBS_PEER_INCARNATION', { tenant: 'shop', theirs: 'x', ours: 'y' });
  });
  b.links.onRequest('fall', async () => {
    throw new Error('fell');
  });
  const refused = await failure(a.links.request(b.id, 'refuse', null));
  expect(refused.toJSON()).toEqual(
    new ObError('OBS_PEER_INCARNATION', { tenant: 'shop', theirs: 'x', ours: 'y' }).toJSON(),
  );
  const fell = await failure(a.links.request(b.id, 'fall', null));
  expect(fell).toMatchObject({
    code: 'OBS_NODE_FAILED',
    kind: 'unavailable',
    details: { node: 'b', why: 'fell' },
  });
  const unknown = await failure(a.links.request(b.id, 'no-such', null));
  expect(unknown).toMatchObject({ code: 'OBS_NODE_BAD_REQUEST', kind: 'invalid' });
});

test("another node's broken invariant ends that node, not the one who asked", async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  await introduce(a, b);
  b.links.onRequest('break', async () => {
    throw new AssertionError('broken');
  });
  expect((await failure(a.links.request(b.id, 'break', null))).code).toBe('OBS_NODE_FAILED');
  expect(b.fatal).toHaveLength(1);
  expect(a.fatal).toEqual([]);
});

test('progress comes in order, before the answer, and not after it', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  await introduce(a, b);
  let progressLater: ((body: unknown) => void) | undefined;
  b.links.onRequest('long', async (_, __, progress) => {
    for (let percent = 0; percent <= 100; percent += 25) {
      progress({ percent });
      await new Promise(resolve => setImmediate(resolve));
    }
    progressLater = progress;
    return 'done';
  });
  const told: unknown[] = [];
  const answer = await a.links.request(b.id, 'long', null, {
    onProgress: body => {
      told.push(body);
    },
  });
  expect(answer).toBe('done');
  progressLater?.({ percent: 200 });
  await a.links.request(b.id, 'long', null);
  expect(told).toEqual([0, 25, 50, 75, 100].map(percent => ({ percent })));
});

test('an answer that does not come in time may have been done; a late one disturbs nobody', async () => {
  const clock = new ManualClock();
  const a = await startNode('a', { clock });
  const b = await startNode('b');
  await introduce(a, b);
  const slow = gate();
  b.links.onRequest('slow', slow.handler);
  b.links.onRequest('quick', async () => 'quick');
  const late = failure(a.links.request(b.id, 'slow', null, { timeoutMs: 300 }));
  await until(() => slow.entered() === 1);
  clock.advance(300);
  expect(await late).toMatchObject({ code: 'OBS_NODE_TIMEOUT', kind: 'unavailable' });
  slow.open();
  expect(await a.links.request(b.id, 'quick', null)).toBe('quick');
});

test('a connection that is lost while an answer is waited for: it may have been done', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  const proxy = await new TcpProxy(b.address).start();
  afterwards(() => proxy.close());
  a.links.setNodes([{ id: b.id, address: proxy.address }]);
  await until(() => a.links.connected(b.id));
  const slow = gate();
  b.links.onRequest('slow', slow.handler);
  const lost = failure(a.links.request(b.id, 'slow', null));
  const alone = failure(a.links.requestAt(proxy.address, 'slow', null));
  await until(() => slow.entered() === 2);
  proxy.cut();
  for (const error of [await lost, await alone]) {
    expect(error).toMatchObject({ code: 'OBS_NODE_LOST', kind: 'unavailable' });
    expect(error.message).toContain('may have been done');
  }
  slow.open();
});

test('a node that is not there is unreachable at once: nothing was asked', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  await b.links.stop();
  a.links.setNodes([b]);
  expect((await failure(a.links.request(b.id, 'who', null))).code).toBe('OBS_NODE_UNREACHABLE');
  expect((await failure(a.links.requestAt(b.address, 'who', null))).code).toBe('OBS_NODE_UNREACHABLE');
  expect((await failure(a.links.request(nodeId('nobody'), 'who', null))).code).toBe('OBS_NODE_UNKNOWN');
});

test('bodies and answers over their limit are refused, one at it passes', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  await introduce(a, b);
  b.links.onRequest('echo', async body => body);
  b.links.onRequest('grow', async () => 'x'.repeat(nodeJsonBytesMax));
  const whole = 'x'.repeat(nodeJsonBytesMax - 2);
  expect(await a.links.request(b.id, 'echo', whole)).toBe(whole);
  expect((await failure(a.links.request(b.id, 'echo', `${whole}x`))).code).toBe('OBS_NODE_BAD_REQUEST');
  expect((await failure(a.links.request(b.id, 'grow', null))).code).toBe('OBS_NODE_BAD_REQUEST');
  expect((await failure(a.links.request(a.id, 'grow', `${whole}x`))).code).toBe('OBS_NODE_BAD_REQUEST');
  expect(a.links.connected(b.id)).toBe(true);
});

test('requests in progress are bounded', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  await introduce(a, b);
  const slow = gate();
  b.links.onRequest('slow', slow.handler);
  const answers = Array.from({ length: nodeRequestsMax }, () => a.links.request(b.id, 'slow', null));
  expect((await failure(a.links.request(b.id, 'slow', null))).code).toBe('OBS_NODE_BUSY');
  slow.open();
  expect(new Set(await Promise.all(answers))).toEqual(new Set(['through']));
  expect(await a.links.request(b.id, 'slow', null)).toBe('through');
});

test('a stop ends what was asked', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  await introduce(a, b);
  const slow = gate();
  b.links.onRequest('slow', slow.handler);
  const lost = failure(a.links.request(b.id, 'slow', null));
  await until(() => slow.entered() === 1);
  await a.links.stop();
  expect((await lost).code).toBe('OBS_NODE_LOST');
  slow.open();
});
