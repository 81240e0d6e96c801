/**
 * A byte stream from one node to another over a connection of its own, for copies of files: pieces and values in the order
 * they were written, the sender never further ahead than the reader's credit. Whichever end stands still for long is given up by the
 * other: what a sender keeps for its reader others need, and a reader may have another source to ask.
 *
 * Must never: wait without end for the other side, which may hang while its connection shows signs of life.
 */
import { isFatal, ObError } from '../../base/errors.ts';
import { nodeCreditBytes, nodeJsonBytesMax, nodePieceBytes, nodeStreamStillMs } from '../../base/limits.ts';
import type { NodeBatch, NodeMessage, NodeMessageOf } from '../../codec/node-message.ts';
import type { Clock } from '../../platform/clock.ts';
import type { NodeChannel } from './node-channel.ts';
import type { NodePeer, NodePorts } from './node-ports.ts';
import type { HandlerTable, RequestOrigin } from './requests.ts';
import { errorOfNode, toldError } from './told-error.ts';

export type StreamItem =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** a value that the sender put between the bytes, as JSON; foreign */
  | { readonly kind: 'note'; readonly body: unknown };

export interface ByteStream {
  /** The next item, or undefined after the last. One caller at a time. Throws what the sender threw, lost it, or that it stands still. */
  next(): Promise<StreamItem | undefined>;
  /** Ends it early. */
  close(): void;
}

/** Where the handler of a stream writes. One write at a time. */
export interface ByteSink {
  /** somebody still reads */
  readonly open: boolean;
  /** Resolves when the reader's credit allows more; the bytes belong to the transport from now on. Rejects at its end. */
  write(bytes: Uint8Array): Promise<void>;
  note(body: unknown): Promise<void>;
}

/** The stream ends when it resolves; what it throws is thrown at the reader. */
export type StreamHandler = (body: unknown, from: RequestOrigin, sink: ByteSink) => Promise<void>;

/** One waiter at a time, woken by whatever happens. */
class Bell {
  #wake: (() => void) | null = null;

  ring(): void {
    this.#wake?.();
  }

  heard(): Promise<void> {
    return new Promise<void>(resolve => {
      this.#wake = () => {
        this.#wake = null;
        resolve();
      };
    });
  }
}

/** The reader's end. It takes the channel over when it is made. */
export class IncomingByteStream implements ByteStream {
  readonly #channel: NodeChannel;
  readonly #clock: Clock;
  readonly #peer: NodePeer;
  readonly #bell = new Bell();
  readonly #items: { readonly item: StreamItem; readonly bytes: number }[] = [];
  #heldBytes = 0;
  #owedBytes = 0;
  #opened = false;
  #end: 'whole' | ObError | null = null;

  constructor(channel: NodeChannel, clock: Clock, peer: NodePeer, op: string, body: unknown) {
    this.#channel = channel;
    this.#clock = clock;
    this.#peer = peer;
    channel.handTo({
      onMessage: (message, payload) => this.#message(message, payload.length),
      onClosed: error => this.#finish(error),
    });
    if (channel.send({ kind: 'open', creditBytes: nodeCreditBytes, op, body }) === undefined) {
      const what = `the body of '${op}' is over ${nodeJsonBytesMax} bytes`;
      channel.close(new ObError('OBS_NODE_BAD_REQUEST', { what }));
    }
  }

  /** Resolves when the other node begins; throws why it does not. */
  async opened(): Promise<void> {
    while (!this.#opened && this.#end === null) await this.#news();
    if (!this.#opened && this.#end instanceof ObError) throw this.#end;
  }

  async next(): Promise<StreamItem | undefined> {
    for (;;) {
      const first = this.#items.shift();
      if (first !== undefined) {
        this.#giveBack(first.bytes);
        return first.item;
      }
      if (this.#end === 'whole') return undefined;
      if (this.#end !== null) throw this.#end;
      await this.#news();
    }
  }

  close(): void {
    this.#items.length = 0;
    this.#channel.close(this.#closedError('closed by this side'));
  }

  /** Resolves when something came, or it ended: it ends when nothing comes for long. */
  async #news(): Promise<void> {
    const why = `it sent nothing for ${nodeStreamStillMs} ms`;
    const timer = this.#clock.after(nodeStreamStillMs, () => this.#channel.close(this.#closedError(why)));
    await this.#bell.heard();
    timer.cancel();
  }

  #message(message: NodeMessage | NodeBatch, bytes: number): void {
    switch (message.kind) {
      case 'opened':
        this.#opened = true;
        break;
      case 'piece':
        this.#hold({ kind: 'bytes', bytes: message.bytes }, bytes);
        break;
      case 'note':
        this.#hold({ kind: 'note', body: message.body }, bytes);
        break;
      case 'end':
        this.#finish('whole');
        this.#channel.close(this.#closedError('it is complete'));
        break;
      case 'failure':
        this.#finish(errorOfNode(message.error, this.#peer.node));
        this.#channel.close(this.#closedError('it failed'));
        break;
      default:
        this.#channel.close(outOfTurn(this.#peer, message.kind));
    }
    this.#bell.ring();
  }

  #hold(item: StreamItem, bytes: number): void {
    this.#heldBytes += bytes;
    // The sender may overdraw its credit by the item that uses it up.
    if (this.#heldBytes > nodeCreditBytes + nodeJsonBytesMax) {
      this.#channel.close(outOfTurn(this.#peer, 'piece beyond its credit'));
      return;
    }
    this.#items.push({ item, bytes });
  }

  #giveBack(bytes: number): void {
    this.#heldBytes -= bytes;
    this.#owedBytes += bytes;
    if (this.#owedBytes < nodePieceBytes || this.#end !== null) return;
    this.#channel.send({ kind: 'credit', bytes: this.#owedBytes });
    this.#owedBytes = 0;
  }

  #finish(end: 'whole' | ObError): void {
    this.#end ??= end;
    this.#bell.ring();
  }

  #closedError(why: string): ObError {
    return new ObError('OBS_NODE_CLOSED', { node: this.#peer.node, why });
  }
}

class OutgoingByteStream implements ByteSink {
  readonly #channel: NodeChannel;
  readonly #clock: Clock;
  readonly #bell = new Bell();
  #creditBytes: number;
  #closed: ObError | null = null;

  constructor(channel: NodeChannel, clock: Clock, creditBytes: number) {
    this.#channel = channel;
    this.#clock = clock;
    this.#creditBytes = creditBytes;
  }

  get open(): boolean {
    return this.#closed === null;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length; offset += nodePieceBytes) {
      await this.#credit();
      const piece = bytes.subarray(offset, offset + nodePieceBytes);
      this.#creditBytes -= piece.length;
      this.#channel.send({ kind: 'piece', bytes: piece });
    }
  }

  async note(body: unknown): Promise<void> {
    await this.#credit();
    const sent = this.#channel.send({ kind: 'note', body });
    if (sent === undefined) {
      throw new ObError('OBS_NODE_BAD_REQUEST', { what: `a note over ${nodeJsonBytesMax} bytes` });
    }
    this.#creditBytes -= sent.length;
  }

  addCredit(bytes: number): void {
    this.#creditBytes = Math.min(this.#creditBytes + bytes, nodeCreditBytes);
    this.#bell.ring();
  }

  closed(error: ObError): void {
    this.#closed ??= error;
    this.#bell.ring();
  }

  async #credit(): Promise<void> {
    if (this.#closed === null && this.#creditBytes <= 0) {
      const node = this.#channel.remoteAddress;
      const why = `it took nothing for ${nodeStreamStillMs} ms`;
      const timer = this.#clock.after(nodeStreamStillMs, () =>
        this.#channel.close(new ObError('OBS_NODE_CLOSED', { node, why })),
      );
      while (this.#closed === null && this.#creditBytes <= 0) await this.#bell.heard();
      timer.cancel();
    }
    if (this.#closed !== null) throw this.#closed;
  }
}

/** Serves the one stream that the other end of a new channel asks for. `enter` counts it, or throws. */
export function serveStream(
  ports: NodePorts,
  channel: NodeChannel,
  peer: NodePeer,
  handlers: HandlerTable<StreamHandler>,
  enter: () => () => void,
): void {
  let sink: OutgoingByteStream | null = null;
  const run = async (message: NodeMessageOf<'open'>, target: OutgoingByteStream): Promise<void> => {
    let leave: (() => void) | null = null;
    try {
      const handler = handlers.get(message.op);
      leave = enter();
      channel.send({ kind: 'opened' });
      await handler(message.body, { nodeId: peer.node, address: peer.address }, target);
      channel.send({ kind: 'end' });
    } catch (error) {
      if (isFatal(error)) ports.onFatal(error);
      channel.send({ kind: 'failure', id: 0, error: toldError(error, ports.identity().node) });
    } finally {
      // The reader closes when it has the end: closing here could throw away what it has not read yet.
      leave?.();
    }
  };
  channel.handTo({
    onMessage: message => {
      if (message.kind === 'open' && sink === null) {
        sink = new OutgoingByteStream(channel, ports.clock, message.creditBytes);
        void run(message, sink);
      } else if (message.kind === 'credit' && sink !== null) {
        sink.addCredit(message.bytes);
      } else {
        channel.close(outOfTurn(peer, message.kind));
      }
    },
    onClosed: error => sink?.closed(error),
  });
}

const outOfTurn = (peer: NodePeer, what: string): ObError =>
  new ObError('OBS_NODE_PROTOCOL', { address: peer.address, what: `a ${what} out of turn` });
