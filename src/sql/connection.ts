/**
 * One client connection from its socket to its end: login, then commands one after another. When the client goes, at
 * any moment, its session is closed (which rolls back) and every count it held is given back.
 */
import type { Socket } from 'node:net';
import { isFatal, isObError, ObError } from '../base/errors.ts';
import { loginBytesMax, loginTimeoutMs } from '../base/limits.ts';
import type { MonoMs } from '../base/scalars.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import { ConnectionCommands, NumberedError } from './connection-commands.ts';
import { ConnectionLogin, type LoggedIn, type LoginOptions } from './connection-login.ts';
import type { TenantAccess } from './directory.ts';
import type { SessionRow } from './plan.ts';
import { encodeEarlyError, encodeError, encodeOk } from './protocol/answers.ts';
import { decodeChangeUser } from './protocol/handshake.ts';
import { PacketChannel } from './protocol/packet-channel.ts';
import type { Packet } from './protocol/packet-reader.ts';
import type { PacketWriter } from './protocol/packet-writer.ts';
import { command } from './protocol/wire-constants.ts';
import { Session, type SessionHost } from './session.ts';

/** What a connection needs of the front-end. */
export interface ConnectionHost extends SessionHost {
  readonly login: LoginOptions;
  readonly writer: PacketWriter;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Takes one of the tenant's connections, or throws OBS_SQL_TENANT_CONNECTIONS. */
  admit(tenant: TenantAccess): void;
  leave(tenant: TenantAccess): void;
  closed(connection: Connection): void;
  statistics(): string;
  /** an invariant broke: the process must end */
  onFatal(error: unknown): void;
}

export class Connection {
  readonly id: number;
  readonly #host: ConnectionHost;
  readonly #channel: PacketChannel;
  #session: Session | undefined;
  #commands: ConnectionCommands | undefined;
  #tenant: TenantAccess | undefined;
  #draining = false;
  #lastActive: MonoMs;
  #command = 'Connect';
  #capabilities = 0;

  constructor(id: number, socket: Socket, host: ConnectionHost) {
    this.id = id;
    this.#host = host;
    this.#lastActive = host.clock.now();
    this.#channel = new PacketChannel(socket, {
      payloadBytesMax: loginBytesMax,
      clock: host.clock,
      onClose: () => this.#closed(),
    });
  }

  /** The connection's whole life. Never rejects. */
  async run(): Promise<void> {
    try {
      if (await this.#login()) await this.#serve();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#channel.end();
    }
  }

  /** As SHOW PROCESSLIST shows it; undefined before login. */
  row(now: MonoMs): SessionRow | undefined {
    const session = this.#session;
    if (session === undefined) return undefined;
    return {
      connectionId: this.id,
      user: session.owner.user,
      tenant: session.owner.tenant.name,
      host: this.#channel.remoteAddress,
      schema: session.schema,
      command: this.#channel.idle ? 'Sleep' : this.#command,
      seconds: Math.trunc((now - this.#lastActive) / 1_000),
      inTransaction: session.inTransaction,
    };
  }

  /** Closes a connection that has been silent for longer than its limit. */
  closeIfIdle(now: MonoMs): void {
    const session = this.#session;
    if (session === undefined || !this.#channel.idle) return;
    if (now - this.#lastActive < session.idleMs) return;
    this.#endWith(new ObError('OBS_SQL_IDLE_TIMEOUT'));
  }

  /** Ends when the client is between transactions: now if it is, else after the command that ends one. */
  drain(): void {
    this.#draining = true;
    if (this.#channel.idle) this.#endIfDrained();
  }

  kill(): void {
    this.#channel.destroy();
  }

  get #betweenTransactions(): boolean {
    return this.#session === undefined || !this.#session.inTransaction;
  }

  #endIfDrained(): void {
    if (this.#draining && this.#betweenTransactions) this.#endWith(new ObError('OBS_SQL_SERVER_SHUTDOWN'));
  }

  /** Between commands: an unasked error packet, which clients read as the answer to their next command. */
  #endWith(error: ObError): void {
    encodeError(this.#host.writer.start(0), error);
    this.#channel.end(this.#host.writer.take());
  }

  async #login(): Promise<boolean> {
    const timer = this.#host.clock.after(loginTimeoutMs, () => this.#channel.destroy());
    const login = new ConnectionLogin(this.#channel, this.#host.writer, this.#host.login);
    try {
      const loggedIn = await login.connect(this.id);
      if (loggedIn === undefined) return false;
      await this.#enter(loggedIn, login.nextSequence);
      return true;
    } catch (error) {
      this.#note(error);
      encodeError(this.#host.writer.start(login.nextSequence), error);
      this.#channel.end(this.#host.writer.take());
      return false;
    } finally {
      timer.cancel();
    }
  }

  /** Opens the session and answers the login. Counts are taken before and given back in `#leave`. */
  async #enter(loggedIn: LoggedIn, sequence: number): Promise<void> {
    if (this.#channel.closed) return;
    this.#host.admit(loggedIn.tenant);
    this.#tenant = loggedIn.tenant;
    const session = new Session(this.#host, {
      tenant: loggedIn.tenant,
      user: loggedIn.user,
      host: this.#channel.remoteAddress,
      privileges: loggedIn.privileges,
      connectionId: this.id,
    });
    this.#session = session;
    if (loggedIn.schema !== null) await session.useSchema(loggedIn.schema);
    this.#channel.payloadBytesMax = this.#host.limits.statementBytesMax;
    this.#commands = new ConnectionCommands({
      channel: this.#channel,
      writer: this.#host.writer,
      session,
      capabilities: loggedIn.capabilities,
      resultBytesMax: this.#host.limits.resultBytesMax,
      statistics: () => this.#host.statistics(),
    });
    this.#capabilities = loggedIn.capabilities;
    encodeOk(this.#host.writer.start(sequence), {
      changes: 0,
      lastInsertId: 0,
      info: '',
      status: session.statusFlags,
      warnings: 0,
    });
    await this.#channel.send(this.#host.writer.take());
  }

  async #serve(): Promise<void> {
    for (;;) {
      if (this.#draining) this.#endIfDrained();
      const packet = await this.#channel.next();
      if (packet === undefined) return;
      this.#lastActive = this.#host.clock.now();
      const code = packet.payload[0];
      if (code === command.quit) return;
      try {
        if (code === command.changeUser) {
          if (!(await this.#changeUser(packet))) return;
        } else {
          this.#command = code === command.query ? 'Query' : 'Execute';
          await this.#commands?.serve(packet);
        }
      } catch (error) {
        await this.#refuse(error, packet);
      }
      this.#lastActive = this.#host.clock.now();
    }
  }

  /** Tells the client; the connection goes on. */
  async #refuse(error: unknown, packet: Packet): Promise<void> {
    const numbered = error instanceof NumberedError;
    const cause = numbered ? error.cause : error;
    this.#note(cause);
    encodeError(this.#host.writer.start(numbered ? error.sequence : packet.sequence + 1), cause);
    await this.#channel.send(this.#host.writer.take());
  }

  /** As a new login on the same socket; a refused one ends the connection, as MySQL does. */
  async #changeUser(packet: Packet): Promise<boolean> {
    const capabilities = this.#capabilities;
    const change = decodeChangeUser(packet.payload, capabilities);
    this.#leave();
    const timer = this.#host.clock.after(loginTimeoutMs, () => this.#channel.destroy());
    const login = new ConnectionLogin(this.#channel, this.#host.writer, this.#host.login);
    try {
      const loggedIn = await login.changeUser(change, capabilities, packet.sequence + 1);
      if (loggedIn === undefined) return false;
      await this.#enter(loggedIn, login.nextSequence);
      return true;
    } catch (error) {
      this.#note(error);
      encodeError(this.#host.writer.start(login.nextSequence), error);
      this.#channel.end(this.#host.writer.take());
      return false;
    } finally {
      timer.cancel();
    }
  }

  /** A packet that cannot be read: what follows it cannot be trusted either. */
  #fail(error: unknown): void {
    this.#note(error);
    const { writer } = this.#host;
    // A client that has logged in reads the answer of a command: the first packet after its own, with SQLSTATE.
    if (this.#session === undefined) encodeEarlyError(writer.start(0), error);
    else encodeError(writer.start(1), error);
    this.#channel.end(this.#host.writer.take());
  }

  #note(error: unknown): void {
    if (isFatal(error)) this.#host.onFatal(error);
    else if (!isObError(error)) this.#host.logger.error({ error, connection: this.id }, 'a statement failed');
  }

  #leave(): void {
    const session = this.#session;
    const tenant = this.#tenant;
    this.#session = undefined;
    this.#commands = undefined;
    this.#tenant = undefined;
    if (tenant !== undefined) this.#host.leave(tenant);
    // `close` never rejects; a statement still running ends by itself or with the session.
    if (session !== undefined) void session.close();
  }

  #closed(): void {
    this.#leave();
    this.#host.closed(this);
  }
}
