/**
 * The network between the servers of a cluster: a relay before the cluster port of each, which knows by the greeting of a connection
 * whose it is, so that what one server says to another can be held back, one way or both. Held back is what a network that
 * lost its way does: nobody is told, and what was said comes late if it comes at all.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

/** A relayed connection. */
interface Pair {
  /** the server that connected; undefined before it has said so */
  dialer: string | undefined;
  readonly target: string;
  readonly outgoing: Socket;
  readonly incoming: Socket;
}

export class NodeRelays {
  readonly #relays: Server[] = [];
  readonly #servers = new Map<string, string>();
  readonly #pairs = new Set<Pair>();
  /** `from>to` */
  readonly #blocked = new Set<string>();

  /** Puts a relay before a server's cluster port; resolves with where the others reach it now. */
  async advertise(server: string, port: number): Promise<string> {
    const relay = createServer(socket => this.#relay(server, port, socket));
    relay.listen(0, '127.0.0.1');
    await once(relay, 'listening');
    this.#relays.push(relay);
    const bound = relay.address();
    const address = `127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`;
    this.#servers.set(address, server);
    return address;
  }

  /** Nothing that `from` says reaches `to` any more. */
  block(from: string, to: string): void {
    this.#blocked.add(`${from}>${to}`);
    this.#apply();
  }

  /** Nothing passes between this server and the others. */
  isolate(server: string): void {
    this.mute(server);
    this.deafen(server);
  }

  /** What this server says reaches nobody; it hears the others. */
  mute(server: string): void {
    for (const other of this.#servers.values()) if (other !== server) this.block(server, other);
  }

  /** This server hears nobody; the others hear it. */
  deafen(server: string): void {
    for (const other of this.#servers.values()) if (other !== server) this.block(other, server);
  }

  /** Everything passes again, what was held back first. */
  heal(): void {
    this.#blocked.clear();
    this.#apply();
  }

  async close(): Promise<void> {
    for (const { outgoing, incoming } of this.#pairs) {
      outgoing.destroy();
      incoming.destroy();
    }
    await Promise.all(this.#relays.map(relay => new Promise(resolve => relay.close(resolve))));
  }

  #relay(target: string, port: number, outgoing: Socket): void {
    const incoming = connect(port, '127.0.0.1');
    const pair: Pair = { dialer: undefined, target, outgoing, incoming };
    this.#pairs.add(pair);
    const forget = (): void => {
      this.#pairs.delete(pair);
      outgoing.destroy();
      incoming.destroy();
    };
    for (const socket of [outgoing, incoming]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', forget);
    }
    // The greeting comes first and is small; it says where the one who connects is reached itself.
    const greeting: Buffer[] = [];
    const greet = (bytes: Buffer): void => {
      greeting.push(bytes);
      const whole = Buffer.concat(greeting);
      const address = /"address":"([^"]+)"/.exec(whole.toString('latin1'))?.[1];
      if (address === undefined) return;
      pair.dialer = this.#servers.get(address);
      outgoing.off('data', greet);
      outgoing.on('data', more => incoming.write(more));
      incoming.on('data', more => outgoing.write(more));
      this.#applyTo(pair);
      outgoing.unshift(whole);
    };
    outgoing.on('data', greet);
  }

  #apply(): void {
    for (const pair of this.#pairs) this.#applyTo(pair);
  }

  #applyTo({ dialer, target, outgoing, incoming }: Pair): void {
    if (dialer === undefined) return;
    hold(outgoing, this.#blocked.has(`${dialer}>${target}`));
    hold(incoming, this.#blocked.has(`${target}>${dialer}`));
  }
}

function hold(socket: Socket, isHeld: boolean): void {
  if (isHeld) socket.pause();
  else socket.resume();
}
