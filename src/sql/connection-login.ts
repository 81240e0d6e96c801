/**
 * Lets a client in: greeting, TLS, proof of the password against the tenant's own users. Drives `login-core.ts`.
 * Bounded before login in bytes and (by the connection) in time. Says nothing of why a login was refused.
 */
import type { SecureContext } from 'node:tls';
import { ObError } from '../base/errors.ts';
import { loginBytesMax } from '../base/limits.ts';
import type { Random } from '../platform/random.ts';
import type { TenantAccess, TenantDirectory } from './directory.ts';
import { type Challenge, isEmptyScramble, loginAllowed, pluginToSwitchTo } from './login-core.ts';
import {
  type AuthenticationPlugin,
  authenticationPlugins,
  challengeBytes,
  type ChangeUserPacket,
  decodeLogin,
  encodeAuthSwitch,
  encodeFastAuthSuccess,
  encodeGreeting,
  parseLoginName,
} from './protocol/handshake.ts';
import type { PacketChannel } from './protocol/packet-channel.ts';
import type { Packet } from './protocol/packet-reader.ts';
import type { PacketWriter } from './protocol/packet-writer.ts';
import { capability, serverCapabilities } from './protocol/wire-constants.ts';
import type { PrivilegeSet } from './privileges.ts';
import { readUser, type StoredUser } from './users.ts';

export interface LoginOptions {
  readonly directory: TenantDirectory;
  readonly random: Random;
  readonly serverVersion: string;
  readonly plugin: AuthenticationPlugin;
  /** null: no TLS here */
  readonly secureContext: SecureContext | null;
  readonly tlsRequired: boolean;
  /** when set, a login naming another cluster is refused */
  readonly clusterName: string | null;
}

export interface LoggedIn {
  readonly tenant: TenantAccess;
  readonly user: string;
  readonly privileges: PrivilegeSet;
  readonly schema: string | null;
  /** of both sides */
  readonly capabilities: number;
}

/** A client's name and its proof so far. */
interface Attempt {
  readonly name: string;
  readonly schema: string | null;
  readonly scramble: Buffer;
  readonly plugin: string | null;
}

/** Clients treat the challenge as text: no NUL, and no `$`, which MySQL's own servers avoid too. */
const challengeOf = (random: Random): Uint8Array =>
  random.bytes(challengeBytes).map(byte => {
    const character = 1 + (byte % 127);
    return character === 0x24 ? 0x25 : character;
  });

export class ConnectionLogin {
  readonly #channel: PacketChannel;
  readonly #writer: PacketWriter;
  readonly #options: LoginOptions;
  #bytesBefore = 0;
  /** what the next packet to the client is numbered: greeting 0, then one up from each packet of either side */
  #sequence = 1;

  constructor(channel: PacketChannel, writer: PacketWriter, options: LoginOptions) {
    this.#channel = channel;
    this.#writer = writer;
    this.#options = options;
  }

  /** The number of the next packet to the client, also after a refusal. */
  get nextSequence(): number {
    return this.#sequence;
  }

  /** The whole of connecting. Undefined: the client left. Throws what the client must be told. */
  async connect(connectionId: number): Promise<LoggedIn | undefined> {
    const { plugin, random, secureContext, serverVersion } = this.#options;
    const offered: Challenge = { plugin, bytes: challengeOf(random) };
    const capabilities = secureContext === null ? serverCapabilities : serverCapabilities | capability.ssl;
    encodeGreeting(this.#writer.start(0), {
      serverVersion,
      connectionId,
      challenge: offered.bytes,
      capabilities,
      plugin,
    });
    await this.#channel.send(this.#writer.take());
    let packet = await this.#next();
    if (packet === undefined) return undefined;
    let login = decodeLogin(packet.payload);
    if (login.kind === 'ssl-request') {
      if (secureContext === null) throw badHandshake('TLS is not offered here');
      this.#channel.startTls(secureContext);
      packet = await this.#next();
      if (packet === undefined) return undefined;
      login = decodeLogin(packet.payload);
      if (login.kind === 'ssl-request') throw badHandshake('TLS has begun already');
    }
    if (this.#options.tlsRequired && !this.#channel.encrypted) throw new ObError('OBS_SQL_TLS_REQUIRED');
    const attempt: Attempt = {
      name: login.user,
      schema: login.schema,
      scramble: Buffer.from(login.scramble),
      plugin: login.plugin,
    };
    return this.#prove(attempt, offered, login.capabilities & capabilities);
  }

  /**
   * COM_CHANGE_USER. Which challenge a client scrambles with here differs between clients, so each that can is asked
   * again with a new one.
   */
  async changeUser(
    change: ChangeUserPacket,
    capabilities: number,
    sequence: number,
  ): Promise<LoggedIn | undefined> {
    this.#bytesBefore = this.#channel.receivedBytes;
    this.#sequence = sequence;
    if ((capabilities & capability.pluginAuth) === 0)
      throw badHandshake('the client cannot switch its proof');
    const plugin = authenticationPlugins.find(known => known === change.plugin) ?? this.#options.plugin;
    const proof = await this.#switchTo(plugin);
    if (proof === undefined) return undefined;
    const attempt = { name: change.user, schema: change.schema, scramble: proof.scramble, plugin };
    return this.#check(attempt, proof.challenge, capabilities);
  }

  async #prove(attempt: Attempt, offered: Challenge, capabilities: number): Promise<LoggedIn | undefined> {
    const other = pluginToSwitchTo(offered.plugin, attempt.plugin);
    if (other === undefined) return this.#check(attempt, offered, capabilities);
    const proof = await this.#switchTo(other);
    if (proof === undefined) return undefined;
    return this.#check({ ...attempt, scramble: proof.scramble }, proof.challenge, capabilities);
  }

  async #switchTo(
    plugin: AuthenticationPlugin,
  ): Promise<{ challenge: Challenge; scramble: Buffer } | undefined> {
    const challenge: Challenge = { plugin, bytes: challengeOf(this.#options.random) };
    encodeAuthSwitch(this.#writer.start(this.#sequence), plugin, challenge.bytes);
    await this.#channel.send(this.#writer.take());
    const packet = await this.#next();
    if (packet === undefined) return undefined;
    return { challenge, scramble: Buffer.from(packet.payload) };
  }

  async #check(attempt: Attempt, challenge: Challenge, capabilities: number): Promise<LoggedIn> {
    const name = parseLoginName(attempt.name);
    const tenant = this.#tenantOf(name);
    const user = await this.#lookUp(tenant, name.user);
    const host = this.#channel.remoteAddress;
    const proof = { challenge, scramble: attempt.scramble, loopback: isLoopback(host) };
    if (!loginAllowed(user, proof) || tenant === undefined || user === undefined) {
      const password = isEmptyScramble(attempt.scramble) ? 'NO' : 'YES';
      throw new ObError('OBS_SQL_ACCESS_DENIED', { user: attempt.name, host, password });
    }
    if (challenge.plugin === 'caching_sha2_password' && !isEmptyScramble(attempt.scramble)) {
      encodeFastAuthSuccess(this.#writer.start(this.#sequence));
      this.#sequence++;
      await this.#channel.send(this.#writer.take());
    }
    return {
      tenant,
      user: user.name,
      privileges: user.privileges,
      schema: attempt.schema,
      capabilities,
    };
  }

  #tenantOf(name: { readonly tenant: string; readonly cluster: string | null }): TenantAccess | undefined {
    const { clusterName, directory } = this.#options;
    if (clusterName !== null && name.cluster !== null && name.cluster !== clusterName) return undefined;
    return directory.find(name.tenant);
  }

  /** An unknown tenant costs a look-up too (in sys, to no avail), so that its absence does not show in the time. */
  async #lookUp(tenant: TenantAccess | undefined, user: string): Promise<StoredUser | undefined> {
    if (tenant !== undefined) return readUser(tenant.engine, user);
    const sys = this.#options.directory.find('sys');
    if (sys !== undefined) await readUser(sys.engine, user);
    return undefined;
  }

  async #next(): Promise<Packet | undefined> {
    const packet = await this.#channel.next();
    if (packet !== undefined) this.#sequence = packet.sequence + 1;
    if (this.#channel.receivedBytes - this.#bytesBefore > loginBytesMax)
      throw badHandshake('too many bytes before login');
    return packet;
  }
}

const badHandshake = (what: string): ObError =>
  new ObError('OBS_SQL_BAD_HANDSHAKE', { what, plugins: authenticationPlugins.join(' or ') });

const isLoopback = (address: string): boolean =>
  address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
