/** Who is let in: the handshake between nodes over real sockets, against wrong, hostile and impatient ones. */
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import type { ErrorCode } from '../../../src/base/catalogue.ts';
import { isObError } from '../../../src/base/errors.ts';
import { nodeHandshakeFrameBytesMax, nodeHandshakeMs, nodeHandshakesMax } from '../../../src/base/limits.ts';
import { nodeId } from '../../../src/base/scalars.ts';
import { encodeFrameHeader, FrameReader } from '../../../src/codec/frame.ts';
import { FrameSeal } from '../../../src/codec/frame-seal.ts';
import { transcriptOf } from '../../../src/codec/handshake-transcript.ts';
import {
  decodeNodeMessage,
  encodeNodeMessage,
  type NodeHello,
  type NodeMessage,
} from '../../../src/codec/node-message.ts';
import {
  isNodeProof,
  nodeChannelKeys,
  nodeProof,
  nodeSecretKey,
} from '../../../src/logstream/peers/node-handshake.ts';
import type { Logger } from '../../../src/platform/logger.ts';
import type { NetAddress } from '../../../src/platform/net.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import {
  afterwards,
  clusterSecret,
  introduce,
  say,
  startNode,
  stopNodes,
  type TestNode,
  until,
} from '../../support/nodes.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

afterEach(stopNodes);

const refusal = async (attempt: Promise<unknown>): Promise<ErrorCode> => {
  try {
    await attempt;
  } catch (error) {
    if (isObError(error)) return error.code;
    throw error;
  }
  throw new Error('it was let in');
};

/** What the dialer's status tells of the node it cannot reach. */
const problemAt = (node: TestNode, other: string): ErrorCode | undefined =>
  node.links.status().nodes.find(({ id }) => id === other)?.problem?.code;

const refusedAt = (node: TestNode): ErrorCode[] => node.links.status().problems.map(({ code }) => code);

const hello: NodeHello = {
  versionMin: 1,
  versionMax: 1,
  cluster: 'rome',
  purpose: 'link',
  node: nodeId('a'),
  boot: 'a boot',
  address: null,
  expects: null,
  nonce: Buffer.alloc(24, 7).toString('base64'),
};

/** A bare socket at a node, with what it answers. */
async function stranger(address: NetAddress): Promise<{
  socket: Socket;
  closed: Promise<void>;
  say: (message: NodeMessage, seal?: FrameSeal) => Buffer;
  hear: () => Promise<{ message: NodeMessage; payload: Uint8Array }>;
}> {
  const socket = connectTcp(address.port, address.host);
  afterwards(() => {
    socket.destroy();
  });
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  socket.on('error', () => {});
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()));
  const reader = new FrameReader(() => 65_536);
  const waiting: (() => void)[] = [];
  socket.on('data', bytes => {
    reader.push(bytes);
    waiting.splice(0).forEach(wake => wake());
  });
  return {
    socket,
    closed,
    say: (message, seal) => {
      const { type, payload } = encodeNodeMessage(message);
      const parts = seal === undefined ? payload : [...payload, seal.next(type, payload)];
      socket.write(Buffer.concat([encodeFrameHeader(type, parts), ...parts]));
      return Buffer.concat(payload);
    },
    hear: async () => {
      for (;;) {
        const frame = reader.next();
        if (frame?.kind === 'problem') throw new Error(frame.what);
        if (frame !== undefined) {
          const message = decodeNodeMessage(frame.type, frame.payload);
          if (message.kind === 'problem' || message.kind === 'batch') throw new Error(message.kind);
          return { message, payload: frame.payload };
        }
        await new Promise<void>(resolve => waiting.push(resolve));
      }
    },
  };
}

type Stranger = Awaited<ReturnType<typeof stranger>>;

/** As far as a stranger comes that knows the secret. */
async function prove(peer: Stranger, about: NodeHello, secret = clusterSecret): Promise<FrameSeal> {
  const key = nodeSecretKey(secret);
  const sent = peer.say({ kind: 'hello', ...about });
  const { message, payload } = await peer.hear();
  expect(message.kind).toBe('challenge');
  const transcript = transcriptOf(sent, payload);
  peer.say({ kind: 'proof', proof: nodeProof(key, transcript, 'dialer') });
  return new FrameSeal(nodeChannelKeys(key, transcript).fromDialer);
}

test('a proof holds for its secret, its transcript and its end only', () => {
  const bytes = fc.uint8Array({ maxLength: 100 });
  fc.assert(
    fc.property(fc.string(), fc.string(), bytes, bytes, bytes, (one, two, first, second, third) => {
      const key = nodeSecretKey(one);
      const transcript = transcriptOf(first, second);
      const proof = nodeProof(key, transcript, 'dialer');
      expect(isNodeProof(key, transcript, 'dialer', proof)).toBe(true);
      expect(isNodeProof(key, transcript, 'acceptor', proof)).toBe(false);
      if (one !== two) expect(isNodeProof(nodeSecretKey(two), transcript, 'dialer', proof)).toBe(false);
      const moved = transcriptOf(Buffer.concat([first, third]), second);
      const same = Buffer.compare(moved, transcript) === 0;
      expect(isNodeProof(key, moved, 'dialer', proof)).toBe(same);
    }),
  );
});

test('a server with another secret is told so at both ends, and never sees the secret', async () => {
  const a = await startNode('a', { secret: 'another secret' });
  const b = await startNode('b');
  const seen: Buffer[] = [];
  const proxy = await new TcpProxy(b.address).start();
  afterwards(() => proxy.close());
  proxy.alter = bytes => {
    seen.push(bytes);
    return bytes;
  };
  a.links.setNodes([{ id: b.id, address: proxy.address }]);
  b.links.setNodes([a]);
  await until(() => problemAt(a, 'b') === 'OBS_NODE_SECRET' && problemAt(b, 'a') === 'OBS_NODE_SECRET');
  expect(refusedAt(b)).toContain('OBS_NODE_SECRET');
  expect(a.links.connected(b.id) || b.links.connected(a.id)).toBe(false);
  const wire = Buffer.concat(seen).toString('latin1');
  expect([clusterSecret, 'another secret'].filter(secret => wire.includes(secret))).toEqual([]);
});

test('a server of another cluster is refused, and both are named rightly at each end', async () => {
  const a = await startNode('a', { cluster: () => 'paris' });
  const b = await startNode('b');
  a.links.setNodes([b]);
  b.links.setNodes([a]);
  await until(() => problemAt(a, 'b') !== undefined && problemAt(b, 'a') !== undefined);
  for (const [node, theirs, ours] of [
    [a, 'rome', 'paris'],
    [b, 'paris', 'rome'],
  ] as const) {
    const problem = node.links.status().nodes[0]?.problem;
    expect(problem?.code).toBe('OBS_NODE_OTHER_CLUSTER');
    expect(problem?.message).toContain(`belongs to cluster ${theirs}, this one to ${ours}`);
  }
});

test('a node that belongs to no cluster yet answers requests, and links with nobody', async () => {
  const member = await startNode('a');
  let joined: string | null = null;
  const fresh = await startNode('b', { cluster: () => joined });
  fresh.links.onRequest('join', async body => {
    joined = String((body as { cluster: string }).cluster);
    return { node: fresh.id };
  });
  member.links.setNodes([fresh]);
  await until(() => problemAt(member, 'b') === 'OBS_NODE_OTHER_CLUSTER');
  expect(await member.links.requestAt(fresh.address, 'join', { cluster: 'rome' })).toEqual({ node: 'b' });
  await until(() => member.links.connected(fresh.id));
});

test('a server that speaks another version is told which', async () => {
  const b = await startNode('b');
  const peer = await stranger(b.address);
  peer.say({ kind: 'hello', ...hello, versionMin: 7, versionMax: 9 });
  const { message } = await peer.hear();
  expect(message).toMatchObject({
    kind: 'refusal',
    code: 'OBS_NODE_VERSION',
    details: { theirs: '7 to 9', ours: '1 to 1' },
  });
  await peer.closed;
  expect(refusedAt(b)).toEqual(['OBS_NODE_VERSION']);
});

test('an address that leads to this server itself is an error, for links and for requests', async () => {
  const a = await startNode('a');
  expect(await refusal(a.links.requestAt(a.address, 'who', null))).toBe('OBS_NODE_SELF');
  a.links.setNodes([{ id: nodeId('b'), address: a.address }]);
  await until(() => problemAt(a, 'b') === 'OBS_NODE_SELF');
});

test('an address at which another node is than expected is an error', async () => {
  const a = await startNode('a');
  const c = await startNode('c');
  a.links.setNodes([{ id: nodeId('b'), address: c.address }]);
  await until(() => problemAt(a, 'b') === 'OBS_NODE_OTHER_ID');
  expect(a.links.status().nodes[0]?.problem?.message).toContain('is node c, expected b');
});

test('of two processes with one id the first stays; the second gets in when the first is dead', async () => {
  const hub = await startNode('m');
  for (const id of ['a', 'z']) {
    const first = await startNode(id);
    hub.links.setNodes([first]);
    first.links.setNodes([hub]);
    await until(() => hub.links.connected(first.id) && first.links.connected(hub.id));
    const second = await startNode(id);
    second.links.setNodes([hub]);
    await until(() => problemAt(second, 'm') === 'OBS_NODE_DUPLICATE_ID');
    expect(problemAt(hub, id)).toBe('OBS_NODE_DUPLICATE_ID');
    expect(await refusal(second.links.request(hub.id, 'who', null))).toBe('OBS_NODE_DUPLICATE_ID');
    say(first, hub, 'I am here');
    await until(() => hub.received.includes(`${id}:I am here`));
    await first.links.stop();
    hub.links.setNodes([second]);
    await until(() => hub.links.connected(second.id) && second.links.connected(hub.id));
    await second.links.stop();
  }
});

test('two processes with one id see each other', async () => {
  const one = await startNode('a');
  const two = await startNode('a');
  expect(await refusal(one.links.requestAt(two.address, 'who', null))).toBe('OBS_NODE_DUPLICATE_ID');
});

test('a link comes from the lower id only', async () => {
  const b = await startNode('b');
  const peer = await stranger(b.address);
  await prove(peer, { ...hello, node: nodeId('z') });
  expect((await peer.hear()).message).toMatchObject({ kind: 'refusal', code: 'OBS_NODE_PROTOCOL' });
});

test('an acceptor that cannot prove itself gets no frame and no secret', async () => {
  const a = await startNode('a');
  const key = nodeSecretKey('guessed');
  const server = createServer(socket => {
    const reader = new FrameReader(() => 65_536);
    socket.on('error', () => {});
    socket.on('data', bytes => {
      reader.push(bytes);
      for (let frame = reader.next(); frame?.kind === 'frame'; frame = reader.next()) {
        const message = decodeNodeMessage(frame.type, frame.payload);
        const challenge: NodeMessage = {
          kind: 'challenge',
          version: 1,
          cluster: 'rome',
          node: nodeId('b'),
          boot: 'fake',
          address: null,
          nonce: Buffer.alloc(24, 1).toString('base64'),
        };
        const welcome: NodeMessage = {
          kind: 'welcome',
          proof: nodeProof(key, transcriptOf(new Uint8Array(), new Uint8Array()), 'acceptor'),
        };
        const { type, payload } = encodeNodeMessage(message.kind === 'hello' ? challenge : welcome);
        socket.write(Buffer.concat([encodeFrameHeader(type, payload), ...payload]));
      }
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  afterwards(async () => {
    await a.links.stop();
    await new Promise(done => server.close(done));
  });
  const bound = server.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  a.links.setNodes([{ id: nodeId('b'), address: { host: '127.0.0.1', port } }]);
  await until(() => problemAt(a, 'b') === 'OBS_NODE_SECRET');
});

test('a proof that was seen before proves nothing', async () => {
  const b = await startNode('b');
  const first = await stranger(b.address);
  const key = nodeSecretKey(clusterSecret);
  const sent = first.say({ kind: 'hello', ...hello });
  const challenge = await first.hear();
  const proof = nodeProof(key, transcriptOf(sent, challenge.payload), 'dialer');
  first.socket.destroy();
  const second = await stranger(b.address);
  second.say({ kind: 'hello', ...hello });
  await second.hear();
  second.say({ kind: 'proof', proof });
  expect((await second.hear()).message).toMatchObject({ kind: 'refusal', code: 'OBS_NODE_SECRET' });
});

test('a frame that is forged, changed, repeated or left out ends the connection', async () => {
  const b = await startNode('b');
  b.links.onRequest('echo', async body => body);
  const frames = (seal: FrameSeal, peer: Stranger, what: 'forged' | 'repeated' | 'left out') => {
    const request = (id: number): NodeMessage => ({ kind: 'request', id, op: 'echo', body: id });
    const { type, payload } = encodeNodeMessage(request(1));
    const parts = [...payload, seal.next(type, payload)];
    const whole = Buffer.concat([encodeFrameHeader(type, parts), ...parts]);
    if (what === 'left out') peer.say(request(2), seal);
    else if (what === 'repeated') peer.socket.write(Buffer.concat([whole, whole]));
    else peer.say(request(1), new FrameSeal(Buffer.alloc(32, 1)));
  };
  for (const what of ['forged', 'repeated', 'left out'] as const) {
    const peer = await stranger(b.address);
    const seal = await prove(peer, { ...hello, purpose: 'call' });
    expect((await peer.hear()).message.kind).toBe('welcome');
    frames(seal, peer, what);
    await peer.closed;
  }
  expect(b.fatal).toEqual([]);
});

test('a byte changed on the way ends the connection, which is made anew', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  const proxy = await new TcpProxy(b.address).start();
  afterwards(() => proxy.close());
  a.links.setNodes([{ id: b.id, address: proxy.address }]);
  await until(() => a.links.connected(b.id) && b.links.connected(a.id));
  let altered = 0;
  proxy.alter = (bytes, direction) => {
    if (direction === 'to client' || altered > 0) return bytes;
    altered += 1;
    const changed = Buffer.from(bytes);
    changed[Math.floor(changed.length / 2)]! ^= 4;
    return changed;
  };
  say(a, b, 'a message of which one bit changes on its way');
  await until(() => problemAt(b, 'a') === 'OBS_NODE_PROTOCOL' || proxy.accepted > 1);
  await until(() => a.links.connected(b.id));
  say(a, b, 'whole');
  await until(() => b.received.length > 0);
  expect(b.received).toEqual(['a:whole']);
});

test('garbage at every stage ends its own connection with a catalogued error, and nothing else happens', async () => {
  const a = await startNode('a');
  const b = await startNode('b');
  await introduce(a, b);
  const stages = ['first', 'after hello', 'after proof'] as const;
  const frame = fc
    .tuple(fc.nat({ max: 255 }), fc.uint8Array({ maxLength: 300 }))
    .map(([type, payload]) => Buffer.concat([encodeFrameHeader(type, [payload]), payload]));
  const garbage = fc.oneof(
    fc.uint8Array({ minLength: 12, maxLength: 400 }).map(bytes => Buffer.from(bytes)),
    frame,
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...stages), garbage, async (stage, bytes) => {
      const peer = await stranger(b.address);
      if (stage === 'after hello') {
        peer.say({ kind: 'hello', ...hello, purpose: 'call' });
        await peer.hear();
      } else if (stage === 'after proof') {
        await prove(peer, { ...hello, boot: linkBoot(b), purpose: 'call' });
        expect((await peer.hear()).message.kind).toBe('welcome');
      }
      peer.socket.write(bytes);
      // What is no frame yet may wait for more of it.
      peer.socket.end();
      await peer.closed;
    }),
    { numRuns: 150 },
  );
  expect(b.fatal).toEqual([]);
  expect(b.links.connected(a.id) && a.links.connected(b.id)).toBe(true);
  say(a, b, 'undisturbed');
  await until(() => b.received.length === 1);
  expect(refusedAt(b)).toContain('OBS_NODE_PROTOCOL');
});

/** The boot that the node knows `a` by. */
const linkBoot = (node: TestNode): string =>
  node.links.status().nodes.find(({ id }) => id === 'a')?.boot ?? 'a boot';

test('a frame over its limit ends the connection before it has come', async () => {
  const b = await startNode('b');
  const peer = await stranger(b.address);
  const head = Buffer.from(encodeFrameHeader(1, [new Uint8Array(nodeHandshakeFrameBytesMax + 1)]));
  peer.socket.write(head);
  await peer.closed;
});

test('a stranger that says nothing is cut in time, and a flood of them keeps no node out', async () => {
  const clock = new ManualClock();
  const b = await startNode('b', { clock });
  const silent = await stranger(b.address);
  let closed = 0;
  void silent.closed.then(() => {
    closed += 1;
  });
  await until(
    () => closed === 1,
    () => clock.advance(nodeHandshakeMs / 10),
  );
  for (let n = 0; n < nodeHandshakesMax + 10; n += 1) await stranger(b.address);
  const a = await startNode('a');
  a.links.setNodes([b]);
  await until(() => a.links.connected(b.id));
});

test('the same refusal again and again is counted, and logged once a minute', async () => {
  const lines: string[] = [];
  const logger: Logger = {
    debug: () => {},
    info: () => {},
    warn: (context, message) => lines.push(`${message}: ${(context as { err: Error }).err.message}`),
    error: () => {},
    child: () => logger,
  };
  const clock = new ManualClock();
  const b = await startNode('b', { clock, logger });
  const times = (): number | undefined => b.links.status().problems[0]?.times;
  for (let n = 1; n <= 5; n += 1) {
    const peer = await stranger(b.address);
    peer.socket.write('GET / HTTP/1.0\r\n\r\n');
    await peer.closed;
    await until(() => times() === n);
  }
  expect(lines).toHaveLength(1);
  clock.advance(60_000);
  const peer = await stranger(b.address);
  peer.socket.write('GET / HTTP/1.0\r\n\r\n');
  await peer.closed;
  await until(() => times() === 6);
  expect(lines).toHaveLength(2);
});

test('with TLS nodes talk, and one without is not let in', async () => {
  const { certificate, key } = makeCertificate();
  const tls = { server: { certificate, key }, client: { authorities: certificate } };
  const a = await startNode('a', { tls });
  const b = await startNode('b', { tls });
  const bare = await startNode('c');
  await introduce(a, b);
  say(a, b, 'in secret');
  await until(() => b.received.length === 1);
  expect(await refusal(bare.links.requestAt(b.address, 'who', null))).toMatch(
    /^OBS_NODE_(PROTOCOL|UNREACHABLE)$/,
  );
  expect(await refusal(a.links.requestAt(bare.address, 'who', null))).toBe('OBS_NODE_UNREACHABLE');
});
