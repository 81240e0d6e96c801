/**
 * The pull of one standby tenant: turns its stored restore source into sources the puller knows, and keeps one puller
 * while the tenant is a standby. What the source last told is stored, for the loss certificate of a later failover.
 */
import type { ArchiveHead } from '../archive/archive-head.ts';
import { ArchiveReader } from '../archive/restore-reader.ts';
import { openObjectStore } from '../archive/open-store.ts';
import { ObError } from '../base/errors.ts';
import type { LogAccess } from '../base/log-access.ts';
import type { Lsn, RoleEpoch, Scn } from '../base/scalars.ts';
import type { SourceContact } from '../role/row.ts';
import { StandbyArchiveSource } from '../standby/archive-source.ts';
import {
  type ArchiveSource,
  type PullSources,
  StandbyPuller,
  type StandbyStatus,
} from '../standby/puller.ts';
import { publicLocation } from '../standby/restore-source.ts';
import type { SourceEnd } from '../standby/sync-status.ts';
import type { LocalApply } from '../standby/follower-apply.ts';
import type { UnitPull } from './local-tenant.ts';
import { addressesOf, type PeerLink } from './peer-link.ts';
import type { StoredRestoreSource } from './sys-store.ts';
import type { UnitHost } from './unit-host.ts';

/** While the source is followed its end is stored this often: hundreds of standbys share the sys tenant's log. */
const sourceEndStoreMicros = 10_000_000;

export interface StandbyPullOptions {
  readonly host: UnitHost;
  readonly tenant: string;
  readonly incarnation: string;
  readonly log: LogAccess;
  readonly apply: LocalApply;
  readonly link: PeerLink;
  readonly source: StoredRestoreSource | null;
  readonly sourceEnd: SourceEnd | null;
  readonly recoveryUntil: () => Scn;
  readonly knownEpoch: () => RoleEpoch;
  /** makes the source durable before it is used */
  readonly storeSource: (source: StoredRestoreSource | null) => Promise<void>;
  readonly storeSourceEnd: (end: SourceEnd) => Promise<void>;
  /** how to log in at a site that has pulled from here; undefined when it never did */
  readonly routeTo: (address: string) => Promise<StoredRestoreSource['service'] | undefined>;
  readonly onEpoch: (epoch: RoleEpoch) => void;
}

export class StandbyPull implements UnitPull {
  readonly #options: StandbyPullOptions;
  #source: StoredRestoreSource | null;
  #sourceEnd: SourceEnd | null;
  #puller: StandbyPuller | null = null;
  #storing: Promise<void> = Promise.resolve();
  #storedWall = 0;

  constructor(options: StandbyPullOptions) {
    this.#options = options;
    this.#source = options.source;
    options.apply.setDelay(options.source?.delayMs ?? 0);
    this.#sourceEnd = options.sourceEnd;
  }

  get source(): StoredRestoreSource | null {
    return this.#source;
  }

  /** Null while the tenant does not pull. */
  status(): StandbyStatus | null {
    return this.#puller?.status() ?? null;
  }

  contact(): SourceContact {
    const end = this.#puller?.status().sourceEnd ?? this.#sourceEnd;
    return end === null ? { end: null, time: null } : { end: { lsn: end.lsn, scn: end.scn }, time: end.wall };
  }

  start(): Promise<void> {
    this.#puller ??= this.#makePuller(this.#openSources());
    this.#puller.start();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    await this.#puller?.stop();
    await this.#storing;
  }

  async close(): Promise<void> {
    const puller = this.#puller;
    this.#puller = null;
    await puller?.close();
    await this.#storing;
  }

  async caughtUpTo(end: Lsn, waitMs: number): Promise<void> {
    if (this.#puller === null) throw new ObError('OBS_STANDBY_STOPPED');
    this.#puller.dropDelay();
    await this.#puller.caughtUpTo(end, waitMs);
  }

  /** What the archive that this tenant follows says of its epochs; null when it follows none. */
  async archiveHead(): Promise<ArchiveHead | null> {
    const location = this.#source?.location ?? null;
    if (location === null) return null;
    const { host, incarnation } = this.#options;
    const { clock, random, variables } = host;
    const store = await openObjectStore(location, { clock, random, variables, access: 'read' });
    try {
      return await new ArchiveReader({ store, clock, identity: { incarnation } }).head();
    } finally {
      await store.close();
    }
  }

  /** Stores a new source and pulls from it, if this tenant pulls. */
  async setSource(source: StoredRestoreSource | null): Promise<void> {
    await this.#options.storeSource(source);
    this.#source = source;
    this.#options.apply.setDelay(source?.delayMs ?? 0);
    await this.#puller?.setSources(this.#openSources());
  }

  async follow(address: string): Promise<void> {
    const known = await this.#options.routeTo(address);
    if (known === undefined || known === null) {
      throw new ObError('OBS_PEER_UNREACHABLE', {
        address,
        why: 'that site never logged in here, so there is no credential for it',
      });
    }
    await this.setSource({
      service: { ...known, addresses: addressesOf(address) },
      location: this.#source?.location ?? null,
      delayMs: this.#source?.delayMs ?? 0,
    });
    await this.start();
  }

  recoverUntil(until: Scn): void {
    this.#puller?.recoverUntil(until);
  }

  /** Stops at what is here; resolves with its SCN. */
  cancelRecovery(): Promise<Scn> {
    if (this.#puller === null) return Promise.resolve(this.#options.log.state().end.scn);
    return this.#puller.cancelRecovery();
  }

  #openSources(): PullSources {
    const { link } = this.#options;
    const source = this.#source;
    return {
      network: source === null || source.service === null ? null : link.source(source.service),
      archive: source === null || source.location === null ? null : this.#archiveSource(source.location),
    };
  }

  /** Opened at the first read, and again after a failure: a dead archive must not keep the network from being used. */
  #archiveSource(location: string): ArchiveSource {
    let opened: Promise<StandbyArchiveSource> | null = null;
    return {
      name: publicLocation(location),
      read: async (from, bytesMax) => {
        opened ??= this.#openArchive(location);
        const source = await opened.catch((error: unknown) => {
          opened = null;
          throw error;
        });
        return source.read(from, bytesMax);
      },
      close: async () => {
        const source = await opened?.catch(() => null);
        await source?.close();
      },
    };
  }

  async #openArchive(location: string): Promise<StandbyArchiveSource> {
    const { host, incarnation } = this.#options;
    const { clock, random, variables } = host;
    const store = await openObjectStore(location, { clock, random, variables, access: 'read' });
    const reader = new ArchiveReader({ store, clock, identity: { incarnation } });
    return new StandbyArchiveSource({ reader, store, clock });
  }

  #makePuller(sources: PullSources): StandbyPuller {
    const { apply, host, log, tenant } = this.#options;
    return new StandbyPuller({
      log,
      apply,
      sources,
      recoveryUntil: this.#options.recoveryUntil(),
      knownEpoch: this.#options.knownEpoch(),
      sourceEnd: this.#sourceEnd,
      bandwidthBytesPerSecond: 0,
      clock: host.clock,
      random: host.random,
      logger: host.logger.child({ tenant }),
      onSourceEnd: end => this.#keepSourceEnd(end),
      onEpoch: this.#options.onEpoch,
      onFatal: host.onFatal,
    });
  }

  /** One store at a time; only the newest matters. A lost source's last end is stored at once. */
  #keepSourceEnd(end: SourceEnd): void {
    this.#sourceEnd = end;
    const follows = this.#puller?.status().status === 'NORMAL';
    if (follows && end.wall - this.#storedWall < sourceEndStoreMicros) return;
    this.#storedWall = end.wall;
    this.#storing = this.#storing
      .then(() => (this.#sourceEnd === end ? this.#options.storeSourceEnd(end) : undefined))
      .catch((error: unknown) => {
        // The certificate of a later failover then tells an older contact, which is still true.
        this.#options.host.logger.warn(
          { tenant: this.#options.tenant, error: String(error) },
          'the end of the source was not stored',
        );
      });
  }
}
