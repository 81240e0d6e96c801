/**
 * One address for clients that know no other: connections go to the server that leads the tenant at that moment, and are cut when
 * another one leads.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { LocalCluster } from '../../src/client/local-cluster.ts';

const pollMs = 200;

export class LeaderRelay {
  readonly #cluster: LocalCluster;
  readonly #tenant: string;
  readonly #server: Server;
  readonly #pairs = new Set<{ readonly port: number; readonly client: Socket; readonly server: Socket }>();
  #leaderPort: number | undefined;
  #isClosed = false;
  #watching: Promise<void> = Promise.resolve();

  constructor(cluster: LocalCluster, tenant: string) {
    this.#cluster = cluster;
    this.#tenant = tenant;
    this.#server = createServer(client => void this.#relay(client));
  }

  /** Resolves with the port to connect to. */
  async start(): Promise<number> {
    await this.#look();
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#watching = this.#watch();
    const bound = this.#server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : 0;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#watching;
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
    await new Promise(resolve => this.#server.close(resolve));
  }

  async #watch(): Promise<void> {
    while (!this.#isClosed) {
      await new Promise(resolve => setTimeout(resolve, pollMs));
      // Nobody leads: those who connect are refused until somebody does.
      await this.#look().catch(() => {
        this.#leaderPort = undefined;
      });
    }
  }

  async #look(): Promise<void> {
    this.#leaderPort = (await this.#cluster.leaderOf(this.#tenant)).sqlPort;
    for (const { port, client } of this.#pairs) if (port !== this.#leaderPort) client.destroy();
  }

  /** Whoever connects while nobody leads, or the leader is just gone, waits for the next one. */
  async #relay(client: Socket): Promise<void> {
    client.on('error', () => {});
    client.setNoDelay(true);
    while (!this.#isClosed && !client.destroyed) {
      const port = this.#leaderPort;
      const server = port === undefined ? undefined : await dial(port);
      if (port !== undefined && server !== undefined) return this.#join({ port, client, server });
      await new Promise(resolve => setTimeout(resolve, pollMs));
    }
    client.destroy();
  }

  #join(pair: { readonly port: number; readonly client: Socket; readonly server: Socket }): void {
    const { client, server } = pair;
    this.#pairs.add(pair);
    client.pipe(server);
    server.pipe(client);
    for (const socket of [client, server]) {
      socket.on('close', () => {
        this.#pairs.delete(pair);
        client.destroy();
        server.destroy();
      });
    }
    if (client.destroyed) server.destroy();
  }
}

/** Undefined when nobody listens there. */
async function dial(port: number): Promise<Socket | undefined> {
  const socket = connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  const isThere = await new Promise<boolean>(resolve => {
    socket.on('connect', () => resolve(true));
    socket.on('error', () => resolve(false));
  });
  return isThere ? socket : undefined;
}
