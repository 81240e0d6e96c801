/** The login between peers over real sockets, against wrong, hostile and impatient ones. */
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type ErrorCode } from '../../../src/base/catalogue.ts';
import { isObError } from '../../../src/base/errors.ts';
import { peerHandshakeFrameBytesMax, peerHandshakesMax } from '../../../src/base/limits.ts';
import { roleEpoch } from '../../../src/base/scalars.ts';
import { encodeFrameHeader, FrameReader } from '../../../src/codec/frame.ts';
import { decodePeerMessage, encodePeerMessage, type PeerMessage } from '../../../src/codec/peer-message.ts';
import type { NetAddress } from '../../../src/platform/net.ts';
import { connectPeer } from '../../../src/standby/network/log-client.ts';
import {
  append,
  atEnd,
  closeSites,
  connect,
  connectOptions,
  openLog,
  password,
  serve,
  testTenant,
  user,
  verifierOf,
} from '../../support/peer-sites.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

afterEach(closeSites);

const refusal = async (attempt: Promise<unknown>): Promise<ErrorCode> => {
  try {
    await attempt;
  } catch (error) {
    if (isObError(error)) return error.code;
    throw error;
  }
  throw new Error('it was let in');
};

const frameOf = (message: PeerMessage): Buffer => {
  const { type, payload } = encodePeerMessage(message);
  return Buffer.concat([encodeFrameHeader(type, payload), ...payload]);
};

/** A bare socket at the server, with what it answers. */
async function rawPeer(address: NetAddress): Promise<{
  socket: Socket;
  closed: Promise<void>;
  message: () => Promise<PeerMessage>;
}> {
  const socket = connectTcp(address.port, address.host);
  atEnd(() => {
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
  const message = async (): Promise<PeerMessage> => {
    for (;;) {
      const frame = reader.next();
      if (frame?.kind === 'problem') throw new Error(frame.what);
      if (frame !== undefined) {
        const decoded = decodePeerMessage(frame.type, frame.payload);
        if (decoded.kind === 'problem') throw new Error(decoded.what);
        return decoded;
      }
      await new Promise<void>(resolve => waiting.push(resolve));
    }
  };
  return { socket, closed, message };
}

const helloMessage = {
  kind: 'hello',
  versionMin: 1,
  versionMax: 1,
  cluster: 'rome',
  site: 'rome-1',
  address: null,
  localTenant: 'shop',
  tenant: 'shop',
  user,
  incarnation: null,
  knownEpoch: roleEpoch(0),
  nonce: Buffer.alloc(24, 7).toString('base64'),
} as const;

test('a peer with the right password learns who is there and can ask', async () => {
  const log = await openLog();
  await append(log, 'x');
  const tenant = testTenant(log);
  const { address } = await serve(tenant);
  const connection = await connect(address);
  expect(connection.peer).toMatchObject({ cluster: 'paris', site: 'paris-1', tenant: 'shop', roleEpoch: 1 });
  await append(log, 'y');
  expect((await connection.describe()).log?.end).toEqual(log.state().end);
  expect(await connection.control('hello', { a: 1 })).toEqual({
    op: 'hello',
    body: { a: 1 },
    site: 'rome-1',
  });
});

test('a wrong password and an unknown user are refused in the same words', async () => {
  const { address } = await serve(testTenant(await openLog()));
  const wrong = refusal(
    connectPeer(connectOptions(address, { credential: { kind: 'password', user, password: 'no' } })),
  );
  const unknown = refusal(
    connectPeer(connectOptions(address, { credential: { kind: 'password', user: 'nobody', password } })),
  );
  expect(await Promise.all([wrong, unknown])).toEqual(['OBS_PEER_ACCESS_DENIED', 'OBS_PEER_ACCESS_DENIED']);
});

test('an unknown user meets the same challenge each time, as a known one would', async () => {
  const { address } = await serve(testTenant(await openLog()));
  const salts: string[] = [];
  for (const name of ['nobody', 'nobody', 'somebody']) {
    const peer = await rawPeer(address);
    peer.socket.write(frameOf({ ...helloMessage, user: name }));
    const challenge = await peer.message();
    if (challenge.kind !== 'challenge') throw new Error(challenge.kind);
    expect(challenge.iterations).toBe(4_096);
    salts.push(challenge.salt);
  }
  expect(salts[0]).toBe(salts[1]);
  expect(salts[0]).not.toBe(salts[2]);
});

test('a tenant that is not there, of another incarnation, or of another protocol version is told apart', async () => {
  const { address } = await serve(testTenant(await openLog()));
  expect(await refusal(connectPeer(connectOptions(address, { tenant: 'attic' })))).toBe(
    'OBS_PEER_NO_SUCH_TENANT',
  );
  expect(await refusal(connectPeer(connectOptions(address, { incarnation: 'another' })))).toBe(
    'OBS_PEER_INCARNATION',
  );
  const peer = await rawPeer(address);
  peer.socket.write(frameOf({ ...helloMessage, versionMin: 7, versionMax: 9 }));
  expect(await peer.message()).toMatchObject({ kind: 'error', code: 'OBS_PEER_VERSION' });
});

test('the keys learned from a login log in at a site with the same users, until the password changes', async () => {
  const tenant = testTenant(await openLog());
  const { address } = await serve(tenant);
  await connect(address);
  const learned = tenant.peersSeen[0]?.credential;
  if (learned === undefined) throw new Error('nothing was learned');
  expect(learned).toMatchObject({ kind: 'keys', user });
  const back = await connect(address, { credential: learned });
  expect(back.peer.tenant).toBe('shop');

  const changed = await serve(testTenant(await openLog()), {
    directory: { find: () => tenant, verifier: async () => verifierOf('another password') },
  });
  // The salt of the test's verifiers is fixed; a changed password draws a new one.
  const other = { ...learned, salt: Buffer.alloc(16, 1) };
  expect(await refusal(connectPeer(connectOptions(changed.address, { credential: other })))).toBe(
    'OBS_PEER_ACCESS_DENIED',
  );
});

test('a peer that knows of a newer role epoch is believed only after its login', async () => {
  const tenant = testTenant(await openLog());
  const { address } = await serve(tenant);
  await refusal(
    connectPeer(
      connectOptions(address, {
        knownEpoch: roleEpoch(5),
        credential: { kind: 'password', user, password: 'no' },
      }),
    ),
  );
  expect(tenant.epochsSeen).toEqual([]);
  await connect(address, { knownEpoch: roleEpoch(5) });
  expect(tenant.epochsSeen).toMatchObject([
    { epoch: 5, peer: { site: 'rome-1', address: '127.0.0.1:4242' } },
  ]);
});

test('a recorded login does not open a second door', async () => {
  const tenant = testTenant(await openLog());
  const { address } = await serve(tenant);
  const proxy = await new TcpProxy(address).start();
  atEnd(() => proxy.close());
  const recorded: Buffer[] = [];
  proxy.alter = (bytes, direction) => {
    if (direction === 'to server') recorded.push(bytes);
    return bytes;
  };
  await connect(proxy.address);
  const seen = tenant.peersSeen.length;
  const thief = await rawPeer(address);
  thief.socket.write(recorded[0] ?? '');
  expect((await thief.message()).kind).toBe('challenge');
  thief.socket.write(recorded[1] ?? '');
  expect(await thief.message()).toMatchObject({ kind: 'error', code: 'OBS_PEER_ACCESS_DENIED' });
  await thief.closed;
  expect(tenant.peersSeen.length).toBe(seen);
});

test('any altered byte of a login or of what follows ends the connection', async () => {
  const tenant = testTenant(await openLog());
  const { address } = await serve(tenant);
  const proxy = await new TcpProxy(address).start();
  atEnd(() => proxy.close());
  for (const direction of ['to server', 'to client'] as const) {
    for (const nth of [0, 1, 2]) {
      let count = 0;
      proxy.alter = (bytes, way) => {
        if (way === direction) count += 1;
        if (way !== direction || count !== nth + 1) return bytes;
        const altered = Buffer.from(bytes);
        // Payload of the frame, checksum repaired: only the authentication can notice.
        const at = altered.length - 3;
        altered[at] = (altered[at] ?? 0) ^ 1;
        return rechecked(altered);
      };
      const before = tenant.peersSeen.length;
      const attempt = connectPeer(connectOptions(proxy.address)).then(async connection => {
        atEnd(() => connection.close());
        await connection.control('x', 1);
        await connection.control('y', 2);
      });
      expect(['OBS_PEER_PROTOCOL', 'OBS_PEER_CLOSED', 'OBS_PEER_ACCESS_DENIED']).toContain(
        await refusal(attempt),
      );
      if (nth < 2 && direction === 'to server') expect(tenant.peersSeen.length).toBe(before);
    }
  }
});

/** Repairs the checksum of the last frame in `bytes`. */
function rechecked(bytes: Buffer): Buffer {
  let at = 0;
  for (let next = 0; next < bytes.length; next = at + 12 + bytes.readUInt32LE(at + 4)) {
    at = next;
    if (at + 12 + bytes.readUInt32LE(at + 4) >= bytes.length) break;
  }
  const payload = bytes.subarray(at + 12);
  encodeFrameHeader(bytes.readUInt8(at + 3), [payload]).forEach((byte, index) => {
    bytes[at + index] = byte;
  });
  return bytes;
}

test('a server that does not hold the verifier is not believed', async () => {
  const impostor = createServer(socket => {
    const reader = new FrameReader(() => 65_536);
    socket.on('error', () => {});
    socket.on('data', bytes => {
      reader.push(bytes);
      for (let frame = reader.next(); frame?.kind === 'frame'; frame = reader.next()) {
        const message = decodePeerMessage(frame.type, frame.payload);
        if (message.kind === 'hello') {
          socket.write(
            frameOf({
              kind: 'challenge',
              version: 1,
              nonce: message.nonce + Buffer.alloc(24, 9).toString('base64'),
              salt: Buffer.alloc(16, 1).toString('base64'),
              iterations: 4_096,
            }),
          );
        } else {
          socket.write(frameOf({ kind: 'welcome', signature: Buffer.alloc(32).toString('base64') }));
        }
      }
    });
  });
  await new Promise<void>(resolve => impostor.listen(0, '127.0.0.1', resolve));
  atEnd(() => new Promise<void>(resolve => impostor.close(() => resolve())));
  const bound = impostor.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  expect(await refusal(connectPeer(connectOptions({ host: '127.0.0.1', port })))).toBe('OBS_PEER_PROTOCOL');
});

test('before a login only small frames of a login are read; anything else ends the connection', async () => {
  const { address } = await serve(testTenant(await openLog()));
  const hostile = [
    Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    Buffer.alloc(70_000, 0xff),
    encodeFrameHeader(1, [new Uint8Array(peerHandshakeFrameBytesMax + 1)]),
    frameOf({ kind: 'describe', id: 1 }),
    frameOf({ kind: 'proof', nonce: '', proof: '' }),
    frameOf({ kind: 'welcome', signature: '' }),
    Buffer.concat([frameOf(helloMessage), frameOf(helloMessage)]),
    Buffer.concat([encodeFrameHeader(1, [Buffer.from('{"tenant":')]), Buffer.from('{"tenant":')]),
  ];
  for (const bytes of hostile) {
    const peer = await rawPeer(address);
    peer.socket.write(bytes);
    await peer.closed;
  }
  // The server goes on.
  expect((await connect(address)).peer.tenant).toBe('shop');
});

test('connections that do not log in are bounded: the oldest goes, and peers that log in get through', async () => {
  const { address } = await serve(testTenant(await openLog()));
  const silent: Awaited<ReturnType<typeof rawPeer>>[] = [];
  for (let i = 0; i < peerHandshakesMax; i += 1) silent.push(await rawPeer(address));
  // The server has taken all of them once it answers the last.
  silent.at(-1)?.socket.write(frameOf(helloMessage));
  await silent.at(-1)?.message();
  expect((await connect(address)).peer.tenant).toBe('shop');
  await silent[0]?.closed;
  expect(silent[1]?.socket.destroyed).toBe(false);
});

test('an address where nobody listens is unreachable, by name', async () => {
  const { address, server } = await serve(testTenant(await openLog()));
  await server.stop();
  const attempt = connectPeer(connectOptions(address));
  await expect(attempt).rejects.toThrow(`127.0.0.1:${address.port}`);
  expect(await refusal(attempt)).toBe('OBS_PEER_UNREACHABLE');
});

test('the failures of a handler cross the wire as catalogued errors, never as a fault of this process', async () => {
  const tenant = testTenant(await openLog());
  tenant.control = async () => {
    throw new Error('something inside');
  };
  const { address } = await serve(tenant);
  const connection = await connect(address);
  expect(await refusal(connection.control('x', null))).toBe('OBS_PEER_FAILED');
});

test('over TLS the same login works, and a certificate of somebody else is refused', async () => {
  const mine = makeCertificate();
  const other = makeCertificate();
  const log = await openLog();
  await append(log, 'x');
  const { address } = await serve(testTenant(log), { tls: mine });
  const connection = await connect(address, { tls: { authorities: mine.certificate } });
  expect((await connection.describe()).log?.end).toEqual(log.state().end);
  expect(
    await refusal(connectPeer(connectOptions(address, { tls: { authorities: other.certificate } }))),
  ).toBe('OBS_PEER_UNREACHABLE');
  // A peer without TLS speaks to a TLS port: it is cut, and the server goes on.
  expect(['OBS_PEER_CLOSED', 'OBS_PEER_PROTOCOL']).toContain(
    await refusal(connectPeer(connectOptions(address))),
  );
  expect((await connect(address, { tls: { authorities: mine.certificate } })).peer.tenant).toBe('shop');
});
