/** A TCP relay between two ends, which a test can cut, stall, or have alter what passes. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { NetAddress } from '../../src/platform/net.ts';

export type Alter = (bytes: Buffer, direction: 'to server' | 'to client') => Buffer;

export class TcpProxy {
  address: NetAddress = { host: '127.0.0.1', port: 0 };
  /** connections accepted so far */
  accepted = 0;
  alter: Alter = bytes => bytes;
  readonly #to: NetAddress;
  readonly #server: Server;
  readonly #pairs = new Set<{ client: Socket; server: Socket }>();

  constructor(to: NetAddress) {
    this.#to = to;
    this.#server = createServer(client => this.#relay(client));
  }

  async start(): Promise<this> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve));
    const bound = this.#server.address();
    if (bound !== null && typeof bound === 'object') this.address = { host: '127.0.0.1', port: bound.port };
    return this;
  }

  /** Resets every connection. */
  cut(): void {
    for (const { client, server } of this.#pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
    this.#pairs.clear();
  }

  /** Nothing passes until `resume`, and nobody is told. */
  stall(): void {
    for (const { client, server } of this.#pairs) {
      client.pause();
      server.pause();
    }
  }

  resume(): void {
    for (const { client, server } of this.#pairs) {
      client.resume();
      server.resume();
    }
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>(resolve => this.#server.close(() => resolve()));
  }

  #relay(client: Socket): void {
    this.accepted += 1;
    const server = connect(this.#to.port, this.#to.host);
    const pair = { client, server };
    this.#pairs.add(pair);
    const forget = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    client.on('data', bytes => server.write(this.alter(bytes, 'to server')));
    server.on('data', bytes => client.write(this.alter(bytes, 'to client')));
    for (const socket of [client, server]) {
      socket.on('error', () => {});
      socket.on('close', forget);
    }
  }
}
