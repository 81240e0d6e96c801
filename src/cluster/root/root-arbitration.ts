/**
 * What operators ask of the arbitration service. Each command notes durably what is to be, and waits until it is; what brings
 * it about is `arbitration-sweep.ts`, whoever leads the root service. The same command again goes on.
 *
 * Must never let a tenant believe in an arbiter that was not adopted, nor release one that a log stream may still count.
 */
import { isObError, ObError } from '../../base/errors.ts';
import { arbitrationWaitMs, rootCallMs } from '../../base/limits.ts';
import type { TenantId } from '../../base/scalars.ts';
import type { ArbitrationFacts } from '../cluster-operations.ts';
import type { Progress } from '../operations.ts';
import type { StoredTenant } from '../sys-store.ts';
import {
  arbiterDescriptionSchema,
  type ArbitrationState,
  checkedParameter,
  type DescribedArbiter,
  isArbitrable,
  type ParameterName,
  timeoutMsOf,
} from './arbitration.ts';
import type { ArbitrationService, StoredServerEvent } from './arbitration-store.ts';
import { countOf, parseLocality } from './locality.ts';
import { parseBody } from './node-body.ts';
import { netAddress, type RootContext } from './root-context.ts';
import { sysTenant } from './root-facts.ts';

const silent: Progress = () => {};

export class RootArbitration {
  readonly #context: RootContext;

  constructor(context: RootContext) {
    this.#context = context;
  }

  /** Throws OBS_ARBITRATION_EXISTS, OBS_ARBITRATION_UNREACHABLE, OBS_ARBITRATION_NOT_ARBITER, OBS_ARBITER_OTHER_CLUSTER. */
  async add(address: string, progress: Progress = silent): Promise<void> {
    const { facts, options } = this.#context;
    if (facts.arbitration !== null)
      throw new ObError('OBS_ARBITRATION_EXISTS', { address: facts.arbitration.address });
    const { nodeId } = await this.#adopt(address, null);
    await options.arbitration.setService(address, nodeId, options.clock.wall());
    await facts.refresh();
    // Without it the root service would end with the first server, and with it what all tenants need to change leaders.
    if (isArbitrable(this.#fullReplicas(sysTenant.id)) && !this.#isBusy(sysTenant.id))
      await this.#enable(sysTenant, progress);
  }

  /** The new one is set wherever the old one was; the old one is released when nobody counts it any more. */
  async replace(old: string, address: string, progress: Progress = silent): Promise<string | null> {
    const { facts, options } = this.#context;
    const before = this.#service(old);
    const { nodeId } = await this.#adopt(address, before);
    if (nodeId !== before.nodeId || address !== before.address)
      await options.arbitration.setService(address, nodeId, options.clock.wall());
    await facts.refresh();
    for (const tenant of facts.tenants) {
      if (facts.arbitrationOf(tenant.id) === 'DISABLED') continue;
      await this.#until(tenant, 'ENABLED', progress, () => this.#context.arbiters.isSet(tenant.id, nodeId));
    }
    return nodeId === before.nodeId || old === address ? null : this.#release(before);
  }

  /** Resolves with what is left to do, or null. Throws OBS_ARBITRATION_NONE, OBS_ARBITRATION_IN_USE. */
  async remove(address: string, progress: Progress = silent): Promise<string | null> {
    const { facts, options } = this.#context;
    const service = this.#service(address);
    const users = facts.tenants.filter(
      ({ id }) => id !== sysTenant.id && facts.arbitrationOf(id) !== 'DISABLED',
    );
    if (users.length > 0) {
      const tenants = users.map(({ name }) => `tenant '${name}'`).join(', ');
      throw new ObError('OBS_ARBITRATION_IN_USE', { tenants });
    }
    if (facts.arbitrationOf(sysTenant.id) !== 'DISABLED') await this.#disable(sysTenant, progress);
    await options.arbitration.removeService();
    await facts.refresh();
    return this.#release(service);
  }

  /** Throws OBS_ARBITRATION_NONE, OBS_ARBITRATION_REPLICA_COUNT, OBS_ARBITRATION_BUSY, OBS_ARBITRATION_UNREACHABLE, OBS_ARBITRATION_PENDING. */
  async enable(tenant: Pick<StoredTenant, 'id' | 'name'>, progress: Progress = silent): Promise<void> {
    const { facts } = this.#context;
    if (facts.arbitrationOf(tenant.id) === 'ENABLED') return;
    await this.mustBeAble(tenant.name, this.#fullReplicas(tenant.id));
    if (this.#isBusy(tenant.id)) throw busy(tenant.name, 'a change of its locality');
    await this.#enable(tenant, progress);
  }

  /** Of a tenant that was just made, for which it was noted. */
  async untilEnabled(tenant: Pick<StoredTenant, 'id' | 'name'>): Promise<void> {
    await this.#until(tenant, 'ENABLED', silent);
  }

  /** Noted alone: its replicas are on their way, and it comes behind them. */
  async note(tenant: Pick<StoredTenant, 'id' | 'name'>): Promise<void> {
    await this.#set(tenant, ['DISABLED', 'DISABLING'], 'ENABLING');
  }

  /** What was noted, of a tenant whose replicas turn back to where it cannot be. */
  async takeBack(tenant: Pick<StoredTenant, 'id' | 'name'>): Promise<void> {
    if (this.#context.facts.arbitrationOf(tenant.id) !== 'ENABLING') return;
    await this.#set(tenant, ['ENABLING'], 'DISABLING');
  }

  async disable(tenant: Pick<StoredTenant, 'id' | 'name'>, progress: Progress = silent): Promise<void> {
    if (this.#context.facts.arbitrationOf(tenant.id) === 'DISABLED') return;
    if (this.#isBusy(tenant.id)) throw busy(tenant.name, 'a change of its locality');
    await this.#disable(tenant, progress);
  }

  /** Whether a tenant with so many full replicas can use it now. */
  async mustBeAble(tenant: string, count: number): Promise<void> {
    const service = this.#context.facts.arbitration;
    if (service === null) throw new ObError('OBS_ARBITRATION_NONE', { what: '' });
    if (!isArbitrable(count)) throw new ObError('OBS_ARBITRATION_REPLICA_COUNT', { tenant, count });
    await this.mustAnswer(service);
  }

  /** Throws OBS_ARBITRATION_UNREACHABLE, OBS_ARBITRATION_WIPED. */
  async mustAnswer({ address, nodeId }: ArbitrationService): Promise<void> {
    const described = await this.#ask(address, 'arbiter.describe', {});
    if (described.nodeId !== nodeId || described.clusterId === null)
      throw new ObError('OBS_ARBITRATION_WIPED', { address });
  }

  /** Locality that a tenant with the arbitration service may not have. Throws OBS_ARBITRATION_LOCALITY. */
  mustSuit(tenant: Pick<StoredTenant, 'id' | 'name'>, target: string): void {
    const count = countOf(parseLocality(target), 'F');
    const { facts } = this.#context;
    const state = facts.arbitrationOf(tenant.id);
    // The arbiter waits for the task that runs: that may go on, or be turned back.
    const isUnderWay = facts.jobs.some(
      job =>
        job.tenantId === tenant.id &&
        job.status === 'INPROGRESS' &&
        (job.target === target || job.previous === target),
    );
    if (state === 'ENABLING' || state === 'DISABLING') {
      if (isUnderWay) return;
      throw busy(tenant.name, `its arbitration service, which is ${state}`);
    }
    if (state === 'DISABLED' || isArbitrable(count)) return;
    throw new ObError('OBS_ARBITRATION_LOCALITY', { target, count, tenant: tenant.name });
  }

  /** Throws OBS_PARAMETER_VALUE, OBS_SERVER_NO_SUCH_TENANT. */
  async setParameter(name: ParameterName, value: string, tenant: string | null): Promise<void> {
    const { facts, options } = this.#context;
    const checked = checkedParameter(name, value);
    const isTenants = name === 'arbitration_timeout';
    const ids: readonly number[] =
      tenant !== null && isTenants
        ? [facts.tenant(tenant).id]
        : isTenants
          ? facts.tenants.map(({ id }) => id)
          : [0];
    for (const tenantId of ids) await options.arbitration.setParameter({ tenantId, name, value: checked });
    await facts.refresh();
  }

  /** The lease of the cluster may have become another one. */
  async readopt(): Promise<void> {
    const service = this.#context.facts.arbitration;
    if (service === null) return;
    const described = await this.#ask(service.address, 'arbiter.describe', {});
    if (described.nodeId !== service.nodeId)
      throw new ObError('OBS_ARBITRATION_WIPED', { address: service.address });
    await this.#adopt(service.address, service);
  }

  // --- what is to be told ---

  async tell(problem: ObError | null): Promise<ArbitrationFacts> {
    const { facts, options, arbiters } = this.#context;
    await facts.refresh();
    const service = facts.arbitration;
    const { policy } = facts.picture.arbitration;
    const names = new Map(facts.tenants.map(({ id, name }) => [id, name]));
    return {
      service,
      problem: service === null || problem === null ? null : `${problem.message}. ${problem.hint}`,
      policy,
      tenants: facts.tenants.map(({ id, name }) => ({
        tenantId: id,
        tenant: name,
        state: facts.arbitrationOf(id),
        timeoutMs: timeoutMsOf(facts.picture.arbitration, id),
        detail: arbiters.detailOf(id),
      })),
      tasks: (await options.arbitration.tasks()).map(task => ({
        ...task,
        tenant: names.get(task.tenantId) ?? '',
      })),
    };
  }

  serverEvents(after: number): Promise<readonly StoredServerEvent[]> {
    return this.#context.options.arbitration.serverEvents(after);
  }

  // --- the arbiter ---

  /** The tenant is gone, and its id is never used again. An arbiter that is away keeps a KiB that nobody asks for. */
  async forget(tenant: TenantId): Promise<void> {
    const service = this.#context.facts.arbitration;
    if (service === null) return;
    const body = { tenants: [tenant] };
    try {
      const { calls } = this.#context.options;
      await calls.requestAt(netAddress(service.address), 'arbiter.forget', body, { timeoutMs: rootCallMs });
    } catch (error) {
      if (!isObError(error)) throw error;
    }
  }

  /** @param counted the one that log streams count: if it was told to forget them, with what it promised, it votes no more */
  async #adopt(address: string, counted: ArbitrationService | null): Promise<DescribedArbiter> {
    const { clusterId, leaseMs } = this.#context.options;
    const described = await this.#ask(address, 'arbiter.describe', {});
    if (described.nodeId === counted?.nodeId && described.clusterId === null)
      throw new ObError('OBS_ARBITRATION_WIPED', { address });
    return this.#ask(address, 'arbiter.adopt', { clusterId, leaseMs });
  }

  /** Tells it that nothing of this cluster counts it any more. Resolves with why it could not be told, or null. */
  async #release({ address }: ArbitrationService): Promise<string | null> {
    const { calls, clusterId, clusterName, logger } = this.#context.options;
    try {
      await calls.requestAt(netAddress(address), 'arbiter.release', { clusterId }, { timeoutMs: rootCallMs });
      return null;
    } catch (error) {
      if (!isObError(error)) throw error;
      const stale = new ObError('OBS_ARBITRATION_STALE', {
        address,
        why: error.message,
        cluster: clusterName,
      });
      logger.warn({ ...stale.toJSON() }, 'a removed arbiter keeps what it knew');
      return `${stale.message}. ${stale.hint}`;
    }
  }

  async #ask(address: string, op: string, body: object): Promise<DescribedArbiter> {
    const { calls, clusterName, clusterId } = this.#context.options;
    let answer: unknown;
    try {
      answer = await calls.requestAt(netAddress(address), op, body, { timeoutMs: rootCallMs });
    } catch (error) {
      if (!isObError(error)) throw error;
      throw askingFailed(error, address, clusterName, clusterId);
    }
    try {
      return parseBody(arbiterDescriptionSchema, answer);
    } catch (error) {
      throw new ObError('OBS_ARBITRATION_NOT_ARBITER', { address, why: 'its answer is another one' }, error);
    }
  }

  /** Throws OBS_ARBITRATION_NONE. */
  #service(address: string): ArbitrationService {
    const service = this.#context.facts.arbitration;
    if (service?.address === address) return service;
    const what = service === null ? '' : ` at ${address}; it is at ${service.address}`;
    throw new ObError('OBS_ARBITRATION_NONE', { what });
  }

  // --- tenants ---

  #fullReplicas(tenant: TenantId): number {
    const text = this.#context.facts.stream(tenant)?.locality;
    return text === undefined || text === '' ? 0 : countOf(parseLocality(text), 'F');
  }

  #isBusy(tenant: TenantId): boolean {
    return this.#context.facts.jobs.some(job => job.tenantId === tenant && job.status === 'INPROGRESS');
  }

  async #enable(tenant: Pick<StoredTenant, 'id' | 'name'>, progress: Progress): Promise<void> {
    await this.#set(tenant, ['DISABLED', 'DISABLING'], 'ENABLING');
    await this.#until(tenant, 'ENABLED', progress);
  }

  async #disable(tenant: Pick<StoredTenant, 'id' | 'name'>, progress: Progress): Promise<void> {
    await this.#set(tenant, ['ENABLED', 'ENABLING'], 'DISABLING');
    await this.#until(tenant, 'DISABLED', progress);
  }

  async #set(
    { id }: Pick<StoredTenant, 'id'>,
    from: readonly ArbitrationState[],
    to: ArbitrationState,
  ): Promise<void> {
    const { facts, options } = this.#context;
    const service = facts.arbitration?.address ?? '';
    await options.arbitration.setState(id, from, to, service, options.clock.wall());
    options.reached(`arbitration:${to}`);
    await facts.refresh();
  }

  async #until(
    { id, name }: Pick<StoredTenant, 'id' | 'name'>,
    wanted: ArbitrationState,
    progress: Progress,
    isDone: () => boolean = () => true,
  ): Promise<void> {
    const { facts, arbiters } = this.#context;
    let told = '';
    const isReached = await this.#context.until(arbitrationWaitMs, () => {
      const detail = arbiters.detailOf(id);
      if (detail !== told && detail !== '')
        progress({ step: `arbitration of ${name}`, site: '', state: 'running', detail, ms: 0 });
      told = detail;
      arbiters.look();
      return facts.arbitrationOf(id) === wanted && isDone();
    });
    if (isReached) return;
    const state = facts.arbitrationOf(id);
    const why = told === '' ? 'its log stream has not answered' : told;
    throw new ObError('OBS_ARBITRATION_PENDING', { tenant: name, state, why });
  }
}

const busy = (tenant: string, what: string): ObError => new ObError('OBS_ARBITRATION_BUSY', { tenant, what });

/** What the other end said, as far as it says more than that it was not there. */
function askingFailed(error: ObError, address: string, cluster: string, ours: string): ObError {
  switch (error.code) {
    case 'OBS_ARBITER_NO_SUCH_CLUSTER':
      return new ObError('OBS_ARBITER_NO_SUCH_CLUSTER', { address, cluster }, error);
    case 'OBS_ARBITER_OTHER_CLUSTER':
    case 'OBS_CLUSTER_OF_ONE':
      return error;
    case 'OBS_NODE_OTHER_CLUSTER': {
      const theirs = String(error.details['theirs'] ?? '?');
      return new ObError('OBS_ARBITER_OTHER_CLUSTER', { cluster, theirs, ours }, error);
    }
    case 'OBS_NODE_SELF':
    case 'OBS_NODE_BAD_REQUEST':
    case 'OBS_NODE_PROTOCOL':
      return new ObError('OBS_ARBITRATION_NOT_ARBITER', { address, why: error.message }, error);
    default:
      return new ObError('OBS_ARBITRATION_UNREACHABLE', { address, why: error.message }, error);
  }
}
