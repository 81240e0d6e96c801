/**
 * The part of a run that has to do with an arbiter: arbiters and their faults, what servers find out about each other (from the
 * simulated network, with some that cannot tell and a few that are wrong), operators who stop servers, a root service that
 * cannot always be reached.
 */
import { type NodeId, nodeId } from '../../../src/base/scalars.ts';
import { compareVersions, type ConfigRecord, fullReplicasOf } from '../../../src/codec/config-record.ts';
import type { Verdict } from '../../../src/palf/inputs.ts';
import type { SimRandom } from '../../support/sim/random.ts';
import { ArbiterNode, type ArbiterStep, type ArbiterWatcher } from './arbiter-node.ts';
import { areListsSafe } from './atlas.ts';
import { type GroupNode, streamKey } from './node.ts';
import type { GroupWorld } from './world.ts';
import { shortLeaseMs } from './swarm.ts';

export class Arbitration implements ArbiterWatcher {
  readonly arbiters: ArbiterNode[] = [];
  readonly #world: GroupWorld;
  readonly #random: SimRandom;
  readonly #probes: SimRandom;
  readonly #stopped = new Set<NodeId>();
  /** nodes that cannot reach the root service */
  readonly #cutOff = new Set<NodeId>();
  #isOver = false;

  constructor(world: GroupWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random.fork();
    this.#probes = random.fork();
    if (world.options.arbitration !== null) this.#make();
  }

  find(id: NodeId): ArbiterNode | undefined {
    return this.arbiters.find(arbiter => arbiter.id === id);
  }

  /** The one whose volume was not lost. */
  get present(): ArbiterNode | undefined {
    return this.arbiters.find(({ isGone }) => !isGone);
  }

  /** The record that a node would find if it started now. */
  recordOf(id: NodeId): ConfigRecord | undefined {
    const arbiter = this.find(id);
    if (arbiter !== undefined) return arbiter.image.config ?? undefined;
    return this.#world.node(id).platter.meta()?.config;
  }

  /** F replicas, degraded ones included, of the records with an arbiter that may be in force. */
  *arbitratedLists(): Generator<readonly NodeId[]> {
    for (const { id, isGone, life } of this.#world.nodes) {
      if (isGone) continue;
      for (const record of [this.recordOf(id), life?.log.state().config])
        if (record !== undefined && record.arbiter !== null) yield fullReplicasOf(record);
    }
  }

  /**
   * Nobody can go on, and an operator must decide. Either a leader began to degrade a replica as the arbiter lost its volume: its record,
   * which nobody else has, needs the one arbiter that can never take it, and keeps the others from leading without it. Or
   * all who are not degraded have rotten log: what is committed is nowhere else.
   */
  get isStranded(): boolean {
    return this.#world.nodes.some(({ id, isGone }) => {
      const record = isGone ? undefined : this.recordOf(id);
      if (record === undefined || record.arbiter === null || record.degraded.length === 0) return false;
      if (record.members.every(member => this.#world.node(member).isRotten)) return true;
      const arbiter = this.find(record.arbiter);
      const taken = arbiter?.image.config ?? null;
      return (
        arbiter?.isGone === true && (taken === null || compareVersions(record.version, taken.version) > 0)
      );
    });
  }

  /** The proposal that a node has promised, for good. */
  promisedOf(id: NodeId): number {
    return this.find(id)?.image.promised ?? this.#world.node(id).platter.meta()?.promised ?? 0;
  }

  begin(): void {
    const { options } = this.#world;
    if (options.arbitration === null) return;
    const { probeEveryMs, stopEveryMs, rootCutEveryMs, arbiterCrashEveryMs, hasWipe } = options.arbitration;
    this.#probe(probeEveryMs);
    this.#every(arbiterCrashEveryMs, () => this.#crash());
    this.#every(stopEveryMs, () => this.#stop());
    this.#every(rootCutEveryMs, () => this.#cutOffRoot());
    if (hasWipe) this.#every(options.chaosMs / 2, () => this.#wipe());
    if (options.disk.hasStalls)
      this.#every(options.leaseMs * 4, () => {
        const ms = this.#random.pick([options.leaseMs / 8, options.leaseMs, options.leaseMs * 3]);
        for (const arbiter of this.arbiters) arbiter.disk.stalledUntil = this.#world.loop.now + ms;
      });
  }

  /** Everything works, and everybody knows how everybody is. */
  end(): void {
    this.#isOver = true;
    this.#stopped.clear();
    this.#cutOff.clear();
    for (const arbiter of this.arbiters) {
      arbiter.disk.stalledUntil = 0;
      arbiter.time.resume();
      if (!arbiter.isGone && !arbiter.isUp) arbiter.boot();
    }
  }

  // --- arbiters ---

  #make(): void {
    const { options, loop, net } = this.#world;
    const { driftPpm, isOutOfBound } = options.clock;
    const ppm = isOutOfBound ? 100_000 : driftPpm;
    const arbiter = new ArbiterNode(
      {
        id: nodeId(`z${this.arbiters.length + 1}`),
        clock: { rate: 1 + this.#random.between(-ppm, ppm) / 1_000_000, skewMicros: 0 },
        loop,
        random: this.#random.fork(),
        net,
        key: streamKey,
        leaseMs: options.hasShortLeases ? shortLeaseMs(options) : options.leaseMs,
      },
      this,
    );
    arbiter.disk.latency = options.disk.latencyMs;
    this.arbiters.push(arbiter);
    arbiter.boot();
  }

  stepped(step: ArbiterStep): void {
    this.#world.facts.arbiterSteps.push(step);
    if (step.view.image !== step.before.image) {
      const { promised, config } = step.view.image;
      this.#world.note(
        `${step.self} has promised ${promised}, record ${config?.version.proposalId}.${config?.version.sequence}`,
      );
    }
  }

  broke(error: unknown): void {
    this.#world.broke(error);
  }

  #crash(): void {
    const arbiter = this.present;
    if (arbiter === undefined || !arbiter.isUp) return;
    if (this.#random.chance(1, 4)) {
      arbiter.time.pauseFor(this.#random.between(1, this.#world.options.leaseMs * 2));
      this.#world.note(`${arbiter.id} pauses`);
      return;
    }
    const kind = this.#random.pick(['process', 'power'] as const);
    this.#world.note(`${arbiter.id} crash ${kind}`);
    arbiter.crash(kind);
    this.#world.counts.arbiterCrashes += 1;
    this.#world.loop.after(this.#random.between(1, this.#world.options.process.restartMsMax), () => {
      if (!arbiter.isUp && !arbiter.isGone) arbiter.boot();
    });
  }

  /** Its volume is lost: another arbiter, which nobody knows yet. */
  #wipe(): void {
    const arbiter = this.present;
    if (arbiter === undefined || !areListsSafe(this.#world, arbiter.id)) return;
    this.#world.note(`${arbiter.id} loses its volume`);
    arbiter.isGone = true;
    arbiter.crash('process');
    this.#world.net.detach(arbiter.id);
    this.#make();
  }

  // --- what is known ---

  #stop(): void {
    const { nodes, options } = this.#world;
    const { id } = this.#random.pick(nodes);
    this.#world.note(`${id} is stopped`);
    this.#stopped.add(id);
    this.#world.loop.after(this.#random.between(1, options.leaseMs * 6), () => {
      if (this.#stopped.delete(id)) this.#world.note(`${id} is started`);
    });
  }

  #cutOffRoot(): void {
    const { nodes, options } = this.#world;
    const { id } = this.#random.pick(nodes);
    this.#cutOff.add(id);
    this.#world.loop.after(this.#random.between(1, options.leaseMs * 16), () => this.#cutOff.delete(id));
  }

  /** Every server asks every other one, and tells its replica what it found. */
  #probe(ms: number): void {
    for (const node of this.#world.nodes) {
      const { life } = node;
      if (life === undefined || node.time.isPaused) continue;
      life.log.inform({ kind: 'root-service', reachable: !this.#cutOff.has(node.id) });
      for (const other of this.#world.nodes) {
        if (other === node || node.life !== life) continue;
        life.log.inform({ kind: 'verdict', node: other.id, verdict: this.#verdict(node, other) });
      }
    }
    this.#world.loop.after(this.#probes.between(1, ms * 2), () => this.#probe(ms));
  }

  #verdict(from: GroupNode, to: GroupNode): Verdict {
    const { net, options } = this.#world;
    const { unknown = 0, wrong = 0 } = this.#isOver ? {} : (options.arbitration ?? {});
    if (this.#probes.between(0, 999) < unknown) return 'unknown';
    if (this.#probes.between(0, 999) < wrong) return 'dead';
    if (!to.isUp) return 'dead';
    const isUnreachable = net.isCut(from.id, to.id) || net.isCut(to.id, from.id) || to.time.isPaused;
    if (isUnreachable) return this.#probes.chance(1, 8) ? 'unknown' : 'dead';
    if (this.#stopped.has(to.id)) return 'stopped';
    if ((to.platter.meta()?.impaired ?? null) !== null) return 'rebuilding';
    if (to.disk.isFull) return 'disk-full';
    return 'alive';
  }

  #every(ms: number, run: () => void): void {
    if (!(ms >= 1)) return;
    this.#world.loop.after(this.#random.between(1, Math.floor(ms * 2)), () => {
      if (this.#isOver) return;
      run();
      this.#every(ms, run);
    });
  }
}
