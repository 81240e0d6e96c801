/**
 * The operators' verbs that the leader of their tenant runs: checks arguments, finds the tenant, and hands the work to the
 * role manager, the pull, the archive or the engine. Holds no state of its own; every verb can be given again. Where the
 * tenant is not led they throw OBS_TENANT_NOT_LEADER, with who leads.
 */
import { writeBaseBackup } from '../archive/base-backup.ts';
import { openObjectStore } from '../archive/open-store.ts';
import { ObError } from '../base/errors.ts';
import {
  admitPollMs,
  archiveSealMs,
  storePreflightMs,
  storePreflightRequestMs,
  tenantOpenMs,
} from '../base/limits.ts';
import { type Lsn, type Scn, scnUnlimited } from '../base/scalars.ts';
import type { CommandResult } from '../role/commands.ts';
import { parseArchiveDest } from './archive-dest.ts';
import type {
  LossCertificate,
  Operations,
  Progress,
  StepReport,
  SwitchoverOutcome,
  TenantInfo,
} from './operations.ts';
import { storedSource } from './restore-source-text.ts';
import type { LeaderVerbs } from './routed-operations.ts';
import type { StoredArchiveDest } from './sys-store.ts';
import { closedTenantInfo, tenantInfo } from './tenant-info.ts';
import type { TenantRegistry } from './tenant-registry.ts';
import { userLogStream } from './replica-log.ts';
import type { TenantUnit } from './tenant-unit.ts';
import type { UnitHost } from './unit-host.ts';
import { untilWritable } from './unit-opening.ts';

export interface ControlPlaneOptions {
  readonly host: UnitHost;
  readonly registry: TenantRegistry;
}

const silent: Progress = () => {};

export class ControlPlane implements LeaderVerbs {
  readonly #host: UnitHost;
  readonly #registry: TenantRegistry;

  constructor(options: ControlPlaneOptions) {
    this.#host = options.host;
    this.#registry = options.registry;
  }

  tenants(): Promise<readonly TenantInfo[]> {
    const { units, closed } = this.#registry;
    return Promise.resolve([
      ...units.map(unit => tenantInfo(this.#host, unit)),
      ...closed.map(tenant => closedTenantInfo(tenant)),
    ]);
  }

  /** Resolves when a leadership of the tenant that is being begun here has begun, or cannot; at once where there is none. */
  async settled(name: string): Promise<void> {
    const { clock } = this.#host;
    const deadline = clock.now() + tenantOpenMs;
    for (;;) {
      const unit = this.#registry.find(name);
      if (unit === undefined || unit.leadership !== null || !unit.replica.leads) return;
      if (unit.replica.problem !== null || clock.now() >= deadline) return;
      await new Promise<void>(resolve => clock.after(admitPollMs, resolve));
    }
  }

  mustLead(name: string): void {
    this.#registry.get(name).lead();
  }

  // --- standbys ---

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
    await untilWritable(this.#host, unit);
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

function destOf(unit: TenantUnit): StoredArchiveDest {
  const { dest } = unit.archive;
  if (dest === null) throw new ObError('OBS_ARCHIVE_NOT_CONFIGURED', { tenant: unit.record.name });
  return dest;
}
