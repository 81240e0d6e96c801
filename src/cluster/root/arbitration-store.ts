/**
 * The root service's rows of the arbitration service: which arbiter, the tasks that bring tenants to it and away from it, the
 * parameters, and the history of what servers did. Read and written where the sys tenant leads.
 */
import { must } from '../../base/assert.ts';
import { arbitrationTasksMax, serverEventsMax, serverEventsReportMax } from '../../base/limits.ts';
import {
  type NodeId,
  nodeId,
  type TenantId,
  tenantId,
  type WallMicros,
  wallMicros,
} from '../../base/scalars.ts';
import type { SysRow, SysSession } from '../sys-session.ts';
import type { ArbitrationState, ParameterName } from './arbitration.ts';
import type { ServerEvent } from './picture.ts';

export interface ArbitrationService {
  readonly address: string;
  readonly nodeId: NodeId;
  readonly previousAddress: string | null;
  readonly createTime: WallMicros;
  readonly modifyTime: WallMicros;
}

export interface ArbitrationTask {
  readonly id: number;
  readonly tenantId: TenantId;
  readonly type: 'ADD REPLICA' | 'REMOVE REPLICA';
  readonly status: 'INPROGRESS' | 'SUCCESS' | 'CANCELED';
  readonly service: string;
  readonly detail: string;
  readonly startTime: WallMicros;
  readonly modifyTime: WallMicros;
}

export interface StoredParameter {
  /** 0: the cluster's */
  readonly tenantId: number;
  readonly name: ParameterName;
  readonly value: string;
}

export interface StoredServerEvent extends ServerEvent {
  readonly id: number;
  readonly address: string;
}

export class ArbitrationStore {
  readonly #session: SysSession;

  constructor(session: SysSession) {
    this.#session = session;
  }

  async service(): Promise<ArbitrationService | null> {
    const [row] = await this.#session.query('SELECT * FROM __obs_arbitration');
    return row === undefined
      ? null
      : {
          address: String(row['address']),
          nodeId: nodeId(String(row['node_id'])),
          previousAddress: row['previous_address'] === null ? null : String(row['previous_address']),
          createTime: wallMicros(Number(row['create_time'])),
          modifyTime: wallMicros(Number(row['modify_time'])),
        };
  }

  /** A cluster has one: an older one becomes the previous one. */
  async setService(address: string, node: NodeId, now: WallMicros): Promise<void> {
    await this.#session.run(
      `INSERT INTO __obs_arbitration (service_key, address, node_id, create_time, modify_time) VALUES ('default', ?, ?, ?, ?)
       ON CONFLICT (service_key) DO UPDATE SET previous_address = address, address = excluded.address,
         node_id = excluded.node_id, modify_time = excluded.modify_time`,
      address,
      node,
      now,
      now,
    );
  }

  async removeService(): Promise<void> {
    await this.#session.run('DELETE FROM __obs_arbitration');
  }

  /**
   * The tenant's state becomes `to` if it is one of `from`; begins or ends its task with it. False: it was another one.
   */
  async setState(
    tenant: TenantId,
    from: readonly ArbitrationState[],
    to: ArbitrationState,
    service: string,
    now: WallMicros,
  ): Promise<boolean> {
    const known = from.map(state => `'${state}'`).join(', ');
    return this.#session.transaction(async ({ run }) => {
      const changed = await run(
        `UPDATE __obs_ls SET arbitration = ? WHERE tenant_id = ? AND arbitration IN (${known})`,
        to,
        tenant,
      );
      if (changed === 0) return false;
      const isBegin = to === 'ENABLING' || to === 'DISABLING';
      await run(
        "UPDATE __obs_arb_task SET status = ?, modify_time = ? WHERE tenant_id = ? AND status = 'INPROGRESS'",
        isBegin ? 'CANCELED' : 'SUCCESS',
        now,
        tenant,
      );
      if (isBegin)
        await run(
          "INSERT INTO __obs_arb_task (tenant_id, type, service, status, detail, start_time, modify_time) VALUES (?, ?, ?, 'INPROGRESS', '', ?, ?)",
          tenant,
          to === 'ENABLING' ? 'ADD REPLICA' : 'REMOVE REPLICA',
          service,
          now,
          now,
        );
      await run(
        "DELETE FROM __obs_arb_task WHERE status <> 'INPROGRESS' AND id <= (SELECT max(id) FROM __obs_arb_task) - ?",
        arbitrationTasksMax,
      );
      return true;
    });
  }

  async noteTask(tenant: TenantId, detail: string, now: WallMicros): Promise<void> {
    await this.#session.run(
      "UPDATE __obs_arb_task SET detail = ?, modify_time = ? WHERE tenant_id = ? AND status = 'INPROGRESS'",
      detail,
      now,
      tenant,
    );
  }

  async tasks(): Promise<ArbitrationTask[]> {
    return (await this.#session.query('SELECT * FROM __obs_arb_task ORDER BY id')).map(taskOf);
  }

  async parameters(): Promise<StoredParameter[]> {
    const rows = await this.#session.query('SELECT * FROM __obs_parameter ORDER BY name, tenant_id');
    return rows.map(row => ({
      tenantId: Number(row['tenant_id']),
      name: String(row['name']) as ParameterName,
      value: String(row['value']),
    }));
  }

  async setParameter({ tenantId: tenant, name, value }: StoredParameter): Promise<void> {
    await this.#session.run(
      'INSERT OR REPLACE INTO __obs_parameter (tenant_id, name, value) VALUES (?, ?, ?)',
      tenant,
      name,
      value,
    );
  }

  /** Those of a server that are not there yet; a report that was sent again adds nothing. */
  async addServerEvents(address: string, events: readonly ServerEvent[]): Promise<void> {
    await this.#session.transaction(async ({ run }) => {
      for (const { boot, number, time, module, event, tenantId: tenant, detail } of events)
        await run(
          'INSERT OR IGNORE INTO __obs_server_event (boot, number, time, address, tenant_id, module, event, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
          boot,
          number,
          time,
          address,
          tenant,
          module,
          event,
          JSON.stringify(detail),
        );
      await run(
        'DELETE FROM __obs_server_event WHERE id <= (SELECT max(id) FROM __obs_server_event) - ?',
        serverEventsMax,
      );
    });
  }

  /** Those behind the one with this id, oldest first, as many as one answer holds. */
  async serverEvents(after: number): Promise<StoredServerEvent[]> {
    const rows = await this.#session.query(
      'SELECT * FROM __obs_server_event WHERE id > ? ORDER BY id LIMIT ?',
      after,
      serverEventsReportMax,
    );
    return rows.map(row => ({
      id: Number(row['id']),
      boot: String(row['boot']),
      number: Number(row['number']),
      time: Number(row['time']),
      address: String(row['address']),
      tenantId: tenantId(Number(row['tenant_id'])),
      module: String(row['module']),
      event: String(row['event']),
      detail: JSON.parse(String(must(row['detail'], 'the details of an event'))) as ServerEvent['detail'],
    }));
  }
}

const taskOf = (row: SysRow): ArbitrationTask => ({
  id: Number(row['id']),
  tenantId: tenantId(Number(row['tenant_id'])),
  type: String(row['type']) as ArbitrationTask['type'],
  status: String(row['status']) as ArbitrationTask['status'],
  service: String(row['service']),
  detail: String(row['detail']),
  startTime: wallMicros(Number(row['start_time'])),
  modifyTime: wallMicros(Number(row['modify_time'])),
});
