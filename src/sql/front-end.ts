/**
 * The MySQL front-end: listens, counts connections, and stops in order. Everything about one client is in
 * `connection.ts`; what statements mean is the dialect's.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { must } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import type { MonoMs } from '../base/scalars.ts';
import type { ServerOperations } from '../cluster/cluster-operations.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Random } from '../platform/random.ts';
import { Connection, type ConnectionHost } from './connection.ts';
import type { LoginOptions } from './connection-login.ts';
import { serverVersion } from './dialect/variables.ts';
import type { TenantAccess, TenantDirectory } from './directory.ts';
import { type FrontEndLimits, frontEndLimits } from './front-end-limits.ts';
import type { SessionRow, StatementServices } from './plan.ts';
import { encodeEarlyError } from './protocol/answers.ts';
import type { AuthenticationPlugin } from './protocol/handshake.ts';
import { PacketWriter } from './protocol/packet-writer.ts';

export interface MysqlFrontEndOptions {
  /** port 0: any free one; `start` tells which */
  readonly address: { readonly host: string; readonly port: number };
  /** PEM texts */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly required?: boolean };
  readonly directory: TenantDirectory;
  readonly operations: ServerOperations;
  readonly services: StatementServices;
  readonly limits?: Partial<FrontEndLimits>;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** logins that name a cluster must name this one */
  readonly clusterName?: string;
  /** the project's version, shown behind MySQL's */
  readonly version: string;
  readonly defaultPlugin?: AuthenticationPlugin;
  readonly onFatal: (error: unknown) => void;
}

const idleSweepMs = 1_000;

export class MysqlFrontEnd implements ConnectionHost {
  readonly services: StatementServices;
  readonly operations: ServerOperations;
  /** Changed as a whole by `changeLimits`; read when it is needed. */
  limits: FrontEndLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly login: LoginOptions;
  readonly writer = new PacketWriter();
  readonly #address: { readonly host: string; readonly port: number };
  readonly #onFatal: (error: unknown) => void;
  readonly #connections = new Map<number, Connection>();
  readonly #connectionsOfTenant = new Map<string, number>();
  readonly #startedAt: MonoMs;
  #server: Server | undefined;
  #lastConnectionId = 0;
  #sweep: Timer | undefined;
  #whenEmpty: (() => void) | undefined;

  constructor(options: MysqlFrontEndOptions) {
    this.services = options.services;
    this.operations = options.operations;
    this.limits = { ...frontEndLimits, ...options.limits };
    this.clock = options.clock;
    this.random = options.random;
    this.logger = options.logger;
    this.#address = options.address;
    this.#onFatal = options.onFatal;
    this.#startedAt = options.clock.now();
    const { tls } = options;
    const secureContext: SecureContext | null =
      tls === undefined ? null : createSecureContext({ cert: tls.certificate, key: tls.key });
    this.login = {
      directory: options.directory,
      random: options.random,
      serverVersion: `${serverVersion}-${options.version}`,
      plugin: options.defaultPlugin ?? 'mysql_native_password',
      secureContext,
      tlsRequired: tls?.required ?? false,
      clusterName: options.clusterName ?? null,
    };
  }

  /** Listens; resolves with the port. Rejects when the address is taken. */
  async start(): Promise<{ readonly port: number }> {
    const server = createServer({ noDelay: true }, socket => this.#accept(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#address.port, this.#address.host, () => {
        server.off('error', reject);
        resolve();
      });
    });
    server.on('error', error => this.logger.error({ error }, 'the MySQL listener failed'));
    this.#sweepLater();
    const bound = must(server.address(), 'address of a listening server');
    return { port: typeof bound === 'string' ? 0 : bound.port };
  }

  /** Takes no new connections, lets transactions end within `drainMs`, cuts the rest. */
  async stop(): Promise<void> {
    this.#sweep?.cancel();
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise<void>(resolve => server.close(() => resolve()));
    for (const connection of this.#connections.values()) connection.drain();
    if (this.#connections.size > 0) {
      const empty = new Promise<void>(resolve => {
        this.#whenEmpty = resolve;
      });
      const cut = this.clock.after(this.limits.drainMs, () => {
        for (const connection of this.#connections.values()) connection.kill();
      });
      await empty;
      cut.cancel();
    }
    await closed;
  }

  /** The configuration was changed: takes effect with the next statement, a packet's size with the next login. */
  changeLimits(limits: Partial<FrontEndLimits>): void {
    this.limits = { ...this.limits, ...limits };
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  sessions(): readonly SessionRow[] {
    const now = this.clock.now();
    return [...this.#connections.values()].flatMap(connection => connection.row(now) ?? []);
  }

  kill(connectionId: number, tenant: string): boolean {
    const connection = this.#connections.get(connectionId);
    const row = connection?.row(this.clock.now());
    if (connection === undefined || row === undefined) return false;
    if (tenant !== 'sys' && row.tenant !== tenant) return false;
    connection.kill();
    return true;
  }

  /** Ends a tenant's connections: it was dropped, or its engine was replaced. */
  disconnectTenant(tenant: string): void {
    const now = this.clock.now();
    for (const connection of this.#connections.values()) {
      if (connection.row(now)?.tenant === tenant) connection.kill();
    }
  }

  admit(tenant: TenantAccess): void {
    const count = this.#connectionsOfTenant.get(tenant.name) ?? 0;
    const max = this.limits.tenantConnectionsMax;
    if (count >= max) throw new ObError('OBS_SQL_TENANT_CONNECTIONS', { tenant: tenant.name, max });
    this.#connectionsOfTenant.set(tenant.name, count + 1);
  }

  leave(tenant: TenantAccess): void {
    const count = must(this.#connectionsOfTenant.get(tenant.name), 'count of an admitted connection') - 1;
    if (count === 0) this.#connectionsOfTenant.delete(tenant.name);
    else this.#connectionsOfTenant.set(tenant.name, count);
  }

  closed(connection: Connection): void {
    this.#connections.delete(connection.id);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  statistics(): string {
    const seconds = Math.trunc((this.clock.now() - this.#startedAt) / 1_000);
    return `Uptime: ${seconds}  Threads: ${this.#connections.size}`;
  }

  onFatal(error: unknown): void {
    this.#onFatal(error);
  }

  #accept(socket: Socket): void {
    if (this.#connections.size >= this.limits.connectionsMax) {
      encodeEarlyError(this.writer.start(0), new ObError('OBS_SQL_TOO_MANY_CONNECTIONS'));
      socket.on('error', () => socket.destroy());
      socket.end(this.writer.take(), () => socket.destroy());
      return;
    }
    // Ids are 32-bit on the wire.
    this.#lastConnectionId = (this.#lastConnectionId + 1) >>> 0 || 1;
    const connection = new Connection(this.#lastConnectionId, socket, this);
    this.#connections.set(connection.id, connection);
    void connection.run();
  }

  #sweepLater(): void {
    this.#sweep = this.clock.after(idleSweepMs, () => {
      const now = this.clock.now();
      for (const connection of this.#connections.values()) connection.closeIfIdle(now);
      this.#sweepLater();
    });
  }
}
