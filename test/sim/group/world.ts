/**
 * One log stream on several simulated nodes, and a seed that decides everything: how many there are, the load, which
 * faults there are and when, what operators do. After the chaos comes a phase in which everything works and the
 * replicas must become equal, then one in which nothing may happen. Invariants are looked at after every event.
 */
import { must } from '../../../src/base/assert.ts';
import { isObError, type ObError } from '../../../src/base/errors.ts';
import type { ConfigVersion, LogPosition } from '../../../src/base/log-access.ts';
import { type NodeId, nodeId, type ProposalId, type Scn } from '../../../src/base/scalars.ts';
import { type ConfigRecord, replicasOf } from '../../../src/codec/config-record.ts';
import type { LogEntry } from '../../../src/codec/entry-assembler.ts';
import { decodePalfMessage } from '../../../src/codec/palf-message-codec.ts';
import { decodeRepair } from '../../../src/codec/repair-message.ts';
import { LogStream } from '../../../src/logstream/log-stream.ts';
import type { PalfEffect } from '../../../src/palf/effects.ts';
import { lastCutVersion } from '../../../src/palf/flashback-cuts.ts';
import { votersOf } from '../../../src/palf/quorum.ts';
import { EventLoop } from '../../support/sim/event-loop.ts';
import { SimMemberNet } from '../../support/sim/member-net.ts';
import { SimRandom } from '../../support/sim/random.ts';
import { outsidePromises } from '../../support/sim/settle.ts';
import { Arbitration } from './arbitration.ts';
import { type CoreStep, tapCores } from './core-tap.ts';
import { Counted } from './counted.ts';
import { describe, isConverged } from './ending.ts';
import { type Facts, isNothing, noFacts } from './facts.ts';
import { MachineFaults } from './faults.ts';
import { invariants } from './invariants/all.ts';
import type { Invariant } from './invariants/invariant.ts';
import { LinkFaults } from './links.ts';
import { Load } from './load.ts';
import type { Machine } from './machine.ts';
import { Modes } from './modes.ts';
import { GroupNode, type NodeWatcher } from './node.ts';
import { Operator } from './operator.ts';
import { Rebuilds } from './rebuilds.ts';
import { drawArbitration, drawSwarm, type SwarmOptions } from './swarm.ts';
import { Trace } from './trace.ts';
import { type GroupResult, noCounts } from './tally.ts';
import { type Branch, Truth } from './truth.ts';

/** A run with more events than this goes in circles (V7). */
const eventsMax = 400_000;

export class GroupWorld implements NodeWatcher {
  readonly seed: number;
  readonly loop = new EventLoop();
  readonly options: SwarmOptions;
  readonly truth = new Truth();
  readonly counted = new Counted();
  readonly net: SimMemberNet;
  readonly nodes: GroupNode[] = [];
  readonly faults: MachineFaults;
  readonly links: LinkFaults;
  readonly operator: Operator;
  readonly modes: Modes;
  readonly load: Load;
  readonly rebuilds: Rebuilds;
  readonly arbitration: Arbitration;
  readonly counts = noCounts();
  /** what happened since the invariants were looked at last */
  facts: Facts = noFacts();
  /** since when there are no faults; undefined while there are */
  healedAt: number | undefined;
  readonly #trace: Trace;
  readonly #random: SimRandom;
  readonly #nodeRandom: SimRandom;
  readonly #invariants: readonly Invariant[];
  readonly #byId = new Map<NodeId, GroupNode>();
  readonly #branches = new Map<GroupNode, Branch>();
  readonly #branchOfProposal = new Map<ProposalId, Branch>();
  readonly #cutsApplied = new Map<GroupNode, ConfigVersion>();
  /** records by their version, as their leaders made them */
  readonly records = new Map<string, ConfigRecord>();
  /** the truncation that each node has in flight */
  readonly #cutting = new Map<GroupNode, number>();
  /** when somebody began to lead last */
  #electedAt = 0;
  #broken: { readonly error: unknown } | undefined;

  /** @param alter for a closer look: what is to be other than drawn */
  constructor(
    seed: number,
    write?: (line: string) => void,
    alter: Partial<SwarmOptions> = {},
    swarm: 'group' | 'arbitration' = 'group',
  ) {
    this.seed = seed;
    this.#trace = new Trace(this.loop, write);
    this.#random = new SimRandom(seed);
    const draw = swarm === 'group' ? drawSwarm : drawArbitration;
    this.options = { ...draw(this.#random.fork()), ...alter };
    const netRandom = this.#random.fork();
    this.net = new SimMemberNet(this.loop, netRandom.fork());
    this.net.faults = this.options.net;
    this.#nodeRandom = this.#random.fork();
    this.links = new LinkFaults({
      net: this.net,
      time: this.loop,
      random: netRandom.fork(),
      options: this.options.links,
      upheaval: this.options.upheaval,
      nodes: () =>
        [...this.nodes, ...this.arbitration.arbiters].filter(({ isGone }) => !isGone).map(({ id }) => id),
      note: text => this.note(text),
    });
    this.faults = new MachineFaults(this, this.#random.fork());
    this.operator = new Operator(this, this.#random.fork());
    this.modes = new Modes(this, this.#random.fork());
    this.load = new Load(this, this.#random.fork());
    this.rebuilds = new Rebuilds(this, this.#random.fork());
    this.arbitration = new Arbitration(this, this.#random.fork());
    this.#invariants = invariants.map(make => make(this));
    this.net.onSend = (from, to, payload) => this.#sent(from, to, payload);
  }

  run(): Promise<GroupResult> {
    return outsidePromises(() => {
      const untap = tapCores({ stepped: step => this.#stepped(step) });
      try {
        this.#begin();
        this.#chaos();
        if (this.#converge()) this.#beQuiet();
        for (const invariant of this.#invariants) invariant.atEnd?.();
      } catch (error) {
        this.#trace.line(() => `FAILED ${String(error)}${describe(this)}`);
        throw error;
      } finally {
        untap();
      }
      const { partitions } = this.links;
      return { seed: this.seed, hash: this.#trace.hash, events: this.loop.steps, partitions, ...this.counts };
    });
  }

  // --- phases ---

  #begin(): void {
    const { members, learners, spares, priorities } = this.options;
    this.#trace.line(() => JSON.stringify(this.options));
    const ids = Array.from({ length: members }, (_, index) => nodeId(`n${index + 1}`));
    const arbiter = this.options.arbitration?.isBorn === true ? (this.arbitration.present?.id ?? null) : null;
    for (let index = 0; index < members + learners + spares; index++)
      this.#makeNode(
        index < members ? { kind: 'members', members: ids, arbiter } : { kind: 'learner' },
        priorities[index] ?? 1,
      );
    for (const node of this.nodes) node.boot();
  }

  #chaos(): void {
    this.faults.begin();
    this.links.begin();
    this.operator.begin();
    this.modes.begin();
    this.arbitration.begin();
    this.load.begin();
    this.#until(() => this.loop.now >= this.options.chaosMs);
  }

  /** V1, V2: everything works again; a leader within 8 s, equal replicas within 30 s, of a lease of 1.2 s. False: there can be none. */
  #converge(): boolean {
    this.note('--- everything works from here on');
    this.healedAt = this.loop.now;
    this.faults.end();
    this.links.end();
    this.net.faults = { ...this.net.faults, lost: 0, doubled: 0, slow: 0, flipped: 0 };
    for (const node of this.nodes) if (!node.isGone && !node.isUp) node.boot();
    this.arbitration.end();
    this.operator.end();
    this.modes.end();
    const { leaseMs, arbitration } = this.options;
    const start = this.loop.now;
    // With an arbiter a dead leader's silence comes first, and who comes back too often has to wait.
    const slack = arbitration === null ? 0 : arbitration.timeoutMs * 2;
    const waits = arbitration === null ? 0 : leaseMs * 60;
    const bound = (seconds: number) => start + slack + (seconds * 1_000 * leaseMs) / 1_200;
    this.#until(this.#nowAndThen(() => this.leader() !== undefined || this.loop.now > bound(8)));
    if (this.leader() === undefined && this.arbitration.isStranded) {
      this.counts.stranded += 1;
      return false;
    }
    if (this.leader() === undefined)
      throw new Error(`V1: no leader 8 s after everything works: ${describe(this)}`);
    this.load.end();
    this.#until(this.#nowAndThen(() => isConverged(this) || this.loop.now > bound(30) + waits));
    if (!isConverged(this) && this.arbitration.isStranded) {
      this.counts.stranded += 1;
      return false;
    }
    if (!isConverged(this)) throw new Error(`V2: the replicas are not equal after 30 s: ${describe(this)}`);
    return true;
  }

  #beQuiet(): void {
    const { leaseMs, quietMs } = this.options;
    // What was decided last may still move the leadership to where it belongs, but not to and fro.
    const bound = this.loop.now + leaseMs * 40;
    this.#until(
      this.#nowAndThen(
        () =>
          this.loop.now > bound ||
          (this.loop.now - Math.max(this.#electedAt, this.healedAt ?? 0) > leaseMs * 6 && isConverged(this)),
      ),
    );
    if (this.loop.now > bound) throw new Error(`V6: it does not come to rest: ${describe(this)}`);
    const before = this.#stillLife();
    this.note('--- nothing may happen from here on');
    const until = this.loop.now + quietMs;
    this.#until(() => this.loop.now >= until);
    const after = this.#stillLife();
    if (before !== after) throw new Error(`V6: not quiet: ${before} became ${after}`);
    if (!isConverged(this)) throw new Error(`V6: not converged any more: ${describe(this)}`);
  }

  #stillLife(): string {
    const config = this.leader()?.life?.log.state().config;
    const nodes = (config === undefined ? [] : replicasOf(config)).map(id => {
      const state = this.node(id).life?.log.state();
      const version = state?.config.version;
      return `${id} ${state?.role} ${state?.proposalId} ${version?.proposalId}.${version?.sequence} ${state?.maxLsn}`;
    });
    return `${this.counts.elections} elections, ${nodes.join(', ')}`;
  }

  /** A condition that costs something, looked at often enough. */
  #nowAndThen(condition: () => boolean): () => boolean {
    let next = this.loop.now;
    return () => {
      if (this.loop.now < next) return false;
      next = this.loop.now + this.options.leaseMs / 50;
      return condition();
    };
  }

  #until(isDone: () => boolean): void {
    while (!isDone()) {
      if (!this.loop.turn()) throw new Error('the simulation ran out of events');
      if (!isNothing(this.facts)) {
        for (const { node } of this.facts.steps) node.platter.end();
        this.#verify();
        for (const invariant of this.#invariants) invariant.afterEvent?.();
        this.facts = noFacts();
      }
      if (this.#broken !== undefined) throw this.#broken.error;
      if (this.loop.steps > eventsMax) throw new Error(`V7: ${eventsMax} events without an end`);
    }
  }

  // --- nodes ---

  /** A new machine with an empty volume. */
  addNode(priority: number): void {
    const node = this.#makeNode({ kind: 'learner' }, priority);
    this.loop.after(1, () => node.boot());
  }

  #makeNode(birth: GroupNode['birth'], priority: number): GroupNode {
    const random = this.#nodeRandom.fork();
    const { driftPpm, isOutOfBound } = this.options.clock;
    const ppm = isOutOfBound ? 100_000 : driftPpm;
    const id = nodeId(`n${this.nodes.length + 1}`);
    const node = new GroupNode(
      {
        id,
        birth,
        priority,
        clock: {
          rate: 1 + random.between(-ppm, ppm) / 1_000_000,
          skewMicros: random.between(0, 2_000_000),
        },
        loop: this.loop,
        random,
        net: this.net,
        options: this.options,
        open: LogStream.open,
      },
      this,
    );
    node.disk.latency = this.options.disk.latencyMs;
    node.platter.onGroup = group => this.facts.groups.push({ node, group });
    this.nodes.push(node);
    this.#byId.set(id, node);
    return node;
  }

  node(id: NodeId): GroupNode {
    return must(this.#byId.get(id), id);
  }

  /** Who says that it leads and may; any of them, should there be two. */
  leader(): GroupNode | undefined {
    return this.nodes.find(({ life }) => life?.log.state().isActive === true);
  }

  isLost(id: NodeId): boolean {
    const arbiter = this.arbitration.find(id);
    if (arbiter !== undefined) return arbiter.isGone;
    const node = this.node(id);
    return node.isGone || node.isRotten || (node.platter.meta()?.impaired ?? null) !== null;
  }

  /** Lists of voters that may be in force: those on a platter or in a memory. */
  *voterLists(): Generator<readonly NodeId[]> {
    const config = this.arbitration.present?.image.config ?? null;
    if (config !== null) yield votersOf(config);
    for (const node of this.nodes) {
      if (node.isGone) continue;
      const record = node.platter.meta()?.config;
      if (record !== undefined && record.members.length > 0) yield votersOf(record);
      if (record === undefined && node.birth.kind === 'members') yield votersOf(node.birth);
      const state = node.life?.log.state();
      if (state !== undefined && state.config.members.length > 0) yield votersOf(state.config);
    }
  }

  // --- branches ---

  /** On which branch of the history a node's log is. */
  branchOf(node: GroupNode): Branch {
    return this.#branches.get(node) ?? this.truth.root;
  }

  /** It got a copy of a log of this branch. */
  setBranch(node: GroupNode, branch: Branch): void {
    this.#branches.set(node, branch);
  }

  #branchOfVersion(version: ConfigVersion): Branch | undefined {
    return this.truth.branch(branchId(version));
  }

  /**
   * A replica changes its branch with the cut that makes one, with the record of a leader, with log of a leader that goes on
   * from its own, and when a leader knows nothing of a cut which this replica alone made, or a few.
   */
  #followBranch(node: GroupNode, { input, view, before, self }: CoreStep): void {
    const applied = node.platter.meta()?.cutApplied;
    if (applied !== undefined && applied !== this.#cutsApplied.get(node)) {
      const last = this.#cutsApplied.get(node);
      this.#cutsApplied.set(node, applied);
      const isNew = last === undefined || branchId(last) !== branchId(applied);
      const branch = this.#branchOfVersion(applied);
      if (isNew && branch !== undefined) this.#branches.set(node, branch);
    }
    if (before !== undefined && view.config !== before.config) {
      const branch = this.#branchOfVersion(lastCutVersion(view.config));
      if (branch !== undefined && view.config.members.includes(self)) this.#branches.set(node, branch);
      if (branch !== undefined && view.stage !== 'follower')
        this.#branchOfProposal.set(view.config.version.proposalId, branch);
    }
    if (input.kind !== 'message' || before === undefined) return;
    const { kind, proposal } = input.message;
    if ((kind !== 'push' && kind !== 'commit' && kind !== 'renew') || proposal < before.promised) return;
    const branch = this.#branchOfProposal.get(proposal);
    if (branch === undefined) return;
    const hasGrown = kind === 'push' && view.maxLsn > before.maxLsn;
    if (hasGrown || !branch.descendsFrom(this.branchOf(node))) this.#branches.set(node, branch);
  }

  // --- what nodes tell ---

  opened(node: GroupNode): void {
    this.note(`${node.id} opened, committed ${node.life?.log.state().end.lsn}`);
    this.facts.opened.push(node);
  }

  committed(node: GroupNode, end: LogPosition): void {
    this.note(`${node.id} committed ${end.lsn}`);
  }

  applied(node: GroupNode, entry: LogEntry, machine: Machine, serial: number | undefined): void {
    this.facts.applied.push({ node, entry, serial, hash: machine.hash, count: machine.count });
  }

  cannotRead(node: GroupNode, error: unknown): void {
    if (isObError(error, 'OBS_LOG_BUSY')) this.loop.after(1, () => node.apply());
    else if (isObError(error, 'OBS_LOG_RECYCLED')) this.note(`${node.id} misses log for its machine`);
    else if (isObError(error, 'OBS_LOG_CORRUPT') && node.isRotten) this.#turnToOthers(node);
    else if (!isObError(error) || error.kind === 'bug' || error.kind === 'corrupt') this.broke(error);
  }

  /** Nobody had the log that is damaged here: a copy of the leader's machine does without it, as in a real node. */
  #turnToOthers(node: GroupNode): void {
    const { role, leader } = must(node.life, 'a life that read').log.state();
    if (role === 'follower' && leader !== null && leader !== node.id) this.rebuilds.begin(node, leader);
    else node.crash('process');
  }

  rebuildWanted(node: GroupNode, peer: NodeId): void {
    this.rebuilds.begin(node, peer);
  }

  failed(node: GroupNode, error: ObError): void {
    this.note(`${node.id} failed: ${error.code} ${error.message}`);
    if (error.kind === 'bug') this.broke(error.cause ?? error);
    else if (error.kind === 'disk' && node.hasFailed) return;
    else if (error.kind === 'corrupt' && node.isRotten) return;
    else this.broke(error);
  }

  refusedToOpen(node: GroupNode, error: unknown): void {
    this.note(`${node.id} did not open: ${String(error)}`);
    if (isObError(error) && error.kind === 'disk' && (node.hasFailed || this.options.disk.hasFull)) return;
    if (!isObError(error) && node.hasFailed) return;
    if (isObError(error) && error.kind === 'corrupt' && node.isRotten) return;
    this.broke(error);
  }

  died(node: GroupNode): void {
    this.counts.crashes += 1;
    this.rebuilds.died(node);
    this.faults.restart(node);
  }

  broke(error: unknown): void {
    this.#broken ??= { error };
  }

  flashedBack(node: GroupNode, to: Scn, kept: LogPosition): void {
    this.facts.flashbacks.push({ node, to, kept });
  }

  note(text: string): void {
    this.#trace.note(text);
  }

  // --- what cores do ---

  #stepped(step: CoreStep): readonly PalfEffect[] {
    const node = this.node(step.self);
    const { view, before } = step;
    this.#trace.step(step);
    node.view = view;
    const wasCutting = node.isCutting;
    this.#noteFork(node, step);
    this.#followBranch(node, step);
    for (const effect of step.effects) {
      if (effect.kind === 'truncateLog') {
        this.#truncating(node, effect.to, effect.flashback);
        this.#cutting.set(node, effect.ioId);
      } else if (effect.kind === 'commitTo') {
        const leads = view.stage === 'leading' || view.stage === 'starting' || before?.role === 'leader';
        this.facts.commits.push({ node, end: effect.end, leads, view });
        if (leads) this.counted.committed(node.id, view, effect.end, this.branchOf(node));
      } else if (effect.kind === 'trace') {
        if (effect.trace.event === 'degrade') this.counts.degrades += 1;
        if (effect.trace.event === 'upgrade') this.counts.upgrades += 1;
      } else if (effect.kind === 'roleChanged') {
        if (effect.role === 'leader') {
          this.counts.elections += 1;
          this.#electedAt = this.loop.now;
        }
        this.note(
          `${node.id} is ${effect.role} of proposal ${effect.proposalId} from LSN ${effect.startLsn}`,
        );
      }
    }
    if (step.input.kind === 'ioDone' && step.input.ioId === this.#cutting.get(node)) {
      this.#cutting.delete(node);
      node.platter.isCut();
      node.isCutting = false;
      // Not before what this step brings is carried out.
      if (wasCutting) this.loop.after(0, () => node.apply());
    }
    if (step.input.kind === 'boot') {
      node.platter.restart(step.input.meta.base);
      node.verified = 0;
    }
    this.facts.steps.push({ ...step, node, cuts: wasCutting || node.isCutting });
    return this.#crashBetween(node, step.effects);
  }

  #truncating(node: GroupNode, to: LogPosition, isFlashback: boolean): void {
    const branch = this.branchOf(node);
    // A damaged replica gets what lies behind the damage again, and says so before it lets go of it.
    const isDamaged = (node.platter.meta()?.impaired ?? null) !== null;
    const held = Math.max(this.counted.of(node.id, branch), node.view?.committed.lsn ?? 0);
    const counted = isDamaged ? 0 : Math.min(held, this.truth.keptOf(branch));
    let committed: LogPosition | undefined;
    node.platter.end();
    for (const boundary of node.platter.boundaries.toReversed()) {
      if (boundary.lsn <= to.lsn || committed !== undefined) break;
      const known = branch.boundary(boundary.lsn);
      const isCommitted = known?.checksum === boundary.checksum && known.scn === boundary.scn;
      if (boundary.lsn <= counted && isCommitted) committed = boundary;
    }
    this.facts.truncations.push({ node, to, isFlashback, committed });
    node.platter.cut(to);
    node.verified = Math.min(node.verified, node.platter.boundaries.length);
    if (isFlashback) {
      node.isCutting = true;
      node.setMachineBack(to.lsn);
      this.faults.cutBegins(node);
    }
  }

  /** A record with a flashback that nobody had begins a branch of the history; one that a majority holds is agreed. */
  #noteFork(node: GroupNode, { view, effects, before }: CoreStep): void {
    for (const effect of effects) {
      if (effect.kind !== 'persistMeta') continue;
      const last = effect.image.config.cuts.at(-1);
      if (last === undefined || this.truth.branch(branchId(last.version)) !== undefined) continue;
      const parent = this.branchOf(node);
      this.note(`${node.id} begins history ${branchId(last.version)} at LSN ${last.at.lsn}`);
      this.load.age = this.truth.fork(branchId(last.version), parent, last.at).age;
    }
    const last = view.config.cuts.at(-1);
    if (view.config === before?.config || last === undefined) return;
    const branch = this.truth.branch(branchId(last.version));
    if (branch === undefined || this.truth.agreed.descendsFrom(branch)) return;
    const voters = votersOf(view.config);
    const have = voters.filter(id => {
      const held = this.arbitration.recordOf(id);
      return held !== undefined && branchId(lastCutVersion(held)) === branchId(last.version);
    });
    if (have.length * 2 > voters.length) this.truth.agree(branch);
  }

  /** Committed log that a node's platter shows for the first time. */
  #verify(): void {
    const nodes = new Set([...this.facts.commits, ...this.facts.groups].map(({ node }) => node));
    for (const node of nodes) {
      const committed = node.view?.committed.lsn;
      if (committed === undefined || node.isCutting) continue;
      const end = Math.min(committed, node.platter.end().lsn);
      const branch = this.branchOf(node);
      const { boundaries } = node.platter;
      for (; node.verified < boundaries.length; node.verified++) {
        const boundary = must(boundaries[node.verified], 'boundary');
        if (boundary.lsn > end) break;
        const start = boundaries[node.verified - 1];
        this.facts.boundaries.push({ node, boundary, start, branch });
      }
    }
  }

  /** The effects, with the death of the node in the midst of them if that is its fate. */
  #crashBetween(node: GroupNode, effects: readonly PalfEffect[]): readonly PalfEffect[] {
    if (node.effectsUntilCrash === 0) return effects;
    const left = node.effectsUntilCrash - effects.length;
    if (left > 0) {
      node.effectsUntilCrash = left;
      return effects;
    }
    const done = effects.slice(0, node.effectsUntilCrash);
    node.effectsUntilCrash = 0;
    const crash = () => this.faults.crashBetweenEffects(node);
    return dyingAfter(done, crash);
  }

  #sent(from: NodeId, to: NodeId, payload: Uint8Array): void {
    const message = decodePalfMessage(payload);
    if (message.kind === 'problem') return this.#sentForRepair(from, payload);
    this.#trace.sent(from, to, message);
    const arbiter = this.arbitration.find(from);
    if (arbiter !== undefined) {
      this.facts.arbiterSends.push({ arbiter, to, message });
      return;
    }
    const node = this.node(from);
    this.facts.sends.push({ node, to, message });
  }

  #sentForRepair(from: NodeId, payload: Uint8Array): void {
    const message = decodeRepair(payload);
    if (typeof message === 'string' || message.kind !== 'ask') return;
    this.facts.damages.push({ node: this.node(from), at: message.at });
  }
}

/** A list whose walk ends in a death. */
function dyingAfter<T>(values: T[], die: () => void): T[] {
  const walk = function* walk(): ArrayIterator<T> {
    for (const value of Array.from(values.keys(), index => values[index] as T)) yield value;
    die();
    return undefined;
  };
  const list = [...values];
  Object.defineProperty(list, Symbol.iterator, { value: walk });
  return list;
}

export const branchId = ({ proposalId, sequence }: ConfigVersion): string =>
  proposalId === 0 ? 'root' : `${proposalId}.${sequence}`;
