/**
 * What the root service looks after without being asked: who answers, replicas that are where no row says they are, servers on their way out.
 *
 * Must never remove a replica that its stream's configuration names, nor one whose number a row has.
 */
import { rootCallMs, rootOrderMs } from '../../base/limits.ts';
import type { NodeId, TenantId } from '../../base/scalars.ts';
import type { StoredTenant } from '../sys-store.ts';
import { localityText, parseLocality } from './locality.ts';
import type { Assignment } from './placement.ts';
import type { RootContext } from './root-context.ts';
import { sysTenant } from './root-facts.ts';
import type { PlacedReplica } from './root-store.ts';

/** A replica that no row describes; `number`: of the row that one without a number belongs to. */
interface Stray {
  readonly node: NodeId;
  readonly tenantId: TenantId;
  readonly replicaId: number;
  readonly number: number | null;
}

export class RootSweeps {
  readonly #context: RootContext;

  constructor(context: RootContext) {
    this.#context = context;
  }

  /** The servers and replicas that a cluster begins with, and those of a server of its own from before there were rows. */
  async makeFirstRows(): Promise<void> {
    const { store, first, clock, tenants, calls, self } = this.#context.options;
    if ((await store.servers()).length === 0)
      for (const server of first.servers) await store.addServer(server, clock.wall());
    const placed = new Set((await store.streams()).map(({ tenantId }) => tenantId));
    const place = async (
      { id }: Pick<StoredTenant, 'id'>,
      replicas: readonly Assignment[],
    ): Promise<void> => {
      const locality = this.#localityOf(replicas);
      await store.addStream({ tenantId: id, locality, primaryZone: 'RANDOM' }, replicas);
    };
    if (!placed.has(sysTenant.id)) await place(sysTenant, first.sysReplicas);
    for (const tenant of await tenants.tenants()) {
      if (tenant.status !== 'NORMAL' || placed.has(tenant.id)) continue;
      const body = { tenantId: tenant.id };
      const look = await calls.request(self, 'replica.look', body, { timeoutMs: rootCallMs });
      if (look !== null) await place(tenant, [{ node: self, type: 'F' }]);
    }
  }

  #localityOf(replicas: readonly Assignment[]): string {
    const { servers } = this.#context.options.first;
    const counts = new Map<string, number>();
    for (const { node, type } of replicas) {
      const zone = servers.find(({ nodeId }) => nodeId === node)?.zone ?? 'zone1';
      const key = `${type}@${zone}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const text = [...counts].map(([key, count]) => key.replace('@', `{${count}}@`)).join(', ');
    return localityText(parseLocality(text));
  }

  async noteStatuses(): Promise<void> {
    const { watch, facts, options, now } = this.#context;
    let changed = false;
    for (const { nodeId, status, address } of facts.servers) {
      const isDown = status === 'ACTIVE' && watch.isSilent(nodeId, now);
      const isBack = status === 'INACTIVE' && watch.isAlive(nodeId, now);
      if (!isDown && !isBack) continue;
      const next = isDown ? 'INACTIVE' : 'ACTIVE';
      await options.store.setServerStatus(nodeId, next);
      options.logger.info({ node: nodeId, address, status: next }, 'a server changed its status');
      changed = true;
    }
    if (changed) await facts.refresh();
  }

  /** Replicas without a number get the one of their row; those whose number is in no row go: they were removed while their server was away. */
  async orderReplicas(): Promise<void> {
    const { facts, options } = this.#context;
    if (this.#strays(facts.replicas).length === 0) return;
    // A row is written before its replica is made: rows that are read now tell of every replica that was reported before.
    const reported = this.#strays(await options.store.replicas());
    await facts.refresh();
    for (const stray of reported) {
      const { node, tenantId } = stray;
      await this.#context.attempt({ node, tenant: tenantId }, () => this.#orderStray(stray));
    }
  }

  async #orderStray({ node, tenantId, replicaId, number }: Stray): Promise<void> {
    const { facts, options } = this.#context;
    if (number !== null) {
      const order = { tenantId, replicaId: number };
      await options.calls.request(node, 'replica.number', order, { timeoutMs: rootCallMs });
    } else if (replicaId !== 0 && !this.#mayTakePart(tenantId, node)) {
      options.logger.info({ node, tenant: tenantId, replica: replicaId }, 'a replica of the past is removed');
      const tenantGone = !facts.tenants.some(({ id }) => id === tenantId);
      const order = { tenantId, replicaId, tenantGone };
      await options.calls.request(node, 'replica.drop', order, { timeoutMs: rootOrderMs });
    }
  }

  /** On living servers. */
  #strays(rows: readonly PlacedReplica[]): readonly Stray[] {
    const { facts, watch } = this.#context;
    const byPlace = new Map<string, PlacedReplica[]>();
    for (const row of rows) {
      if (row.dropping) continue;
      const key = `${row.tenantId} ${row.node}`;
      byPlace.set(key, [...(byPlace.get(key) ?? []), row]);
    }
    return facts.servers.flatMap(({ nodeId: node }) => {
      if (!facts.isAlive(node)) return [];
      const reports = watch.beat(node)?.replicas ?? [];
      return reports.flatMap(({ tenantId, replicaId }) => {
        const own = byPlace.get(`${tenantId} ${node}`) ?? [];
        if (own.some(row => row.replicaId === replicaId)) return [];
        const number = replicaId === 0 ? (own.at(0)?.replicaId ?? null) : null;
        return [{ node, tenantId, replicaId, number }];
      });
    });
  }

  /** The configuration names it, as the stream's leader reports; or nobody reported, and the tenant exists. */
  #mayTakePart(tenant: TenantId, node: NodeId): boolean {
    const { facts } = this.#context;
    if (!facts.tenants.some(({ id }) => id === tenant)) return false;
    const report = facts.leaderReport(tenant);
    return report === undefined || [...report.members, ...report.learners, ...report.degraded].includes(node);
  }

  /** Replicas leave servers that are being removed; a server without any is forgotten. */
  async moveAway(): Promise<void> {
    const { facts, watch, options } = this.#context;
    let changed = false;
    for (const { nodeId, status, address } of facts.servers) {
      if (status !== 'DELETING') continue;
      const tenants = facts.tenantsOn(nodeId);
      for (const { id } of tenants) {
        if (facts.jobs.some(job => job.tenantId === id && job.status === 'INPROGRESS')) continue;
        if ((await options.store.moveReplicas(id, options.clock.wall())) !== null) changed = true;
      }
      // The server that leads the root service leaves when another one leads it.
      if (tenants.length > 0 || nodeId === options.self) continue;
      await options.store.removeServer(nodeId);
      watch.forget(nodeId);
      options.logger.info({ node: nodeId, address }, 'a server is no longer part of the cluster');
      changed = true;
    }
    if (changed) await facts.refresh();
  }
}
