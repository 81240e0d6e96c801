/**
 * One tenant in one server: its log stream, engine, role manager, pull and archive, wired together, opened in order and
 * closed in reverse. Decides nothing itself: the role manager says what the tenant is, this keeps the parts in step.
 *
 * A tenant opens as a follower whatever it was; only the role manager promotes it, after its restart check (W6).
 */
import { isObError, ObError } from '../base/errors.ts';
import type { LogPosition, ProposalEra } from '../base/log-access.ts';
import { logStreamId, type LogStreamId, type Lsn, type RoleEpoch } from '../base/scalars.ts';
import { LogStream } from '../logstream/log-stream.ts';
import { RoleDriver } from '../role/driver.ts';
import type { RoleView } from '../role/core.ts';
import { isUnfinished, type RoleRow } from '../role/row.ts';
import type { PeerTenant } from '../standby/network/peer-tenant.ts';
import { addressText } from '../standby/restore-source.ts';
import type { TenantEngine } from '../tenant/engine.ts';
import { openTenantEngine } from '../tenant/sqlite-engine.ts';
import { UnitLocalTenant } from './local-tenant.ts';
import { addressOf, PeerLink, type PeerRoute } from './peer-link.ts';
import { RolePeers } from './role-peers.ts';
import { StandbyPull } from './standby-pull.ts';
import type { StoredTenant } from './sys-store.ts';
import { tenantPaths } from './tenant-paths.ts';
import { openingsOf, UnitArchive } from './unit-archive.ts';
import type { UnitHost } from './unit-host.ts';

export const userLogStream: LogStreamId = logStreamId(1001);

/** What any site that may replicate can ask or tell; the rest changes roles. */
const openOps: ReadonlySet<string> = new Set(['describe', 'fence-notice', 'report-suffix']);

export interface UnitParts {
  readonly log: LogStream;
  readonly engine: TenantEngine;
}

export class TenantUnit {
  readonly record: StoredTenant;
  readonly log: LogStream;
  readonly engine: TenantEngine;
  readonly role: RoleDriver;
  readonly pull: StandbyPull;
  readonly archive: UnitArchive;
  readonly local: UnitLocalTenant;
  readonly #host: UnitHost;
  #closed = false;

  private constructor(
    host: UnitHost,
    record: StoredTenant,
    parts: UnitParts & { role: RoleDriver; pull: StandbyPull; archive: UnitArchive; local: UnitLocalTenant },
  ) {
    this.#host = host;
    this.record = record;
    this.log = parts.log;
    this.engine = parts.engine;
    this.role = parts.role;
    this.pull = parts.pull;
    this.archive = parts.archive;
    this.local = parts.local;
  }

  /** Recovers the tenant and boots its role. Throws what the log, the engine and the store throw. */
  static async open(host: UnitHost, record: StoredTenant): Promise<TenantUnit> {
    const log = await openUnitLog(host, record);
    let engine: TenantEngine | undefined;
    try {
      engine = await openUnitEngine(host, record, log);
      return await TenantUnit.#start(host, record, { log, engine });
    } catch (error) {
      await engine?.close();
      await log.close();
      throw error;
    }
  }

  static async #start(host: UnitHost, record: StoredTenant, { log, engine }: UnitParts): Promise<TenantUnit> {
    const { name, incarnation } = record;
    const { store, settings } = host;
    const stored = await store.unitState(record.id);
    const link = new PeerLink({ host, localTenant: name, incarnation });
    let row: RoleRow | null = null;
    const knownEpoch = (): RoleEpoch => row?.epoch ?? stored.epoch;
    const followers = () => store.followers(record.id);

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
      engine,
      link,
      source: stored.restoreSource,
      sourceEnd: stored.sourceEnd,
      recoveryUntil: () => (row ?? stored).recoveryUntilScn,
      knownEpoch,
      storeSource: source => store.setRestoreSource(record.id, source),
      storeSourceEnd: end => store.setSourceEnd(record.id, end),
      routeTo: async address => (await followers()).find(follower => follower.address === address)?.route,
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
    const local = new UnitLocalTenant({ log, engine, pull });
    let unit: TenantUnit | null = null;
    const role = await RoleDriver.start({
      ports: {
        store: store.roleStore(record.id, step => host.reached(`role:${step}`)),
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
        address: host.advertise(),
        get drainMs() {
          return settings.drainMs;
        },
        get catchUpMs() {
          return settings.catchUpMs;
        },
        fenceRetryMs: 1000,
        restartFencing: settings.restartFencing,
      },
      clock: host.clock,
      onChange: view => {
        row = view.row;
        unit?.follow(view);
      },
      onFatal: host.onFatal,
    });
    unit = new TenantUnit(host, record, {
      log,
      engine,
      role,
      pull,
      archive,
      local,
    });
    unit.follow(role.view());
    return unit;
  }

  /** Keeps the archiver in step with the role. */
  follow(view: RoleView): void {
    if (this.#closed) return;
    const { row, writesRefused } = view;
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
    this.archive.serve(archived).catch(this.#host.onFatal);
  }

  /** What this tenant shows to peers of other sites. */
  peerTenant(): PeerTenant {
    const { record, log, engine, role } = this;
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
          pageBytes: engine.state().pageBytes,
          blockBytes: log.blockBytes,
          sealed:
            row.sealed === null
              ? null
              : { ...row.sealed.position, epoch: row.sealed.epoch, operationId: row.sealed.operationId },
        };
      },
      openSnapshot: () => engine.snapshot(),
      control: async (op, body, peer) => {
        if (!openOps.has(op) && !(await this.#host.mayChangeRoles(engine, peer.user))) {
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
      peerSeen: (peer, credential) => {
        this.#host.siteNames.learn(peer.site, peer.cluster);
        if (peer.address === null) return;
        const { address, site, localTenant } = peer;
        const route = { addresses: [addressOf(address)], tenant: localTenant, credential };
        this.#host.store.rememberFollower(record.id, { address, site, route }).catch((error: unknown) => {
          // Stored at its next login; until then a restart of this primary would not know to ask that site.
          if (isObError(error))
            this.#host.logger.warn(
              { tenant: record.name, site, code: error.code },
              'a follower was not stored',
            );
          else this.#host.onFatal(error);
        });
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

  /** Stops everything of this tenant, in reverse order of opening. The role row says what to resume. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#host.forgetFollowers(this.record.incarnation);
    await this.role.close();
    await this.archive.close();
    await this.pull.close();
    await this.engine.close();
    await this.log.close();
  }
}

/** Where the log of a copied tenant begins, and what its copy knows of the history before. */
export interface InitialUnitLog {
  readonly position: LogPosition;
  /** the copied file holds changes up to here */
  readonly checkpointLsn: Lsn;
  readonly proposalHistory: readonly ProposalEra[];
  readonly blockBytes: number;
}

/** Opens the log of a tenant; `initial` for one that is made now and does not begin at LSN 0. */
export function openUnitLog(
  host: UnitHost,
  record: Pick<StoredTenant, 'id' | 'incarnation' | 'name'>,
  initial?: InitialUnitLog,
): Promise<LogStream> {
  const { settings } = host;
  return LogStream.open({
    disk: host.disk,
    clock: host.clock,
    directory: tenantPaths(host.dataDirectory, record.id).log,
    stream: userLogStream,
    incarnation: record.incarnation,
    limits: {
      blockBytes: initial?.blockBytes ?? settings.blockBytes,
      get diskBytesMax() {
        return settings.logDiskBytesMax;
      },
    },
    ...(initial === undefined
      ? {}
      : {
          initialPosition: initial.position,
          initialCheckpointLsn: initial.checkpointLsn,
          initialHistory: initial.proposalHistory,
          initialAccessMode: 'RAW_WRITE' as const,
        }),
    onFatal: host.onFatal,
    logger: host.logger.child({ tenant: record.name }),
  });
}

/** Opens the engine of a tenant, as a follower: its log decides what the database holds. */
function openUnitEngine(
  host: UnitHost,
  record: Pick<StoredTenant, 'id' | 'incarnation' | 'name' | 'pageBytes'>,
  log: LogStream,
): Promise<TenantEngine> {
  return openTenantEngine({
    pool: host.pool,
    directory: tenantPaths(host.dataDirectory, record.id).directory,
    tenant: record.name,
    incarnation: record.incarnation,
    log,
    mode: 'follower',
    pageBytes: record.pageBytes,
    limits: host.settings.engine,
    clock: host.clock,
    logger: host.logger,
    onFatal: host.onFatal,
    onCheckpoint: position => {
      log.advanceBase(position.lsn).catch((error: unknown) => {
        // A stream that is closing does not recycle any more.
        if (!(error instanceof ObError) || error.kind === 'disk' || error.kind === 'bug') host.onFatal(error);
      });
    },
  });
}
