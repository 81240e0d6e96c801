/**
 * Where other nodes connect to this process: it listens, takes each connection through the handshake, and hands it to the
 * cluster it is for. A server has one cluster behind its door; an arbiter has many, found by the name in the hello and
 * believed only when the secret of that cluster was proven.
 */
import { ObError } from '../../base/errors.ts';
import { nodeConnectionsMax, nodeHandshakesMax } from '../../base/limits.ts';
import type { NodeHello } from '../../codec/node-message.ts';
import type { Connection, Listener, Net, NetAddress, ServerTls } from '../../platform/net.ts';
import { acceptNode, type DoorHost, type DoorPorts } from './node-accept.ts';
import type { NodeChannel } from './node-channel.ts';

export interface NodeDoorOptions {
  readonly net: Net;
  readonly ports: DoorPorts;
  readonly listen: NetAddress;
  readonly tls?: ServerTls;
  readonly hostOf: (hello: NodeHello) => DoorHost | ObError;
  /** a handshake that came to nothing; `from` is the other machine */
  readonly onFailed: (from: string, error: ObError) => void;
}

export class NodeDoor {
  readonly #options: NodeDoorOptions;
  /** in their handshake, oldest first */
  readonly #strangers = new Set<NodeChannel>();
  #listener: Listener | null = null;
  #stopped = false;

  constructor(options: NodeDoorOptions) {
    this.#options = options;
  }

  /** Where it listens; null before it does. */
  get address(): NetAddress | null {
    return this.#listener?.address ?? null;
  }

  /** Listens. Resolves with the address bound; rejects with the system's error. */
  async open(): Promise<NetAddress> {
    const { net, listen, tls } = this.#options;
    this.#listener = await net.listen(
      listen,
      { connectionsMax: nodeConnectionsMax, ...(tls === undefined ? {} : { tls }) },
      connection => this.#accept(connection),
    );
    return this.#listener.address;
  }

  /** Accepts nobody from the call on; connections that were handed over stay. */
  async close(): Promise<void> {
    this.#stopped = true;
    await this.#listener?.close();
  }

  #accept(connection: Connection): void {
    const { ports, hostOf, onFailed } = this.#options;
    if (this.#stopped || ports.watch.size >= nodeConnectionsMax) {
      connection.destroy();
      return;
    }
    // A handshake takes milliseconds: under a flood the one that has waited longest goes, and nodes get through.
    if (this.#strangers.size >= nodeHandshakesMax) {
      const [oldest] = this.#strangers;
      const what = 'the number of handshakes under way';
      oldest?.close(new ObError('OBS_NODE_BUSY', { what, limit: nodeHandshakesMax }));
    }
    const stranger = acceptNode(ports, connection, {
      hostOf,
      over: (channel, error) => {
        this.#strangers.delete(channel);
        if (error !== null && !this.#stopped) onFailed(machineOf(channel.remoteAddress), error);
      },
    });
    this.#strangers.add(stranger);
  }
}

const machineOf = (remoteAddress: string): string => remoteAddress.slice(0, remoteAddress.lastIndexOf(':'));
