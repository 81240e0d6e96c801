/**
 * Finds the server where a tenant's log stream leads, and asks it: the replica here knows, else the last answer, else the servers that hold
 * replicas are asked in turn, each naming the leader it knows of.
 *
 * Must never ask a second server for something that may have been done by the first, unless the caller says that it can be repeated.
 */
import { isObError, ObError } from '../../base/errors.ts';
import { leaderCallPauseMs } from '../../base/limits.ts';
import { type NodeId, nodeId, type TenantId } from '../../base/scalars.ts';
import type { Clock } from '../../platform/clock.ts';
import { mayHaveBeenDone, type NodeCalls } from './node-calls.ts';

export interface LeaderCallsOptions {
  readonly calls: NodeCalls;
  readonly clock: Clock;
  /** the leader as this server's own replica knows it; undefined: no replica here */
  readonly localLeader: (tenant: TenantId) => NodeId | null | undefined;
  /** where replicas are, as far as is known here; those that may lead first */
  readonly replicaNodes: (tenant: TenantId) => readonly NodeId[];
}

export interface LeaderCallOptions {
  /** for finding a leader; an answer may take longer */
  readonly findMs: number;
  readonly timeoutMs: number;
  /** done twice it leaves the same as once */
  readonly repeatable: boolean;
  readonly onProgress?: (body: unknown) => void;
}

export class LeaderCalls {
  readonly #options: LeaderCallsOptions;
  readonly #known = new Map<TenantId, NodeId>();

  constructor(options: LeaderCallsOptions) {
    this.#options = options;
  }

  /** Who leads, as far as is known here: the replica's word where there is one. */
  leaderOf(tenant: TenantId): NodeId | null {
    const local = this.#options.localLeader(tenant);
    return local === undefined ? (this.#known.get(tenant) ?? null) : local;
  }

  /** Forgets tenants that are not there any more. */
  keepOnly(tenants: ReadonlySet<TenantId>): void {
    for (const tenant of this.#known.keys()) if (!tenants.has(tenant)) this.#known.delete(tenant);
  }

  /** Throws what the leader threw; OBS_CLUSTER_NO_LEADER when none was found in time. */
  async ask(
    tenant: TenantId,
    what: string,
    op: string,
    body: unknown,
    options: LeaderCallOptions,
  ): Promise<unknown> {
    const { calls, clock } = this.#options;
    const deadline = clock.now() + options.findMs;
    let why = 'no server that holds a replica is known here';
    for (;;) {
      for (const node of this.#candidates(tenant)) {
        let next: NodeId | null = node;
        // A server that does not lead names the one that does; two that name each other are not believed for ever.
        for (let hops = 0; next !== null && hops < 3; hops += 1) {
          const asked: NodeId = next;
          const answer = await this.#askOne(calls, asked, op, body, options);
          if (answer.kind === 'value') {
            this.#known.set(tenant, asked);
            return answer.value;
          }
          this.#known.delete(tenant);
          why = answer.error.message;
          next = answer.leader === asked ? null : answer.leader;
        }
      }
      if (clock.now() + leaderCallPauseMs >= deadline)
        throw new ObError('OBS_CLUSTER_NO_LEADER', { what, why });
      await new Promise<void>(resolve => clock.after(leaderCallPauseMs, resolve));
    }
  }

  async #askOne(
    calls: NodeCalls,
    node: NodeId,
    op: string,
    body: unknown,
    { timeoutMs, repeatable, onProgress }: LeaderCallOptions,
  ): Promise<
    | { readonly kind: 'value'; readonly value: unknown }
    | { readonly kind: 'elsewhere'; readonly error: ObError; readonly leader: NodeId | null }
  > {
    try {
      const value = await calls.request(node, op, body, {
        timeoutMs,
        ...(onProgress === undefined ? {} : { onProgress }),
      });
      return { kind: 'value', value };
    } catch (error) {
      if (!isObError(error)) throw error;
      if (isLedElsewhere(error)) return { kind: 'elsewhere', error, leader: hintOf(error) };
      // Under the address of one that is gone another server may be by now, this one too: nothing was asked of it.
      if (isOtherServer(error)) return { kind: 'elsewhere', error, leader: null };
      if (error.kind !== 'unavailable' || !error.code.startsWith('OBS_NODE_')) throw error;
      if (!mayHaveBeenDone(error) || repeatable) return { kind: 'elsewhere', error, leader: null };
      throw new ObError('OBS_CLUSTER_OUTCOME_UNKNOWN', { node, what: op }, error);
    }
  }

  #candidates(tenant: TenantId): readonly NodeId[] {
    const first = this.leaderOf(tenant) ?? this.#known.get(tenant);
    const nodes = this.#options.replicaNodes(tenant);
    return first === undefined ? nodes : [first, ...nodes.filter(node => node !== first)];
  }
}

/** Not every error of that kind: a standby refuses writes wherever its log leads, and another site has leaders of its own. */
export const isLedElsewhere = ({ code }: ObError): boolean =>
  code === 'OBS_CLUSTER_NOT_LEADER' || code === 'OBS_TENANT_NOT_LEADER' || code === 'OBS_LOG_NOT_LEADER';

const isOtherServer = ({ code }: ObError): boolean =>
  code === 'OBS_NODE_SELF' || code === 'OBS_NODE_OTHER_ID' || code === 'OBS_NODE_OTHER_CLUSTER';

/** The leader that a `not-leader` error names. */
function hintOf({ details }: ObError): NodeId | null {
  const { node } = details;
  return typeof node === 'string' && node.length > 0 && node.length <= 64 ? nodeId(node) : null;
}
