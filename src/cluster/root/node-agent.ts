/**
 * Carries out the root service's orders on one server: replicas made and removed, configurations of the log streams that lead here changed. Every
 * order says which replica or which configuration it was decided upon, so one that comes late does nothing.
 */
import { z } from 'zod';
import { ObError } from '../../base/errors.ts';
import type { NodeId, TenantId } from '../../base/scalars.ts';
import { Turns } from '../turns.ts';
import { type LocalReplica, type LocalReplicas, replicaSpecSchema } from './local-replicas.ts';
import { nodeShape, parseBody, tenantShape } from './node-body.ts';
import type { NodeCalls } from './node-calls.ts';
import { isNewer, type ReplicaReport, type Revision, revisionSchema } from './picture.ts';

const ofTenant = z.object({ tenantId: tenantShape });
const numberOrder = z.object({ tenantId: tenantShape, replicaId: z.int() });
/** `tenantGone`: all of the tenant goes, its leader too */
const dropOrder = numberOrder.extend({ tenantGone: z.boolean().default(false) });
/** `fence`: of the look at the stream that an order was decided upon */
const lookOrder = z.object({ tenantId: tenantShape, fence: revisionSchema });
const changeOrder = lookOrder.extend({
  change: z.discriminatedUnion('kind', [
    z.object({
      kind: z.enum(['add-learner', 'promote', 'demote', 'remove', 'set-arbiter', 'remove-arbiter']),
      node: nodeShape,
    }),
    z.object({ kind: z.literal('replace'), old: nodeShape, new: nodeShape }),
  ]),
  version: z.string(),
});
const transferOrder = z.object({ tenantId: tenantShape, to: nodeShape });

/** What the leader of a stream says of it. */
export const streamLookSchema = z.object({
  leader: nodeShape,
  version: z.string(),
  members: z.array(nodeShape),
  learners: z.array(nodeShape),
  degraded: z.array(nodeShape).default([]),
  arbiter: nodeShape.nullable().default(null),
  endLsn: z.int(),
  blockBytes: z.int(),
});
export type StreamLook = Readonly<z.output<typeof streamLookSchema>>;

/** A replica on disk, whether it leads or not. */
export const replicaLookSchema = z.object({
  replicaId: z.int(),
  endLsn: z.int(),
  isImpaired: z.boolean(),
  leads: z.boolean(),
});
export type ReplicaLook = Readonly<z.output<typeof replicaLookSchema>>;

export interface NodeAgentOptions {
  readonly self: NodeId;
  readonly calls: NodeCalls;
  readonly replicas: LocalReplicas;
}

export class NodeAgent {
  readonly #options: NodeAgentOptions;
  readonly #fences = new Map<TenantId, Revision>();
  readonly #stops: (() => void)[];
  /** makes and removals of one tenant, one after another */
  readonly #turns = new Map<TenantId, Turns>();

  constructor(options: NodeAgentOptions) {
    this.#options = options;
    const { calls } = options;
    this.#stops = [
      calls.onRequest('replica.create', body => this.#create(body)),
      calls.onRequest('replica.drop', body => this.#drop(body)),
      calls.onRequest('replica.number', body => this.#number(body)),
      calls.onRequest('replica.look', body => Promise.resolve(this.#lookAtReplica(body))),
      calls.onRequest('stream.look', body => Promise.resolve(this.#lookAtStream(body))),
      calls.onRequest('stream.change', body => this.#change(body)),
      calls.onRequest('stream.transfer', body => this.#transfer(body)),
    ];
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }

  /** What the root service is told of the replicas here. */
  reports(): ReplicaReport[] {
    return this.#options.replicas.all().map(replica => {
      const { isActive, config, end } = replica.state();
      return {
        tenantId: replica.tenantId,
        replicaId: replica.replicaId,
        leads: isActive,
        members: isActive ? [...config.members] : [],
        learners: isActive ? [...config.learners] : [],
        degraded: isActive ? [...config.degraded] : [],
        arbiter: isActive ? config.arbiter : null,
        endLsn: end.lsn,
      };
    });
  }

  async #create(body: unknown): Promise<void> {
    const spec = parseBody(replicaSpecSchema, body);
    const { id } = spec.tenant;
    const { replicas } = this.#options;
    await this.#alone(id, async () => {
      const known = replicas.find(id);
      if (known?.replicaId === spec.replicaId) return;
      if (known !== undefined && known.replicaId > spec.replicaId) throw this.#replaced(id, spec.replicaId);
      if (known !== undefined) this.#mustNotLead(known);
      await replicas.create(spec);
    });
  }

  async #drop(body: unknown): Promise<void> {
    const { tenantId: id, replicaId, tenantGone } = parseBody(dropOrder, body);
    const { replicas } = this.#options;
    await this.#alone(id, async () => {
      const known = replicas.find(id);
      if (known?.replicaId !== replicaId) return;
      if (!tenantGone) this.#mustNotLead(known);
      await replicas.drop(id);
    });
  }

  async #number(body: unknown): Promise<void> {
    const { tenantId: id, replicaId } = parseBody(numberOrder, body);
    const { replicas } = this.#options;
    await this.#alone(id, async () => {
      if (replicas.find(id)?.replicaId === 0) await replicas.number(id, replicaId);
    });
  }

  #lookAtReplica(body: unknown): ReplicaLook | null {
    const { tenantId: id } = parseBody(ofTenant, body);
    const replica = this.#options.replicas.find(id);
    if (replica === undefined) return null;
    const { end, isImpaired, isActive } = replica.state();
    return { replicaId: replica.replicaId, endLsn: end.lsn, isImpaired, leads: isActive };
  }

  /** From here on no order that was decided upon an older look changes the stream. */
  #lookAtStream(body: unknown): StreamLook {
    const { tenantId: id, fence } = parseBody(lookOrder, body);
    const replica = this.#leading(id);
    const known = this.#fences.get(id);
    if (known !== undefined && isNewer(known, fence)) throw stale('a look at a log stream');
    this.#fences.set(id, fence);
    const { config, end } = replica.state();
    return {
      leader: this.#options.self,
      version: versionText(config.version),
      members: [...config.members],
      learners: [...config.learners],
      degraded: [...config.degraded],
      arbiter: config.arbiter,
      endLsn: end.lsn,
      blockBytes: replica.blockBytes,
    };
  }

  async #change(body: unknown): Promise<void> {
    const { tenantId: id, fence, change, version } = parseBody(changeOrder, body);
    const replica = this.#leading(id);
    const known = this.#fences.get(id);
    // A leader that was never looked at under this fence has not shut out what was ordered before.
    if (known === undefined || isNewer(known, fence) || isNewer(fence, known))
      throw stale(`a change of the members of tenant ${id}`);
    const { config } = replica.state();
    if (versionText(config.version) !== version) throw stale(`a change of the members of tenant ${id}`);
    await replica.changeConfig(change, config.version);
  }

  async #transfer(body: unknown): Promise<void> {
    const { tenantId: id, to } = parseBody(transferOrder, body);
    const replica = this.#leading(id);
    if (to !== this.#options.self) await replica.transfer(to);
  }

  /** Throws OBS_CLUSTER_NOT_LEADER with the leader that is known here. */
  #leading(id: TenantId): LocalReplica {
    const { replicas, self } = this.#options;
    const replica = replicas.find(id);
    const state = replica?.state();
    if (replica !== undefined && state?.isActive === true) return replica;
    const leader = state?.leader ?? null;
    throw new ObError('OBS_CLUSTER_NOT_LEADER', {
      what: `tenant ${id}`,
      self,
      node: leader === self ? null : leader,
    });
  }

  #mustNotLead(replica: LocalReplica): void {
    if (!replica.state().isActive) return;
    throw new ObError('OBS_CLUSTER_REPLICA_LEADS', {
      tenant: replica.tenantId,
      self: this.#options.self,
    });
  }

  #replaced(id: TenantId, replicaId: number): ObError {
    return stale(`replica ${replicaId} of tenant ${id} was replaced by a newer one`);
  }

  async #alone(id: TenantId, work: () => Promise<void>): Promise<void> {
    const turns = this.#turns.get(id) ?? new Turns();
    this.#turns.set(id, turns);
    await turns.run(work);
  }
}

const stale = (what: string): ObError => new ObError('OBS_CLUSTER_STALE_ORDER', { what });

const versionText = ({ proposalId, sequence }: { proposalId: number; sequence: number }): string =>
  `${proposalId}.${sequence}`;
