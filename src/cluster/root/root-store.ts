/**
 * The root service's rows: servers, where each tenant's replicas are, and the tasks that move them. Read and written where the sys tenant leads;
 * every method resolves when its change is committed. What two servers could decide at once is compared and set.
 */
import { must } from '../../base/assert.ts';
import { ObError } from '../../base/errors.ts';
import { rootJobsMax } from '../../base/limits.ts';
import {
  type NodeId,
  nodeId,
  type TenantId,
  tenantId,
  type WallMicros,
  wallMicros,
} from '../../base/scalars.ts';
import type { Statements, SysRow, SysSession } from '../sys-session.ts';
import type { ArbitrationState } from './arbitration.ts';
import type { ReplicaType } from './locality.ts';
import type { Choice, ReplicaRow, TaskReplica } from './locality-core.ts';
import type { ServerEntry, ServerFacts, ServerStatus } from './picture.ts';

export interface StreamRow {
  readonly tenantId: TenantId;
  readonly locality: string;
  readonly previousLocality: string | null;
  readonly primaryZone: string;
  readonly arbitration: ArbitrationState;
}

export interface PlacedReplica extends ReplicaRow {
  readonly tenantId: TenantId;
}

/** MOVE_REPLICAS: same locality, other servers. */
type JobKind = 'ALTER_TENANT_LOCALITY' | 'ROLLBACK_ALTER_TENANT_LOCALITY' | 'MOVE_REPLICAS';

export interface RootJob {
  readonly id: number;
  readonly tenantId: TenantId;
  readonly kind: JobKind;
  readonly status: 'INPROGRESS' | 'SUCCESS' | 'CANCELED';
  readonly revision: number;
  /** locality texts */
  readonly previous: string;
  readonly target: string;
  readonly replicas: readonly TaskReplica[] | null;
  readonly detail: string;
  readonly startTime: WallMicros;
  readonly modifyTime: WallMicros;
}

/** What is known of a server before it has reported. */
export type NewServer = Pick<ServerFacts, 'nodeId' | 'address' | 'zone' | 'region' | 'version'>;

const stale = (what: string): ObError => new ObError('OBS_CLUSTER_STALE_ORDER', { what });

export class RootStore {
  readonly #session: SysSession;

  constructor(session: SysSession) {
    this.#session = session;
  }

  // --- servers ---

  async servers(): Promise<ServerEntry[]> {
    return (await this.#session.query('SELECT * FROM __obs_server ORDER BY id')).map(serverEntry);
  }

  /** A repeat for the same node is the same row. Throws OBS_CLUSTER_SERVER_EXISTS for another node at that address. */
  async addServer(server: NewServer, now: WallMicros): Promise<ServerEntry> {
    return this.#session.transaction(async ({ query, run }) => {
      const [known] = await query(
        'SELECT * FROM __obs_server WHERE address = ? AND replaced_by IS NULL',
        server.address,
      );
      if (known !== undefined && known['node_id'] !== server.nodeId)
        throw new ObError('OBS_CLUSTER_SERVER_EXISTS', { address: server.address });
      if (known === undefined) {
        await run(
          "INSERT INTO __obs_server (node_id, address, zone, region, status, create_time, version) VALUES (?, ?, ?, ?, 'INACTIVE', ?, ?)",
          server.nodeId,
          server.address,
          server.zone,
          server.region,
          now,
          server.version,
        );
      }
      const [row] = await query('SELECT * FROM __obs_server WHERE node_id = ?', server.nodeId);
      return serverEntry(must(row, 'the row of a server that was added'));
    });
  }

  /** The server at an address lost its directory: the node there now takes the place of the one before. */
  async replaceServer(old: NodeId, server: NewServer, now: WallMicros): Promise<void> {
    await this.#session.transaction(async ({ run }) => {
      await run(
        "UPDATE __obs_server SET replaced_by = ?, status = 'DELETING' WHERE node_id = ?",
        server.nodeId,
        old,
      );
      await run(
        "INSERT INTO __obs_server (node_id, address, zone, region, status, create_time, version) VALUES (?, ?, ?, ?, 'INACTIVE', ?, ?)",
        server.nodeId,
        server.address,
        server.zone,
        server.region,
        now,
        server.version,
      );
    });
  }

  /** What it says of itself; its address and zone were others when it was a cluster of its own. */
  async updateServer(facts: ServerFacts): Promise<void> {
    await this.#session.run(
      'UPDATE __obs_server SET address = ?, zone = ?, region = ?, start_time = ?, version = ?, sql_address = ?, peer_address = ?, http_address = ? WHERE node_id = ?',
      facts.address,
      facts.zone,
      facts.region,
      facts.startTime,
      facts.version,
      facts.sqlAddress,
      facts.peerAddress,
      facts.httpAddress,
      facts.nodeId,
    );
  }

  async setServerStatus(node: NodeId, status: ServerStatus): Promise<void> {
    await this.#session.run('UPDATE __obs_server SET status = ? WHERE node_id = ?', status, node);
  }

  async setServerStopped(node: NodeId, stopTime: WallMicros | null): Promise<void> {
    await this.#session.run('UPDATE __obs_server SET stop_time = ? WHERE node_id = ?', stopTime, node);
  }

  async removeServer(node: NodeId): Promise<void> {
    await this.#session.run('DELETE FROM __obs_server WHERE node_id = ?', node);
  }

  // --- streams and replicas ---

  async streams(): Promise<StreamRow[]> {
    return (await this.#session.query('SELECT * FROM __obs_ls ORDER BY tenant_id')).map(streamRow);
  }

  async replicas(): Promise<PlacedReplica[]> {
    return (await this.#session.query('SELECT * FROM __obs_replica ORDER BY replica_id')).map(placedReplica);
  }

  /** The place of a new stream, or of one from before there were any rows; nothing when it is known. */
  async addStream(
    stream: Omit<StreamRow, 'previousLocality' | 'arbitration'>,
    replicas: readonly { readonly node: NodeId; readonly type: ReplicaType }[],
  ): Promise<readonly TaskReplica[]> {
    return this.#session.transaction(async statements => {
      const { query, run } = statements;
      const [known] = await query('SELECT 1 FROM __obs_ls WHERE tenant_id = ?', stream.tenantId);
      if (known === undefined) {
        await run(
          'INSERT INTO __obs_ls (tenant_id, locality, primary_zone) VALUES (?, ?, ?)',
          stream.tenantId,
          stream.locality,
          stream.primaryZone,
        );
        for (const { node, type } of replicas) await addReplica(statements, stream.tenantId, node, type);
      }
      const rows = await query(
        'SELECT * FROM __obs_replica WHERE tenant_id = ? ORDER BY replica_id',
        stream.tenantId,
      );
      return rows.map(placedReplica).map(({ node, type, replicaId }) => ({ node, type, replicaId }));
    });
  }

  async setPrimaryZone(tenant: TenantId, primaryZone: string): Promise<void> {
    await this.#session.run('UPDATE __obs_ls SET primary_zone = ? WHERE tenant_id = ?', primaryZone, tenant);
  }

  /** From here on the replica's files may be gone. */
  async noteDropping(replicaId: number): Promise<void> {
    await this.#session.run('UPDATE __obs_replica SET dropping = 1 WHERE replica_id = ?', replicaId);
  }

  async removeReplica(replicaId: number): Promise<void> {
    await this.#session.run('DELETE FROM __obs_replica WHERE replica_id = ?', replicaId);
  }

  // --- tasks ---

  async jobs(): Promise<RootJob[]> {
    return (await this.#session.query('SELECT * FROM __obs_job ORDER BY id')).map(rootJob);
  }

  async runningJob(tenant: TenantId): Promise<RootJob | null> {
    const [row] = await this.#session.query(
      "SELECT * FROM __obs_job WHERE tenant_id = ? AND status = 'INPROGRESS'",
      tenant,
    );
    return row === undefined ? null : rootJob(row);
  }

  /**
   * Begins a change of locality, or turns the one that runs back. Null when the tenant is there already. Throws OBS_LOCALITY_BUSY while it is on its
   * way to another one, OBS_SERVER_NO_SUCH_TENANT for one that was dropped meanwhile.
   */
  async alterLocality(
    tenant: { readonly id: TenantId; readonly name: string },
    target: string,
    now: WallMicros,
  ): Promise<RootJob | null> {
    return this.#session.transaction(async statements => {
      const { query, run } = statements;
      const [stream] = await query('SELECT * FROM __obs_ls WHERE tenant_id = ?', tenant.id);
      if (stream === undefined) throw new ObError('OBS_SERVER_NO_SUCH_TENANT', { tenant: tenant.name });
      const row = streamRow(stream);
      const [job] = await query(
        "SELECT * FROM __obs_job WHERE tenant_id = ? AND status = 'INPROGRESS'",
        tenant.id,
      );
      const running = job === undefined ? null : rootJob(job);
      if (running !== null && running.kind !== 'MOVE_REPLICAS') {
        if (running.target === target) return running;
        if (running.previous !== target || running.kind === 'ROLLBACK_ALTER_TENANT_LOCALITY') {
          const { target: way, previous } = running;
          throw new ObError('OBS_LOCALITY_BUSY', { tenant: tenant.name, target: way, previous });
        }
        await run(
          "UPDATE __obs_job SET kind = 'ROLLBACK_ALTER_TENANT_LOCALITY', previous = target, target = ?, replicas = NULL, revision = revision + 1, modify_time = ? WHERE id = ?",
          target,
          now,
          running.id,
        );
        await run(
          'UPDATE __obs_ls SET locality = ?, previous_locality = ? WHERE tenant_id = ?',
          target,
          row.locality,
          tenant.id,
        );
        return jobOf(statements, running.id);
      }
      if (row.locality === target) return null;
      // A move of the same tenant is part of what the change of locality does.
      if (running !== null)
        await run("UPDATE __obs_job SET status = 'CANCELED', modify_time = ? WHERE id = ?", now, running.id);
      await run(
        'UPDATE __obs_ls SET locality = ?, previous_locality = ? WHERE tenant_id = ?',
        target,
        row.locality,
        tenant.id,
      );
      return insertJob(statements, tenant.id, 'ALTER_TENANT_LOCALITY', row.locality, target, now);
    });
  }

  /** Begins to move replicas away from where they may not stay; the one that runs when there is one; null for a tenant that was dropped meanwhile. */
  async moveReplicas(tenant: TenantId, now: WallMicros): Promise<RootJob | null> {
    return this.#session.transaction(async statements => {
      const { query } = statements;
      const [job] = await query(
        "SELECT * FROM __obs_job WHERE tenant_id = ? AND status = 'INPROGRESS'",
        tenant,
      );
      if (job !== undefined) return rootJob(job);
      const [stream] = await query('SELECT * FROM __obs_ls WHERE tenant_id = ?', tenant);
      if (stream === undefined) return null;
      const { locality } = streamRow(stream);
      return insertJob(statements, tenant, 'MOVE_REPLICAS', locality, locality, now);
    });
  }

  /** The servers that a task chose, with a new replica where it says none. Throws OBS_CLUSTER_STALE_ORDER. */
  async assign(job: RootJob, revision: number, choices: readonly Choice[], now: WallMicros): Promise<void> {
    await this.#session.transaction(async statements => {
      const { run } = statements;
      const replicas: TaskReplica[] = [];
      for (const { node, type, replicaId } of choices) {
        if (replicaId === null)
          replicas.push({ node, type, replicaId: await addReplica(statements, job.tenantId, node, type) });
        else replicas.push({ node, type, replicaId });
      }
      const changed = await run(
        "UPDATE __obs_job SET replicas = ?, revision = revision + 1, modify_time = ? WHERE id = ? AND revision = ? AND status = 'INPROGRESS'",
        JSON.stringify(replicas),
        now,
        job.id,
        revision,
      );
      if (changed === 0) throw stale('the choice of servers');
    });
  }

  async noteProgress(job: number, detail: string, now: WallMicros): Promise<void> {
    await this.#session.run(
      "UPDATE __obs_job SET detail = ?, modify_time = ? WHERE id = ? AND status = 'INPROGRESS'",
      detail,
      now,
      job,
    );
  }

  /** The task's replicas are the tenant's now, and nothing else is. Throws OBS_CLUSTER_STALE_ORDER. */
  async finish(job: RootJob, revision: number, now: WallMicros): Promise<void> {
    await this.#session.transaction(async ({ query, run }) => {
      const changed = await run(
        "UPDATE __obs_job SET status = 'SUCCESS', detail = '', modify_time = ? WHERE id = ? AND revision = ? AND status = 'INPROGRESS'",
        now,
        job.id,
        revision,
      );
      if (changed === 0) throw stale('the end of the task');
      const [row] = await query('SELECT * FROM __obs_job WHERE id = ?', job.id);
      const { replicas } = rootJob(must(row, 'the row of a task'));
      for (const { node, type, replicaId } of replicas ?? [])
        await run(
          'UPDATE __obs_replica SET type = ?, node_id = ? WHERE replica_id = ?',
          type,
          node,
          replicaId,
        );
      const kept = (replicas ?? []).map(({ replicaId }) => replicaId).join(', ');
      await run(
        `DELETE FROM __obs_replica WHERE tenant_id = ? AND replica_id NOT IN (${kept})`,
        job.tenantId,
      );
      await run('UPDATE __obs_ls SET previous_locality = NULL WHERE tenant_id = ?', job.tenantId);
      await run(
        "DELETE FROM __obs_job WHERE status <> 'INPROGRESS' AND id <= (SELECT max(id) FROM __obs_job) - ?",
        rootJobsMax,
      );
    });
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

async function addReplica(
  { query, run }: Statements,
  tenant: TenantId,
  node: NodeId,
  type: ReplicaType,
): Promise<number> {
  await run('INSERT INTO __obs_replica (tenant_id, node_id, type) VALUES (?, ?, ?)', tenant, node, type);
  const [row] = await query('SELECT max(replica_id) AS id FROM __obs_replica');
  return Number(must(row, 'the id of a new replica')['id']);
}

async function insertJob(
  statements: Statements,
  tenant: TenantId,
  kind: JobKind,
  previous: string,
  target: string,
  now: WallMicros,
): Promise<RootJob> {
  await statements.run(
    "INSERT INTO __obs_job (tenant_id, kind, status, revision, previous, target, detail, start_time, modify_time) VALUES (?, ?, 'INPROGRESS', 1, ?, ?, '', ?, ?)",
    tenant,
    kind,
    previous,
    target,
    now,
    now,
  );
  const [row] = await statements.query('SELECT max(id) AS id FROM __obs_job');
  return jobOf(statements, Number(must(row, 'the id of a new task')['id']));
}

async function jobOf({ query }: Statements, id: number): Promise<RootJob> {
  const [row] = await query('SELECT * FROM __obs_job WHERE id = ?', id);
  return rootJob(must(row, 'the row of a task'));
}

const textOrNull = (value: SysRow[string] | undefined): string | null =>
  value === null || value === undefined ? null : String(value);
const numberOrNull = (value: SysRow[string] | undefined): number | null =>
  value === null || value === undefined ? null : Number(value);

const serverEntry = (row: SysRow): ServerEntry => ({
  id: Number(row['id']),
  nodeId: nodeId(String(row['node_id'])),
  address: String(row['address']),
  zone: String(row['zone']),
  region: String(row['region']),
  status: String(row['status']) as ServerStatus,
  stopTime: numberOrNull(row['stop_time']),
  createTime: Number(row['create_time']),
  startTime: numberOrNull(row['start_time']),
  version: String(row['version']),
  sqlAddress: textOrNull(row['sql_address']),
  peerAddress: textOrNull(row['peer_address']),
  httpAddress: textOrNull(row['http_address']),
});

const streamRow = (row: SysRow): StreamRow => ({
  tenantId: tenantId(Number(row['tenant_id'])),
  locality: String(row['locality']),
  previousLocality: textOrNull(row['previous_locality']),
  primaryZone: String(row['primary_zone']),
  arbitration: String(row['arbitration']) as ArbitrationState,
});

const placedReplica = (row: SysRow): PlacedReplica => ({
  replicaId: Number(row['replica_id']),
  tenantId: tenantId(Number(row['tenant_id'])),
  node: nodeId(String(row['node_id'])),
  type: String(row['type']) as ReplicaType,
  dropping: Number(row['dropping']) !== 0,
});

const rootJob = (row: SysRow): RootJob => ({
  id: Number(row['id']),
  tenantId: tenantId(Number(row['tenant_id'])),
  kind: String(row['kind']) as JobKind,
  status: String(row['status']) as RootJob['status'],
  revision: Number(row['revision']),
  previous: String(row['previous']),
  target: String(row['target']),
  replicas: row['replicas'] === null ? null : (JSON.parse(String(row['replicas'])) as TaskReplica[]),
  detail: String(row['detail']),
  startTime: wallMicros(Number(row['start_time'])),
  modifyTime: wallMicros(Number(row['modify_time'])),
});
