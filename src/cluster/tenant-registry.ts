/**
 * The replicas of user tenants in this server: opened at start from what their directories say, found by name and by id, made
 * and removed. One change at a time per tenant.
 *
 * A tenant is its id. Two may be here under one name: one that was dropped while this server was away, until it is told so,
 * and the one that has the name now, which is the one made last.
 *
 * A replica that does not open (damaged log, foreign or newer files) never keeps the others from serving: it is listed
 * with its error, its files stay as they are, and it can be opened again or dropped.
 *
 * Must never leave a replica open that was opened while all were closed.
 */
import { join } from 'node:path';
import { must } from '../base/assert.ts';
import { isObError, ObError } from '../base/errors.ts';
import { type TenantId, tenantId } from '../base/scalars.ts';
import type { RoleRow } from '../role/row.ts';
import {
  eraseReplica,
  type ReplicaFile,
  readReplicaFile,
  requireLog,
  writeReplicaFile,
} from './replica-file.ts';
import type { ReplicaSpec } from './root/local-replicas.ts';
import type { StoredTenant } from './sys-store.ts';
import { sysTenantId } from './tenant-paths.ts';
import { TenantUnit } from './tenant-unit.ts';
import type { UnitHost } from './unit-host.ts';

const openingsAtOnce = 8;

/** A tenant whose replica is here and did not open. */
export interface ClosedTenant {
  readonly record: StoredTenant;
  /** what it was when it was last open; null when nobody could say */
  readonly row: RoleRow | null;
  readonly failure: ObError;
}

/** A replica here, open or not. */
export interface RegisteredReplica {
  readonly file: ReplicaFile;
  /** undefined for one that did not open */
  readonly unit: TenantUnit | undefined;
}

export class TenantRegistry {
  readonly #host: UnitHost;
  readonly #units = new Map<TenantId, TenantUnit>();
  readonly #opening = new Set<TenantId>();
  readonly #closed = new Map<TenantId, ClosedTenant>();
  readonly #files = new Map<TenantId, ReplicaFile>();
  /** who has the name now */
  readonly #ids = new Map<string, TenantId>();
  readonly #busy = new Set<TenantId>();
  /** what is being done with replicas and their files */
  readonly #steps = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(host: UnitHost) {
    this.#host = host;
  }

  get units(): readonly TenantUnit[] {
    return [...this.#units.values()];
  }

  find(name: string): TenantUnit | undefined {
    const id = this.#ids.get(name);
    return id === undefined ? undefined : this.#units.get(id);
  }

  /** Throws OBS_SERVER_NO_SUCH_TENANT, OBS_SERVER_TENANT_BUSY, OBS_SERVER_TENANT_NOT_OPENED. */
  get(name: string): TenantUnit {
    const unit = this.find(name);
    if (unit !== undefined) return unit;
    throw this.absence(name) ?? new ObError('OBS_SERVER_NO_SUCH_TENANT', { tenant: name });
  }

  /** By id, open or not. */
  replica(id: TenantId): RegisteredReplica | undefined {
    const file = this.#files.get(id);
    return file === undefined ? undefined : { file, unit: this.#units.get(id) };
  }

  get replicas(): readonly RegisteredReplica[] {
    return [...this.#files.values()].map(file => ({ file, unit: this.#units.get(file.tenant.id) }));
  }

  /** Tenants that did not open. */
  get closed(): readonly ClosedTenant[] {
    return [...this.#closed.values()];
  }

  findClosed(name: string): ClosedTenant | undefined {
    const id = this.#ids.get(name);
    return id === undefined ? undefined : this.#closed.get(id);
  }

  /** Why a tenant whose replica is here cannot be found; undefined when it can, or is not here. */
  absence(name: string): ObError | undefined {
    const id = this.#ids.get(name);
    if (id === undefined) return undefined;
    if (this.#opening.has(id)) return new ObError('OBS_SERVER_TENANT_BUSY', { tenant: name });
    const failure = this.#closed.get(id)?.failure;
    if (failure === undefined) return undefined;
    const { code, message: why, hint: next } = failure;
    return new ObError('OBS_SERVER_TENANT_NOT_OPENED', { tenant: name, code, why, next }, failure);
  }

  /**
   * Opens every replica that is here; one that does not open is kept as closed. What a crash left half made, or half
   * removed, is removed: nobody was told it existed.
   */
  async openAll(): Promise<void> {
    // Orders may come before this is done: what they are about is theirs, and what is opened here they may not touch yet.
    const files = (await this.#filesHere()).filter(({ tenant: { id } }) => !this.#isTaken(id));
    for (const file of files) {
      this.#learn(file);
      this.#opening.add(file.tenant.id);
      this.#busy.add(file.tenant.id);
    }
    const open = async (): Promise<void> => {
      for (let file = files.shift(); file !== undefined && !this.#isClosed; file = files.shift()) {
        const next = file;
        await this.#step(() => this.#open(next));
        this.#busy.delete(file.tenant.id);
      }
    };
    await Promise.all(Array.from({ length: openingsAtOnce }, open));
  }

  /** Tries a closed tenant again, after its files were repaired; nothing to do for one that is open. */
  async openAgain(name: string): Promise<void> {
    const closed = this.findClosed(name);
    if (closed === undefined) return;
    const { id } = closed.record;
    const file = must(this.#files.get(id), 'the file of a closed replica');
    await this.#alone(file, () => this.#open(file));
  }

  /** Makes a replica and opens it; an older one of that tenant is removed before. Throws why it does not open. */
  async create(spec: ReplicaSpec): Promise<void> {
    const { id } = spec.tenant;
    if (this.#files.has(id)) await this.drop(id);
    await this.#alone(spec, async () => {
      // What nobody can say anything of is no part of the new one.
      await this.#erase(id);
      const file: ReplicaFile = { ...spec, state: 'HERE', hasLog: false };
      await this.#write(file);
      await this.#open(file);
    });
    const failure = this.#closed.get(id)?.failure;
    if (failure !== undefined) throw failure;
  }

  /**
   * Makes the files of a replica that begins with a copy: `make` leaves its database and its log, and says what they turned
   * out to be. It is removed again if that fails.
   */
  async adopt(
    spec: ReplicaSpec,
    make: () => Promise<Pick<StoredTenant, 'incarnation' | 'pageBytes'>>,
  ): Promise<TenantUnit> {
    const { id } = spec.tenant;
    await this.#reserve(spec, async () => {
      await this.#step(() => this.#write({ ...spec, state: 'MAKING', hasLog: false }));
      try {
        // Takes hours: whoever closes does not wait for it, and the next start removes what it left.
        const made = await make();
        const file: ReplicaFile = {
          ...spec,
          tenant: { ...spec.tenant, ...made },
          state: 'HERE',
          hasLog: true,
        };
        await this.#step(async () => {
          await this.#write(file);
          await this.#open(file);
        });
        const failure = this.#closed.get(id)?.failure;
        if (failure !== undefined) throw failure;
      } catch (error) {
        // Another process may have the directory by now.
        if (!this.#isClosed) await this.#step(() => this.#erase(id));
        throw error;
      }
    });
    return must(this.#units.get(id), 'a replica that has just opened');
  }

  /** Closes a replica and removes its files. */
  async drop(id: TenantId): Promise<void> {
    const file = this.#files.get(id);
    if (file === undefined) return;
    await this.#alone(file, async () => {
      await this.#write({ ...file, state: 'DROPPING' });
      await this.#erase(id);
    });
  }

  /** Gives a replica from before there were numbers its own. */
  async number(id: TenantId, replicaId: number): Promise<void> {
    const file = this.#files.get(id);
    if (file !== undefined) await this.#write({ ...file, replicaId });
  }

  /** Waits for what is being done; what would be begun later is refused with OBS_SERVER_CLOSING. */
  async closeAll(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#steps);
    await Promise.all(this.units.map(unit => unit.close()));
    this.#units.clear();
  }

  // --- opening ---

  /** Opens a replica, or notes why it stays closed. A broken invariant is thrown: the process ends over it. */
  async #open(file: ReplicaFile): Promise<void> {
    const { disk, dataDirectory, logger } = this.#host;
    const { id, name } = file.tenant;
    const record: StoredTenant = { ...file.tenant, status: 'NORMAL' };
    this.#opening.add(id);
    try {
      await requireLog(disk, dataDirectory, file);
      const unit = await TenantUnit.open(this.#host, record, file);
      this.#closed.delete(id);
      this.#units.set(id, unit);
      if (!file.hasLog) await this.#write({ ...must(this.#files.get(id), 'its file'), hasLog: true });
    } catch (error) {
      if (!isObError(error) || error.kind === 'bug') throw error;
      this.#closed.set(id, { record, row: await this.#lastRow(id), failure: error });
      logger.error({ tenant: name, ...error.toJSON() }, 'a tenant does not open; the others serve');
    } finally {
      this.#opening.delete(id);
    }
  }

  /** Asked of this server's own tables alone: a replica that does not open waits for nobody. */
  async #lastRow(id: TenantId): Promise<RoleRow | null> {
    if (this.#host.cluster !== null) return null;
    return this.#host.store.role(id).catch((error: unknown) => {
      if (isObError(error)) return null;
      throw error;
    });
  }

  /** What the directories say, those of an older version completed from this server's own tables. */
  async #filesHere(): Promise<ReplicaFile[]> {
    const { cluster, disk, dataDirectory, logger, store } = this.#host;
    const old = cluster === null ? await store.tenants() : [];
    const files: ReplicaFile[] = [];
    for (const entry of await disk.list(join(dataDirectory, 'tenants'))) {
      if (!/^\d+$/.test(entry) || Number(entry) === sysTenantId) continue;
      const id = tenantId(Number(entry));
      if (this.#isTaken(id)) continue;
      const row = old.find(tenant => tenant.id === id);
      try {
        const file = await readReplicaFile(disk, dataDirectory, id);
        const isLeft = file === null ? row !== undefined && row.status !== 'NORMAL' : file.state !== 'HERE';
        if (isLeft) await this.#erase(id);
        else if (file !== null) files.push(file);
        else if (row !== undefined) files.push(await this.#complete(row));
        else logger.error({ directory: entry }, 'a tenant directory without a replica.json is left alone');
      } catch (error) {
        if (!isObError(error) || error.kind !== 'corrupt') throw error;
        logger.error({ directory: entry, ...error.toJSON() }, 'a replica does not open');
      }
    }
    return files;
  }

  /** An order is about it, or has been. */
  #isTaken(id: TenantId): boolean {
    return this.#busy.has(id) || this.#units.has(id) || this.#closed.has(id);
  }

  async #complete(tenant: StoredTenant): Promise<ReplicaFile> {
    const { self, settings } = this.#host;
    const file: ReplicaFile = {
      replicaId: 0,
      tenant,
      blockBytes: settings.blockBytes,
      priority: 0,
      birth: { members: [self], learners: [] },
      state: 'HERE',
      hasLog: true,
    };
    await this.#write(file);
    return file;
  }

  // --- files ---

  async #write(file: ReplicaFile): Promise<void> {
    const { disk, dataDirectory } = this.#host;
    await writeReplicaFile(disk, dataDirectory, file);
    if (file.state === 'HERE') this.#learn(file);
  }

  #learn(file: ReplicaFile): void {
    const { id, name } = file.tenant;
    this.#files.set(id, file);
    if ((this.#ids.get(name) ?? 0) < id) this.#ids.set(name, id);
  }

  #forget(id: TenantId): void {
    const name = this.#files.get(id)?.tenant.name;
    this.#files.delete(id);
    if (name === undefined || this.#ids.get(name) !== id) return;
    this.#ids.delete(name);
    for (const file of this.#files.values()) if (file.tenant.name === name) this.#learn(file);
  }

  async #erase(id: TenantId): Promise<void> {
    const unit = this.#units.get(id);
    this.#units.delete(id);
    this.#closed.delete(id);
    await unit?.close();
    await eraseReplica(this.#host.disk, this.#host.dataDirectory, id);
    this.#forget(id);
  }

  #alone(of: Pick<ReplicaSpec, 'tenant'>, work: () => Promise<void>): Promise<void> {
    return this.#reserve(of, () => this.#step(work));
  }

  async #step(work: () => Promise<void>): Promise<void> {
    if (this.#isClosed) throw new ObError('OBS_SERVER_CLOSING');
    const step = work();
    this.#steps.add(step);
    try {
      await step;
    } finally {
      this.#steps.delete(step);
    }
  }

  /** One change at a time of each tenant. */
  async #reserve(
    { tenant: { id, name } }: Pick<ReplicaSpec, 'tenant'>,
    work: () => Promise<void>,
  ): Promise<void> {
    if (this.#busy.has(id)) throw new ObError('OBS_SERVER_TENANT_BUSY', { tenant: name });
    this.#busy.add(id);
    try {
      await work();
    } finally {
      this.#busy.delete(id);
    }
  }
}
