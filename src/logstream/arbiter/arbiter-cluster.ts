/**
 * One cluster as an arbiter serves it: the links of its servers, and a core for each log stream that ever asked for a vote. The
 * cluster is known by its name until its root service adopts this arbiter; from then on by its id, so that another cluster of
 * the same name, or the same one made anew, gets no vote of it (A2).
 *
 * Must never send what a core promised before the journal holds it, nor begin a core from anything but what the journal holds, nor
 * note anything of a stream after it was forgotten.
 */
import { ObError } from '../../base/errors.ts';
import { arbiterPageStreams, arbiterStreamsMax } from '../../base/limits.ts';
import { type LogStreamId, logStreamId, type NodeId, type TenantId, tenantId } from '../../base/scalars.ts';
import {
  type ArbiterImage,
  decodeArbiterImage,
  encodeArbiterImage,
  newArbiterImage,
} from '../../codec/arbiter-image.ts';
import type { StreamMessage } from '../../codec/node-message.ts';
import type { PalfMessage } from '../../codec/palf-message.ts';
import { decodePalfMessage, encodePalfMessage } from '../../codec/palf-message-codec.ts';
import { ArbiterCore, type ArbiterEffect } from '../../palf/arbiter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/logger.ts';
import type { ClientTls, Net, NetAddress, ServerTls } from '../../platform/net.ts';
import type { Random } from '../../platform/random.ts';
import type { StreamKey } from '../member-net.ts';
import { NodeLinks } from '../peers/node-links.ts';
import type { ArbiterJournal } from './arbiter-journal.ts';

/** What the root service says when it adopts an arbiter. */
export interface Adoption {
  readonly clusterId: string;
  /** of the server that leads the root service: for so long it keeps silent at least after a restart */
  readonly leaseMs: number;
}

/** Who answers, as the root service wants to know before it adopts it. */
export interface ArbiterDescription {
  readonly format: 'obstandby-arbiter';
  readonly nodeId: NodeId;
  readonly version: string;
  readonly clusterName: string;
  /** of the cluster it was adopted by; null: by none yet */
  readonly clusterId: string | null;
  readonly streams: number;
}

export interface ArbiterStream {
  readonly key: StreamKey;
  readonly image: ArbiterImage;
  readonly leader: NodeId | null;
}

export interface ArbiterClusterOptions {
  readonly name: string;
  readonly secret: string;
  readonly self: NodeId;
  readonly version: string;
  readonly journal: ArbiterJournal;
  readonly net: Net;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly tls: { readonly server: ServerTls; readonly client: ClientTls } | null;
  /** of the door that all clusters share */
  readonly listen: NetAddress;
  readonly advertise: () => string | null;
  /** False: the arbiter serves as many streams as it may. */
  readonly takeRoom: () => boolean;
  readonly giveRoom: (streams: number) => void;
  readonly onFatal: (error: unknown) => void;
}

interface Stream {
  readonly key: StreamKey;
  readonly journalKey: string;
  readonly core: ArbiterCore;
}

type Told = { readonly kind: 'adopted'; readonly adoption: Adoption };

export class ArbiterCluster {
  readonly links: NodeLinks;
  readonly #options: ArbiterClusterOptions;
  readonly #streams = new Map<string, Stream>();
  /** of the cluster; how long a promise is kept is for who asks for it to say */
  readonly #settings = { leaseMs: 0 };
  #adoption: Adoption | null = null;
  /** the id of the cluster whose adoption is being made durable */
  #adopting: string | null = null;
  #messages = 0;
  #refused = 0;

  /** Begins with what the journal holds. Throws OBS_ARBITER_JOURNAL_DAMAGED. */
  constructor(options: ArbiterClusterOptions) {
    const { name, secret, self, net, clock, random, logger, tls, listen, advertise, onFatal } = options;
    this.#options = options;
    this.links = new NodeLinks({
      net,
      clock,
      random,
      logger,
      self,
      listen,
      advertise,
      cluster: () => this.#adoption?.clusterId ?? null,
      secret,
      onStray: (from, message) => this.#onMessage(from, message),
      ...(tls === null ? {} : { tls }),
      onFatal,
    });
    this.#recover(name);
    this.#serve();
  }

  get adoption(): Adoption | null {
    return this.#adoption;
  }

  get streams(): number {
    return this.#streams.size;
  }

  get counters(): { readonly messages: number; readonly refused: number } {
    return { messages: this.#messages, refused: this.#refused };
  }

  /** Servers that were heard within the last seconds. */
  get connected(): readonly NodeId[] {
    return this.links.status().nodes.flatMap(({ id, connected }) => (connected ? [id] : []));
  }

  /** Those behind a tenant, in order, no more than a page. */
  streamsAfter(after: number): readonly ArbiterStream[] {
    return [...this.#streams.values()]
      .filter(({ key }) => key.tenantId > after)
      .sort((one, other) => one.key.tenantId - other.key.tenantId || one.key.stream - other.key.stream)
      .slice(0, arbiterPageStreams)
      .map(({ key, core }) => {
        const { image, leader } = core.view();
        return { key, image, leader };
      });
  }

  // --- what the cluster's servers ask ---

  #serve(): void {
    const { links } = this;
    links.onRequest('arbiter.describe', () => Promise.resolve(this.#describe()));
    links.onRequest('arbiter.adopt', body => this.#adopt(body as Adoption));
    links.onRequest('arbiter.release', body => this.#release((body as Adoption).clusterId));
    links.onRequest('arbiter.forget', body => this.#forget(body as { tenants: readonly number[] }));
    links.onRequest('arbiter.streams', body =>
      Promise.resolve(this.#pageAfter(body as { clusterId: string; after: number })),
    );
    links.onRequest('arbiter.hears', () => Promise.resolve({ nodes: this.connected }));
  }

  #describe(): ArbiterDescription {
    const { self, version, name } = this.#options;
    return {
      format: 'obstandby-arbiter',
      nodeId: self,
      version,
      clusterName: name,
      clusterId: this.#adoption?.clusterId ?? null,
      streams: this.#streams.size,
    };
  }

  async #adopt({ clusterId, leaseMs }: Adoption): Promise<ArbiterDescription> {
    const isAsked =
      typeof clusterId === 'string' && clusterId !== '' && Number.isInteger(leaseMs) && leaseMs > 0;
    if (!isAsked) throw new ObError('OBS_NODE_BAD_REQUEST', { what: 'an adoption' });
    this.#mustBeOf(clusterId);
    const before = this.#adoption;
    if (before?.leaseMs === leaseMs) return this.#describe();
    const adoption: Adoption = { clusterId, leaseMs };
    this.#adopting = clusterId;
    await this.#note(
      `cluster ${this.#options.name}`,
      JSON.stringify({ kind: 'adopted', adoption } satisfies Told),
    );
    this.#adopting = null;
    this.#settle(adoption);
    this.#options.logger.info({ cluster: this.#options.name, clusterId }, 'adopted by a cluster');
    return this.#describe();
  }

  /** The cluster has another arbiter, or none: everything that is known of it goes. */
  async #release(clusterId: string): Promise<object> {
    this.#mustBeOf(clusterId);
    if (this.#adoption === null) return {};
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    this.#adoption = null;
    this.#options.giveRoom(streams.length);
    await Promise.all([
      ...streams.map(({ journalKey }) => this.#note(journalKey, null)),
      this.#note(`cluster ${this.#options.name}`, null),
    ]);
    this.#options.logger.info({ cluster: this.#options.name, clusterId }, 'released by its cluster');
    return {};
  }

  /** Tenants that are no more: their ids are never used again. */
  async #forget({ tenants }: { readonly tenants: readonly number[] }): Promise<object> {
    if (!Array.isArray(tenants)) throw new ObError('OBS_NODE_BAD_REQUEST', { what: 'tenants' });
    const gone = new Set<number>(tenants);
    const streams = [...this.#streams].filter(([, { key }]) => gone.has(key.tenantId));
    for (const [name] of streams) this.#streams.delete(name);
    this.#options.giveRoom(streams.length);
    await Promise.all(streams.map(([, { journalKey }]) => this.#note(journalKey, null)));
    return {};
  }

  #pageAfter({ after }: { readonly after: number }): object {
    return { streams: this.streamsAfter(Number(after)) };
  }

  #mustBeOf(clusterId: string): void {
    const { name } = this.#options;
    const theirs = this.#adoption?.clusterId ?? this.#adopting ?? clusterId;
    if (theirs !== clusterId)
      throw new ObError('OBS_ARBITER_OTHER_CLUSTER', { cluster: name, theirs, ours: clusterId });
  }

  // --- votes ---

  #onMessage(from: NodeId, { tenantId: tenant, stream, payload }: StreamMessage): void {
    // A server that a released arbiter still hears: what it wants is another's to give.
    if (this.#adoption === null) return;
    const message = decodePalfMessage(payload);
    if (message.kind === 'problem') {
      this.#options.logger.warn({ from, what: message.what }, 'a message of a server makes no sense');
      return;
    }
    this.#messages += 1;
    let found = this.#streams.get(nameOf(tenant, stream));
    if (found === undefined) {
      if (!this.#options.takeRoom()) {
        this.#refused += 1;
        return;
      }
      found = this.#begin({ tenantId: tenant, stream }, newArbiterImage(this.#options.self));
    }
    this.#step(found, { kind: 'message', from, message });
  }

  #begin(key: StreamKey, image: ArbiterImage): Stream {
    const { self, clock, name } = this.#options;
    const stream: Stream = {
      key,
      journalKey: `image ${name} ${key.tenantId} ${key.stream}`,
      core: new ArbiterCore({ self, image }, this.#settings, clock.now()),
    };
    this.#streams.set(nameOf(key.tenantId, key.stream), stream);
    return stream;
  }

  #step(stream: Stream, input: Parameters<ArbiterCore['step']>[0]): void {
    const effects = stream.core.step(input, this.#options.clock.now());
    for (const effect of effects) this.#carryOut(stream, effect);
  }

  #carryOut(stream: Stream, effect: ArbiterEffect): void {
    if (effect.kind === 'send') {
      this.#send(stream, effect.to, effect.message);
      return;
    }
    const { id, image, thenSend } = effect;
    const text = Buffer.from(encodeArbiterImage(image)).toString();
    this.#options.journal.put(stream.journalKey, text, () => {
      // Forgotten meanwhile: another image would come behind the word that it is, and a promise before a restart that forgets it.
      if (this.#streams.get(nameOf(stream.key.tenantId, stream.key.stream)) !== stream) return;
      this.#step(stream, { kind: 'persisted', id });
      for (const { to, message } of thenSend) this.#send(stream, to, message);
    });
  }

  #send({ key }: Stream, to: NodeId, message: PalfMessage): void {
    this.links.send(to, key, encodePalfMessage(message));
  }

  // --- what outlives the process ---

  #note(key: string, value: string | null): Promise<void> {
    return new Promise(resolve => this.#options.journal.put(key, value, resolve));
  }

  #settle(adoption: Adoption): void {
    this.#adoption = adoption;
    this.#settings.leaseMs = adoption.leaseMs;
  }

  #recover(name: string): void {
    const { journal, takeRoom, self } = this.#options;
    const told = journal.get(`cluster ${name}`);
    if (told === undefined) return;
    this.#settle((JSON.parse(told) as Told).adoption);
    for (const [key, text] of journal.entries()) {
      const [kind, cluster, tenant, stream] = key.split(' ');
      if (kind !== 'image' || cluster !== name) continue;
      const image = decodeArbiterImage(Buffer.from(text));
      if ('kind' in image || image.self !== self)
        throw new ObError('OBS_ARBITER_JOURNAL_DAMAGED', {
          path: journal.path,
          at: 0,
          what: `the image of ${key} is ${'kind' in image ? image.what : 'another arbiter’s'}`,
        });
      if (!takeRoom()) throw new ObError('OBS_ARBITER_FULL', { limit: arbiterStreamsMax });
      this.#begin({ tenantId: tenantId(Number(tenant)), stream: logStreamId(Number(stream)) }, image);
    }
  }
}

const nameOf = (tenant: TenantId, stream: LogStreamId): string => `${tenant}.${stream}`;
