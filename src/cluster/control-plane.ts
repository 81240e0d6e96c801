/**
 * The operators' verbs of one server: checks arguments, finds the tenant, and hands the work to the role manager, the pull,
 * the archive or the engine. Holds no state of its own; every verb can be given again.
 */
import { writeBaseBackup } from '../archive/base-backup.ts';
import { openObjectStore } from '../archive/open-store.ts';
import { ObError } from '../base/errors.ts';
import { archiveSealMs, storePreflightMs, storePreflightRequestMs, tenantOpenMs } from '../base/limits.ts';
import { type Lsn, type Scn, scnUnlimited } from '../base/scalars.ts';
import type { CommandResult } from '../role/commands.ts';
import { isUnfinished, newPrimaryRow, newStandbyRow } from '../role/row.ts';
import { parseRestoreSource } from '../standby/restore-source.ts';
import type { TenantEngine } from '../tenant/engine.ts';
import { parseArchiveDest } from './archive-dest.ts';
import type {
  LossCertificate,
  Operations,
  Progress,
  StepReport,
  SwitchoverOutcome,
  TenantInfo,
} from './operations.ts';
import { type CopyBound, createFromArchive, createFromNetwork } from './standby-creation.ts';
import type { StoredArchiveDest, StoredRestoreSource } from './sys-store.ts';
import { closedTenantInfo, tenantInfo } from './tenant-info.ts';
import type { TenantRegistry } from './tenant-registry.ts';
import { openUnitLog, type TenantUnit, userLogStream } from './tenant-unit.ts';
import type { UnitHost } from './unit-host.ts';

export interface ControlPlaneOptions {
  readonly host: UnitHost;
  readonly registry: TenantRegistry;
  /** makes the users of a new tenant; the front-end's, since users are its affair */
  readonly createUsers: (engine: TenantEngine, rootPassword: string) => Promise<void>;
}

const silent: Progress = () => {};

export class ControlPlane implements Operations {
  readonly #host: UnitHost;
  readonly #registry: TenantRegistry;
  readonly #createUsers: ControlPlaneOptions['createUsers'];

  constructor(options: ControlPlaneOptions) {
    this.#host = options.host;
    this.#registry = options.registry;
    this.#createUsers = options.createUsers;
  }

  tenants(): Promise<readonly TenantInfo[]> {
    const { units, closed } = this.#registry;
    return Promise.resolve([
      ...units.map(unit => tenantInfo(this.#host, unit)),
      ...closed.map(tenant => closedTenantInfo(tenant)),
    ]);
  }

  async tenant(name: string): Promise<TenantInfo> {
    const closed = this.#registry.findClosed(name);
    return closed === undefined ? tenantInfo(this.#host, this.#registry.get(name)) : closedTenantInfo(closed);
  }

  // --- tenants ---

  async createTenant(options: Parameters<Operations['createTenant']>[0]): Promise<void> {
    const { name, ifNotExists, rootPassword = '' } = options;
    checkName(name);
    if (ifNotExists && this.#registry.find(name) !== undefined) return;
    const { clock, random, settings, siteId, store } = this.#host;
    const incarnation = random.uuid();
    const pageBytes = options.pageBytes ?? settings.pageBytes;
    checkPageBytes(pageBytes);
    const now = clock.wall();
    await this.#registry.create(
      { name, incarnation, createTime: now, pageBytes },
      async record => {
        await (await openUnitLog(this.#host, record)).close();
        const row = newPrimaryRow({ tenant: name, incarnation, site: siteId }, now);
        await store.insertRole(record.id, row);
        this.#host.reached(`role:${row.step}`);
        return { incarnation, pageBytes };
      },
      async unit => {
        await this.#untilWritable(unit);
        await this.#createUsers(unit.engine, rootPassword);
        // From here on the files themselves know that there was a log: one that vanishes is missed, not begun anew.
        await unit.engine.checkpoint();
      },
    );
  }

  async dropTenant(name: string, options: { force: boolean; ifExists: boolean }): Promise<void> {
    const isHere = this.#registry.find(name) ?? this.#registry.findClosed(name);
    if (isHere === undefined && options.ifExists) return;
    const info = await this.tenant(name);
    const connected = info.followers.filter(follower => follower.connected);
    if (info.role === 'PRIMARY' && connected.length > 0 && !options.force) {
      throw new ObError('OBS_SERVER_TENANT_HAS_STANDBYS', { tenant: name, count: connected.length });
    }
    await this.#registry.remove(name);
  }

  async #untilWritable(unit: TenantUnit): Promise<void> {
    const { clock } = this.#host;
    const deadline = clock.now() + tenantOpenMs;
    for (;;) {
      const { row, running } = unit.role.view();
      if (unit.local.writable && row.role === 'PRIMARY') return;
      // An opening that failed stays where it stopped: running it again tells why.
      if (running === null && isUnfinished(row)) await unit.role.command({ kind: 'resume' });
      if (clock.now() > deadline) {
        const { writesRefused } = unit.role.view();
        throw writesRefused ?? new ObError('OBS_SERVER_TENANT_BUSY', { tenant: unit.record.name });
      }
      await new Promise<void>(resolve => clock.after(1, resolve));
    }
  }

  // --- standbys ---

  async createStandbyTenant(
    options: Parameters<Operations['createStandbyTenant']>[0],
    progress: Progress = silent,
  ): Promise<void> {
    const { name, ifNotExists } = options;
    checkName(name);
    if (ifNotExists && this.#registry.find(name) !== undefined) return;
    const source = storedSource(options.source);
    if (source === null) throw new ObError('OBS_STANDBY_SOURCE_INVALID', { problems: 'it is empty' });
    await this.#createCopy(name, source, { bound: { kind: 'whole' }, from: null }, progress);
  }

  /**
   * The copy ends at the bound and follows nobody: a restored tenant must not claim the archive it came from. `standby
   * source` makes it follow, `failover --force` opens it.
   */
  async restore(options: Parameters<Operations['restore']>[0], progress: Progress = silent): Promise<void> {
    checkName(options.name);
    const until = options.untilScn ?? null;
    const bound: CopyBound = until === null ? { kind: 'end' } : { kind: 'scn', scn: until };
    await this.#createCopy(options.name, null, { bound, from: options.from }, progress);
    const { role } = this.#registry.get(options.name);
    await role.command({ kind: 'set-recovery-until', until: 'cancel' });
  }

  /** `source` is what the standby follows; `from` an archive that is only copied from. */
  async #createCopy(
    name: string,
    source: StoredRestoreSource | null,
    copy: { readonly bound: CopyBound; readonly from: string | null },
    progress: Progress,
  ): Promise<void> {
    const { clock, random, settings, siteId, store } = this.#host;
    const createTime = clock.wall();
    await this.#registry.create(
      { name, incarnation: random.uuid(), createTime, pageBytes: settings.pageBytes },
      async record => {
        const location = copy.from ?? source?.location ?? null;
        const files =
          (source?.service ?? null) === null && location !== null
            ? await createFromArchive(this.#host, record, location, copy.bound, progress)
            : await createFromNetwork(this.#host, record, source?.service ?? noRoute(name), progress);
        await files.log.close();
        const { incarnation, pageBytes, epoch, openings } = files;
        const row = newStandbyRow({ tenant: name, incarnation, site: siteId }, epoch, openings);
        await store.insertRole(record.id, row);
        await store.setRestoreSource(record.id, source);
        return { incarnation, pageBytes };
      },
      () => Promise.resolve(),
    );
  }

  async setLogRestoreSource(name: string, source: string): Promise<void> {
    const unit = this.#registry.get(name);
    await unit.pull.setSource(storedSource(source));
    if (unit.role.view().row.role === 'STANDBY') await unit.pull.start();
  }

  async recoverStandby(name: string, until: Parameters<Operations['recoverStandby']>[1]): Promise<void> {
    const unit = this.#registry.get(name);
    if (until.kind === 'cancel') {
      await unit.pull.cancelRecovery();
      await unit.role.command({ kind: 'set-recovery-until', until: 'cancel' });
      return;
    }
    const bound = until.kind === 'scn' ? until.scn : scnUnlimited;
    await unit.role.command({ kind: 'set-recovery-until', until: bound });
    unit.pull.recoverUntil(bound);
    await unit.pull.start();
  }

  async forgetFollower(name: string, site: string): Promise<void> {
    const unit = this.#registry.get(name);
    // A standby that is there can be promoted: a primary that did not ask it could open beside it.
    if (this.#host.followers(unit.record.incarnation).some(each => each.site === site && each.connected))
      throw new ObError('OBS_SERVER_FOLLOWER_CONNECTED', { tenant: name, site });
    if (!(await this.#host.store.forgetFollower(unit.record.id, site))) {
      throw new ObError('OBS_SERVER_NO_SUCH_FOLLOWER', { tenant: name, site });
    }
  }

  async openTenant(name: string): Promise<void> {
    if (this.#registry.findClosed(name) !== undefined) {
      await this.#registry.openAgain(name);
      this.#registry.get(name);
      return;
    }
    const unit = this.#registry.get(name);
    unit.role.openAnyway();
    await this.#untilWritable(unit);
  }

  // --- archive and backup ---

  async setLogArchiveDest(name: string, text: string): Promise<void> {
    const unit = this.#registry.get(name);
    const parsed = parseArchiveDest(text);
    const old = unit.archive.dest;
    if (old?.enabled === true && parsed?.location !== old.location) {
      throw new ObError('OBS_ARCHIVE_ALREADY_ON', { tenant: name });
    }
    if (parsed !== null) await this.#preflight(parsed.location);
    const dest =
      parsed === null
        ? null
        : { ...parsed, enabled: old?.enabled ?? false, deferred: old?.deferred ?? false };
    await this.#storeDest(unit, dest);
  }

  async setLogArchiveDestState(name: string, state: 'ENABLE' | 'DEFER'): Promise<void> {
    const unit = this.#registry.get(name);
    await this.#storeDest(unit, { ...destOf(unit), deferred: state === 'DEFER' });
  }

  async archivelog(name: string): Promise<void> {
    const unit = this.#registry.get(name);
    const dest = destOf(unit);
    if (dest.enabled) throw new ObError('OBS_ARCHIVE_ALREADY_ON', { tenant: name });
    await this.#preflight(dest.location);
    await this.#storeDest(unit, { ...dest, enabled: true });
  }

  async noarchivelog(name: string): Promise<void> {
    const unit = this.#registry.get(name);
    const dest = destOf(unit);
    if (!dest.enabled) throw new ObError('OBS_ARCHIVE_ALREADY_OFF', { tenant: name });
    await this.#storeDest(unit, { ...dest, enabled: false });
  }

  /** Says at once, and by name, what is wrong with a destination. */
  async #preflight(location: string): Promise<void> {
    const { clock, random, variables } = this.#host;
    const timing = { requestMs: storePreflightRequestMs, operationMs: storePreflightMs };
    const store = await openObjectStore(location, { clock, random, variables, timing, access: 'write' });
    await store.close();
  }

  async #storeDest(unit: TenantUnit, dest: StoredArchiveDest | null): Promise<void> {
    await this.#host.store.setArchiveDest(unit.record.id, dest);
    await unit.archive.setDest(dest);
  }

  async backup(
    name: string,
    options: { dest?: string },
    progress: Progress = silent,
  ): Promise<{ backupId: string; startLsn: Lsn; minimumScn: Scn }> {
    const unit = this.#registry.get(name);
    const { clock, random, variables, siteId } = this.#host;
    const location = options.dest ?? destOf(unit).location;
    const store = await openObjectStore(location, { clock, random, variables, access: 'write' });
    const snapshot = await unit.engine.snapshot();
    const started = clock.now();
    const hold = unit.log.hold('backup', snapshot.startLsn);
    try {
      const record = await writeBaseBackup({
        store,
        tenant: { name, incarnation: unit.record.incarnation, stream: userLogStream },
        siteId,
        snapshot,
        log: unit.log,
        blockBytes: unit.log.blockBytes,
        flushTo:
          unit.archive.dest?.location === location ? lsn => unit.archive.flushTo(lsn, archiveSealMs) : null,
        clock,
        random,
        onProgress: bytes =>
          progress({
            step: 'base backup',
            site: '',
            state: 'running',
            detail: `${bytes} bytes`,
            ms: clock.now() - started,
          }),
      });
      progress({
        step: 'base backup',
        site: '',
        state: 'done',
        detail: record.backupId,
        ms: clock.now() - started,
      });
      return { backupId: record.backupId, startLsn: record.start.lsn, minimumScn: record.minimum.scn };
    } finally {
      hold.release();
      await snapshot.close();
      await store.close();
    }
  }

  // --- roles ---

  async switchoverToStandby(
    name: string,
    { verify }: { verify: boolean },
    progress?: Progress,
  ): Promise<StepReport[]> {
    const { role } = this.#registry.get(name);
    const operationId = this.#host.random.uuid();
    return steps(await role.command({ kind: 'switchover-to-standby', operationId, verify }, progress));
  }

  async switchoverToPrimary(
    name: string,
    { verify }: { verify: boolean },
    progress?: Progress,
  ): Promise<StepReport[]> {
    const { role } = this.#registry.get(name);
    return steps(await role.command({ kind: 'switchover-to-primary', verify }, progress));
  }

  async switchover(
    name: string,
    { planOnly }: { planOnly: boolean },
    progress?: Progress,
  ): Promise<SwitchoverOutcome> {
    const { role } = this.#registry.get(name);
    const operationId = this.#host.random.uuid();
    const result = await role.command({ kind: 'switchover', operationId, planOnly }, progress);
    const position = result.row.opening?.cut ?? result.row.sealed?.position ?? null;
    return {
      switchoverId: result.operationId ?? operationId,
      newEpoch: result.row.epoch,
      sealedLsn: position?.lsn ?? (0 as Lsn),
      sealedScn: position?.scn ?? (0 as Scn),
      steps: steps(result),
    };
  }

  async activateStandby(
    name: string,
    options: { maxLagMs: number | null; force: boolean; verify: boolean },
    progress?: Progress,
  ): Promise<LossCertificate | null> {
    const { role } = this.#registry.get(name);
    const operationId = this.#host.random.uuid();
    const result = await role.command({ kind: 'activate', operationId, ...options }, progress);
    return result.row.certificate;
  }

  async resume(name: string, progress?: Progress): Promise<StepReport[]> {
    return steps(await this.#registry.get(name).role.command({ kind: 'resume' }, progress));
  }

  async rollback(name: string, progress?: Progress): Promise<StepReport[]> {
    return steps(await this.#registry.get(name).role.command({ kind: 'rollback' }, progress));
  }

  async lossCertificate(name: string): Promise<LossCertificate | null> {
    const unit = this.#registry.get(name);
    const { row } = unit.role.view();
    if (row.certificate !== null || row.fenced === null) return row.certificate;
    const { ownEpoch, by, cut, suffix } = row.fenced;
    if (cut === null) return null;
    // An old primary's own view of what it lost: the same numbers, told by the one that has the log.
    return {
      tenant: name,
      incarnation: unit.record.incarnation,
      oldEpoch: ownEpoch,
      newEpoch: by.epoch,
      cutLsn: cut.lsn,
      cutScn: cut.scn,
      knownEndLsn: suffix?.end.lsn ?? null,
      knownEndScn: suffix?.end.scn ?? null,
      lastContact: row.fenced.time,
      lostTransactions: suffix?.transactions ?? null,
      lostLsnEnd: suffix?.end.lsn ?? null,
      lostScnEnd: suffix?.end.scn ?? null,
      forced: false,
    };
  }

  async checkpoint(name: string): Promise<Lsn> {
    return this.#registry.get(name).engine.checkpoint();
  }
}

const steps = (result: CommandResult): StepReport[] => [...result.steps];

function storedSource(text: string): StoredRestoreSource | null {
  const source = parseRestoreSource(text);
  if (source === null) return null;
  const { service, location, delayMs } = source;
  if (service === null) return { service: null, location, delayMs };
  const { addresses, tenant, user, password } = service;
  return {
    service: { addresses, tenant, credential: { kind: 'password', user, password } },
    location,
    delayMs,
  };
}

function destOf(unit: TenantUnit): StoredArchiveDest {
  const { dest } = unit.archive;
  if (dest === null) throw new ObError('OBS_ARCHIVE_NOT_CONFIGURED', { tenant: unit.record.name });
  return dest;
}

const noRoute = (name: string): never => {
  throw new ObError('OBS_STANDBY_SOURCE_INVALID', { problems: `there is nothing to make ${name} from` });
};

function checkName(name: string): void {
  if (!/^[A-Za-z][A-Za-z0-9_-]{0,62}$/.test(name) || name.toLowerCase() === 'sys') {
    throw new ObError('OBS_SERVER_TENANT_NAME', { tenant: name });
  }
}

function checkPageBytes(pageBytes: number): void {
  if (pageBytes < 512 || pageBytes > 65_536 || (pageBytes & (pageBytes - 1)) !== 0) {
    throw new ObError('OBS_SERVER_PAGE_BYTES', { pageBytes });
  }
}
