/**
 * The packets of connecting: greeting, SSL request, login, AuthSwitch, change of user. Decoding is strict about bounds
 * and lenient about what old clients leave out. Passwords never appear here: only scrambles do.
 */
import { ObError } from '../../base/errors.ts';
import { ByteReader } from './byte-reader.ts';
import type { PacketWriter } from './packet-writer.ts';
import { capability, charset, status } from './wire-constants.ts';

export type AuthenticationPlugin = 'mysql_native_password' | 'caching_sha2_password';

export const authenticationPlugins: readonly AuthenticationPlugin[] = [
  'mysql_native_password',
  'caching_sha2_password',
];

/** Bytes of the random challenge in a greeting or AuthSwitch. */
export const challengeBytes = 20;

interface Greeting {
  readonly serverVersion: string;
  readonly connectionId: number;
  readonly challenge: Uint8Array;
  readonly capabilities: number;
  readonly plugin: AuthenticationPlugin;
}

export function encodeGreeting(writer: PacketWriter, greeting: Greeting): void {
  writer
    .begin()
    .u8(10)
    .textNul(greeting.serverVersion)
    .u32(greeting.connectionId)
    .bytes(greeting.challenge.subarray(0, 8))
    .u8(0)
    .u16(greeting.capabilities & 0xffff)
    .u8(charset.utf8mb4)
    .u16(status.autocommit)
    .u16(greeting.capabilities >>> 16)
    .u8(challengeBytes + 1)
    .zeros(10)
    .bytes(greeting.challenge.subarray(8))
    .u8(0)
    .textNul(greeting.plugin)
    .end();
}

export function encodeAuthSwitch(
  writer: PacketWriter,
  plugin: AuthenticationPlugin,
  challenge: Uint8Array,
): void {
  writer.begin().u8(0xfe).textNul(plugin).bytes(challenge).u8(0).end();
}

/** caching_sha2_password: "your scramble was right, no more needed". */
export function encodeFastAuthSuccess(writer: PacketWriter): void {
  writer.begin().u8(0x01).u8(0x03).end();
}

type LoginPacket =
  | { readonly kind: 'ssl-request'; readonly capabilities: number }
  | {
      readonly kind: 'login';
      readonly capabilities: number;
      readonly user: string;
      readonly scramble: Buffer;
      readonly schema: string | null;
      readonly plugin: string | null;
    };

const sslRequestBytes = 32;

export function decodeLogin(payload: Buffer): LoginPacket {
  const reader = new ByteReader(payload);
  const capabilities = payload.length >= 4 ? reader.u32('capabilities') : 0;
  if ((capabilities & capability.protocol41) === 0) {
    throw new ObError('OBS_SQL_BAD_HANDSHAKE', {
      what: 'not protocol 4.1',
      plugins: authenticationPlugins.join(' or '),
    });
  }
  reader.skip(4 + 1 + 23, 'login head');
  if (payload.length === sslRequestBytes && (capabilities & capability.ssl) !== 0) {
    return { kind: 'ssl-request', capabilities };
  }
  const user = reader.nulTerminated('user');
  const scramble = decodeScramble(reader, capabilities);
  const schema =
    (capabilities & capability.connectWithDb) !== 0 && reader.remaining > 0
      ? reader.nulTerminated('database', true)
      : '';
  const plugin = decodePlugin(reader, capabilities);
  // Connection attributes follow; nothing here depends on them.
  return { kind: 'login', capabilities, user, scramble, schema: schema === '' ? null : schema, plugin };
}

export interface ChangeUserPacket {
  readonly user: string;
  readonly scramble: Buffer;
  readonly schema: string | null;
  readonly plugin: string | null;
}

/** COM_CHANGE_USER, its command byte included. */
export function decodeChangeUser(payload: Buffer, capabilities: number): ChangeUserPacket {
  const reader = new ByteReader(payload, 1);
  const user = reader.nulTerminated('user');
  const scramble = reader.bytes(reader.u8('scramble length'), 'scramble');
  const schema = reader.nulTerminated('database', true);
  if (reader.remaining >= 2) reader.u16('character set');
  const plugin = decodePlugin(reader, capabilities);
  return { user, scramble, schema: schema === '' ? null : schema, plugin };
}

function decodeScramble(reader: ByteReader, capabilities: number): Buffer {
  if ((capabilities & capability.pluginAuthLenencData) !== 0) return reader.lengthEncodedBytes('scramble');
  if ((capabilities & capability.secureConnection) !== 0) {
    return reader.bytes(reader.u8('scramble length'), 'scramble');
  }
  return Buffer.from(reader.nulTerminated('scramble', true));
}

function decodePlugin(reader: ByteReader, capabilities: number): string | null {
  if ((capabilities & capability.pluginAuth) === 0 || reader.remaining === 0) return null;
  return reader.nulTerminated('plugin', true);
}

interface LoginName {
  readonly user: string;
  readonly tenant: string;
  readonly cluster: string | null;
}

/** `user@tenant#cluster`; without a tenant it is sys, as in OceanBase. The user may hold `@` himself. */
export function parseLoginName(text: string): LoginName {
  const at = text.lastIndexOf('@');
  const user = at < 0 ? text : text.slice(0, at);
  const tenantAndCluster = at < 0 ? '' : text.slice(at + 1);
  const hash = tenantAndCluster.indexOf('#');
  const tenant = hash < 0 ? tenantAndCluster : tenantAndCluster.slice(0, hash);
  return {
    user,
    tenant: tenant === '' ? 'sys' : tenant,
    cluster: hash < 0 ? null : tenantAndCluster.slice(hash + 1),
  };
}
