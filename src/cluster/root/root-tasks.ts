/**
 * The tasks that the root service runs now: each with a driver that observes and orders through this. One task a tenant.
 *
 * Must never begin one while a server may live that was not heard yet: a task takes it for dead, chooses others, and leaves behind what is there.
 */
import { isSurvivable, ObError } from '../../base/errors.ts';
import { promoteLagBytesMax, rootCallMs, rootOrderMs } from '../../base/limits.ts';
import type { NodeId, TenantId } from '../../base/scalars.ts';
import type { Clock } from '../../platform/clock.ts';
import type { ReplicaSpec } from './local-replicas.ts';
import { LocalityDriver } from './locality-driver.ts';
import { parseLocality } from './locality.ts';
import type { LocalityAction, LocalitySight, LocalityTask, StreamSight } from './locality-core.ts';
import type { LeaderCalls } from './leader-calls.ts';
import { type ReplicaLook, replicaLookSchema, streamLookSchema, type StreamLook } from './node-agent.ts';
import { parseBody } from './node-body.ts';
import type { NodeCalls } from './node-calls.ts';
import type { Revision } from './picture.ts';
import type { RootFacts } from './root-facts.ts';
import type { RootJob, RootStore } from './root-store.ts';

export interface RootTasksOptions {
  readonly epoch: number;
  readonly store: RootStore;
  readonly facts: RootFacts;
  readonly calls: NodeCalls;
  readonly leaders: LeaderCalls;
  readonly clock: Clock;
  /** a task ended: its tenant is where it was to be, or its task was replaced */
  readonly onEnd: () => Promise<void>;
  readonly onFatal: (error: unknown) => void;
}

export class RootTasks {
  readonly #options: RootTasksOptions;
  readonly #drivers = new Map<number, LocalityDriver>();
  #looks = 0;
  #stopped = false;

  constructor(options: RootTasksOptions) {
    this.#options = options;
  }

  /** Starts what is stored and does not run; later, as long as it is not known who lives. */
  run(jobs: readonly RootJob[]): void {
    const { facts } = this.#options;
    if (!facts.heardFromAll()) return;
    for (const job of jobs) {
      if (job.status !== 'INPROGRESS' || this.#drivers.has(job.id) || this.#stopped) continue;
      // One that is half made or half removed goes as a whole.
      if (!facts.tenants.some(({ id, status }) => id === job.tenantId && status === 'NORMAL')) continue;
      this.#drivers.set(job.id, this.#drive(job));
    }
  }

  /** Its target changed. */
  look(job: number): void {
    this.#drivers.get(job)?.look();
  }

  /** Nothing more is ordered; what was is not waited for. */
  stop(): void {
    this.#stopped = true;
    for (const driver of this.#drivers.values()) driver.stop();
  }

  /** Looks at a stream through its leader; no order from before it is carried out after it. */
  async lookAtStream(
    tenant: TenantId,
  ): Promise<{ readonly look: StreamLook; readonly fence: Revision } | null> {
    const { leaders, epoch } = this.#options;
    const fence = { epoch, number: ++this.#looks };
    const body = { tenantId: tenant, fence };
    const options = { findMs: 0, timeoutMs: rootCallMs, repeatable: true };
    try {
      const answer = await leaders.ask(tenant, `tenant ${tenant}`, 'stream.look', body, options);
      return { look: parseBody(streamLookSchema, answer), fence };
    } catch (error) {
      if (error instanceof ObError && error.kind === 'unavailable') return null;
      throw error;
    }
  }

  #drive(job: RootJob): LocalityDriver {
    const { store, clock, onEnd, onFatal } = this.#options;
    let seen: { readonly look: StreamLook; readonly fence: Revision } | null = null;
    const driver = new LocalityDriver({
      clock,
      observe: async () => {
        const stored = await store.runningJob(job.tenantId);
        if (stored === null || stored.id !== job.id) return null;
        seen = await this.lookAtStream(job.tenantId);
        return { task: taskOf(stored), sight: await this.#sight(stored, seen?.look ?? null) };
      },
      perform: action => this.#perform(job, action, seen),
      note: detail => store.noteProgress(job.id, detail, clock.wall()),
    });
    const end = async (): Promise<void> => {
      await driver.ended;
      this.#drivers.delete(job.id);
      if (!this.#stopped) await onEnd();
    };
    end().catch((error: unknown) => {
      // Led elsewhere by now, or not to be asked at this moment: whoever looks next sees what there is.
      if (!isSurvivable(error)) onFatal(error);
    });
    return driver;
  }

  async #sight(job: RootJob, look: StreamLook | null): Promise<LocalitySight> {
    const { facts, store } = this.#options;
    const rows = (await store.replicas()).filter(row => row.tenantId === job.tenantId);
    const nodes = new Set([
      ...rows.map(({ node }) => node),
      ...(look?.members ?? []),
      ...(look?.learners ?? []),
      ...(look?.degraded ?? []),
    ]);
    const looks = await this.#lookAtReplicas(
      job.tenantId,
      [...nodes].filter(node => facts.isAlive(node)),
    );
    return {
      servers: facts.seenServers(job.tenantId).map(server => ({
        ...server,
        // One that answers others but not this question cannot be given orders.
        alive: server.alive && (!nodes.has(server.node) || looks.has(server.node)),
      })),
      stream: look === null ? null : streamSight(look, looks),
      rows,
      present: new Map(
        [...looks].flatMap(([node, found]) => (found === null ? [] : [[node, found.replicaId]])),
      ),
    };
  }

  /** Null: no replica there; absent: no answer. */
  async #lookAtReplicas(
    tenant: TenantId,
    nodes: readonly NodeId[],
  ): Promise<ReadonlyMap<NodeId, ReplicaLook | null>> {
    const { calls } = this.#options;
    const body = { tenantId: tenant };
    const answers = await Promise.allSettled(
      nodes.map(node => calls.request(node, 'replica.look', body, { timeoutMs: rootCallMs })),
    );
    const looks = new Map<NodeId, ReplicaLook | null>();
    for (const [index, answer] of answers.entries()) {
      const node = nodes[index];
      if (node !== undefined && answer.status === 'fulfilled')
        looks.set(node, parseBody(replicaLookSchema.nullable(), answer.value));
    }
    return looks;
  }

  async #perform(
    job: RootJob,
    action: LocalityAction,
    seen: { readonly look: StreamLook; readonly fence: Revision } | null,
  ): Promise<void> {
    const { store, calls, clock, facts } = this.#options;
    const { tenantId } = job;
    const timeoutMs = rootOrderMs;
    if (this.#stopped)
      throw new ObError('OBS_CLUSTER_STALE_ORDER', { what: 'this server leads the root service no more' });
    switch (action.kind) {
      case 'assign':
        return store.assign(job, action.revision, action.choices, clock.wall());
      case 'finish':
        await store.finish(job, action.revision, clock.wall());
        return facts.refresh();
      case 'create': {
        const tenant = facts.tenants.find(({ id }) => id === tenantId);
        if (tenant === undefined || seen === null)
          throw new ObError('OBS_CLUSTER_STALE_ORDER', { what: 'a new replica' });
        const spec: ReplicaSpec = {
          replicaId: action.replicaId,
          tenant,
          blockBytes: seen.look.blockBytes,
          priority: facts.seenServers(tenantId).find(({ node }) => node === action.node)?.priority ?? 0,
          birth: { members: [...seen.look.members], learners: [...seen.look.learners, action.node] },
        };
        await calls.request(action.node, 'replica.create', spec, { timeoutMs });
        return;
      }
      case 'drop':
        await store.noteDropping(action.replicaId);
        await calls.request(
          action.node,
          'replica.drop',
          { tenantId, replicaId: action.replicaId },
          { timeoutMs },
        );
        return;
      case 'change':
      case 'transfer': {
        if (seen === null) throw new ObError('OBS_CLUSTER_STALE_ORDER', { what: 'a change of a log stream' });
        const { look, fence } = seen;
        if (action.kind === 'transfer')
          await calls.request(look.leader, 'stream.transfer', { tenantId, to: action.to }, { timeoutMs });
        else {
          const { change, version } = action;
          await calls.request(
            look.leader,
            'stream.change',
            { tenantId, fence, change, version },
            { timeoutMs },
          );
        }
        return;
      }
    }
  }
}

const taskOf = ({ target, revision, replicas }: RootJob): LocalityTask => ({
  target: parseLocality(target),
  revision,
  replicas,
});

function streamSight(look: StreamLook, looks: ReadonlyMap<NodeId, ReplicaLook | null>): StreamSight {
  const caughtUp = [...looks].flatMap(([node, found]) =>
    found !== null && !found.isImpaired && look.endLsn - found.endLsn <= promoteLagBytesMax ? [node] : [],
  );
  const { leader, version, members, learners, degraded, arbiter } = look;
  return { leader, version, members, learners, degraded, arbiter, caughtUp: new Set(caughtUp) };
}
