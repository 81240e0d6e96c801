/**
 * Tenants as the root service makes, moves and removes them. What was begun and not finished is in the rows: a tenant that is half made, or half
 * removed, is removed by whoever leads the root service next; nobody was told that it exists.
 *
 * Must never let a tenant exist before all that it is to have is in the rows: whoever leads next goes by them, and the same command would be refused.
 */
import { isObError, ObError } from '../../base/errors.ts';
import {
  defaultReplicasMax,
  localityWaitMs,
  rootCallMs,
  rootOrderMs,
  routedFindMs,
  routedVerbMs,
  tenantOpenMs,
} from '../../base/limits.ts';
import type { TenantId } from '../../base/scalars.ts';
import { newPrimaryRow } from '../../role/row.ts';
import type { Progress, TenantInfo } from '../operations.ts';
import type { StoredTenant } from '../sys-store.ts';
import { isArbitrable } from './arbitration.ts';
import type { ReplicaSpec } from './local-replicas.ts';
import {
  checkZones,
  countOf,
  defaultLocality,
  type Locality,
  localityText,
  parseLocality,
  parsePrimaryZone,
  primaryZoneText,
} from './locality.ts';
import type { TaskReplica } from './locality-core.ts';
import { transferLeader } from './leader-transfer.ts';
import { parseBody } from './node-body.ts';
import { type PlacementServer, placeReplicas } from './placement.ts';
import type { RootArbitration } from './root-arbitration.ts';
import type { RootContext } from './root-context.ts';
import { sysTenant } from './root-facts.ts';
import type { RootJob } from './root-store.ts';
import { copyResultSchema, type CopyRequest, type TenantPlace } from './tenant-works.ts';

export class RootTenants {
  readonly #context: RootContext;
  readonly #arbitration: RootArbitration;
  /** made or removed by this leadership at this moment */
  readonly #busy = new Set<TenantId>();

  constructor(context: RootContext, arbitration: RootArbitration) {
    this.#context = context;
    this.#arbitration = arbitration;
  }

  /**
   * Resolves when it takes writes. A zone without a server that answers gets its replica later, by a task, if a majority of the full replicas can be
   * made now.
   */
  async createTenant(
    request: TenantPlace & {
      readonly name: string;
      readonly incarnation: string;
      readonly pageBytes: number;
      readonly rootPassword: string;
    },
  ): Promise<void> {
    const { options, facts } = this.#context;
    const { name, incarnation, pageBytes, rootPassword } = request;
    const createTime = options.clock.wall();
    const id = await this.#make(
      { name, incarnation, createTime, pageBytes },
      request,
      async (record, place) => {
        const servers = facts.seenServers(record.id);
        const locality = reachable(parseLocality(place.locality), servers);
        const chosen = placeReplicas(locality, servers, []);
        const stream = { tenantId: record.id, ...place, locality: localityText(locality) };
        const replicas = await options.store.addStream(stream, chosen);
        const row = newPrimaryRow({ tenant: name, incarnation, site: options.clusterId }, createTime);
        await options.tenants.insertRole(record.id, row);
        options.reached(`role:${row.step}`);
        await facts.refresh();
        await Promise.all(replicas.map(replica => this.#createReplica(record, replica, replicas)));
        const call = { findMs: tenantOpenMs, timeoutMs: tenantOpenMs, repeatable: true };
        const body = { tenantId: record.id, sealed: options.seal({ rootPassword }) };
        await options.leaders.ask(record.id, `tenant '${name}'`, 'tenant.finish', body, call);
        return { incarnation, pageBytes };
      },
    );
    await this.#leadFromBest({ id, name });
    if (request.arbitration === true) await this.#arbitration.untilEnabled({ id, name });
  }

  /**
   * Whoever has its replica first is elected first: a new tenant is handed to where its PRIMARY_ZONE says before anybody connects. If that fails
   * the leader does it by itself, some seconds later.
   */
  async #leadFromBest(tenant: Pick<StoredTenant, 'id' | 'name'>): Promise<void> {
    const { facts, options } = this.#context;
    const { id, name } = tenant;
    const full = facts.replicasOf(id).filter(({ type }) => type === 'F');
    const able = facts
      .seenServers(id)
      .filter(({ node, alive }) => alive && full.some(row => row.node === node));
    const first = Math.min(...able.map(({ priority }) => priority));
    const best = able.filter(({ priority }) => priority === first).map(({ node }) => node);
    const leader = options.leaders.leaderOf(id);
    const to = facts.servers.find(({ nodeId }) => nodeId === best[0]);
    if (to === undefined || (leader !== null && best.includes(leader))) return;
    await this.#context.attempt({ tenant: name }, () => transferLeader(this.#context, tenant, to));
  }

  /** A standby, or a restored tenant: copied by one server, then brought to its locality by a task. */
  async copyTenant(
    name: string,
    incarnation: string,
    pageBytes: number,
    place: TenantPlace,
    request: CopyRequest,
    progress: Progress,
  ): Promise<void> {
    const { options, facts } = this.#context;
    const createTime = options.clock.wall();
    await this.#make({ name, incarnation, createTime, pageBytes }, place, async (record, whole) => {
      const chosen = placeReplicas(parseLocality(whole.locality), facts.seenServers(null), []);
      const [first] = facts
        .seenServers(null)
        .filter(({ node }) => chosen.some(choice => choice.node === node && choice.type === 'F'))
        .sort((one, other) => one.load - other.load);
      if (first === undefined) throw new ObError('OBS_LOCALITY_NO_FULL');
      const stream = {
        tenantId: record.id,
        locality: `FULL{1}@${first.zone}`,
        primaryZone: whole.primaryZone,
      };
      const [replica] = await options.store.addStream(stream, [{ node: first.node, type: 'F' }]);
      await facts.refresh();
      const body = { record, replicaId: replica?.replicaId ?? 0, sealed: options.seal(request) };
      const onProgress = (report: unknown): void => progress(report as Parameters<Progress>[0]);
      const call = { timeoutMs: routedVerbMs, onProgress };
      return parseBody(copyResultSchema, await options.calls.request(first.node, 'tenant.copy', body, call));
    });
  }

  /** Reserves the name, lets `make` do it, and tells that it is there; whatever fails, it is not there afterwards. */
  async #make(
    tenant: Omit<StoredTenant, 'id' | 'status'>,
    place: TenantPlace,
    make: (
      record: StoredTenant,
      place: { readonly locality: string; readonly primaryZone: string },
    ) => Promise<Pick<StoredTenant, 'incarnation' | 'pageBytes'>>,
  ): Promise<TenantId> {
    const { facts, options, tasks } = this.#context;
    await this.#context.untilHeard();
    facts.mustHaveRoom();
    const zones = facts.servers.filter(({ status }) => status !== 'DELETING').map(({ zone }) => zone);
    const locality =
      place.locality === null
        ? localityText(defaultLocality(zones, defaultReplicasMax))
        : this.#checkedLocality(place.locality);
    const primaryZone = primaryZoneText(parsePrimaryZone(place.primaryZone ?? 'RANDOM', facts.zones()));
    const record = await options.tenants.addTenant(tenant);
    this.#busy.add(record.id);
    try {
      if (place.arbitration === true) await this.#arbitration.mustBeAble(record.name, fullReplicas(locality));
      const made = await make(record, { locality, primaryZone });
      // What could not be made at once is made by a task, and the arbiter comes when the replicas are there.
      await options.store.alterLocality(record, locality, options.clock.wall());
      if (place.arbitration === true) await this.#arbitration.note(record);
      await options.tenants.updateTenant(record.id, { ...made, status: 'NORMAL' });
      await facts.refresh();
      tasks.run(facts.jobs);
      return record.id;
    } catch (error) {
      await this.#erase(record);
      throw error;
    } finally {
      this.#busy.delete(record.id);
    }
  }

  async #createReplica(
    tenant: StoredTenant,
    { node, replicaId }: TaskReplica,
    all: readonly TaskReplica[],
  ): Promise<void> {
    const { options, facts } = this.#context;
    const of = (type: TaskReplica['type']) => all.filter(each => each.type === type).map(each => each.node);
    const server = facts.seenServers(tenant.id).find(each => each.node === node);
    const spec: ReplicaSpec = {
      replicaId,
      tenant,
      blockBytes: options.blockBytes,
      priority: server?.priority ?? 0,
      birth: { members: of('F'), learners: of('R') },
    };
    await options.calls.request(node, 'replica.create', spec, { timeoutMs: rootOrderMs });
  }

  /** What the tenant's leader says of it. Throws OBS_CLUSTER_NO_LEADER. */
  async leaderInfo({ id, name }: StoredTenant): Promise<TenantInfo> {
    const { leaders } = this.#context.options;
    const call = { findMs: routedFindMs, timeoutMs: rootCallMs, repeatable: true };
    return (await leaders.ask(id, `tenant '${name}'`, 'tenant.info', { tenantId: id }, call)) as TenantInfo;
  }

  async dropTenant(tenant: StoredTenant): Promise<void> {
    if (tenant.id === sysTenant.id) throw new ObError('OBS_SERVER_TENANT_NAME', { tenant: tenant.name });
    if (this.#busy.has(tenant.id)) throw new ObError('OBS_SERVER_TENANT_BUSY', { tenant: tenant.name });
    this.#busy.add(tenant.id);
    try {
      await this.#erase(tenant);
    } finally {
      this.#busy.delete(tenant.id);
    }
  }

  /** Tenants that another leadership left half made or half removed. */
  async removeHalfMade(): Promise<void> {
    for (const tenant of this.#context.facts.tenants) {
      if (tenant.status === 'NORMAL' || this.#busy.has(tenant.id)) continue;
      await this.#context.attempt({ tenant: tenant.name }, () => this.#erase(tenant));
    }
  }

  /**
   * Removes what is left of a tenant of this name that was half made, so that it can be made again. Throws OBS_SERVER_TENANT_BUSY
   * for one that is being made or removed at this moment.
   */
  async clearName(name: string): Promise<void> {
    for (const tenant of this.#context.facts.tenants) {
      if (tenant.name !== name || tenant.status === 'NORMAL') continue;
      if (this.#busy.has(tenant.id)) throw new ObError('OBS_SERVER_TENANT_BUSY', { tenant: name });
      await this.#erase(tenant);
    }
  }

  /** Servers that do not answer remove their replica when they are back: no row will have its number. */
  async #erase(tenant: StoredTenant): Promise<void> {
    const { facts, options } = this.#context;
    const { id: tenantId, incarnation, pageBytes } = tenant;
    await options.tenants.updateTenant(tenantId, { incarnation, pageBytes, status: 'DROPPING' });
    await facts.refresh();
    const rows = facts.replicas.filter(row => row.tenantId === tenantId);
    const drop = async ({ node, replicaId }: TaskReplica): Promise<void> => {
      const order = { tenantId, replicaId, tenantGone: true };
      try {
        await options.calls.request(node, 'replica.drop', order, { timeoutMs: rootOrderMs });
      } catch (error) {
        if (!isObError(error) || error.kind !== 'unavailable') throw error;
      }
    };
    await Promise.all(rows.map(drop));
    await options.tenants.removeTenant(tenantId);
    await facts.refresh();
    await this.#arbitration.forget(tenantId);
  }

  /** Resolves when the replicas are where they are to be; OBS_LOCALITY_PENDING when that takes long. */
  async alterTenant(name: string, place: TenantPlace, progress: Progress): Promise<void> {
    const { facts, options, tasks } = this.#context;
    const tenant = facts.tenant(name);
    const target = place.locality === null ? null : this.#checkedLocality(place.locality);
    if (target !== null && place.arbitration !== false) this.#arbitration.mustSuit(tenant, target);
    if (target !== null && place.arbitration === true)
      await this.#arbitration.mustBeAble(name, fullReplicas(target));
    if (place.arbitration === false) await this.#arbitration.disable(tenant, progress);
    if (place.primaryZone !== null) {
      const primaryZone = primaryZoneText(parsePrimaryZone(place.primaryZone, facts.zones()));
      await options.store.setPrimaryZone(tenant.id, primaryZone);
    }
    const job =
      target === null ? null : await options.store.alterLocality(tenant, target, options.clock.wall());
    await facts.refresh();
    // The change may go on without this command, and what comes behind it then comes as well.
    if (job !== null && place.arbitration === true) await this.#arbitration.note(tenant);
    if (target !== null && !isArbitrable(fullReplicas(target))) await this.#arbitration.takeBack(tenant);
    if (job !== null) {
      tasks.run(facts.jobs);
      tasks.look(job.id);
      await this.#untilDone(name, job, progress);
    }
    if (place.arbitration === true) await this.#arbitration.enable(tenant, progress);
  }

  async #untilDone(name: string, { id, target, previous }: RootJob, progress: Progress): Promise<void> {
    const { facts } = this.#context;
    let told = '';
    let end: RootJob | undefined;
    const isDone = await this.#context.until(localityWaitMs, async () => {
      await facts.refresh();
      end = facts.jobs.find(job => job.id === id);
      const { detail = '' } = end ?? {};
      if (detail !== told && detail !== '')
        progress({ step: 'replicas', site: '', state: 'running', detail, ms: 0 });
      told = detail;
      return end?.status !== 'INPROGRESS' || end.target !== target;
    });
    // Somebody gave the old locality meanwhile: this one will not be reached.
    const isTurned = end !== undefined && end.target !== target;
    if (!isDone || isTurned)
      throw new ObError('OBS_LOCALITY_PENDING', { tenant: name, target, previous, why: told });
  }

  /** Throws OBS_LOCALITY_*; returns the canonical text. */
  #checkedLocality(text: string): string {
    const locality = parseLocality(text);
    checkZones(locality, this.#context.facts.serversOfZones());
    return localityText(locality);
  }
}

const fullReplicas = (locality: string): number => countOf(parseLocality(locality), 'F');

/** As much of a locality as the servers that answer can hold now; all of it when that is no majority of the full replicas. */
function reachable(locality: Locality, servers: readonly PlacementServer[]): Locality {
  const free = new Map<string, number>();
  for (const { zone, takes, keeps } of servers) if (takes && keeps) free.set(zone, (free.get(zone) ?? 0) + 1);
  const now = locality.flatMap(({ type, count, zone }) => {
    const here = Math.min(count, free.get(zone) ?? 0);
    free.set(zone, (free.get(zone) ?? 0) - here);
    return here === 0 ? [] : [{ type, count: here, zone }];
  });
  return countOf(now, 'F') > countOf(locality, 'F') / 2 ? now : locality;
}
