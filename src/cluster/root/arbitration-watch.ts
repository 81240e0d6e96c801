/**
 * What one server does for the log streams here that have an arbiter: probes the servers of their other replicas, and tells the
 * streams what came of it; tells them whether the root service is reached, and on what terms replicas are degraded; and notes
 * what the leaders here degraded and upgraded.
 *
 * A server that answers speaks for itself: of each replica it says whether it works. One that refuses the connection is dead:
 * its machine says so. One that is silent is dead when anybody else answers, the arbiter or a third server: then it is not this
 * server that is cut off. When nobody can say, the verdict is `unknown`, from which nothing follows (A2). A probe that this
 * process itself was too slow for proves nothing.
 */
import { z } from 'zod';
import { isObError, type ObError } from '../../base/errors.ts';
import {
  arbitrationProbeMs,
  arbitrationProbeTimeoutMs,
  probeSilenceMs,
  serverEventsReportMax,
  serverEventsWaitingMax,
} from '../../base/limits.ts';
import type { MonoMs, NodeId, TenantId } from '../../base/scalars.ts';
import type { LogState } from '../../base/log-access.ts';
import type { Verdict } from '../../palf/inputs.ts';
import type { Clock, Timer } from '../../platform/clock.ts';
import type { Logger } from '../../platform/logger.ts';
import { type ArbitrationPicture, timeoutMsOf } from './arbitration.ts';
import type { LocalReplica, LocalReplicas } from './local-replicas.ts';
import { nodeShape, parseBody, tenantShape } from './node-body.ts';
import type { NodeCalls } from './node-calls.ts';
import type { ServerEvent } from './picture.ts';
import { sysTenant } from './root-facts.ts';

export interface ArbitrationWatchOptions {
  readonly self: NodeId;
  readonly calls: NodeCalls;
  readonly replicas: LocalReplicas;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly picture: () => ArbitrationPicture;
  /** servers of the cluster that are not stopped, as far as is known here */
  readonly stopped: () => ReadonlySet<NodeId>;
  readonly servers: () => readonly NodeId[];
  /** the disk here has no room for more log */
  readonly isFull: () => boolean;
  readonly isRootReachable: () => boolean;
  readonly onFatal: (error: unknown) => void;
}

const healthSchema = z.object({
  isFull: z.boolean(),
  /** replicas here that take log as they should */
  working: z.array(tenantShape),
});
type Health = Readonly<z.output<typeof healthSchema>>;

const hearsSchema = z.object({ nodes: z.array(nodeShape) });

/** What is known of one server. */
interface Probed {
  health: Health | null;
  verdict: 'alive' | 'dead' | 'unknown';
  isAsked: boolean;
  /** since when it has not answered; null: it answers */
  silentSince: MonoMs | null;
}

export class ArbitrationWatch {
  readonly #options: ArbitrationWatchOptions;
  readonly #probed = new Map<NodeId, Probed>();
  readonly #degraded = new Map<TenantId, readonly NodeId[]>();
  readonly #stops: (() => void)[];
  #events: ServerEvent[] = [];
  #arbiterAnsweredAt: MonoMs | null = null;
  #timer: Timer | null = null;
  #lookedAt: MonoMs;

  constructor(options: ArbitrationWatchOptions) {
    this.#options = options;
    this.#lookedAt = options.clock.now();
    const { calls } = options;
    this.#stops = [
      calls.onRequest('node.health', () => Promise.resolve(this.#health())),
      calls.onRequest('node.hears', () => Promise.resolve({ nodes: this.#heard() })),
      calls.onRequest('node.arbiter', () => Promise.resolve({ active: this.hearsArbiter })),
    ];
  }

  start(): void {
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    for (const stop of this.#stops) stop();
  }

  /** The arbiter answered this server within the last seconds. */
  get hearsArbiter(): boolean {
    const at = this.#arbiterAnsweredAt;
    return at !== null && this.#options.clock.now() - at < 2 * probeSilenceMs;
  }

  /** What the root service has not taken yet, as many as one report may have. */
  get events(): ServerEvent[] {
    return this.#events.slice(0, serverEventsReportMax);
  }

  /** The root service has them. */
  forgetEvents(taken: readonly ServerEvent[]): void {
    const known = new Set(taken.map(keyOf));
    this.#events = this.#events.filter(event => !known.has(keyOf(event)));
  }

  #schedule(): void {
    const { clock } = this.#options;
    this.#timer = clock.after(arbitrationProbeMs, () => {
      this.#look();
      this.#schedule();
    });
  }

  #look(): void {
    const { clock, replicas, picture, isRootReachable } = this.#options;
    const now = clock.now();
    // A process that stood still has heard nobody meanwhile, whoever spoke.
    if (now - this.#lookedAt > 2 * arbitrationProbeMs)
      for (const probed of this.#probed.values()) if (probed.silentSince !== null) probed.silentSince = now;
    this.#lookedAt = now;
    const { arbiter, policy } = picture();
    if (arbiter !== null) this.#askArbiter(arbiter.nodeId);
    const reachable = isRootReachable();
    const wanted = new Set<NodeId>();
    for (const replica of replicas.all()) {
      const { config, isActive } = replica.state();
      this.#noteChanges(replica.tenantId, config, isActive);
      if (config.arbiter === null) continue;
      const isSys = replica.tenantId === sysTenant.id;
      const timeoutMs = timeoutMsOf(picture(), replica.tenantId);
      // The root service itself cannot wait for the root service.
      replica.inform({ kind: 'set-arbitration', timeoutMs, policy: isSys ? 'LS_POLICY' : policy });
      replica.inform({ kind: 'root-service', reachable });
      for (const node of [...config.members, ...config.degraded]) {
        if (node === this.#options.self) continue;
        // Streams hear of it when the probe is over: an old word told again would count as a new one.
        wanted.add(node);
      }
    }
    for (const node of this.#probed.keys()) if (!wanted.has(node)) this.#probed.delete(node);
    for (const node of wanted) this.#probe(node);
  }

  // --- verdicts ---

  #verdictOn(node: NodeId, { tenantId }: LocalReplica): Verdict {
    const probed = this.#probed.get(node);
    if (probed === undefined) return 'unknown';
    if (probed.verdict !== 'alive') return probed.verdict;
    if (this.#options.stopped().has(node)) return 'stopped';
    if (probed.health?.isFull === true) return 'disk-full';
    return probed.health?.working.includes(tenantId) === true ? 'alive' : 'rebuilding';
  }

  #probe(node: NodeId): void {
    let probed = this.#probed.get(node);
    if (probed === undefined) {
      probed = { health: null, verdict: 'unknown', isAsked: false, silentSince: null };
      this.#probed.set(node, probed);
    }
    if (probed.isAsked) return;
    const asked = probed;
    asked.isAsked = true;
    this.#ask(node, 'node.health')
      .then(
        answer => {
          asked.health = parseBody(healthSchema, answer);
          asked.silentSince = null;
          this.#judge(node, asked, 'alive');
        },
        (error: unknown) => this.#onSilence(node, asked, error),
      )
      .catch(this.#options.onFatal)
      .finally(() => {
        asked.isAsked = false;
      });
  }

  async #onSilence(node: NodeId, probed: Probed, error: unknown): Promise<void> {
    if (!isObError(error)) throw error;
    const now = this.#options.clock.now();
    probed.silentSince ??= now;
    if (isRefused(error)) {
      this.#judge(node, probed, 'dead');
      return;
    }
    if (now - probed.silentSince < probeSilenceMs - arbitrationProbeTimeoutMs) {
      if (probed.verdict === 'alive') this.#judge(node, probed, 'unknown');
      return;
    }
    this.#judge(node, probed, (await this.#isAnybodyThere(node)) ? 'dead' : 'unknown');
  }

  #judge(node: NodeId, probed: Probed, verdict: Probed['verdict']): void {
    if (probed.verdict !== verdict)
      this.#options.logger.info({ node, verdict }, 'the verdict on a server changed');
    probed.verdict = verdict;
    for (const replica of this.#options.replicas.all()) {
      const { members, degraded, arbiter } = replica.state().config;
      if (arbiter === null || !(members.includes(node) || degraded.includes(node))) continue;
      replica.inform({ kind: 'verdict', node, verdict: this.#verdictOn(node, replica) });
    }
  }

  /** Whether the arbiter or any third server answers: else it is this server that may be cut off. */
  async #isAnybodyThere(silent: NodeId): Promise<boolean> {
    const { self, servers, picture } = this.#options;
    const { arbiter } = picture();
    const third = servers().filter(node => node !== self && node !== silent);
    const witnesses = [
      ...(arbiter === null ? [] : [this.#ask(arbiter.nodeId, 'arbiter.hears')]),
      ...third.map(node => this.#ask(node, 'node.hears')),
    ];
    return Promise.any(witnesses.map(async witness => parseBody(hearsSchema, await witness))).then(
      () => true,
      () => false,
    );
  }

  #ask(node: NodeId, op: string): Promise<unknown> {
    return this.#options.calls.request(node, op, {}, { timeoutMs: arbitrationProbeTimeoutMs });
  }

  #askArbiter(node: NodeId): void {
    void this.#ask(node, 'arbiter.hears').then(
      () => {
        this.#arbiterAnsweredAt = this.#options.clock.now();
      },
      (error: unknown) => {
        if (!isObError(error)) this.#options.onFatal(error);
      },
    );
  }

  // --- what others ask of this server ---

  #health(): Health {
    const { replicas, isFull } = this.#options;
    const works = ({ isImpaired, isStuck }: LogState) => !isImpaired && !isStuck;
    const working = replicas.all().filter(replica => works(replica.state()));
    return { isFull: isFull(), working: working.map(({ tenantId }) => tenantId) };
  }

  #heard(): NodeId[] {
    return [...this.#probed].flatMap(([node, { verdict }]) => (verdict === 'alive' ? [node] : []));
  }

  // --- history ---

  /**
   * Each change of the degraded replicas, named by the version of the record that made it: everybody who sees it tells the
   * same, so that a leader that dies takes no history with it. One that comes back does not tell that it was degraded: the record it
   * learns that from may be a later one.
   */
  #noteChanges(tenant: TenantId, { degraded, version }: LogState['config'], isLeader: boolean): void {
    const before = this.#degraded.get(tenant);
    this.#degraded.set(tenant, degraded);
    if (before === undefined) return;
    const { self } = this.#options;
    const gone = degraded.filter(node => !before.includes(node) && (isLeader || node !== self));
    const back = before.filter(node => !degraded.includes(node));
    const boot = `${tenant}.${version.proposalId}.${version.sequence}`;
    for (const [number, node] of gone.entries()) this.#note(tenant, boot, number, 'DEGRADE', node);
    for (const [number, node] of back.entries()) this.#note(tenant, boot, number, 'UPGRADE', node);
  }

  #note(tenantId: TenantId, boot: string, number: number, event: string, node: NodeId): void {
    const { clock, logger } = this.#options;
    logger.info({ tenant: tenantId, node, event }, 'a replica was degraded or upgraded');
    const why = this.#probed.get(node)?.verdict ?? 'unknown';
    this.#events.push({
      boot,
      number,
      time: clock.wall(),
      tenantId,
      module: 'ARBITRATION',
      event,
      detail: { replica: node, verdict: why },
    });
    if (this.#events.length > serverEventsWaitingMax) this.#events.shift();
  }
}

const keyOf = ({ boot, number }: ServerEvent): string => `${boot} ${number}`;

/** The machine is there and nobody listens: the process is gone. */
const isRefused = ({ code, details }: ObError): boolean =>
  code === 'OBS_NODE_UNREACHABLE' && String(details['why']).includes('ECONNREFUSED');
