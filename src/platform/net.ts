/**
 * The network port: byte streams between processes. Framing, limits and authentication belong to those who use it.
 *
 * A connection never throws after it was made: whatever goes wrong is told once, by `onClose`.
 */
import { connect as connectTcp, createServer, isIP, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { tlsHandshakeMs, tlsHandshakesMax } from '../base/limits.ts';

export interface NetAddress {
  readonly host: string;
  /** 0 asks `listen` for a free one */
  readonly port: number;
}

/** PEM texts. With `authorities` a server takes only clients that they have signed; without, a client trusts the system's. */
export interface ServerTls {
  readonly certificate: string;
  readonly key: string;
  readonly authorities?: string;
}

export interface ClientTls {
  readonly authorities?: string;
  /** for servers that want to know who connects: those that have authorities themselves */
  readonly own?: { readonly certificate: string; readonly key: string };
  /** the name the certificate must carry; the host connected to if absent */
  readonly serverName?: string;
}

export interface Connection {
  /** the other end as `host:port` */
  readonly remoteAddress: string;
  /** the other end is on this machine */
  readonly loopback: boolean;
  /** bytes the kernel has not taken yet */
  readonly queuedBytes: number;
  /** Hands the parts to the kernel within this call, as one write, when nothing is queued before them. */
  write(parts: readonly Uint8Array[]): void;
  onData(listener: (bytes: Uint8Array) => void): void;
  /** Called once, with the error if there was one. */
  onClose(listener: (error: Error | undefined) => void): void;
  /** Sends what is queued, then closes. */
  end(): void;
  /** Closes now. */
  destroy(): void;
}

export interface Listener {
  readonly address: NetAddress;
  /** Stops accepting; open connections stay. */
  close(): Promise<void>;
}

export interface Net {
  /** Rejects with the system's error, or one with code ETIMEDOUT. */
  connect(address: NetAddress, options: { timeoutMs: number; tls?: ClientTls }): Promise<Connection>;
  listen(
    address: NetAddress,
    options: { connectionsMax: number; tls?: ServerTls },
    accept: (connection: Connection) => void,
  ): Promise<Listener>;
}

/** How long a closing connection may take to send what is queued. */
const lingerMs = 5_000;

const isLoopback = (address: string | undefined): boolean =>
  address !== undefined && (address === '::1' || /^(::ffff:)?127\./.test(address));

const farEnd = (socket: Socket): string => `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;

class SocketConnection implements Connection {
  readonly remoteAddress: string;
  readonly loopback: boolean;
  readonly #socket: Socket;
  #closed = false;
  #error: Error | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.remoteAddress = farEnd(socket);
    this.loopback = isLoopback(socket.remoteAddress);
    socket.setNoDelay(true);
    socket.on('error', error => {
      this.#error = error;
    });
    socket.on('close', () => {
      this.#closed = true;
    });
  }

  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  write(parts: readonly Uint8Array[]): void {
    const socket = this.#socket;
    if (this.#closed || socket.destroyed || socket.writableEnded) return;
    if (parts.length > 1) socket.cork();
    for (const part of parts) socket.write(part);
    if (parts.length > 1) socket.uncork();
  }

  onData(listener: (bytes: Uint8Array) => void): void {
    this.#socket.on('data', listener);
  }

  onClose(listener: (error: Error | undefined) => void): void {
    if (this.#closed) queueMicrotask(() => listener(this.#error));
    else this.#socket.once('close', () => listener(this.#error));
  }

  end(): void {
    this.#socket.destroySoon();
    // A peer that does not read must not keep the socket.
    setTimeout(() => this.#socket.destroy(), lingerMs).unref();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

function connect(address: NetAddress, options: { timeoutMs: number; tls?: ClientTls }): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const { tls } = options;
    const serverName = tls?.serverName ?? address.host;
    const socket: Socket =
      tls === undefined
        ? connectTcp({ host: address.host, port: address.port })
        : connectTls({
            host: address.host,
            port: address.port,
            minVersion: 'TLSv1.3',
            ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
            ...(tls.authorities === undefined ? {} : { ca: tls.authorities }),
            ...(tls.own === undefined ? {} : { cert: tls.own.certificate, key: tls.own.key }),
          });
    const failed = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(
      () => failed(Object.assign(new Error('connect timed out'), { code: 'ETIMEDOUT' })),
      options.timeoutMs,
    );
    socket.once('error', failed);
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      clearTimeout(timer);
      const connection = new SocketConnection(socket);
      socket.removeListener('error', failed);
      resolve(connection);
    });
  });
}

/**
 * Connections whose TLS handshake is not through. It takes milliseconds: under a flood of connections that say nothing the one that
 * has waited longest goes, and those who speak get through.
 */
class TlsStrangers {
  readonly #max: number;
  /** by the other end's address, oldest first */
  readonly #sockets = new Map<string, Socket>();

  constructor(connectionsMax: number) {
    this.#max = Math.min(tlsHandshakesMax, Math.ceil(connectionsMax / 2));
  }

  came(socket: Socket): void {
    if (this.#sockets.size >= this.#max) {
      const [oldest] = this.#sockets;
      if (oldest !== undefined) {
        this.#sockets.delete(oldest[0]);
        oldest[1].destroy();
      }
    }
    const end = farEnd(socket);
    this.#sockets.set(end, socket);
    socket.once('close', () => {
      if (this.#sockets.get(end) === socket) this.#sockets.delete(end);
    });
  }

  /** `socket` is the secure one: it shares nothing but its ends with the one that came. */
  introduced(socket: Socket): void {
    this.#sockets.delete(farEnd(socket));
  }
}

function listen(
  address: NetAddress,
  options: { connectionsMax: number; tls?: ServerTls },
  accept: (connection: Connection) => void,
): Promise<Listener> {
  const { tls } = options;
  const strangers = new TlsStrangers(options.connectionsMax);
  const accepted = (socket: Socket): void => {
    strangers.introduced(socket);
    accept(new SocketConnection(socket));
  };
  const server: Server =
    tls === undefined
      ? createServer(accepted)
      : createTlsServer(
          {
            cert: tls.certificate,
            key: tls.key,
            minVersion: 'TLSv1.3',
            handshakeTimeout: tlsHandshakeMs,
            ...(tls.authorities === undefined
              ? {}
              : { ca: tls.authorities, requestCert: true, rejectUnauthorized: true }),
          },
          accepted,
        );
  server.maxConnections = options.connectionsMax;
  if (tls !== undefined) server.on('connection', socket => strangers.came(socket));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(address.port, address.host, () => {
      server.removeListener('error', reject);
      // Errors of a listening socket concern single connections that were gone before they were accepted.
      server.on('error', () => {});
      const bound = server.address();
      const port = bound !== null && typeof bound === 'object' ? bound.port : address.port;
      resolve({
        address: { host: address.host, port },
        close: () => new Promise<void>(done => server.close(() => done())),
      });
    });
  });
}

export const nodeNet: Net = { connect, listen };
