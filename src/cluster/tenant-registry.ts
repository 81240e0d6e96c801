/**
 * The tenants of a server: opened at start, found by name, made and removed. One change at a time per name, so that two
 * operators cannot make the same tenant twice.
 *
 * A tenant that does not open (damaged log, foreign or newer files) never keeps the others from serving: it is listed
 * with its error, its files stay as they are, and it can be opened again or dropped.
 */
import { rm } from 'node:fs/promises';
import { isObError, ObError } from '../base/errors.ts';
import type { TenantId } from '../base/scalars.ts';
import type { RoleRow } from '../role/row.ts';
import type { StoredTenant } from './sys-store.ts';
import { tenantPaths } from './tenant-paths.ts';
import { TenantUnit } from './tenant-unit.ts';
import type { UnitHost } from './unit-host.ts';

const openingsAtOnce = 8;

/** A tenant whose files are here and that did not open. */
export interface ClosedTenant {
  readonly record: StoredTenant;
  /** what it was when it was last open */
  readonly row: RoleRow;
  readonly failure: ObError;
}

export class TenantRegistry {
  readonly #host: UnitHost;
  readonly #units = new Map<string, TenantUnit>();
  readonly #opening = new Set<string>();
  readonly #closed = new Map<string, ClosedTenant>();
  readonly #busy = new Set<string>();

  constructor(host: UnitHost) {
    this.#host = host;
  }

  get units(): readonly TenantUnit[] {
    return [...this.#units.values()];
  }

  find(name: string): TenantUnit | undefined {
    return this.#units.get(name);
  }

  /** Throws OBS_SERVER_NO_SUCH_TENANT, OBS_SERVER_TENANT_BUSY, OBS_SERVER_TENANT_NOT_OPENED. */
  get(name: string): TenantUnit {
    const unit = this.#units.get(name);
    if (unit !== undefined) return unit;
    throw this.absence(name) ?? new ObError('OBS_SERVER_NO_SUCH_TENANT', { tenant: name });
  }

  /** Tenants that did not open. */
  get closed(): readonly ClosedTenant[] {
    return [...this.#closed.values()];
  }

  findClosed(name: string): ClosedTenant | undefined {
    return this.#closed.get(name);
  }

  /** Why a tenant that exists here cannot be found; undefined when it can, or does not exist. */
  absence(name: string): ObError | undefined {
    if (this.#opening.has(name)) return new ObError('OBS_SERVER_TENANT_BUSY', { tenant: name });
    const failure = this.#closed.get(name)?.failure;
    if (failure === undefined) return undefined;
    const { code, message: why, hint: next } = failure;
    return new ObError('OBS_SERVER_TENANT_NOT_OPENED', { tenant: name, code, why, next }, failure);
  }

  /**
   * Opens every stored tenant; one that does not open is kept as closed. What a crash left half made, or half removed, is
   * removed: nobody was told it existed.
   */
  async openAll(): Promise<void> {
    const stored = await this.#host.store.tenants();
    for (const { name, status } of stored) if (status === 'NORMAL') this.#opening.add(name);
    const open = async (): Promise<void> => {
      for (let record = stored.shift(); record !== undefined; record = stored.shift()) {
        if (record.status === 'NORMAL') await this.#openStored(record);
        else await this.#erase(record.id);
      }
    };
    await Promise.all(Array.from({ length: openingsAtOnce }, open));
  }

  /** Tries a closed tenant again, after its files were repaired; nothing to do for one that is open. */
  async openAgain(name: string): Promise<void> {
    const closed = this.#closed.get(name);
    if (closed !== undefined) await this.#alone(name, () => this.#openStored(closed.record));
  }

  /** Opens a tenant, or notes why it stays closed. A broken invariant is thrown: the process ends over it. */
  async #openStored(record: StoredTenant): Promise<void> {
    const { name } = record;
    this.#opening.add(name);
    try {
      const unit = await TenantUnit.open(this.#host, record);
      this.#closed.delete(name);
      this.#units.set(name, unit);
    } catch (error) {
      if (!isObError(error) || error.kind === 'bug') throw error;
      const row = await this.#host.store.role(record.id);
      this.#closed.set(name, { record, row, failure: error });
      this.#host.logger.error(
        { tenant: name, ...error.toJSON() },
        'a tenant does not open; the others serve',
      );
    } finally {
      this.#opening.delete(name);
    }
  }

  /**
   * Makes a tenant: reserves its name, lets `make` create its files, opens it, lets `finish` complete it. Whatever fails, the
   * tenant is not there afterwards.
   */
  async create(
    tenant: Omit<StoredTenant, 'id' | 'status'>,
    make: (record: StoredTenant) => Promise<Pick<StoredTenant, 'incarnation' | 'pageBytes'>>,
    finish: (unit: TenantUnit) => Promise<void>,
  ): Promise<void> {
    const { store } = this.#host;
    await this.#alone(tenant.name, async () => {
      const reserved = await store.addTenant(tenant);
      let unit: TenantUnit | undefined;
      try {
        const made = await make(reserved);
        const record: StoredTenant = { ...reserved, ...made, status: 'NORMAL' };
        unit = await TenantUnit.open(this.#host, record);
        this.#units.set(record.name, unit);
        await finish(unit);
        await store.updateTenant(record.id, record);
      } catch (error) {
        this.#units.delete(tenant.name);
        await unit?.close();
        await this.#erase(reserved.id);
        throw error;
      }
    });
  }

  async remove(name: string): Promise<void> {
    await this.#alone(name, async () => {
      const { record } = this.#closed.get(name) ?? this.get(name);
      await this.#host.store.updateTenant(record.id, { ...record, status: 'DROPPING' });
      const unit = this.#units.get(name);
      this.#units.delete(name);
      this.#closed.delete(name);
      await unit?.close();
      await this.#erase(record.id);
    });
  }

  async closeAll(): Promise<void> {
    await Promise.all(this.units.map(unit => unit.close()));
    this.#units.clear();
  }

  async #erase(id: TenantId): Promise<void> {
    await rm(tenantPaths(this.#host.dataDirectory, id).directory, { recursive: true, force: true });
    await this.#host.store.removeTenant(id);
  }

  async #alone<Value>(name: string, work: () => Promise<Value>): Promise<Value> {
    if (this.#busy.has(name)) throw new ObError('OBS_SERVER_TENANT_BUSY', { tenant: name });
    this.#busy.add(name);
    try {
      return await work();
    } finally {
      this.#busy.delete(name);
    }
  }
}
