/** What operators ask of the servers of a cluster, and of where leaders stand. */
import { isObError, ObError } from '../../base/errors.ts';
import { localityWaitMs, rootCallMs, stopServerMs } from '../../base/limits.ts';
import type { MonoMs, TenantId } from '../../base/scalars.ts';
import type { Progress } from '../operations.ts';
import type { StoredTenant } from '../sys-store.ts';
import { parseLocality } from './locality.ts';
import { transferLeader } from './leader-transfer.ts';
import type { ServerEntry } from './picture.ts';
import { placeReplicas } from './placement.ts';
import type { RootContext } from './root-context.ts';

export class RootServers {
  readonly #context: RootContext;

  constructor(context: RootContext) {
    this.#context = context;
  }

  /** Its replicas move to other servers of their zones, then it is forgotten. Throws OBS_CLUSTER_SERVER_NEEDED, OBS_CLUSTER_REMOVAL_PENDING. */
  async removeServer(address: string, progress: Progress): Promise<void> {
    const { facts, options } = this.#context;
    await this.#context.untilHeard();
    const server = facts.serverAt(address);
    for (const tenant of facts.tenantsOn(server.nodeId)) this.#mustBeSpared(server, tenant);
    await options.store.setServerStatus(server.nodeId, 'DELETING');
    await facts.refresh();
    const held = (): string =>
      facts
        .tenantsOn(server.nodeId)
        .map(({ name }) => name)
        .join(', ');
    let told = '';
    const isGone = await this.#context.until(localityWaitMs, () => {
      const detail = `still there: ${held()}`;
      if (detail !== told) progress({ step: 'move replicas', site: '', state: 'running', detail, ms: 0 });
      told = detail;
      return facts.server(server.nodeId) === undefined;
    });
    if (!isGone) throw new ObError('OBS_CLUSTER_REMOVAL_PENDING', { address, tenants: held() });
  }

  /** Its leaders move away, and none comes; its replicas go on. Throws OBS_CLUSTER_STOPS_ELSEWHERE, OBS_CLUSTER_SERVER_NEEDED. */
  async stopServer(address: string): Promise<void> {
    const { facts, watch, options } = this.#context;
    await this.#context.untilHeard();
    const server = facts.serverAt(address);
    const elsewhere = facts.servers.find(
      ({ stopTime, zone, status }) => stopTime !== null && zone !== server.zone && status !== 'DELETING',
    );
    if (elsewhere !== undefined) throw new ObError('OBS_CLUSTER_STOPS_ELSEWHERE', { zone: elsewhere.zone });
    for (const tenant of facts.tenantsOn(server.nodeId)) this.#mustDoWithout(server, tenant);
    if (server.stopTime === null) await options.store.setServerStopped(server.nodeId, options.clock.wall());
    await facts.refresh();
    const led = (): readonly StoredTenant[] => {
      const reports = watch.beat(server.nodeId)?.replicas ?? [];
      return facts.tenants.filter(({ id }) =>
        reports.some(({ tenantId, leads }) => leads && tenantId === id),
      );
    };
    const askedAt = new Map<TenantId, MonoMs>();
    const stoppedAt = this.#context.now;
    // A report from before says nothing of what came to be led there since.
    const isReported = (): boolean => {
      const ageMs = watch.silentMs(server.nodeId, this.#context.now);
      return ageMs !== null && this.#context.now - ageMs > stoppedAt;
    };
    const isFree = await this.#context.until(stopServerMs, () => {
      if (!facts.isAlive(server.nodeId)) return true;
      for (const tenant of led()) {
        const before = askedAt.get(tenant.id);
        if (before !== undefined && this.#context.now - before < rootCallMs) continue;
        askedAt.set(tenant.id, this.#context.now);
        void this.#moveLeader(server, tenant);
      }
      return led().length === 0 && isReported();
    });
    const tenants = led().map(({ name }) => name);
    if (!isFree) throw new ObError('OBS_CLUSTER_LEADERS_LEFT', { address, tenants: tenants.join(', ') });
  }

  /** Ends a stop, and a removal that is under way. */
  async startServer(address: string): Promise<void> {
    const { facts, options } = this.#context;
    const { nodeId, stopTime, status } = facts.serverAt(address);
    if (stopTime !== null) await options.store.setServerStopped(nodeId, null);
    if (status === 'DELETING')
      await options.store.setServerStatus(nodeId, facts.isAlive(nodeId) ? 'ACTIVE' : 'INACTIVE');
    await facts.refresh();
  }

  /** Resolves when that server leads. Throws OBS_LOCALITY_NO_REPLICA, OBS_LOCALITY_LEADER_NOT_MOVED. */
  async transferLeader(name: string, address: string): Promise<void> {
    const { facts } = this.#context;
    await this.#context.untilHeard();
    const tenant = facts.tenant(name);
    const server = facts.serverAt(address);
    const refuse = (why: string): ObError =>
      new ObError('OBS_LOCALITY_NO_REPLICA', { address, tenant: name, why });
    const row = facts.replicasOf(tenant.id).find(({ node }) => node === server.nodeId);
    if (row === undefined) throw refuse('it holds no replica of it');
    if (row.type !== 'F') throw refuse('its replica is READONLY');
    if (server.stopTime !== null) throw refuse('it is stopped');
    if (!facts.isAlive(server.nodeId)) throw refuse('it does not answer');
    await transferLeader(this.#context, tenant, server);
  }

  /** Hands a leader over to the best other place; the priority of a stopped server does the same, a little later. */
  async #moveLeader({ nodeId }: ServerEntry, { id }: StoredTenant): Promise<void> {
    const { facts, options } = this.#context;
    const full = facts.replicasOf(id).filter(({ type, node }) => type === 'F' && node !== nodeId);
    const [best] = facts
      .seenServers(id)
      .filter(({ node, alive }) => alive && full.some(row => row.node === node))
      .sort((one, other) => one.priority - other.priority);
    if (best === undefined) return;
    const order = { tenantId: id, to: best.node };
    try {
      await options.calls.request(nodeId, 'stream.transfer', order, { timeoutMs: rootCallMs });
    } catch (error) {
      // Asked again while it leads.
      if (!isObError(error)) options.onFatal(error);
    }
  }

  /** Throws OBS_CLUSTER_SERVER_NEEDED when no other server of its zone could take the replica. */
  #mustBeSpared({ nodeId, address }: ServerEntry, tenant: StoredTenant): void {
    const { facts } = this.#context;
    const servers = facts
      .seenServers(tenant.id)
      .map(server => (server.node === nodeId ? { ...server, keeps: false } : server));
    const { locality } = facts.stream(tenant.id) ?? { locality: '' };
    try {
      placeReplicas(parseLocality(locality), servers, facts.replicasOf(tenant.id));
    } catch (error) {
      if (!isObError(error)) throw error;
      const why = `tenant '${tenant.name}' is to have its replica there: ${error.message}`;
      throw new ObError('OBS_CLUSTER_SERVER_NEEDED', { address, what: 'be removed', why }, error);
    }
  }

  /** Throws OBS_CLUSTER_SERVER_NEEDED when the tenant would have no majority without it. */
  #mustDoWithout({ nodeId, address }: ServerEntry, tenant: StoredTenant): void {
    const { facts } = this.#context;
    const full = facts.replicasOf(tenant.id).filter(({ type }) => type === 'F');
    if (full.every(({ node }) => node !== nodeId)) return;
    const others = full.filter(
      ({ node }) => node !== nodeId && facts.server(node)?.stopTime === null && facts.isAlive(node),
    );
    if (others.length > Math.floor(full.length / 2)) return;
    // With an arbiter the half that is left goes on: what is stopped is degraded.
    const isHalf = others.length === full.length / 2;
    if (isHalf && facts.arbitrationOf(tenant.id) === 'ENABLED') return;
    const why = `tenant '${tenant.name}' would have ${others.length} of ${full.length} full replicas left`;
    throw new ObError('OBS_CLUSTER_SERVER_NEEDED', { address, what: 'be stopped', why });
  }
}
