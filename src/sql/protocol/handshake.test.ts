import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isObError } from '../../base/errors.ts';
import { ByteReader } from './byte-reader.ts';
import { decodeChangeUser, decodeLogin, encodeGreeting, parseLoginName } from './handshake.ts';
import { PacketWriter } from './packet-writer.ts';
import { capability, serverCapabilities } from './wire-constants.ts';

function loginPayload(user: string, scramble: Uint8Array, schema: string, plugin: string): Buffer {
  const capabilities = serverCapabilities | capability.connectWithDb;
  const writer = new PacketWriter()
    .start(0)
    .begin()
    .u32(capabilities)
    .u32(2 ** 24)
    .u8(45)
    .zeros(23);
  writer.textNul(user).lengthEncodedBytes(scramble).textNul(schema).textNul(plugin);
  return writer.end().take().subarray(4);
}

test('a login packet is read as it was sent', () => {
  const text = fc.string({ maxLength: 90 }).map(value => value.replaceAll('\0', ''));
  fc.assert(
    fc.property(text, fc.uint8Array({ maxLength: 32 }), text, (user, scramble, schema) => {
      const login = decodeLogin(loginPayload(user, scramble, schema, 'caching_sha2_password'));
      expect(login).toMatchObject({
        kind: 'login',
        user: Buffer.from(user).toString(),
        schema: schema === '' ? null : Buffer.from(schema).toString(),
        plugin: 'caching_sha2_password',
      });
      if (login.kind === 'login') expect(new Uint8Array(login.scramble)).toEqual(scramble);
    }),
  );
});

test('any bytes are a login, an SSL request, or a catalogued error', () => {
  const whole = loginPayload('root@acme', Buffer.alloc(20), 'test', 'mysql_native_password');
  const cut = fc.integer({ min: 0, max: whole.length }).map(end => whole.subarray(0, end));
  const noise = fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes));
  const headed = noise.map(bytes => Buffer.concat([whole.subarray(0, 32), bytes]));
  fc.assert(
    fc.property(fc.oneof(cut, noise, headed), payload => {
      for (const decode of [
        () => decodeLogin(payload),
        () => decodeChangeUser(payload, serverCapabilities),
      ]) {
        try {
          decode();
        } catch (error) {
          expect(isObError(error)).toBe(true);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('the first 32 bytes with the SSL flag are an SSL request', () => {
  const payload = Buffer.alloc(32);
  payload.writeUInt32LE((capability.protocol41 | capability.ssl) >>> 0, 0);
  expect(decodeLogin(payload)).toMatchObject({ kind: 'ssl-request' });
});

test('a greeting carries the challenge in its two parts', () => {
  const challenge = Uint8Array.from({ length: 20 }, (_, index) => index + 1);
  const writer = new PacketWriter().start(0);
  encodeGreeting(writer, {
    serverVersion: '8.0.36-obstandby-1',
    connectionId: 7,
    challenge,
    capabilities: serverCapabilities,
    plugin: 'mysql_native_password',
  });
  const reader = new ByteReader(writer.take(), 4);
  expect(reader.u8('protocol')).toBe(10);
  expect(reader.nulTerminated('version')).toBe('8.0.36-obstandby-1');
  expect(reader.u32('connection')).toBe(7);
  const first = Buffer.from(reader.bytes(8, 'challenge'));
  reader.skip(1 + 2 + 1 + 2 + 2 + 1 + 10, 'flags');
  const second = Buffer.from(reader.bytes(12, 'challenge'));
  expect(new Uint8Array(Buffer.concat([first, second]))).toEqual(challenge);
  reader.skip(1, 'NUL');
  expect(reader.nulTerminated('plugin')).toBe('mysql_native_password');
  expect(reader.remaining).toBe(0);
});

test.each([
  ['root', { user: 'root', tenant: 'sys', cluster: null }],
  ['root@', { user: 'root', tenant: 'sys', cluster: null }],
  ['app@acme', { user: 'app', tenant: 'acme', cluster: null }],
  ['app@acme#c1', { user: 'app', tenant: 'acme', cluster: 'c1' }],
  ['jo@example.org@acme#c1', { user: 'jo@example.org', tenant: 'acme', cluster: 'c1' }],
  ['app@#c1', { user: 'app', tenant: 'sys', cluster: 'c1' }],
])('the login name %s names user, tenant and cluster', (text, expected) => {
  expect(parseLoginName(text)).toEqual(expected);
});
