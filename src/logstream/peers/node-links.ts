/**
 * The connections of this process with the other nodes of its cluster: log messages, requests, byte streams. It listens, it
 * knows where the others are, and it decides who is let in.
 *
 * A node that holds the cluster secret is believed to be the node it says; two processes that say the same id are not both:
 * the one that is connected stays. Garbage ends the connection it came over and nothing else.
 */
import { assert } from '../../base/assert.ts';
import { ObError } from '../../base/errors.ts';
import { nodeCallsMax, nodeRequestMsDefault, nodeStreamsMax } from '../../base/limits.ts';
import type { LogStreamId, NodeId, TenantId } from '../../base/scalars.ts';
import type { NodePurpose, StreamMessage } from '../../codec/node-message.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/logger.ts';
import type { ClientTls, Net, NetAddress, ServerTls } from '../../platform/net.ts';
import type { Random } from '../../platform/random.ts';
import type { MemberNet, StreamKey } from '../member-net.ts';
import { type ByteStream, IncomingByteStream, serveStream, type StreamHandler } from './byte-stream.ts';
import { ChannelWatch } from './channel-watch.ts';
import type { DoorHost } from './node-accept.ts';
import type { NodeChannel } from './node-channel.ts';
import { dialNode, shownAddress } from './node-dial.ts';
import { NodeDoor } from './node-door.ts';
import { nodeSecretKey } from './node-handshake.ts';
import { type LinkStatus, NodeLink } from './node-link.ts';
import type { NodePeer, NodePorts } from './node-ports.ts';
import { ProblemLog, type NodeProblem } from './problem-log.ts';
import { askHere, HandlerTable, type RequestHandler, type RequestOptions, Requests } from './requests.ts';

export interface NodeLinksOptions {
  readonly net: Net;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly self: NodeId;
  /** where to listen */
  readonly listen: NetAddress;
  /** where others reach this node, as host:port, or null for where it listens */
  readonly advertise: () => string | null;
  /** the cluster this node belongs to, or null before it belongs to one: then single requests are all there is */
  readonly cluster: () => string | null;
  readonly secret: string;
  /** what people call the cluster: an arbiter finds it by that */
  readonly clusterName?: string;
  /** a message for a stream that nobody here has asked for; default: it is dropped and counted */
  readonly onStray?: (from: NodeId, message: StreamMessage) => void;
  readonly tls?: { readonly server: ServerTls; readonly client: ClientTls };
  /** a broken invariant or a failed disk came up in a handler: the process must end */
  readonly onFatal: (error: unknown) => void;
}

export interface NodeAddress {
  readonly id: NodeId;
  readonly address: NetAddress;
}

export interface NodeLinksStatus {
  readonly self: NodeId;
  readonly boot: string;
  readonly nodes: readonly LinkStatus[];
  /** what went wrong, by who and what, the latest last */
  readonly problems: readonly NodeProblem[];
  /** messages for streams that are not here, and to nodes that are not known */
  readonly strayMessages: number;
}

type MessageHandler = (from: NodeId, payload: Uint8Array) => void;

export class NodeLinks implements MemberNet {
  readonly #options: NodeLinksOptions;
  readonly #ports: NodePorts;
  readonly #links = new Map<NodeId, NodeLink>();
  readonly #streams = new Map<TenantId, Map<LogStreamId, MessageHandler>>();
  readonly #requests = new HandlerTable<RequestHandler>();
  readonly #streamHandlers = new HandlerTable<StreamHandler>();
  readonly #watch: ChannelWatch;
  readonly #boot: string;
  readonly #door: NodeDoor;
  #stopped = false;
  #calls = 0;
  #streamsServed = 0;
  #strayMessages = 0;

  constructor(options: NodeLinksOptions) {
    const { net, clock, random, logger, self, tls, listen, clusterName = null } = options;
    this.#options = options;
    this.#boot = random.uuid();
    this.#watch = new ChannelWatch(clock);
    this.#ports = {
      net,
      clock,
      random,
      logger,
      tls: tls ?? null,
      secretKey: nodeSecretKey(options.secret),
      clusterName,
      watch: this.#watch,
      problems: new ProblemLog(clock, logger),
      identity: () => ({
        node: self,
        boot: this.#boot,
        cluster: options.cluster(),
        address: options.advertise() ?? this.#listeningAt(),
      }),
      onFatal: options.onFatal,
    };
    this.#door = new NodeDoor({
      net,
      ports: { clock, random, watch: this.#watch, self },
      listen,
      ...(tls === undefined ? {} : { tls: tls.server }),
      hostOf: () => this.host,
      onFailed: (from, error) => this.#ports.problems.note(from, error),
    });
  }

  /** Listens. Resolves with the address bound; rejects with the system's error. Not needed behind a door that others share. */
  start(): Promise<NetAddress> {
    return this.#door.open();
  }

  /** For a door: what this cluster does with a connection that is for it. */
  get host(): DoorHost {
    return {
      ports: this.#ports,
      refusal: (peer, purpose) => this.#refusal(peer, purpose),
      adopt: (channel, peer, purpose) => this.#adopt(channel, peer, purpose),
    };
  }

  /** Stops listening and cuts every connection; what was asked ends as lost. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const closing = this.#door.close();
    for (const link of this.#links.values()) link.stop('this server stops');
    this.#watch.closeAll('this server stops');
    await closing;
  }

  /** The nodes of the cluster from now on. Connections with them are made and kept; others are cut. */
  setNodes(nodes: readonly NodeAddress[]): void {
    if (this.#stopped) return;
    const listed = new Set<NodeId>();
    for (const { id, address } of nodes) {
      if (id === this.#options.self) continue;
      listed.add(id);
      this.#link(id).setAddress(address);
    }
    for (const link of this.#links.values()) {
      if (listed.has(link.id) || link.address === null) continue;
      this.#links.delete(link.id);
      link.stop('it is no longer a node of this cluster');
    }
  }

  connected(id: NodeId): boolean {
    return this.#links.get(id)?.connected ?? false;
  }

  status(): NodeLinksStatus {
    return {
      self: this.#options.self,
      boot: this.#boot,
      nodes: [...this.#links.values()].map(link => link.status()),
      problems: this.#ports.problems.view(),
      strayMessages: this.#strayMessages,
    };
  }

  send(to: NodeId, key: StreamKey, parts: readonly Uint8Array[]): void {
    const link = this.#links.get(to);
    if (link === undefined) this.#strayMessages += 1;
    else link.send(key, parts);
  }

  onMessages(key: StreamKey, handler: MessageHandler): () => void {
    let streams = this.#streams.get(key.tenantId);
    if (streams === undefined) {
      streams = new Map();
      this.#streams.set(key.tenantId, streams);
    }
    const ofTenant = streams;
    assert(!ofTenant.has(key.stream), 'the messages of a stream have one handler');
    ofTenant.set(key.stream, handler);
    return () => {
      if (ofTenant.get(key.stream) === handler) ofTenant.delete(key.stream);
      if (ofTenant.size === 0 && this.#streams.get(key.tenantId) === ofTenant) {
        this.#streams.delete(key.tenantId);
      }
    };
  }

  /**
   * Asks a node and resolves with its answer. Throws what its handler threw; OBS_NODE_UNREACHABLE, OBS_NODE_UNKNOWN and
   * OBS_NODE_BUSY when nothing was asked; OBS_NODE_TIMEOUT and OBS_NODE_LOST when it may have been done.
   */
  async request(to: NodeId, op: string, body: unknown, options: RequestOptions = {}): Promise<unknown> {
    if (to === this.#options.self) return askHere(this.#ports, this.#requests, op, body, options);
    const link = this.#links.get(to);
    if (link === undefined) throw new ObError('OBS_NODE_UNKNOWN', { node: to });
    if (link.requests !== null) return link.requests.ask(op, body, options);
    // The link is down: a connection for this request alone finds out whether the node is.
    return this.#call(this.#addressOf(link), to, op, body, options);
  }

  /** Asks whichever node is at an address, over a connection of its own. */
  requestAt(address: NetAddress, op: string, body: unknown, options: RequestOptions = {}): Promise<unknown> {
    return this.#call(address, null, op, body, options);
  }

  /** One handler a name, until the returned function is called. */
  onRequest(op: string, handler: RequestHandler): () => void {
    return this.#requests.add(op, handler);
  }

  /** Asks a node for a byte stream, over a connection of its own. Resolves when the node begins. */
  async openStream(to: NodeId, op: string, body: unknown): Promise<ByteStream> {
    const link = this.#links.get(to);
    if (link === undefined) throw new ObError('OBS_NODE_UNKNOWN', { node: to });
    const address = this.#addressOf(link);
    const dial = { address, purpose: 'stream', expects: to } as const;
    const stream = await dialNode(
      this.#ports,
      dial,
      (channel, peer) => new IncomingByteStream(channel, this.#ports.clock, peer, op, body),
    );
    await stream.opened();
    return stream;
  }

  onStream(op: string, handler: StreamHandler): () => void {
    return this.#streamHandlers.add(op, handler);
  }

  async #call(
    address: NetAddress,
    expects: NodeId | null,
    op: string,
    body: unknown,
    options: RequestOptions,
  ): Promise<unknown> {
    const { timeoutMs = nodeRequestMsDefault } = options;
    if (this.#stopped || this.#calls >= nodeCallsMax) {
      throw new ObError('OBS_NODE_BUSY', {
        what: 'the number of requests without a link',
        limit: nodeCallsMax,
      });
    }
    this.#calls += 1;
    try {
      const startedAt = this.#ports.clock.now();
      const dial = { address, purpose: 'call', expects, withinMs: timeoutMs } as const;
      const { channel, requests } = await dialNode(this.#ports, dial, (made, peer) =>
        this.#serve(made, peer),
      );
      const leftMs = Math.max(1, timeoutMs - (this.#ports.clock.now() - startedAt));
      try {
        return await requests.ask(op, body, { ...options, timeoutMs: leftMs });
      } finally {
        channel.close(
          new ObError('OBS_NODE_CLOSED', { node: expects ?? shownAddress(address), why: 'answered' }),
        );
      }
    } finally {
      this.#calls -= 1;
    }
  }

  /** A connection for requests only. */
  #serve(channel: NodeChannel, peer: NodePeer): { channel: NodeChannel; requests: Requests } {
    const requests = new Requests(this.#ports, channel, peer, this.#requests);
    channel.handTo({
      onMessage: message => {
        if (requests.message(message)) return;
        const what = `a ${message.kind} message`;
        channel.close(new ObError('OBS_NODE_PROTOCOL', { address: peer.address, what }));
      },
      onClosed: error => requests.closed(error),
    });
    return { channel, requests };
  }

  /** Why a node that has proven itself is not let in, if it is not. */
  #refusal(peer: NodePeer, purpose: NodePurpose): ObError | undefined {
    const address = peer.remoteAddress;
    if (this.#stopped) return new ObError('OBS_NODE_CLOSED', { node: this.#options.self, why: 'it stops' });
    if (purpose === 'link' && peer.node > this.#options.self) {
      return new ObError('OBS_NODE_PROTOCOL', { address, what: 'a link from the node with the higher id' });
    }
    const link = this.#links.get(peer.node);
    if (link === undefined || link.boot === null || link.boot === peer.boot) return undefined;
    // The other may be gone without a word: then its connection is cut soon, and the newcomer gets in.
    const error = new ObError('OBS_NODE_DUPLICATE_ID', { node: peer.node, address });
    link.note(error);
    return error;
  }

  #adopt(channel: NodeChannel, peer: NodePeer, purpose: NodePurpose): void {
    switch (purpose) {
      case 'link':
        this.#link(peer.node).attach(channel, peer);
        break;
      case 'knock':
        this.#links.get(peer.node)?.wake();
        channel.finish(new ObError('OBS_NODE_CLOSED', { node: peer.node, why: 'the knock was heard' }));
        break;
      case 'call':
        this.#serve(channel, peer);
        break;
      case 'stream':
        serveStream(this.#ports, channel, peer, this.#streamHandlers, () => this.#enterStream());
        break;
    }
  }

  #link(id: NodeId): NodeLink {
    let link = this.#links.get(id);
    if (link === undefined) {
      link = new NodeLink(this.#ports, id, {
        handlers: this.#requests,
        deliver: (from, messages) => this.#deliver(from, messages),
        ended: ended => {
          // One that was not told of and only connected by itself.
          if (ended.address === null && this.#links.get(id) === ended) this.#links.delete(id);
        },
      });
      this.#links.set(id, link);
    }
    return link;
  }

  #deliver(from: NodeId, messages: readonly StreamMessage[]): void {
    const { onStray } = this.#options;
    for (const message of messages) {
      const { tenantId, stream, payload } = message;
      const handler = this.#streams.get(tenantId)?.get(stream);
      if (handler === undefined && onStray === undefined) {
        this.#strayMessages += 1;
        continue;
      }
      try {
        if (handler !== undefined) handler(from, payload);
        else onStray?.(from, message);
      } catch (error) {
        this.#options.onFatal(error);
      }
    }
  }

  #enterStream(): () => void {
    if (this.#streamsServed >= nodeStreamsMax) {
      throw new ObError('OBS_NODE_BUSY', { what: 'the number of byte streams', limit: nodeStreamsMax });
    }
    this.#streamsServed += 1;
    return () => {
      this.#streamsServed -= 1;
    };
  }

  #addressOf(link: NodeLink): NetAddress {
    if (link.address !== null) return link.address;
    throw new ObError('OBS_NODE_UNREACHABLE', { node: link.id, address: '(unknown)', why: 'no address' });
  }

  #listeningAt(): string | null {
    const { address } = this.#door;
    return address === null ? null : shownAddress(address);
  }
}
