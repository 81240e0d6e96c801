/**
 * The one connection with another node: its log messages and requests, both ways.
 *
 * The node with the lower id connects; the other only knocks, so that a node that comes back need not wait for the next
 * attempt. A link that was lost is made again after pauses that grow up to a bound. What was sent over a lost connection is
 * not sent again: log messages are repeated by those who need them, requests end with "may have been done".
 */
import type { ErrorCode } from '../../base/catalogue.ts';
import { ObError } from '../../base/errors.ts';
import {
  nodeFrameMessagesMax,
  nodeMessageBytesMax,
  nodeQueueBytesMax,
  nodeRetryMsMax,
  nodeRetryMsMin,
} from '../../base/limits.ts';
import type { MonoMs, NodeId, WallMicros } from '../../base/scalars.ts';
import type { NodeBatch, NodeMessage, StreamMessage } from '../../codec/node-message.ts';
import type { Timer } from '../../platform/clock.ts';
import type { NetAddress } from '../../platform/net.ts';
import type { StreamKey } from '../member-net.ts';
import type { NodeChannel } from './node-channel.ts';
import { dialNode, shownAddress } from './node-dial.ts';
import type { NodePeer, NodePorts } from './node-ports.ts';
import { OutBatch } from './out-batch.ts';
import { type HandlerTable, type RequestHandler, Requests } from './requests.ts';

export interface LinkStatus {
  readonly id: NodeId;
  /** where it is reached, or null when this side was not told */
  readonly address: string | null;
  readonly connected: boolean;
  readonly boot: string | null;
  /** of the connection, or of the time without one */
  readonly forMs: number;
  /** the last thing that went wrong; it may be over */
  readonly problem: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly at: WallMicros;
  } | null;
  readonly sentMessages: number;
  readonly sentFrames: number;
  readonly sentBytes: number;
  readonly receivedMessages: number;
  /** messages that were not sent: no connection, a full queue, or too large */
  readonly droppedMessages: number;
  readonly queuedBytes: number;
}

export interface LinkOwner {
  readonly handlers: HandlerTable<RequestHandler>;
  deliver(from: NodeId, messages: readonly StreamMessage[]): void;
  /** the connection ended */
  ended(link: NodeLink): void;
}

interface Connected {
  readonly channel: NodeChannel;
  readonly peer: NodePeer;
  readonly requests: Requests;
}

export class NodeLink {
  readonly id: NodeId;
  readonly #ports: NodePorts;
  readonly #owner: LinkOwner;
  #address: NetAddress | null = null;
  #connected: Connected | null = null;
  #since: MonoMs;
  readonly #batch = new OutBatch();
  #dialing = false;
  #failures = 0;
  #retry: Timer | null = null;
  #stopped = false;
  #problem: LinkStatus['problem'] = null;
  #sentMessages = 0;
  #sentFrames = 0;
  #sentBytes = 0;
  #receivedMessages = 0;
  #droppedMessages = 0;

  constructor(ports: NodePorts, id: NodeId, owner: LinkOwner) {
    this.#ports = ports;
    this.id = id;
    this.#owner = owner;
    this.#since = ports.clock.now();
  }

  /** Where the node is reached; null for one that was not told of and only connects by itself. */
  get address(): NetAddress | null {
    return this.#address;
  }

  /** The process at the other end, while connected. */
  get boot(): string | null {
    return this.#connected?.peer.boot ?? null;
  }

  get connected(): boolean {
    return this.#connected !== null;
  }

  /** Requests over the link, while connected. */
  get requests(): Requests | null {
    return this.#connected?.requests ?? null;
  }

  setAddress(address: NetAddress): void {
    const before = this.#address;
    this.#address = address;
    if (before?.host !== address.host || before.port !== address.port) this.wake();
  }

  /** Connects now rather than after the pause: the node was heard of, or somebody asks for it. */
  wake(): void {
    this.#failures = 0;
    this.#reach();
  }

  /** Sends with whatever else this turn sends to the node; drops when it cannot. */
  send(key: StreamKey, parts: readonly Uint8Array[]): void {
    const batch = this.#batch;
    const channel = this.#connected?.channel;
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    if (
      channel === undefined ||
      bytes > nodeMessageBytesMax ||
      batch.messages >= nodeFrameMessagesMax ||
      channel.queuedBytes + batch.bytes + bytes > nodeQueueBytesMax
    ) {
      this.#droppedMessages += 1;
      return;
    }
    if (batch.messages === 0) queueMicrotask(() => this.#flush());
    batch.add(key, parts, bytes);
  }

  /** Takes a channel to the node. One that is there already is replaced: the other end has given it up. */
  attach(channel: NodeChannel, peer: NodePeer): void {
    const requests = new Requests(this.#ports, channel, peer, this.#owner.handlers);
    const before = this.#connected;
    const connected = { channel, peer, requests };
    this.#connected = connected;
    this.#since = this.#ports.clock.now();
    this.#retry?.cancel();
    before?.channel.close(this.#closedError('a newer connection took its place'));
    this.#ports.logger.info({ node: this.id, address: peer.address }, 'connected with a server');
    channel.handTo({
      onMessage: message => this.#message(connected, message),
      onClosed: error => this.#ended(connected, error),
    });
  }

  stop(why: string): void {
    this.#stopped = true;
    this.#retry?.cancel();
    this.#connected?.channel.close(this.#closedError(why));
  }

  /** Something went wrong with the node; for the status. */
  note(error: ObError): void {
    this.#problem = { code: error.code, message: error.message, at: this.#ports.clock.wall() };
    this.#ports.problems.note(this.id, error);
  }

  status(): LinkStatus {
    return {
      id: this.id,
      address: this.#address === null ? null : shownAddress(this.#address),
      connected: this.connected,
      boot: this.boot,
      forMs: this.#ports.clock.now() - this.#since,
      problem: this.#problem,
      sentMessages: this.#sentMessages,
      sentFrames: this.#sentFrames,
      sentBytes: this.#sentBytes,
      receivedMessages: this.#receivedMessages,
      droppedMessages: this.#droppedMessages,
      queuedBytes: this.#batch.bytes + (this.#connected?.channel.queuedBytes ?? 0),
    };
  }

  #flush(): void {
    const { bytes, messages } = this.#batch;
    const frames = this.#batch.take();
    const channel = this.#connected?.channel;
    if (channel === undefined) {
      this.#droppedMessages += messages;
      return;
    }
    channel.sendBatches(frames);
    this.#sentMessages += messages;
    this.#sentFrames += frames.length;
    this.#sentBytes += bytes;
  }

  #message(connected: Connected, message: NodeMessage | NodeBatch): void {
    if (message.kind === 'batch') {
      this.#receivedMessages += message.messages.length;
      this.#owner.deliver(this.id, message.messages);
    } else if (!connected.requests.message(message)) {
      const { address } = connected.peer;
      connected.channel.close(
        new ObError('OBS_NODE_PROTOCOL', { address, what: `a ${message.kind} message` }),
      );
    }
  }

  #ended(connected: Connected, error: ObError): void {
    connected.requests.closed(error);
    if (this.#connected !== connected) return;
    this.#connected = null;
    const now = this.#ports.clock.now();
    // A node that lets itself be connected to and cuts at once is not tried in a tight loop.
    if (now - this.#since >= nodeRetryMsMax) this.#failures = 0;
    this.#since = now;
    if (!this.#stopped) {
      this.note(error);
      this.#pause();
    }
    this.#owner.ended(this);
  }

  /** The node with the lower id connects, the other says that it is there. */
  #reach(): void {
    const address = this.#address;
    if (this.#stopped || this.#dialing || address === null || this.connected) return;
    this.#retry?.cancel();
    this.#dialing = true;
    const purpose = this.#ports.identity().node < this.id ? 'link' : 'knock';
    dialNode(this.#ports, { address, purpose, expects: this.id }, (channel, peer) => {
      if (purpose === 'knock') channel.close(this.#closedError('it has heard the knock'));
      else if (this.#stopped || this.connected) channel.close(this.#closedError('it is not needed'));
      else this.attach(channel, peer);
    })
      .catch((error: ObError) => {
        if (!this.#stopped) this.note(error);
      })
      .finally(() => {
        this.#dialing = false;
        if (!this.connected) this.#pause();
      });
  }

  #pause(): void {
    this.#retry?.cancel();
    if (this.#stopped || this.#address === null) return;
    const pauseMs = Math.min(nodeRetryMsMin * 2 ** this.#failures, nodeRetryMsMax);
    this.#failures = Math.min(this.#failures + 1, 30);
    // Two ends that lost each other do not come back in step.
    const share = 0.5 + this.#ports.random.fraction() / 2;
    this.#retry = this.#ports.clock.after(pauseMs * share, () => this.#reach());
  }

  #closedError(why: string): ObError {
    return new ObError('OBS_NODE_CLOSED', { node: this.id, why });
  }
}
