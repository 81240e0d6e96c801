/**
 * What a user tenant has besides its replica while the replica leads: the role manager with its hands on it, the pull, the
 * archive, wired together. Begun for one term and ended with it; the row of the sys tenant says what the next one resumes.
 *
 * Decides nothing itself: the role manager says what the tenant is, this keeps the parts in step. A tenant begins every
 * term as a follower whatever it was; only the role manager promotes it (W6).
 */
import { isObError, ObError } from '../base/errors.ts';
import { heardLeaderMs } from '../base/limits.ts';
import type { RoleEpoch } from '../base/scalars.ts';
import { RoleDriver } from '../role/driver.ts';
import type { RoleView } from '../role/core.ts';
import { isUnfinished, type RoleRow } from '../role/row.ts';
import type { PeerTenant } from '../standby/network/peer-tenant.ts';
import { addressText } from '../standby/restore-source.ts';
import type { Moment } from './leader-guide.ts';
import type { LeaderTerm } from './leader-term.ts';
import { UnitLocalTenant } from './local-tenant.ts';
import { addressesOf, leadsTo, PeerLink, type PeerRoute } from './peer-link.ts';
import { userLogStream } from './replica-log.ts';
import { RolePeers } from './role-peers.ts';
import { StandbyPull } from './standby-pull.ts';
import type { StoredTenant } from './sys-store.ts';
import type { Leadership, TenantReplica } from './tenant-replica.ts';
import { openingsOf, UnitArchive } from './unit-archive.ts';
import type { UnitHost } from './unit-host.ts';

/** What any site that may replicate can ask or tell; the rest changes roles. */
const openOps: ReadonlySet<string> = new Set(['describe', 'fence-notice', 'report-suffix']);

interface Parts {
  readonly role: RoleDriver;
  readonly pull: StandbyPull;
  readonly archive: UnitArchive;
  readonly local: UnitLocalTenant;
}

export interface LeadershipOptions {
  readonly host: UnitHost;
  readonly record: StoredTenant;
  readonly replica: TenantReplica;
  readonly term: LeaderTerm;
}

export class UnitLeadership implements Leadership {
  readonly role: RoleDriver;
  readonly pull: StandbyPull;
  readonly archive: UnitArchive;
  readonly local: UnitLocalTenant;
  readonly #options: LeadershipOptions;
  #peerTenant: PeerTenant | null = null;
  #closed = false;

  private constructor(options: LeadershipOptions, parts: Parts) {
    this.#options = options;
    this.role = parts.role;
    this.pull = parts.pull;
    this.archive = parts.archive;
    this.local = parts.local;
  }

  /** Loads the tenant's row and boots its role. Throws what the store throws, and OBS_ROLE_STOPPED with the term. */
  static async begin(options: LeadershipOptions): Promise<UnitLeadership> {
    const { host, record, replica, term } = options;
    const { name, incarnation } = record;
    const { store, settings } = host;
    const { log } = replica;
    const stored = await term.race(store.unitState(record.id));
    const link = new PeerLink({ host, localTenant: name, incarnation });
    let row: RoleRow | null = null;
    const knownEpoch = (): RoleEpoch => row?.epoch ?? stored.epoch;
    const followers = () => term.race(store.followers(record.id));

    // A source over the network is asked by the role manager itself; an archive tells its epochs here.
    const tellEpoch = async (epoch: RoleEpoch): Promise<void> => {
      const head =
        (pull.source?.service ?? null) === null ? await pull.archiveHead().catch(() => null) : null;
      role.epochSeen({
        epoch,
        site: head?.owner?.siteId ?? '',
        address: null,
        certainty: 'opened',
        openings: head === null ? [] : openingsOf(head),
        inherited: false,
      });
    };

    const pull = new StandbyPull({
      host,
      tenant: name,
      incarnation,
      log,
      apply: replica.apply,
      link,
      source: stored.restoreSource,
      sourceEnd: stored.sourceEnd,
      recoveryUntil: () => (row ?? stored).recoveryUntilScn,
      knownEpoch,
      storeSource: source => term.race(store.setRestoreSource(record.id, source)),
      storeSourceEnd: end => term.race(store.setSourceEnd(record.id, end)),
      routeTo: async address => (await followers()).find(({ route }) => leadsTo(route, address))?.route,
      onEpoch: epoch => void tellEpoch(epoch),
    });
    const archive = new UnitArchive({
      host,
      tenant: { name, incarnation, stream: userLogStream },
      log,
      dest: stored.archiveDest,
      sourceLocation: () =>
        row?.role === 'PRIMARY' && !isUnfinished(row) ? null : (pull.source?.location ?? null),
      onFenced: (claim, openings) =>
        role.epochSeen({
          epoch: claim.epoch,
          site: claim.site,
          address: null,
          certainty: 'claimed',
          openings,
          inherited: false,
        }),
    });
    const local = new UnitLocalTenant({ replica, term, pull });
    let leadership: UnitLeadership | null = null;
    const roles = store.roleStore(record.id, step => host.reached(`role:${step}`));
    const wasServed = isRecent(host, replica.heardLeader);
    const role = await RoleDriver.start({
      ports: {
        store: {
          load: () => term.race(roles.load()),
          compareAndSet: (...change) => term.race(roles.compareAndSet(...change)),
          writeJournal: entries => term.race(roles.writeJournal(entries)),
          readJournal: operationId => term.race(roles.readJournal(operationId)),
        },
        local,
        peers: new RolePeers({
          link,
          source: () => pull.source?.service ?? null,
          followers,
          knownEpoch,
          connectMs: () => settings.probeMs,
          requestMs: () => settings.drainMs + settings.catchUpMs,
        }),
        archive,
        timer: { sleep: ms => new Promise(resolve => host.clock.after(ms, resolve)) },
      },
      settings: {
        get address() {
          return host.advertise();
        },
        get drainMs() {
          return settings.drainMs;
        },
        get catchUpMs() {
          return settings.catchUpMs;
        },
        fenceRetryMs: 1000,
        // The leader before this one has made the check: it served a moment ago.
        restartFencing: wasServed ? 'off' : settings.restartFencing,
      },
      clock: host.clock,
      onChange: view => {
        row = view.row;
        leadership?.follow(view);
      },
      onFatal: host.onFatal,
    });
    leadership = new UnitLeadership(options, { role, pull, archive, local });
    leadership.follow(role.view());
    return leadership;
  }

  get delayMs(): number {
    return this.local.writable ? 0 : (this.pull.source?.delayMs ?? 0);
  }

  get serves(): boolean {
    return this.local.writable;
  }

  get isOpening(): boolean {
    const { row, running, writesRefused } = this.role.view();
    if (row.fenced !== null || row.sealed !== null) return false;
    if (row.role === 'PRIMARY') return writesRefused === null;
    return row.switchoverStatus === 'SWITCHING TO PRIMARY' && running !== null;
  }

  /** Keeps the archiver in step with the role. */
  follow(view: RoleView): void {
    if (this.#closed) return;
    const { row, writesRefused } = view;
    // A primary that does not serve yet shows what it has.
    if (row.role === 'PRIMARY') this.#options.replica.apply.setDelay(0);
    const { opening, switchoverStatus } = row;
    const serves = row.role === 'PRIMARY' && writesRefused === null;
    // On its way to standby the archiver goes on until the seal is in the chain, also when the site restarts meanwhile.
    const seals =
      switchoverStatus === 'PREPARE SWITCHING TO STANDBY' || switchoverStatus === 'SWITCHING TO STANDBY';
    const writes = opening !== null && row.fenced === null && (serves || seals);
    // A primary whose restart check is not done neither begins nor ends its archiving.
    if (!writes && row.role === 'PRIMARY' && row.fenced === null) return;
    const archived = writes
      ? {
          epoch: opening.epoch,
          operationId: opening.operationId,
          cut: opening.kind === 'activate' ? opening.cut : null,
        }
      : null;
    this.archive.serve(archived).catch(this.#options.host.onFatal);
  }

  /** What this tenant shows to peers of other sites. */
  peerTenant(): PeerTenant {
    this.#peerTenant ??= this.#makePeerTenant();
    return this.#peerTenant;
  }

  #makePeerTenant(): PeerTenant {
    const { host, record, replica } = this.#options;
    const { role } = this;
    const { engine, log } = replica;
    const { pageBytes } = engine.state();
    return {
      name: record.name,
      incarnation: record.incarnation,
      log,
      state: () => {
        const { row } = role.view();
        return {
          role: row.role,
          switchoverStatus: row.switchoverStatus,
          roleEpoch: row.epoch,
          pageBytes,
          blockBytes: log.blockBytes,
          sealed:
            row.sealed === null
              ? null
              : { ...row.sealed.position, epoch: row.sealed.epoch, operationId: row.sealed.operationId },
        };
      },
      openSnapshot: () => engine.snapshot(),
      control: async (op, body, peer) => {
        if (!openOps.has(op) && !(await host.mayChangeRoles(engine, peer.user))) {
          throw new ObError('OBS_PEER_NOT_PRIVILEGED', { user: peer.user, tenant: record.name, op });
        }
        return role.control(op, body);
      },
      epochSeen: (epoch, peer) =>
        role.epochSeen({
          epoch,
          site: peer.site,
          address: peer.address,
          certainty: 'opened',
          openings: [],
          inherited: false,
        }),
      peerSeen: async (peer, credential) => {
        host.siteNames.learn(peer.site, peer.cluster);
        if (peer.address === null) return;
        const { address, site, localTenant } = peer;
        const route = { addresses: addressesOf(address), tenant: localTenant, credential };
        try {
          await host.store.rememberFollower(record.id, { address, site, route });
        } catch (error) {
          if (!isObError(error)) {
            host.onFatal(error);
            return;
          }
          // Stored at its next login; until then a restart of this primary would not know to ask that site.
          host.logger.warn({ tenant: record.name, site, code: error.code }, 'a follower was not stored');
          if (error.code === 'OBS_SERVER_FOLLOWERS_FULL') throw error;
        }
      },
    };
  }

  /** Where this tenant's source is, for people. */
  get sourceAddresses(): readonly string[] {
    return this.pull.source?.service?.addresses.map(addressText) ?? [];
  }

  get route(): PeerRoute | null {
    return this.pull.source?.service ?? null;
  }

  /** Stops everything of this leadership, in reverse order of beginning. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { host, record } = this.#options;
    // They look for the next leader at once.
    host.forgetFollowers(record.incarnation);
    await this.role.close();
    await this.archive.close();
    await this.pull.close();
  }
}

/** A machine that slept, or whose clock was set, does not know. */
const isRecent = ({ clock }: UnitHost, heard: Moment | null): boolean =>
  heard !== null &&
  clock.now() - heard.at <= heardLeaderMs &&
  Math.abs(clock.wall() - heard.wall) <= heardLeaderMs * 1_000;
