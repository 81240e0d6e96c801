/** Operators' verbs where the root service leads: arguments checked and handed to it. */
import { isObError, ObError } from '../../base/errors.ts';
import type { Random } from '../../platform/random.ts';
import type { ArbiterOutcome, ArbitrationFacts, TenantJob, TenantPlacement } from '../cluster-operations.ts';
import type { Operations, Progress } from '../operations.ts';
import type { RootVerbs } from '../routed-operations.ts';
import { checkPageBytes, checkTenantName } from '../tenant-name.ts';
import type { ParameterName } from './arbitration.ts';
import type { StoredServerEvent } from './arbitration-store.ts';
import type { RootService } from './root-service.ts';
import type { CopyRequest, TenantPlace } from './tenant-works.ts';

export interface RootVerbsOptions {
  readonly random: Random;
  readonly pageBytes: number;
}

const placeOf = ({ locality, primaryZone, arbitration }: TenantPlacement): TenantPlace => ({
  locality: locality ?? null,
  primaryZone: primaryZone ?? null,
  arbitration: arbitration ?? null,
});

export class RootVerbsHere implements RootVerbs {
  readonly #root: RootService;
  readonly #options: RootVerbsOptions;

  constructor(root: RootService, options: RootVerbsOptions) {
    this.#root = root;
    this.#options = options;
  }

  async createTenant(options: Parameters<Operations['createTenant']>[0]): Promise<void> {
    const { name, ifNotExists, rootPassword = '', pageBytes = this.#options.pageBytes } = options;
    checkTenantName(name);
    checkPageBytes(pageBytes);
    await this.#root.tenants.clearName(name);
    if (ifNotExists && this.#exists(name)) return;
    const incarnation = this.#options.random.uuid();
    await this.#root.tenants.createTenant({
      name,
      incarnation,
      pageBytes,
      rootPassword,
      ...placeOf(options),
    });
  }

  async createStandbyTenant(
    options: Parameters<Operations['createStandbyTenant']>[0],
    progress: Progress,
  ): Promise<void> {
    const { name, ifNotExists, source } = options;
    checkTenantName(name);
    await this.#root.tenants.clearName(name);
    if (ifNotExists && this.#exists(name)) return;
    await this.#copy(name, placeOf(options), { kind: 'standby', source }, progress);
  }

  async restore(options: Parameters<Operations['restore']>[0], progress: Progress): Promise<void> {
    const { name, from, untilScn = null } = options;
    checkTenantName(name);
    await this.#copy(name, placeOf(options), { kind: 'restore', from, untilScn }, progress);
  }

  async #copy(name: string, place: TenantPlace, request: CopyRequest, progress: Progress): Promise<void> {
    const { random, pageBytes } = this.#options;
    await this.#root.tenants.copyTenant(name, random.uuid(), pageBytes, place, request, progress);
  }

  async dropTenant(name: string, { force, ifExists }: { force: boolean; ifExists: boolean }): Promise<void> {
    const { facts } = this.#root;
    if (ifExists && !this.#exists(name)) return;
    const tenant = facts.tenant(name);
    if (!force) {
      const info = await this.#root.tenants.leaderInfo(tenant).catch((error: unknown) => {
        if (!isObError(error, 'OBS_CLUSTER_NO_LEADER')) throw error;
        throw new ObError('OBS_SERVER_TENANT_STANDBYS_UNKNOWN', { tenant: name, why: error.message });
      });
      const connected = info.followers.filter(follower => follower.connected);
      if (info.role === 'PRIMARY' && connected.length > 0)
        throw new ObError('OBS_SERVER_TENANT_HAS_STANDBYS', { tenant: name, count: connected.length });
    }
    await this.#root.tenants.dropTenant(tenant);
  }

  alterTenant(name: string, placement: TenantPlacement, progress: Progress): Promise<void> {
    return this.#root.tenants.alterTenant(name, placeOf(placement), progress);
  }

  addServer(address: string, zone: string | null, progress: Progress): Promise<void> {
    return this.#root.joins.addServer(address, zone, progress);
  }

  removeServer(address: string, progress: Progress): Promise<void> {
    return this.#root.servers.removeServer(address, progress);
  }

  stopServer(address: string): Promise<void> {
    return this.#root.servers.stopServer(address);
  }

  startServer(address: string): Promise<void> {
    return this.#root.servers.startServer(address);
  }

  transferLeader(name: string, server: string): Promise<void> {
    return this.#root.servers.transferLeader(name, server);
  }

  addArbiter(address: string, progress: Progress): Promise<void> {
    return this.#root.arbitration.add(address, progress);
  }

  async replaceArbiter(old: string, address: string, progress: Progress): Promise<ArbiterOutcome> {
    return { left: await this.#root.arbitration.replace(old, address, progress) };
  }

  async removeArbiter(address: string, progress: Progress): Promise<ArbiterOutcome> {
    return { left: await this.#root.arbitration.remove(address, progress) };
  }

  setParameter(name: ParameterName, value: string, tenant: string | null): Promise<void> {
    return this.#root.arbitration.setParameter(name, value, tenant);
  }

  arbitrationFacts(): Promise<ArbitrationFacts> {
    return this.#root.arbitration.tell(this.#root.arbiterProblem);
  }

  serverEvents(after: number): Promise<readonly StoredServerEvent[]> {
    return this.#root.arbitration.serverEvents(after);
  }

  async tenantJobs(): Promise<readonly TenantJob[]> {
    const { facts } = this.#root;
    await facts.refresh();
    return facts.jobs.map(job => ({
      id: job.id,
      tenantId: job.tenantId,
      tenant: facts.tenants.find(({ id }) => id === job.tenantId)?.name ?? '',
      type: job.kind,
      status: job.status,
      previousLocality: job.previous,
      locality: job.target,
      detail: job.detail,
      startTime: job.startTime,
      modifyTime: job.modifyTime,
    }));
  }

  #exists(name: string): boolean {
    return this.#root.facts.tenants.some(tenant => tenant.name === name);
  }
}
