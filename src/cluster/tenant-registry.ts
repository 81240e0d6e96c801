/**
 * The tenants of a server: opened at start, found by name or incarnation, made and removed. One change at a time per name, so
 * that two operators cannot make the same tenant twice.
 */
import { rm } from 'node:fs/promises';
import { ObError } from '../base/errors.ts';
import type { TenantId } from '../base/scalars.ts';
import type { StoredTenant } from './sys-store.ts';
import { tenantPaths } from './tenant-paths.ts';
import { TenantUnit } from './tenant-unit.ts';
import type { UnitHost } from './unit-host.ts';

const openingsAtOnce = 8;

export class TenantRegistry {
  readonly #host: UnitHost;
  readonly #units = new Map<string, TenantUnit>();
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

  /** Throws OBS_SERVER_NO_SUCH_TENANT. */
  get(name: string): TenantUnit {
    const unit = this.#units.get(name);
    if (unit === undefined) throw new ObError('OBS_SERVER_NO_SUCH_TENANT', { tenant: name });
    return unit;
  }

  /** Opens every stored tenant. What a crash left half made, or half removed, is removed: nobody was told it existed. */
  async openAll(): Promise<void> {
    const stored = [...(await this.#host.store.tenants())];
    const open = async (): Promise<void> => {
      for (let record = stored.shift(); record !== undefined; record = stored.shift()) {
        if (record.status === 'NORMAL')
          this.#units.set(record.name, await TenantUnit.open(this.#host, record));
        else await this.#erase(record.id);
      }
    };
    await Promise.all(Array.from({ length: openingsAtOnce }, open));
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
      const unit = this.get(name);
      await this.#host.store.updateTenant(unit.record.id, { ...unit.record, status: 'DROPPING' });
      this.#units.delete(name);
      await unit.close();
      await this.#erase(unit.record.id);
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
