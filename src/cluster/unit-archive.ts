/**
 * The archive of one tenant: its destination, the archiver that runs while the tenant is primary and in ARCHIVELOG, and the
 * chain as the judge of role epochs (the role manager's `ArchiveFence`).
 *
 * Must never begin to archive, or ask the chain, once it is closed: another node of this site leads by then under the same
 * epoch, and the chain could not tell the two apart.
 */
import { Archiver, type ArchiverStatus } from '../archive/archiver.ts';
import type { ArchivedTenant } from '../archive/archive-format.ts';
import { EpochFence } from '../archive/epoch-fence.ts';
import type { ArchiveHead } from '../archive/archive-head.ts';
import { openObjectStore } from '../archive/open-store.ts';
import { isObError, ObError } from '../base/errors.ts';
import { archiveSealMs } from '../base/limits.ts';
import type { LogPosition, LogReader } from '../base/log-access.ts';
import type { Lsn, RoleEpoch } from '../base/scalars.ts';
import type { Timer } from '../platform/clock.ts';
import type { ObjectStore } from '../platform/object-store.ts';
import type { ArchiveFence, EpochClaim } from '../role/ports.ts';
import type { EpochStart, SealRecord } from '../role/row.ts';
import { publicLocation } from '../standby/restore-source.ts';
import type { StoredArchiveDest } from './sys-store.ts';
import { Turns } from './turns.ts';
import type { UnitHost } from './unit-host.ts';

/** Under which opening the archiver writes. */
export interface ArchiverOpening {
  readonly epoch: RoleEpoch;
  readonly operationId: string;
  /** where this history left the one archived before, after a failover; else null */
  readonly cut: LogPosition | null;
}

export interface UnitArchiveOptions {
  readonly host: UnitHost;
  readonly tenant: ArchivedTenant;
  readonly log: LogReader;
  readonly dest: StoredArchiveDest | null;
  /** LOCATION of the restore source, whose chain judges while the tenant follows it */
  readonly sourceLocation: () => string | null;
  /** the chain belongs to a higher epoch */
  readonly onFenced: (claim: EpochClaim, openings: readonly EpochStart[]) => void;
}

export class UnitArchive implements ArchiveFence {
  readonly #options: UnitArchiveOptions;
  #dest: StoredArchiveDest | null;
  #opening: ArchiverOpening | null = null;
  #archiver: Archiver | null = null;
  #archiverStore: ObjectStore | null = null;
  #fence: { readonly location: string; readonly store: ObjectStore; readonly fence: EpochFence } | null =
    null;
  #problem = '';
  #retry: Timer | null = null;
  #fencedRetry: Timer | null = null;
  #closed = false;
  /** starts and stops run one after another */
  readonly #turns = new Turns();

  constructor(options: UnitArchiveOptions) {
    this.#options = options;
    this.#dest = options.dest;
  }

  get dest(): StoredArchiveDest | null {
    return this.#dest;
  }

  status(): ArchiverStatus | null {
    return this.#archiver?.status() ?? null;
  }

  /** Why there is no archiver although there should be one; '' when all is well. */
  get problem(): string {
    return this.#problem;
  }

  /** Replaces the destination; the archiver of the old one is closed, its round stays as it is. */
  setDest(dest: StoredArchiveDest | null): Promise<void> {
    return this.#turns.run(async () => {
      const wasRunning = this.#archiver !== null;
      if (wasRunning && (dest === null || dest.location !== this.#dest?.location || !dest.enabled))
        await this.#closeArchiver('stop');
      this.#dest = dest;
      if (dest?.deferred === true) this.#archiver?.suspend();
      else this.#archiver?.resume();
      await this.#reconcile(!wasRunning);
    });
  }

  /** The tenant serves as primary under this opening, or (null) it does not. */
  serve(opening: ArchiverOpening | null): Promise<void> {
    return this.#turns.run(async () => {
      if (this.#opening?.epoch === opening?.epoch && this.#opening?.operationId === opening?.operationId)
        return;
      await this.#closeArchiver('leave');
      if (this.#closed) return;
      this.#opening = opening;
      await this.#reconcile(false);
    });
  }

  /** Resolves when the archive holds the log to there. Throws OBS_ARCHIVE_UNAVAILABLE. */
  async flushTo(to: Lsn, withinMs: number): Promise<void> {
    await this.#turns.settled;
    await this.#running().flushTo(to, withinMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#opening = null;
    this.#retry?.cancel();
    this.#fencedRetry?.cancel();
    await this.#turns.run(() => this.#closeArchiver('leave'));
    await this.#fence?.store.close();
    this.#fence = null;
  }

  // --- the chain as a judge ---

  configured(): Promise<string | null> {
    const location = this.#location();
    return Promise.resolve(location === null ? null : publicLocation(location));
  }

  async head(): Promise<EpochClaim & { readonly openings: readonly EpochStart[] }> {
    const head = await (await this.#openFence()).head();
    return {
      epoch: head.epoch,
      site: head.owner?.siteId ?? '',
      operationId: head.owner?.operationId ?? null,
      openings: openingsOf(head),
    };
  }

  async claim(claim: EpochClaim): Promise<{ kind: 'claimed' } | { kind: 'lost'; to: EpochClaim }> {
    const outcome = await (await this.#openFence()).claimEpoch({
      epoch: claim.epoch,
      operationId: claim.operationId ?? '',
      siteId: claim.site,
      cut: this.#options.log.state().end,
    });
    if (outcome.kind === 'claimed') return outcome;
    const { epoch, siteId, operationId } = outcome.to;
    return { kind: 'lost', to: { epoch, site: siteId, operationId } };
  }

  async seal(record: SealRecord): Promise<void> {
    await this.#turns.settled;
    const { position, epoch, operationId } = record;
    const { epochs } = await (await this.#openFence()).head();
    if (epochs.some(({ sealed }) => sealed?.switchoverId === operationId)) return;
    await this.#running().seal({ ...position, epoch, switchoverId: operationId }, archiveSealMs);
  }

  async sealed(): Promise<SealRecord | null> {
    const head = await (await this.#openFence()).head();
    const { sealed } = head;
    if (sealed === null) return null;
    const sealer = head.epochs.find(record => record.sealed?.switchoverId === sealed.switchoverId);
    const { lsn, scn, checksum, epoch, switchoverId } = sealed;
    return {
      operationId: switchoverId,
      epoch,
      site: sealer?.siteId ?? '',
      position: { lsn, scn, checksum },
      arbiter: 'archive',
      archiveName: await this.configured(),
      target: null,
    };
  }

  #running(): Archiver {
    if (this.#archiver !== null) return this.#archiver;
    throw new ObError('OBS_ARCHIVE_UNAVAILABLE', {
      dest: this.#dest === null ? 'none' : publicLocation(this.#dest.location),
      why: this.#problem === '' ? 'this site does not archive' : this.#problem,
    });
  }

  #location(): string | null {
    const dest = this.#dest !== null && this.#dest.enabled ? this.#dest.location : null;
    return this.#options.sourceLocation() ?? dest;
  }

  async #openFence(): Promise<EpochFence> {
    this.#mustBeOpen();
    const location = this.#location();
    if (location === null)
      throw new ObError('OBS_ARCHIVE_NOT_CONFIGURED', { tenant: this.#options.tenant.name });
    if (this.#fence?.location === location) return this.#fence.fence;
    const { host, tenant } = this.#options;
    const { clock, random, variables } = host;
    const store = await openObjectStore(location, { clock, random, variables, access: 'write' });
    if (this.#closed) await store.close();
    this.#mustBeOpen();
    await this.#fence?.store.close();
    const fence = new EpochFence({ store, tenant, siteId: host.siteId, clock, random });
    this.#fence = { location, store, fence };
    return fence;
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new ObError('OBS_ROLE_STOPPED', { tenant: this.#options.tenant.name });
  }

  // --- the archiver ---

  async #reconcile(newRound: boolean): Promise<void> {
    const dest = this.#dest;
    const opening = this.#opening;
    this.#problem = '';
    if (dest === null || !dest.enabled || opening === null || this.#archiver !== null) return;
    const { host, tenant, log } = this.#options;
    const { clock, random, variables } = host;
    let store: ObjectStore;
    try {
      store = await openObjectStore(dest.location, { clock, random, variables, access: 'write' });
    } catch (error) {
      if (!isObError(error)) throw error;
      this.#problem = `${error.code}: ${error.message}`;
      host.logger.error({ tenant: tenant.name, code: error.code }, 'the archive destination cannot be used');
      this.#retryLater();
      return;
    }
    if (this.#closed) {
      await store.close();
      return;
    }
    this.#archiverStore = store;
    this.#archiver = new Archiver({
      log,
      store,
      tenant,
      epoch: opening.epoch,
      siteId: host.siteId,
      operationId: opening.operationId,
      openedAt: opening.cut,
      binding: dest.binding,
      pieceSwitchIntervalMs: dest.pieceSwitchIntervalMs,
      lagTargetMs: dest.lagTargetMs ?? host.settings.archiveLagTargetMs,
      newRound,
      clock,
      random,
      logger: host.logger.child({ tenant: tenant.name }),
      onFenced: () => void this.#tellFenced(),
      onFatal: host.onFatal,
    });
    this.#archiver.start();
    if (dest.deferred) this.#archiver.suspend();
  }

  /** Media that cannot be used now is tried again while the tenant serves. */
  #retryLater(): void {
    const { host } = this.#options;
    if (this.#closed) return;
    this.#retry?.cancel();
    this.#retry = host.clock.after(5_000, () => {
      if (this.#opening !== null && this.#archiver === null) {
        this.#turns.run(() => this.#reconcile(false)).catch(host.onFatal);
      }
    });
  }

  async #tellFenced(): Promise<void> {
    const { host, tenant, onFenced } = this.#options;
    try {
      const head = await (await this.#openFence()).head();
      const { owner } = head;
      if (owner !== null && !this.#closed)
        onFenced(
          { epoch: owner.epoch, site: owner.siteId, operationId: owner.operationId },
          openingsOf(head),
        );
    } catch (error) {
      if (this.#closed) return;
      if (!isObError(error)) host.onFatal(error);
      else this.#fencedRetry = host.clock.after(1_000, () => void this.#tellFenced());
      host.logger.error(
        { tenant: tenant.name, error: String(error) },
        'the archive belongs to a newer epoch; who holds it is not known yet',
      );
    }
  }

  async #closeArchiver(how: 'stop' | 'leave'): Promise<void> {
    const archiver = this.#archiver;
    this.#archiver = null;
    if (how === 'stop') await archiver?.stop();
    else archiver?.close();
    await this.#archiverStore?.close();
    this.#archiverStore = null;
  }
}

/**
 * Where each epoch of a chain began, as far back as it can be told without a guess. The chain's first epoch began at the
 * latest where its first round did.
 */
export function openingsOf({ epochs, rounds }: Pick<ArchiveHead, 'epochs' | 'rounds'>): EpochStart[] {
  const openings: EpochStart[] = [];
  for (const [index, { epoch, cut }] of epochs.entries()) {
    const before = index === 0 ? null : (epochs[index - 1]?.sealed ?? null);
    const sealedAt = before === null ? null : { lsn: before.lsn, scn: before.scn, checksum: before.checksum };
    const start = cut ?? sealedAt ?? (index === 0 ? (rounds[0]?.start ?? null) : null);
    if (start === null) openings.length = 0;
    else openings.push({ epoch, cut: start });
  }
  return openings;
}
