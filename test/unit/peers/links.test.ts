/** Links between nodes over real sockets: delivery, order, batching, bounds, reconnection. */
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import {
  nodeCopyBytesMax,
  nodeMessageBytesMax,
  nodeQueueBytesMax,
  nodeSilenceMs,
} from '../../../src/base/limits.ts';
import { OutBatch } from '../../../src/logstream/peers/out-batch.ts';
import { batchType, decodeNodeMessage } from '../../../src/codec/node-message.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import {
  afterwards,
  introduce,
  key,
  oneKey,
  say,
  startNode,
  stopNodes,
  type TestNode,
  until,
  watchedNet,
} from '../../support/nodes.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

afterEach(stopNodes);

const linkOf = (node: TestNode, other: TestNode) => {
  const found = node.links.status().nodes.find(({ id }) => id === other.id);
  if (found === undefined) throw new Error(`${other.id} is not known at ${node.id}`);
  return found;
};

async function proxyTo(node: TestNode): Promise<TcpProxy> {
  const proxy = await new TcpProxy(node.address).start();
  afterwards(() => proxy.close());
  return proxy;
}

test('three nodes talk over one connection a pair, which the lower id makes', async () => {
  const made: string[] = [];
  const net = (id: string) => {
    const watched = watchedNet({});
    return {
      ...watched,
      connect: (...parts: Parameters<typeof watched.connect>) => {
        made.push(id);
        return watched.connect(...parts);
      },
    };
  };
  const a = await startNode('a', { net: net('a') });
  const b = await startNode('b', { net: net('b') });
  const c = await startNode('c', { net: net('c') });
  a.links.setNodes([a, b, c]);
  await until(() => a.links.connected(b.id) && a.links.connected(c.id));
  expect(made).toEqual(['a', 'a']);
  // Both ways, although b and c were told of nobody.
  for (const [from, to] of [
    [a, b],
    [b, a],
    [a, c],
    [c, a],
  ] as const)
    say(from, to, `to ${to.id}`);
  await until(() => a.received.length === 2 && b.received.length === 1 && c.received.length === 1);
  expect([...a.received].sort()).toEqual(['b:to a', 'c:to a']);
  expect(b.received).toEqual(['a:to b']);
  b.links.setNodes([a, b, c]);
  await until(() => b.links.connected(c.id));
  expect(c.links.connected(b.id)).toBe(true);
});

test('what is sent to one node in one turn travels as one write of one frame', async () => {
  const writes: number[] = [];
  let counting = false;
  const net = watchedNet({
    onWrite: parts => {
      if (counting) writes.push(parts.length);
    },
  });
  const a = await startNode('a', { net });
  const b = await startNode('b');
  await introduce(a, b);
  const order: number[] = [];
  for (let stream = 0; stream < 500; stream += 1) {
    b.links.onMessages(key(stream), (_, payload) => {
      expect(Buffer.from(payload).toString()).toBe(`heartbeat of ${stream}`);
      order.push(stream);
    });
  }
  counting = true;
  const framesBefore = linkOf(a, b).sentFrames;
  for (let stream = 0; stream < 500; stream += 1) {
    a.links.send(b.id, key(stream), [Buffer.from('heartbeat '), Buffer.from(`of ${stream}`)]);
  }
  await until(() => order.length === 500);
  expect(order).toEqual(Array.from({ length: 500 }, (_, stream) => stream));
  expect(linkOf(a, b).sentFrames - framesBefore).toBe(1);
  // The frame's head, what was gathered, the seal.
  expect(writes).toEqual([3]);
});

test('large parts are not copied', () => {
  const batch = new OutBatch();
  const group = new Uint8Array(nodeCopyBytesMax + 1);
  batch.add(oneKey, [Buffer.from('head'), group], 4 + group.length);
  batch.add(oneKey, [Buffer.from('next')], 4);
  const [parts] = batch.take();
  expect(parts?.[1]).toBe(group);
  expect(parts?.length).toBe(3);
});

test('a batch of any messages is read back as they were, in frames within their bound', () => {
  const sizes = fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: 5_000 }), fc.nat({ max: 400_000 }));
  fc.assert(
    fc.property(fc.array(fc.array(sizes, { maxLength: 4 }), { minLength: 1, maxLength: 40 }), messages => {
      const batch = new OutBatch();
      const sent = messages.map((parts, number) => ({
        stream: number,
        parts: parts.map((size, part) => Buffer.alloc(size, (number * 7 + part) & 255)),
      }));
      for (const { stream, parts } of sent) {
        batch.add(
          key(stream),
          parts,
          parts.reduce((sum, part) => sum + part.length, 0),
        );
      }
      expect(batch.messages).toBe(messages.length);
      const came = batch.take().flatMap(frame => {
        const decoded = decodeNodeMessage(batchType, Buffer.concat(frame));
        if (decoded.kind !== 'batch') throw new Error('not a batch');
        return decoded.messages;
      });
      expect(came.map(message => message.stream)).toEqual(sent.map(({ stream }) => stream));
      for (const [index, { payload }] of came.entries()) {
        expect(Buffer.compare(payload, Buffer.concat(sent[index]?.parts ?? []))).toBe(0);
      }
      expect(batch.take()).toEqual([]);
      expect([batch.bytes, batch.messages]).toEqual([0, 0]);
    }),
    { numRuns: 50 },
  );
});

test('a long run of messages of all sizes arrives whole and in order', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  await introduce(a, b);
  const got: { number: number; bytes: number }[] = [];
  b.links.onMessages(key(7), (_, payload) => {
    const bytes = Buffer.from(payload);
    const number = bytes.readUInt32LE(0);
    expect(bytes.subarray(4).every(byte => byte === (number & 255))).toBe(true);
    got.push({ number, bytes: bytes.length });
  });
  const sizes = [0, 10, 1_000, 3_000, 70_000, 1_048_576];
  for (let number = 0; number < 600; number += 1) {
    const head = Buffer.alloc(4);
    head.writeUInt32LE(number, 0);
    a.links.send(b.id, key(7), [head, Buffer.alloc(sizes[number % 6] ?? 0, number & 255)]);
    if (number % 7 === 0) await until(() => linkOf(a, b).queuedBytes < 8_388_608);
  }
  await until(() => got.length === 600);
  expect(got.map(({ number }) => number)).toEqual(Array.from({ length: 600 }, (_, number) => number));
  expect(got.map(({ bytes }) => bytes)).toEqual(
    Array.from({ length: 600 }, (_, n) => 4 + (sizes[n % 6] ?? 0)),
  );
});

test('messages beyond the bound of the queue are dropped and counted, those to other nodes are not', async () => {
  let queued = 0;
  const a = await startNode('a', { net: watchedNet({}, () => queued) });
  const b = await startNode('b');
  const c = await startNode('c');
  await introduce(a, b, c);
  queued = nodeQueueBytesMax - 10;
  say(a, b, 'ten bytes.');
  say(a, b, 'more');
  queued = 0;
  say(a, c, 'to another');
  await until(() => b.received.length === 1 && c.received.length === 1);
  expect(linkOf(a, b)).toMatchObject({ droppedMessages: 1, sentMessages: 1 });
  a.links.send(b.id, oneKey, [new Uint8Array(nodeMessageBytesMax + 1)]);
  expect(linkOf(a, b).droppedMessages).toBe(2);
  a.links.send(b.id, oneKey, [new Uint8Array(nodeMessageBytesMax)]);
  await until(() => b.received.length === 2);
});

test('messages to nobody and for no stream here are counted, and nothing else happens', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  say(a, b, 'not known');
  expect(a.links.status().strayMessages).toBe(1);
  await introduce(a, b);
  a.links.send(b.id, key(9_999), [Buffer.from('nobody')]);
  say(a, b, 'somebody');
  await until(() => b.received.length === 1);
  expect(b.links.status().strayMessages).toBe(1);
});

test('a stream has one handler, and none after it was taken back', async () => {
  const a = await startNode('a');
  const forget = a.links.onMessages(key(5), () => {});
  expect(() => a.links.onMessages(key(5), () => {})).toThrow(/one handler/);
  forget();
  a.links.onMessages(key(5), () => {});
  forget();
  expect(() => a.links.onMessages(key(5), () => {})).toThrow(/one handler/);
});

test('a handler that fails is the end of the process, not of the frame', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  await introduce(a, b);
  b.links.onMessages(key(5), () => {
    throw new Error('broken');
  });
  a.links.send(b.id, key(5), [Buffer.from('x')]);
  say(a, b, 'after it');
  await until(() => b.received.length === 1);
  expect(b.fatal).toHaveLength(1);
});

test('after a cut nothing comes twice or out of order, and new messages pass', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  const proxy = await proxyTo(b);
  a.links.setNodes([{ id: b.id, address: proxy.address }]);
  b.links.setNodes([a]);
  for (let round = 0; round < 5; round += 1) {
    await until(() => a.links.connected(b.id) && b.links.connected(a.id));
    const count = b.received.length;
    for (let n = 0; n < 50; n += 1) say(a, b, `${round} ${n}`);
    await until(() => b.received.length > count);
    for (let n = 50; n < 100; n += 1) say(a, b, `${round} ${n}`);
    proxy.cut();
    await until(() => !a.links.connected(b.id));
  }
  const numbers = b.received.map(text => {
    const [round = '', n = ''] = text.slice(2).split(' ');
    return Number(round) * 100 + Number(n);
  });
  expect(numbers).toEqual([...new Set(numbers)].sort((x, y) => x - y));
  expect(linkOf(a, b).problem?.code).toMatch(/^OBS_NODE_/);
});

test.each(['a', 'z'])(
  'a node that comes back is connected again, whichever end it is (%s)',
  async restarted => {
    const other = await startNode('m');
    const first = await startNode(restarted);
    await introduce(other, first);
    await first.links.stop();
    await until(() => !other.links.connected(first.id));
    const again = await startNode(restarted, { listen: first.address });
    await introduce(other, again);
    say(other, again, 'welcome back');
    say(again, other, 'thanks');
    await until(() => again.received.length === 1 && other.received.length === 1);
  },
);

test('a knock makes the lower id connect at once, not after its pause', async () => {
  const clock = new ManualClock();
  const a = await startNode('a', { clock });
  const b = await startNode('b');
  await b.links.stop();
  a.links.setNodes([b]);
  await until(() => linkOf(a, b).problem !== null);
  const back = await startNode('b', { listen: b.address });
  // a's clock stands still: only the knock can make it try.
  back.links.setNodes([a]);
  await until(() => a.links.connected(b.id) && back.links.connected(a.id));
});

test('a knock that was heard is no problem', async () => {
  let knocks = 0;
  const a = await startNode('a');
  const b = await startNode('b', { net: watchedNet({ onConnection: () => (knocks += 1) }) });
  // a was not told of b: nothing comes of the knocks.
  b.links.setNodes([a, b]);
  await until(() => knocks === 3);
  expect(linkOf(b, a).problem).toBeNull();
  expect(b.links.status().problems).toEqual([]);
});

test('a connection on which nothing comes is cut and made anew', async () => {
  const clock = new ManualClock();
  const a = await startNode('a', { clock });
  const b = await startNode('b', { clock });
  const proxy = await proxyTo(b);
  a.links.setNodes([{ id: b.id, address: proxy.address }]);
  await until(() => a.links.connected(b.id) && b.links.connected(a.id));
  const turn = (): void => clock.advance(100);
  // Idle for long, but signs of life pass.
  let turns = 0;
  await until(
    () => turns >= 100,
    () => {
      turns += 1;
      turn();
    },
  );
  expect(a.links.connected(b.id) && proxy.accepted === 1).toBe(true);
  proxy.stall();
  say(a, b, 'into the void');
  await until(() => !a.links.connected(b.id), turn);
  expect(linkOf(a, b).problem?.code).toBe('OBS_NODE_SILENT');
  await until(() => a.links.connected(b.id), turn);
  say(a, b, 'again');
  await until(() => b.received.length === 1);
  expect(b.received).toEqual(['a:again']);
});

test('a partition in one direction cuts the connection at both ends, and ends with it', async () => {
  const clock = new ManualClock();
  const a = await startNode('a', { clock });
  const b = await startNode('b', { clock });
  const proxy = await proxyTo(b);
  a.links.setNodes([{ id: b.id, address: proxy.address }]);
  b.links.setNodes([a]);
  const turn = (): void => clock.advance(100);
  await until(() => a.links.connected(b.id) && b.links.connected(a.id));
  for (const lost of ['to server', 'to client'] as const) {
    proxy.alter = (bytes, direction) => (direction === lost ? Buffer.alloc(0) : bytes);
    await until(() => !a.links.connected(b.id) && !b.links.connected(a.id), turn);
    // Handshakes do not come through either.
    let turns = 0;
    await until(
      () => turns >= 100,
      () => {
        turns += 1;
        turn();
      },
    );
    expect(a.links.connected(b.id) || b.links.connected(a.id)).toBe(false);
    proxy.alter = bytes => bytes;
    await until(() => a.links.connected(b.id) && b.links.connected(a.id), turn);
  }
  say(a, b, 'healed');
  say(b, a, 'healed');
  await until(() => a.received.length === 1 && b.received.length === 1);
});

test('a node that takes nothing costs a bounded queue and nobody else anything', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  const c = await startNode('c');
  const proxy = await proxyTo(b);
  a.links.setNodes([{ id: b.id, address: proxy.address }, c]);
  await until(() => a.links.connected(b.id) && a.links.connected(c.id));
  proxy.stall();
  const message = Buffer.alloc(1_048_576);
  for (let n = 0; linkOf(a, b).droppedMessages === 0; n += 1) {
    a.links.send(b.id, key(7), [message]);
    say(a, c, String(n));
    await until(() => c.received.length === n + 1);
  }
  expect(linkOf(a, b).queuedBytes).toBeLessThanOrEqual(nodeQueueBytesMax + 65_536);
  expect(linkOf(a, c).droppedMessages).toBe(0);
  let came = 0;
  b.links.onMessages(key(7), () => {
    came += 1;
  });
  proxy.resume();
  await until(() => came === linkOf(a, b).sentMessages);
});

test('time in which this process stood still cuts nobody', async () => {
  const clock = new ManualClock();
  const a = await startNode('a', { clock });
  const b = await startNode('b', { clock });
  const proxy = await proxyTo(b);
  a.links.setNodes([{ id: b.id, address: proxy.address }]);
  await until(() => a.links.connected(b.id) && b.links.connected(a.id));
  clock.stall(nodeSilenceMs * 10);
  say(a, b, 'still here');
  await until(() => b.received.length === 1);
  expect(proxy.accepted).toBe(1);
});

test('a node that is no longer listed is cut; a new address is used', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  await introduce(a, b);
  a.links.setNodes([a]);
  await until(() => !b.links.connected(a.id));
  expect(a.links.status().nodes).toEqual([]);
  const wrong = await startNode('c');
  await wrong.links.stop();
  a.links.setNodes([{ id: b.id, address: wrong.address }]);
  b.links.setNodes([]);
  await until(() => linkOf(a, b).problem !== null);
  expect(linkOf(a, b).problem?.code).toBe('OBS_NODE_UNREACHABLE');
  a.links.setNodes([b]);
  await until(() => a.links.connected(b.id));
});

test('after the stop nothing is left, and nothing is connected again', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  await introduce(a, b);
  await a.links.stop();
  await until(() => !b.links.connected(a.id));
  expect(a.links.connected(b.id)).toBe(false);
  say(a, b, 'nothing');
  a.links.setNodes([b]);
  expect(linkOf(a, b).connected).toBe(false);
});
