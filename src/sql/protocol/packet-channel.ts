/**
 * One client socket as packets: reads them on demand, writes answers, turns to TLS, and holds the bounds — what a client
 * may send ahead, and what may wait to be sent to one that does not read. Knows nothing of what packets mean.
 *
 * Reading is lazy: bytes behind the packet asked for stay uninterpreted, because after an SSL request they are TLS.
 */
import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import { assert } from '../../base/assert.ts';
import { answerBacklogBytesMax, answerStallMsMax, pipelinedBytesMax } from '../../base/limits.ts';
import type { Clock } from '../../platform/clock.ts';
import { type Packet, PacketReader } from './packet-reader.ts';

const answerPieceBytes = 1_048_576;

interface Waiter {
  readonly resolve: (packet: Packet | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export class PacketChannel {
  readonly #clock: Clock;
  readonly #reader: PacketReader;
  readonly #onClose: () => void;
  #socket: Socket;
  #waiter: Waiter | undefined;
  #closed = false;
  #ended = false;
  #paused = false;
  #receivedBytes = 0;

  /** `onClose` is called once, when the socket is gone, whoever ended it. */
  constructor(socket: Socket, options: { payloadBytesMax: number; clock: Clock; onClose: () => void }) {
    this.#socket = socket;
    this.#clock = options.clock;
    this.#onClose = options.onClose;
    this.#reader = new PacketReader(options.payloadBytesMax);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    this.#listen(socket);
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? 'unknown';
  }

  get encrypted(): boolean {
    return this.#socket instanceof TLSSocket;
  }

  get closed(): boolean {
    return this.#closed || this.#ended;
  }

  /** All bytes received, for the bound before login. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Waiting for the client's next packet. */
  get idle(): boolean {
    return this.#waiter !== undefined;
  }

  set payloadBytesMax(bytes: number) {
    this.#reader.payloadBytesMax = bytes;
  }

  /** The next packet; undefined when the client is gone. Throws what `PacketReader.next` throws. */
  next(): Promise<Packet | undefined> {
    assert(this.#waiter === undefined, 'one reader a connection');
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      this.#deliver();
      if (this.#waiter !== undefined && this.#paused) {
        this.#paused = false;
        this.#socket.resume();
      }
    });
  }

  /** Writes an answer. With too much waiting there is something to wait for: that the client reads some of it. */
  send(bytes: Buffer): Promise<void> | undefined {
    if (this.closed) return undefined;
    if (bytes.length <= answerPieceBytes) this.#socket.write(bytes);
    else {
      // In pieces, so that progress shows while a slow client takes them.
      for (let at = 0; at < bytes.length; at += answerPieceBytes) {
        this.#socket.write(bytes.subarray(at, at + answerPieceBytes));
      }
    }
    return this.#socket.writableLength > answerBacklogBytesMax ? this.#drained() : undefined;
  }

  /** Writes the last bytes and closes. */
  end(bytes?: Buffer): void {
    if (this.closed) return;
    this.#ended = true;
    if (bytes === undefined) this.#socket.end();
    else this.#socket.end(bytes);
    // A client that never closes its half must not keep the socket.
    this.#clock.after(1_000, () => this.destroy());
    this.#socket.resume();
    this.#settle();
  }

  destroy(): void {
    this.#ended = true;
    this.#socket.destroy();
    this.#settle();
  }

  /** Answers the SSL request just read: everything from the next byte on is TLS. */
  startTls(secureContext: SecureContext): void {
    const plain = this.#socket;
    // The client may have sent its ClientHello in the same segment. The socket must stand still before those bytes
    // are put back, or they are delivered to nobody.
    plain.pause();
    plain.removeAllListeners('data');
    plain.removeAllListeners('close');
    const rest = this.#reader.takeRest();
    if (rest.length > 0) plain.unshift(rest);
    const secure = new TLSSocket(plain, { isServer: true, secureContext });
    secure.disableRenegotiation();
    this.#socket = secure;
    this.#listen(secure);
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    // A broken connection is an ordinary end; `close` follows.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      if (this.#closed) return;
      this.#closed = true;
      this.#settle();
      this.#onClose();
    });
  }

  #received(chunk: Buffer): void {
    this.#receivedBytes += chunk.length;
    if (this.#ended) return;
    this.#reader.push(chunk);
    if (this.#waiter !== undefined) this.#deliver();
    else if (this.#reader.bufferedBytes > pipelinedBytesMax) {
      this.#paused = true;
      this.#socket.pause();
    }
  }

  #deliver(): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    if (this.closed) {
      this.#settle();
      return;
    }
    let packet: Packet | undefined;
    try {
      packet = this.#reader.next();
    } catch (error) {
      this.#waiter = undefined;
      waiter.reject(error);
      return;
    }
    if (packet === undefined) return;
    this.#waiter = undefined;
    waiter.resolve(packet);
  }

  #settle(): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.resolve(undefined);
  }

  #drained(): Promise<void> {
    return new Promise(resolve => {
      const socket = this.#socket;
      let waiting = socket.writableLength;
      const done = () => {
        timer.cancel();
        socket.off('drain', done);
        socket.off('close', done);
        resolve();
      };
      const check = () => {
        if (socket.writableLength < waiting) {
          waiting = socket.writableLength;
          timer = this.#clock.after(answerStallMsMax, check);
          return;
        }
        this.destroy();
        done();
      };
      let timer = this.#clock.after(answerStallMsMax, check);
      socket.on('drain', done);
      socket.on('close', done);
    });
  }
}
