/**
 * An arbiter: votes without a log, for many clusters in one process, behind one door, out of one journal. It connects to
 * nobody: its node id sorts behind those of all servers, and of two nodes the one with the lower id connects.
 */
import { ObError } from '../../base/errors.ts';
import { arbiterStreamsMax } from '../../base/limits.ts';
import { type NodeId, nodeId } from '../../base/scalars.ts';
import type { NodeHello } from '../../codec/node-message.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Disk } from '../../platform/disk.ts';
import type { Logger } from '../../platform/logger.ts';
import type { ClientTls, Net, NetAddress, ServerTls } from '../../platform/net.ts';
import type { Random } from '../../platform/random.ts';
import { ChannelWatch } from '../peers/channel-watch.ts';
import type { DoorHost } from '../peers/node-accept.ts';
import { NodeDoor } from '../peers/node-door.ts';
import { ProblemLog } from '../peers/problem-log.ts';
import { ArbiterCluster } from './arbiter-cluster.ts';
import { ArbiterJournal } from './arbiter-journal.ts';

/** Behind every id of a server, which is a UUID. */
const idPrefix = 'z-arbiter-';
const journalName = 'promises.journal';

export interface ArbiterServiceOptions {
  readonly disk: Disk;
  readonly net: Net;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly directory: string;
  readonly listen: NetAddress;
  readonly tls: { readonly server: ServerTls; readonly client: ClientTls } | null;
  readonly clusters: readonly { readonly name: string; readonly secret: string }[];
  readonly version: string;
  readonly onFatal: (error: unknown) => void;
}

interface ArbiterClusterStatus {
  readonly name: string;
  readonly clusterId: string | null;
  readonly leaseMs: number | null;
  readonly streams: number;
  readonly connectedServers: number;
  readonly messages: number;
}

export interface ArbiterStatus {
  readonly nodeId: NodeId;
  readonly version: string;
  readonly address: string | null;
  readonly clusters: readonly ArbiterClusterStatus[];
  readonly journal: { readonly bytes: number; readonly liveBytes: number; readonly writes: number };
  readonly problems: readonly object[];
}

export class ArbiterService {
  readonly nodeId: NodeId;
  readonly #options: ArbiterServiceOptions;
  readonly #journal: ArbiterJournal;
  readonly #clusters = new Map<string, ArbiterCluster>();
  readonly #watch: ChannelWatch;
  readonly #problems: ProblemLog;
  readonly #door: NodeDoor;
  #streams = 0;

  private constructor(options: ArbiterServiceOptions, journal: ArbiterJournal, self: NodeId) {
    const { net, clock, random, logger, listen, tls, clusters } = options;
    this.#options = options;
    this.#journal = journal;
    this.nodeId = self;
    this.#watch = new ChannelWatch(clock);
    this.#problems = new ProblemLog(clock, logger);
    this.#door = new NodeDoor({
      net,
      ports: { clock, random, watch: this.#watch, self },
      listen,
      ...(tls === null ? {} : { tls: tls.server }),
      hostOf: hello => this.#hostOf(hello),
      onFailed: (from, error) => this.#problems.note(from, error),
    });
    for (const { name, secret } of clusters) this.#clusters.set(name, this.#cluster(name, secret));
  }

  /** Begins with what the journal holds; nobody is heard yet. Throws OBS_ARBITER_JOURNAL_DAMAGED, OBS_ARBITER_DISK_FAILED, OBS_ARBITER_FULL. */
  static async open(options: ArbiterServiceOptions): Promise<ArbiterService> {
    const { directory, random } = options;
    const journal = await openJournal(options, directory);
    let self = journal.get('node');
    if (self === undefined) {
      self = `${idPrefix}${random.uuid()}`;
      const made = self;
      await new Promise<void>(resolve => journal.put('node', made, resolve));
    }
    return new ArbiterService(options, journal, nodeId(self));
  }

  /** Forgets a cluster in the journal of an arbiter that does not run. False: it knew nothing of it. Throws as `open`. */
  static async forget(
    { disk, directory }: Pick<ArbiterServiceOptions, 'disk' | 'directory'>,
    name: string,
  ): Promise<boolean> {
    const failed = Promise.withResolvers<never>();
    const journal = await openJournal({ disk, onFatal: failed.reject }, directory);
    const keys = [...journal.entries()].flatMap(([key]) => {
      const [, cluster] = key.split(' ');
      return cluster === name ? [key] : [];
    });
    const notes = keys.map(key => new Promise<void>(resolve => journal.put(key, null, resolve)));
    try {
      await Promise.race([Promise.all(notes), failed.promise]);
    } finally {
      await journal.close();
    }
    return keys.length > 0;
  }

  /** Listens. Rejects with the system's error. */
  start(): Promise<NetAddress> {
    return this.#door.open();
  }

  async stop(): Promise<void> {
    const closing = this.#door.close();
    this.#watch.closeAll('this arbiter stops');
    for (const cluster of this.#clusters.values()) await cluster.links.stop();
    await closing;
    await this.#journal.close();
  }

  status(): ArbiterStatus {
    const clusters = [...this.#clusters].map(([name, { adoption, streams, connected, counters }]) => ({
      name,
      clusterId: adoption?.clusterId ?? null,
      leaseMs: adoption?.leaseMs ?? null,
      streams,
      connectedServers: connected.length,
      messages: counters.messages,
    }));
    return {
      nodeId: this.nodeId,
      version: this.#options.version,
      address: this.#address(),
      clusters,
      journal: this.#journal.status,
      problems: this.#problems.view(),
    };
  }

  #hostOf({ clusterName }: NodeHello): DoorHost | ObError {
    const cluster = clusterName === undefined ? undefined : this.#clusters.get(clusterName);
    if (cluster !== undefined) return cluster.links.host;
    const address = this.#address() ?? '';
    return new ObError('OBS_ARBITER_NO_SUCH_CLUSTER', { address, cluster: clusterName ?? '(none)' });
  }

  #address(): string | null {
    const { address } = this.#door;
    return address === null ? null : `${address.host}:${address.port}`;
  }

  #cluster(name: string, secret: string): ArbiterCluster {
    const { net, clock, random, logger, tls, listen, version, onFatal } = this.#options;
    return new ArbiterCluster({
      name,
      secret,
      self: this.nodeId,
      version,
      journal: this.#journal,
      net,
      clock,
      random,
      logger: logger.child({ cluster: name }),
      tls,
      listen,
      advertise: () => this.#address(),
      takeRoom: () => {
        if (this.#streams >= arbiterStreamsMax) return false;
        this.#streams += 1;
        return true;
      },
      giveRoom: streams => {
        this.#streams -= streams;
      },
      onFatal,
    });
  }
}

const openJournal = (
  { disk, onFatal }: Pick<ArbiterServiceOptions, 'disk' | 'onFatal'>,
  directory: string,
): Promise<ArbiterJournal> => ArbiterJournal.open({ disk, path: `${directory}/${journalName}`, onFatal });
