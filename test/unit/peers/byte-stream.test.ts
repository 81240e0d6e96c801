/** Byte streams between nodes: order, credit, both ends' ends. */
import { createHash } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { isObError, ObError } from '../../../src/base/errors.ts';
import {
  nodeCreditBytes,
  nodePieceBytes,
  nodeStreamsMax,
  nodeStreamStillMs,
} from '../../../src/base/limits.ts';
import type { ByteStream } from '../../../src/logstream/peers/byte-stream.ts';
import { type Clock, nodeClock } from '../../../src/platform/clock.ts';
import { afterwards, introduce, startNode, stopNodes, type TestNode, until } from '../../support/nodes.ts';
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

async function pair(): Promise<[TestNode, TestNode]> {
  const a = await startNode('a');
  const b = await startNode('b');
  await introduce(a, b);
  return [a, b];
}

async function readAll(stream: ByteStream): Promise<{ digest: string; bytes: number; notes: unknown[] }> {
  const hash = createHash('sha256');
  let bytes = 0;
  const notes: unknown[] = [];
  for (let item = await stream.next(); item !== undefined; item = await stream.next()) {
    if (item.kind === 'note') notes.push([bytes, item.body]);
    else {
      hash.update(item.bytes);
      bytes += item.bytes.length;
    }
  }
  return { digest: hash.digest('hex'), bytes, notes };
}

test('bytes and notes come whole and in order, from either end of a pair', async () => {
  const nodes = await pair();
  for (const [reader, writer] of [nodes, [...nodes].reverse()] as [TestNode, TestNode][]) {
    const sent = createHash('sha256');
    writer.links.onStream('file', async (body, from, sink) => {
      await sink.note({ asked: body, by: from.nodeId });
      for (let n = 0; n < 60; n += 1) {
        const bytes = Buffer.alloc((n * 77_777) % 900_000, n);
        sent.update(bytes);
        await sink.write(bytes);
      }
      await sink.note('end');
    });
    const got = await readAll(await reader.links.openStream(writer.id, 'file', { name: 'x' }));
    expect(got.digest).toBe(sent.digest('hex'));
    expect(got.notes).toEqual([
      [0, { asked: { name: 'x' }, by: reader.id }],
      [got.bytes, 'end'],
    ]);
    expect(got.bytes).toBeGreaterThan(2 * nodeCreditBytes);
  }
});

test('a sender is never further ahead than the credit, and goes on when it is given back', async () => {
  const [a, b] = await pair();
  let written = 0;
  let ended = false;
  b.links.onStream('endless', async (_, __, sink) => {
    const piece = Buffer.alloc(nodePieceBytes);
    while (written < 10 * nodeCreditBytes) {
      await sink.write(piece);
      written += piece.length;
    }
    ended = true;
  });
  const stream = await a.links.openStream(b.id, 'endless', null);
  await until(() => written >= nodeCreditBytes);
  // Other traffic passes while the stream stands still.
  b.links.onRequest('still', async () => written);
  const standing = await a.links.request(b.id, 'still', null);
  for (let n = 0; n < 20; n += 1) expect(await a.links.request(b.id, 'still', null)).toBe(standing);
  expect(written).toBe(nodeCreditBytes);
  let read = 0;
  while (read < nodeCreditBytes) {
    const item = await stream.next();
    read += item?.kind === 'bytes' ? item.bytes.length : 0;
    expect(written).toBeLessThanOrEqual(read + nodeCreditBytes);
  }
  const rest = await readAll(stream);
  expect(read + rest.bytes).toBe(10 * nodeCreditBytes);
  expect(ended).toBe(true);
});

/** The real clock, but for the limit of a side that stands still: that passes when the test says so. */
function stillClock() {
  let isStill: (() => void) | undefined;
  const clock: Clock = {
    ...nodeClock,
    after: (ms, callback) => {
      if (ms !== nodeStreamStillMs) return nodeClock.after(ms, callback);
      isStill = callback;
      return { cancel: () => (isStill = undefined) };
    },
  };
  return { clock, isCounting: () => isStill !== undefined, pass: () => isStill?.() };
}

test('a reader that takes nothing for long is given up, and its sender is free', async () => {
  const { clock, isCounting, pass } = stillClock();
  const [a, b] = [await startNode('a'), await startNode('b', { clock })];
  await introduce(a, b);
  let ended: unknown;
  b.links.onStream('endless', async (_, __, sink) => {
    try {
      for (;;) await sink.write(Buffer.alloc(nodePieceBytes));
    } catch (error) {
      ended = error;
      throw error;
    }
  });
  const stream = await a.links.openStream(b.id, 'endless', null);
  await until(isCounting);
  // Whoever reads has more time.
  for (let read = 0; read < nodeCreditBytes; read += nodePieceBytes) await stream.next();
  await until(isCounting);
  pass();
  await until(() => ended !== undefined);
  expect(ended).toMatchObject({ code: 'OBS_NODE_CLOSED' });
  expect((await failure(readAll(stream))).code).toBe('OBS_NODE_CLOSED');
});

test('a sender that sends nothing for long is given up, whatever life its connection shows', async () => {
  const { clock, isCounting, pass } = stillClock();
  const [a, b] = [await startNode('a', { clock }), await startNode('b')];
  await introduce(a, b);
  let isOpen = (): boolean => true;
  b.links.onStream('hangs', async (_, __, sink) => {
    isOpen = () => sink.open;
    await sink.note('begun');
    await new Promise(() => {});
  });
  const stream = await a.links.openStream(b.id, 'hangs', null);
  expect(await stream.next()).toMatchObject({ kind: 'note' });
  // What has come is not waited for.
  expect(isCounting()).toBe(false);
  const waiting = failure(stream.next());
  await until(isCounting);
  pass();
  expect(await waiting).toMatchObject({ code: 'OBS_NODE_CLOSED', kind: 'unavailable' });
  expect((await failure(stream.next())).code).toBe('OBS_NODE_CLOSED');
  await until(() => !isOpen());
});

test('a node that does not begin for long is given up', async () => {
  const atOnce: Clock = {
    ...nodeClock,
    after: (ms, callback) => {
      if (ms !== nodeStreamStillMs) return nodeClock.after(ms, callback);
      queueMicrotask(callback);
      return { cancel: () => {} };
    },
  };
  const [a, b] = [await startNode('a', { clock: atOnce }), await startNode('b')];
  await introduce(a, b);
  b.links.onStream('never', () => new Promise(() => {}));
  expect((await failure(a.links.openStream(b.id, 'never', null))).code).toBe('OBS_NODE_CLOSED');
});

test('small writes are not stopped by credit that is given back late', async () => {
  const [a, b] = await pair();
  const count = (2 * nodeCreditBytes) / 1_024 / 4;
  b.links.onStream('small', async (_, __, sink) => {
    for (let n = 0; n < count; n += 1) {
      await sink.write(Buffer.alloc(4_096));
      if (n % 1_000 === 0) await sink.note(n);
    }
  });
  expect((await readAll(await a.links.openStream(b.id, 'small', null))).bytes).toBe(count * 4_096);
});

test('what the sender throws is thrown at the reader, after what was sent', async () => {
  const [a, b] = await pair();
  b.links.onStream('breaks', async (_, __, sink) => {
    await sink.write(Buffer.from('something'));
    throw new ObError('OBS_PEER_NOT_READY', { tenant: 'shop', why: 'it is being dropped' });
  });
  const stream = await a.links.openStream(b.id, 'breaks', null);
  expect(await stream.next()).toMatchObject({ kind: 'bytes' });
  expect((await failure(stream.next())).code).toBe('OBS_PEER_NOT_READY');
  expect((await failure(stream.next())).code).toBe('OBS_PEER_NOT_READY');
});

test('an unknown stream and one too many are refused before they begin', async () => {
  const [a, b] = await pair();
  expect((await failure(a.links.openStream(b.id, 'nothing', null))).code).toBe('OBS_NODE_BAD_REQUEST');
  const held: ByteStream[] = [];
  b.links.onStream('held', (_, __, sink) => sink.write(Buffer.alloc(nodeCreditBytes * 2)));
  for (let n = 0; n < nodeStreamsMax; n += 1) held.push(await a.links.openStream(b.id, 'held', null));
  expect((await failure(a.links.openStream(b.id, 'held', null))).code).toBe('OBS_NODE_BUSY');
  held.forEach(stream => stream.close());
  let again: ByteStream | undefined;
  while (again === undefined) again = await a.links.openStream(b.id, 'held', null).catch(() => undefined);
  expect((await readAll(again)).bytes).toBe(nodeCreditBytes * 2);
});

test('a reader that goes ends the writer, and a connection that is cut ends both', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  const proxy = await new TcpProxy(b.address).start();
  afterwards(() => proxy.close());
  a.links.setNodes([{ id: b.id, address: proxy.address }]);
  const ends: string[] = [];
  b.links.onStream('endless', async (_, __, sink) => {
    try {
      for (;;) await sink.write(Buffer.alloc(nodePieceBytes));
    } catch (error) {
      ends.push(isObError(error) ? error.code : 'other');
      expect(sink.open).toBe(false);
      throw error;
    }
  });
  const left = await a.links.openStream(b.id, 'endless', null);
  await left.next();
  left.close();
  expect((await failure(left.next())).code).toBe('OBS_NODE_CLOSED');
  await until(() => ends.length === 1);
  const cut = await a.links.openStream(b.id, 'endless', null);
  await cut.next();
  proxy.cut();
  const drained = failure(
    (async () => {
      for (;;) await cut.next();
    })(),
  );
  expect((await drained).kind).toBe('unavailable');
  await until(() => ends.length === 2);
});
