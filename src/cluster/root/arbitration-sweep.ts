/**
 * Brings the log streams to the arbiter that their tenants are to have: looks at each through its leader, and has the leader
 * set or remove it, one step at a time. Without a memory that matters: each step is decided anew from the tenant's row and from
 * what the stream says, so whoever leads the root service next goes on.
 *
 * Must never call a tenant ENABLED before its leader's agreed record has the arbiter, nor DISABLED before it has none; must leave
 * a stream alone while a task changes its replicas.
 */
import { isSurvivable, ObError } from '../../base/errors.ts';
import { rootOrderMs } from '../../base/limits.ts';
import type { NodeId, TenantId } from '../../base/scalars.ts';
import type { StoredTenant } from '../sys-store.ts';
import { type ArbitrationState, isArbitrable } from './arbitration.ts';
import type { StreamLook } from './node-agent.ts';
import type { RootContext } from './root-context.ts';

export type ArbitrationStep =
  | { readonly kind: 'done' }
  | { readonly kind: 'set-arbiter' | 'remove-arbiter'; readonly node: NodeId }
  | { readonly kind: 'wait'; readonly why: string };

/** What is to be done next for the stream to have the arbiter `wanted` (null: none). */
export function decideArbitration(
  wanted: NodeId | null,
  { arbiter, members, degraded }: Pick<StreamLook, 'arbiter' | 'members' | 'degraded'>,
): ArbitrationStep {
  if (arbiter === wanted) return { kind: 'done' };
  if (degraded.length > 0)
    return { kind: 'wait', why: `a replica is degraded (${degraded.join(', ')}): it has to come back first` };
  if (arbiter !== null) return { kind: 'remove-arbiter', node: arbiter };
  if (wanted === null) return { kind: 'done' };
  if (!isArbitrable(members.length))
    return { kind: 'wait', why: `it has ${members.length} full replica(s) now, 2 or 4 are needed` };
  return { kind: 'set-arbiter', node: wanted };
}

export class ArbitrationSweep {
  readonly #context: RootContext;
  readonly #details = new Map<TenantId, string>();
  /** what the stream's leader said last */
  readonly #seen = new Map<TenantId, NodeId | null>();
  readonly #busy = new Set<TenantId>();

  constructor(context: RootContext) {
    this.#context = context;
  }

  /** What its tenant waits for; empty when it waits for nothing. */
  detailOf(tenant: TenantId): string {
    return this.#details.get(tenant) ?? '';
  }

  /** The stream's leader said that this is its arbiter. */
  isSet(tenant: TenantId, node: NodeId): boolean {
    return this.#seen.get(tenant) === node;
  }

  /** Looks at once, where something is to be done. */
  look(): void {
    const { facts, options } = this.#context;
    for (const tenant of facts.tenants) {
      if (this.#busy.has(tenant.id) || !this.#isDue(tenant)) continue;
      this.#busy.add(tenant.id);
      this.#step(tenant)
        .catch((error: unknown) => {
          if (!isSurvivable(error)) options.onFatal(error);
          else this.#details.set(tenant.id, error.message);
        })
        .finally(() => this.#busy.delete(tenant.id));
    }
  }

  #isDue({ id, status }: StoredTenant): boolean {
    const { facts, over } = this.#context;
    if (over || status !== 'NORMAL') return false;
    // Locality tasks take the arbiter away and leave it to this to set it again.
    if (facts.jobs.some(job => job.tenantId === id && job.status === 'INPROGRESS')) return false;
    const state = facts.arbitrationOf(id);
    if (state === 'ENABLING' || state === 'DISABLING') return true;
    const report = facts.leaderReport(id);
    return report !== undefined && report.arbiter !== this.#wanted(state);
  }

  #wanted(state: ArbitrationState): NodeId | null {
    const isWanted = state === 'ENABLING' || state === 'ENABLED';
    return isWanted ? (this.#context.facts.arbitration?.nodeId ?? null) : null;
  }

  async #step(tenant: StoredTenant): Promise<void> {
    const { facts, options, tasks } = this.#context;
    const { id } = tenant;
    const state = facts.arbitrationOf(id);
    const seen = await tasks.lookAtStream(id);
    if (seen === null) return this.#tell(id, 'the log stream has no leader now');
    const { look, fence } = seen;
    this.#seen.set(id, look.arbiter);
    const step = decideArbitration(this.#wanted(state), look);
    switch (step.kind) {
      case 'done':
        return this.#finish(id, state);
      case 'wait':
        return this.#tell(id, step.why);
      default: {
        const change = { kind: step.kind, node: step.node };
        await this.#tell(id, step.kind === 'set-arbiter' ? 'setting the arbiter' : 'removing the arbiter');
        await options.calls.request(
          look.leader,
          'stream.change',
          { tenantId: id, fence, change, version: look.version },
          { timeoutMs: rootOrderMs },
        );
        this.#seen.set(id, step.kind === 'set-arbiter' ? step.node : null);
      }
    }
  }

  async #finish(id: TenantId, state: ArbitrationState): Promise<void> {
    const { options, facts } = this.#context;
    this.#details.delete(id);
    if (state !== 'ENABLING' && state !== 'DISABLING') return;
    if (state === 'ENABLING' && facts.arbitration === null)
      throw new ObError('OBS_ARBITRATION_NONE', { what: '' });
    const to = state === 'ENABLING' ? 'ENABLED' : 'DISABLED';
    const service = facts.arbitration?.address ?? '';
    await options.arbitration.setState(id, [state], to, service, options.clock.wall());
    options.logger.info({ tenant: id, arbitration: to }, 'the arbitration service of a tenant changed');
    await facts.refresh();
  }

  async #tell(id: TenantId, detail: string): Promise<void> {
    const { options } = this.#context;
    if (this.#details.get(id) === detail) return;
    this.#details.set(id, detail);
    await options.arbitration.noteTask(id, detail, options.clock.wall());
  }
}
