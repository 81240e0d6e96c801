/**
 * Messages over one connection between two nodes. Until both have proven themselves frames are small and bare; after it
 * every frame ends with a seal.
 *
 * The first bad byte ends the connection; nothing that was not verified reaches the listener. Never throws for what the
 * other end does.
 */
import { ObError } from '../../base/errors.ts';
import {
  batchType,
  decodeNodeMessage,
  encodeNodeMessage,
  isHandshakeType,
  type NodeBatch,
  type NodeMessage,
  nodePayloadBytesMax,
} from '../../codec/node-message.ts';
import { SealedFrames } from '../../codec/sealed-frames.ts';
import type { Connection } from '../../platform/net.ts';
import type { NodeChannelKeys, NodeEnd } from './node-handshake.ts';

export interface NodeChannelEvents {
  /** `payload` is what `message` was decoded from, without the seal */
  onMessage(message: NodeMessage | NodeBatch, payload: Uint8Array): void;
  /** Once, whatever ended it. */
  onClosed(error: ObError): void;
}

export class NodeChannel {
  readonly remoteAddress: string;
  readonly #connection: Connection;
  readonly #frames: SealedFrames;
  #events: NodeChannelEvents;
  #closed: ObError | undefined;
  #sent = false;
  #heard = false;

  constructor(connection: Connection, events: NodeChannelEvents) {
    this.#connection = connection;
    this.remoteAddress = connection.remoteAddress;
    this.#events = events;
    this.#frames = new SealedFrames({
      payloadBytesMax: (type, isSealed) =>
        isHandshakeType(type) === isSealed ? undefined : nodePayloadBytesMax(type),
      withoutSeal: 'a frame without a seal',
      isReading: () => this.open,
      onFrame: (type, payload) => this.#came(type, payload),
      onProblem: what => this.#broken(what),
    });
    connection.onData(bytes => this.#received(bytes));
    connection.onClose(error =>
      this.#ended(
        new ObError('OBS_NODE_CLOSED', {
          node: this.remoteAddress,
          why: error?.message ?? 'closed by the other end',
        }),
      ),
    );
  }

  get open(): boolean {
    return this.#closed === undefined;
  }

  /** Both ends have proven themselves. */
  get sealed(): boolean {
    return this.#frames.sealsSent;
  }

  /** Bytes the kernel has not taken yet. */
  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  /** Whether anything was sent, and came, since the last time this was asked. */
  activity(): { sent: boolean; heard: boolean } {
    const activity = { sent: this.#sent, heard: this.#heard };
    this.#sent = false;
    this.#heard = false;
    return activity;
  }

  /** Gives the channel to another owner. An end that has come already is told at once. */
  handTo(events: NodeChannelEvents): void {
    this.#events = events;
    if (this.#closed !== undefined) events.onClosed(this.#closed);
  }

  /** Every frame from now on carries a seal, both ways. */
  seal(keys: NodeChannelKeys, own: NodeEnd): void {
    this.#frames.sealSent(own === 'dialer' ? keys.fromDialer : keys.fromAcceptor);
    this.#frames.verifyReceived(own === 'dialer' ? keys.fromAcceptor : keys.fromDialer);
  }

  /**
   * Sends at once when nothing is queued; nothing when closed. Returns the payload (a transcript needs it), or undefined
   * when the message is over the limit of its kind and was not sent.
   */
  send(message: NodeMessage): Uint8Array | undefined {
    const { type, payload } = encodeNodeMessage(message);
    let bytes = 0;
    for (const part of payload) bytes += part.length;
    if (bytes > (nodePayloadBytesMax(type) ?? 0)) return undefined;
    if (this.open) this.#connection.write(this.#frames.encode(type, payload));
    this.#sent = true;
    return payload[0] ?? new Uint8Array();
  }

  /** Sends batches of log messages, one frame each, all by one write. */
  sendBatches(batches: readonly (readonly Uint8Array[])[]): void {
    if (!this.open) return;
    const [first] = batches;
    if (batches.length === 1 && first !== undefined)
      this.#connection.write(this.#frames.encode(batchType, first));
    else this.#connection.write(batches.flatMap(parts => this.#frames.encode(batchType, parts)));
    this.#sent = true;
  }

  /** Closes now. */
  close(error: ObError): void {
    this.#connection.destroy();
    this.#ended(error);
  }

  /** Closes when everything was sent. */
  finish(error: ObError): void {
    this.#connection.end();
    this.#ended(error);
  }

  #received(bytes: Uint8Array): void {
    if (!this.open) return;
    this.#heard = true;
    this.#frames.push(bytes);
    this.#frames.drain();
  }

  #came(type: number, payload: Uint8Array): void {
    const message = decodeNodeMessage(type, payload);
    if (message.kind === 'problem') this.#broken(message.what);
    else if (message.kind !== 'ping') this.#events.onMessage(message, payload);
  }

  #broken(what: string): void {
    this.close(new ObError('OBS_NODE_PROTOCOL', { address: this.remoteAddress, what }));
  }

  #ended(error: ObError): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    this.#events.onClosed(error);
  }
}
