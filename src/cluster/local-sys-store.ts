/**
 * The root service's tables where the sys tenant leads. Credentials are sealed before they get here. What it answers is as
 * true as an answer of the sys tenant's engine: given out while the log's lease holds, changes when they are committed.
 */
import { must } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { followersMax, sysEventsMax } from '../base/limits.ts';
import { type TenantId, tenantId, wallMicros } from '../base/scalars.ts';
import type { RoleStore } from '../role/ports.ts';
import type { RoleRow } from '../role/row.ts';
import type { StepId } from '../role/steps.ts';
import type { SourceEnd } from '../standby/sync-status.ts';
import type { TenantEngine } from '../tenant/engine.ts';
import { routeFromJson, routeToJson } from './peer-route-json.ts';
import { SysRoleStore } from './role-store.ts';
import type { SecretBox } from './secret-box.ts';
import { sysMigrations, tenantTables } from './sys-schema.ts';
import { SysSession, type SysRow } from './sys-session.ts';
import type {
  StoredArchiveDest,
  StoredEvent,
  StoredFollower,
  StoredRestoreSource,
  StoredTenant,
  SysStore,
  UnitState,
} from './sys-store.ts';

const firstUserTenant = 1002;

export class LocalSysStore implements SysStore {
  readonly #session: SysSession;
  readonly #box: SecretBox;
  /** addresses already stored, so that each login of a follower does not write */
  readonly #knownFollowers = new Map<string, string>();

  private constructor(session: SysSession, box: SecretBox) {
    this.#session = session;
    this.#box = box;
  }

  /** Opens the tables, bringing them to this version. Throws OBS_SERVER_FORMAT_NEWER. */
  static async open(engine: TenantEngine, box: SecretBox): Promise<LocalSysStore> {
    const session = new SysSession(engine);
    await session.run('CREATE TABLE IF NOT EXISTS __obs_version (version INTEGER NOT NULL)');
    const [row] = await session.query('SELECT max(version) AS version FROM __obs_version');
    const version = Number(row?.['version'] ?? 0);
    if (version > sysMigrations.length) {
      throw new ObError('OBS_SERVER_FORMAT_NEWER', {
        path: 'the sys tenant',
        found: version,
        known: sysMigrations.length,
      });
    }
    for (let step = version; step < sysMigrations.length; step += 1) {
      await session.transaction(async statements => {
        for (const sql of must(sysMigrations[step], 'a migration')) await statements.run(sql);
        await statements.run('INSERT INTO __obs_version (version) VALUES (?)', step + 1);
      });
    }
    return new LocalSysStore(session, box);
  }

  close(): Promise<void> {
    return this.#session.close();
  }

  // --- tenants ---

  async tenants(): Promise<StoredTenant[]> {
    return (await this.#session.query('SELECT * FROM __obs_tenant ORDER BY id')).map(storedTenant);
  }

  async addTenant(tenant: Omit<StoredTenant, 'id' | 'status'>): Promise<StoredTenant> {
    return this.#session.transaction(async ({ query, run }) => {
      const [taken] = await query('SELECT * FROM __obs_tenant WHERE name = ?', tenant.name);
      // A repeat of a call whose answer was lost.
      const isOwn = taken?.['incarnation'] === tenant.incarnation && taken['status'] === 'CREATING';
      if (taken !== undefined && isOwn) return storedTenant(taken);
      if (taken !== undefined) throw new ObError('OBS_SERVER_TENANT_EXISTS', { tenant: tenant.name });
      // Not max(id): the id of a dropped tenant is never given again, its directory may be on its way out.
      const [last] = await query("SELECT seq AS id FROM sqlite_sequence WHERE name = '__obs_tenant'");
      const id = tenantId(Math.max(firstUserTenant, Number(last?.['id'] ?? 0) + 1));
      await run(
        "INSERT INTO __obs_tenant (id, name, incarnation, status, create_time, page_bytes) VALUES (?, ?, ?, 'CREATING', ?, ?)",
        id,
        tenant.name,
        tenant.incarnation,
        tenant.createTime,
        tenant.pageBytes,
      );
      return { ...tenant, id, status: 'CREATING' };
    });
  }

  async updateTenant(
    id: TenantId,
    change: Pick<StoredTenant, 'status' | 'incarnation' | 'pageBytes'>,
  ): Promise<void> {
    await this.#session.run(
      'UPDATE __obs_tenant SET status = ?, incarnation = ?, page_bytes = ? WHERE id = ?',
      change.status,
      change.incarnation,
      change.pageBytes,
      id,
    );
  }

  async removeTenant(id: TenantId): Promise<void> {
    await this.#session.transaction(async ({ run }) => {
      for (const table of tenantTables) {
        await run(`DELETE FROM ${table} WHERE ${table === '__obs_tenant' ? 'id' : 'tenant_id'} = ?`, id);
      }
    });
  }

  // --- roles ---

  async insertRole(id: TenantId, row: RoleRow): Promise<void> {
    await this.#session.run(
      'INSERT OR REPLACE INTO __obs_role (tenant_id, revision, role, switchover_status, epoch, step, row) VALUES (?, ?, ?, ?, ?, ?, ?)',
      id,
      row.revision,
      row.role,
      row.switchoverStatus,
      row.epoch,
      row.step,
      JSON.stringify(row),
    );
  }

  role(id: TenantId): Promise<RoleRow> {
    return this.roleStore(id, () => {}).load();
  }

  roleStore(id: TenantId, onStep: (step: StepId) => void): RoleStore {
    return new SysRoleStore(this.#session, id, onStep);
  }

  async unitState(id: TenantId): Promise<UnitState> {
    const row = await this.role(id);
    const [source] = await this.#session.query(
      'SELECT sealed FROM __obs_restore_source WHERE tenant_id = ?',
      id,
    );
    const [end] = await this.#session.query(
      'SELECT source_end FROM __obs_source_end WHERE tenant_id = ?',
      id,
    );
    const [dest] = await this.#session.query('SELECT sealed FROM __obs_archive_dest WHERE tenant_id = ?', id);
    return {
      epoch: row.epoch,
      recoveryUntilScn: row.recoveryUntilScn,
      restoreSource: source === undefined ? null : this.#openSource(id, source),
      sourceEnd: end === undefined ? null : (JSON.parse(String(end['source_end'])) as SourceEnd),
      archiveDest:
        dest === undefined
          ? null
          : (JSON.parse(this.#box.open(bytesOf(dest), `archive ${id}`)) as StoredArchiveDest),
    };
  }

  // --- sources, destinations, followers ---

  async setRestoreSource(id: TenantId, source: StoredRestoreSource | null): Promise<void> {
    if (source === null) {
      await this.#session.run('DELETE FROM __obs_restore_source WHERE tenant_id = ?', id);
      return;
    }
    const json = JSON.stringify({
      ...source,
      service: source.service === null ? null : routeToJson(source.service),
    });
    const sealed = this.#box.seal(json, `source ${id}`);
    await this.#session.run(
      'INSERT OR REPLACE INTO __obs_restore_source (tenant_id, sealed) VALUES (?, ?)',
      id,
      sealed,
    );
  }

  async setSourceEnd(id: TenantId, end: SourceEnd): Promise<void> {
    await this.#session.run(
      'INSERT OR REPLACE INTO __obs_source_end (tenant_id, source_end) VALUES (?, ?)',
      id,
      JSON.stringify(end),
    );
  }

  async setArchiveDest(id: TenantId, dest: StoredArchiveDest | null): Promise<void> {
    if (dest === null) {
      await this.#session.run('DELETE FROM __obs_archive_dest WHERE tenant_id = ?', id);
      return;
    }
    const sealed = this.#box.seal(JSON.stringify(dest), `archive ${id}`);
    await this.#session.run(
      'INSERT OR REPLACE INTO __obs_archive_dest (tenant_id, sealed) VALUES (?, ?)',
      id,
      sealed,
    );
  }

  async followers(id: TenantId): Promise<StoredFollower[]> {
    const rows = await this.#session.query(
      'SELECT site, address, sealed FROM __obs_follower WHERE tenant_id = ?',
      id,
    );
    return rows.map(row => {
      const site = String(row['site']);
      const route = routeFromJson(JSON.parse(this.#box.open(bytesOf(row), `follower ${id} ${site}`)));
      return { site, address: String(row['address']), route };
    });
  }

  async rememberFollower(id: TenantId, follower: StoredFollower): Promise<void> {
    const { site, address, route } = follower;
    const json = JSON.stringify(routeToJson(route));
    const key = `${id} ${site}`;
    if (this.#knownFollowers.get(key) === json) return;
    // A primary that restarts asks all of them, so there is a bound; who is known is kept, since it may have been promoted.
    const stored = await this.#session.run(
      `INSERT OR REPLACE INTO __obs_follower (tenant_id, site, address, sealed) SELECT ?, ?, ?, ?
       WHERE EXISTS (SELECT 1 FROM __obs_follower WHERE tenant_id = ? AND site = ?)
       OR (SELECT count(*) FROM __obs_follower WHERE tenant_id = ?) < ?`,
      id,
      site,
      address,
      this.#box.seal(json, `follower ${key}`),
      id,
      site,
      id,
      followersMax,
    );
    if (stored === 0) throw new ObError('OBS_SERVER_FOLLOWERS_FULL', { site, count: followersMax });
    this.#knownFollowers.set(key, json);
  }

  async forgetFollower(id: TenantId, site: string): Promise<boolean> {
    this.#knownFollowers.delete(`${id} ${site}`);
    return (
      (await this.#session.run('DELETE FROM __obs_follower WHERE tenant_id = ? AND site = ?', id, site)) > 0
    );
  }

  // --- events ---

  async addEvent(id: TenantId, event: StoredEvent): Promise<void> {
    await this.#session.transaction(async ({ run }) => {
      await run(
        'INSERT INTO __obs_event (tenant_id, time, module, event, detail) VALUES (?, ?, ?, ?, ?)',
        id,
        event.time,
        event.module,
        event.event,
        JSON.stringify(event.detail),
      );
      await run('DELETE FROM __obs_event WHERE id <= (SELECT max(id) FROM __obs_event) - ?', sysEventsMax);
    });
  }

  async events(id: TenantId): Promise<StoredEvent[]> {
    const rows = await this.#session.query('SELECT * FROM __obs_event WHERE tenant_id = ? ORDER BY id', id);
    return rows.map(row => ({
      time: wallMicros(Number(row['time'])),
      module: String(row['module']),
      event: String(row['event']),
      detail: JSON.parse(String(row['detail'])) as StoredEvent['detail'],
    }));
  }

  #openSource(id: TenantId, row: SysRow): StoredRestoreSource {
    const stored = JSON.parse(this.#box.open(bytesOf(row), `source ${id}`)) as StoredRestoreSource & {
      service: unknown;
    };
    return { ...stored, service: stored.service === null ? null : routeFromJson(stored.service) };
  }
}

const bytesOf = (row: SysRow): Uint8Array => row['sealed'] as Uint8Array;

const storedTenant = (row: SysRow): StoredTenant => ({
  id: tenantId(Number(row['id'])),
  name: String(row['name']),
  incarnation: String(row['incarnation']),
  status: String(row['status']) as StoredTenant['status'],
  createTime: wallMicros(Number(row['create_time'])),
  pageBytes: Number(row['page_bytes']),
});
