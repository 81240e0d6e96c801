/**
 * The root service, where the sys tenant leads: hears every server, keeps the rows of servers and replicas, runs the tasks that move replicas, and
 * carries out what operators ask. Begun with a leadership and ended with it; whatever it was doing is in its rows.
 */
import { isSurvivable, ObError } from '../../base/errors.ts';
import { readoptMs, rootTickMs, serverSilenceMs } from '../../base/limits.ts';
import { type MonoMs, monoMs, type NodeId } from '../../base/scalars.ts';
import type { Timer } from '../../platform/clock.ts';
import { LeaseCheck } from './lease-check.ts';
import {
  type ClusterPicture,
  type Heartbeat,
  isNewer,
  type ServerEntry,
  type ServerFacts,
} from './picture.ts';
import { RootArbitration } from './root-arbitration.ts';
import { RootContext, type RootServiceOptions } from './root-context.ts';
import type { RootFacts } from './root-facts.ts';
import { RootJoins } from './root-joins.ts';
import { RootServers } from './root-servers.ts';
import { RootSweeps } from './root-sweeps.ts';
import { RootTenants } from './root-tenants.ts';

export class RootService {
  readonly joins: RootJoins;
  readonly servers: RootServers;
  readonly tenants: RootTenants;
  readonly arbitration: RootArbitration;
  readonly #context: RootContext;
  readonly #sweeps: RootSweeps;
  readonly #leaseCheck: LeaseCheck;
  #timer: Timer | null = null;
  #arbiterProblem: ObError | null = null;
  /** when the arbiter was told last whose it is */
  #readoptAt: MonoMs = monoMs(0);

  private constructor(options: RootServiceOptions) {
    this.#context = new RootContext(options);
    this.joins = new RootJoins(this.#context);
    this.servers = new RootServers(this.#context);
    this.arbitration = new RootArbitration(this.#context);
    this.tenants = new RootTenants(this.#context, this.arbitration);
    this.#sweeps = new RootSweeps(this.#context);
    this.#leaseCheck = new LeaseCheck(options.leaseMs, options.logger);
  }

  /** Makes the first rows where there are none, and begins. */
  static async start(options: RootServiceOptions): Promise<RootService> {
    const root = new RootService(options);
    await root.#sweeps.makeFirstRows();
    await root.facts.refresh();
    root.#schedule();
    return root;
  }

  /** What is under way ends by itself: its rows are another leader's now, and what it may still order is refused. */
  stop(): void {
    this.#timer?.cancel();
    this.#context.end();
  }

  get facts(): RootFacts {
    return this.#context.facts;
  }

  /** Answers with the picture, if the server's is another. Throws OBS_CLUSTER_NO_SUCH_SERVER for one that was removed. */
  async hear(beat: Heartbeat): Promise<{ readonly picture: ClusterPicture | null }> {
    const { watch, facts, options, now } = this.#context;
    const { server, revision } = beat;
    const known = facts.server(server.nodeId);
    if (known === undefined) throw new ObError('OBS_CLUSTER_NO_SUCH_SERVER', { address: server.address });
    const hasOtherLease = watch.beat(server.nodeId)?.leaseMs !== beat.leaseMs;
    watch.hear(beat, now);
    this.#leaseCheck.look(beat, now);
    if (beat.events.length > 0) await options.arbitration.addServerEvents(server.address, beat.events);
    if (!isReported(known, server)) {
      await options.store.updateServer(server);
      await facts.refresh();
    } else if (hasOtherLease) await facts.refresh();
    const { picture } = facts;
    const has =
      revision !== null && !isNewer(picture.revision, revision) && !isNewer(revision, picture.revision);
    return { picture: has ? null : picture };
  }

  /** How long ago a server was heard, or null: not by this leader. */
  silentMs(node: NodeId): number | null {
    return this.#context.watch.silentMs(node, this.#context.now);
  }

  /** Resolves when every server has answered or was silent for long enough to be taken for dead. */
  async settled(): Promise<void> {
    await this.#context.until(serverSilenceMs + rootTickMs, () => this.facts.heardFromAll());
  }

  #schedule(): void {
    const { clock, onFatal } = this.#context.options;
    this.#timer = clock.after(rootTickMs, () => {
      this.#tick().then(() => {
        if (!this.#context.over) this.#schedule();
      }, onFatal);
    });
  }

  async #tick(): Promise<void> {
    const { facts, tasks, arbiters, options } = this.#context;
    for (const work of [
      () => this.#sweeps.noteStatuses(),
      () => this.#sweeps.orderReplicas(),
      () => this.#sweeps.moveAway(),
      () => this.joins.probeSilent(),
      () => this.tenants.removeHalfMade(),
      () => this.#readopt(),
    ]) {
      if (this.#context.over) return;
      try {
        await work();
      } catch (error) {
        // Whoever leads next, or the next look, does it.
        if (!isSurvivable(error)) throw error;
        options.logger.warn({ code: error.code, error: error.message }, 'the root service tries again');
      }
    }
    tasks.run(facts.jobs);
    arbiters.look();
  }

  /** Now and then: it may have been away when the cluster's lease changed, and whoever looks at it should know what it is. */
  async #readopt(): Promise<void> {
    const { now } = this.#context;
    if (this.facts.arbitration === null || now < this.#readoptAt) return;
    this.#readoptAt = monoMs(now + readoptMs);
    try {
      await this.arbitration.readopt();
      this.#arbiterProblem = null;
    } catch (error) {
      if (!isSurvivable(error)) throw error;
      this.#arbiterProblem = error;
    }
  }

  /** Why the arbiter is of no use now, as far as this server can tell; null: it answers. */
  get arbiterProblem(): ObError | null {
    return this.#arbiterProblem;
  }
}

const isReported = (known: ServerEntry, told: ServerFacts): boolean =>
  known.address === told.address &&
  known.zone === told.zone &&
  known.region === told.region &&
  known.startTime === told.startTime &&
  known.version === told.version &&
  known.sqlAddress === told.sqlAddress &&
  known.peerAddress === told.peerAddress &&
  known.httpAddress === told.httpAddress;
