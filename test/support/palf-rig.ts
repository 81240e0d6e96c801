/**
 * Several palf cores in one process, without the driver: virtual time, a network and disks that obey the test. Knows every
 * committed position there ever was, and fails when a core contradicts it, when two lead one proposal, or when two hold a lease.
 */
import { assert, must } from '../../src/base/assert.ts';
import type { LogPosition, ProposalEra } from '../../src/base/log-access.ts';
import {
  logStreamId,
  lsn,
  type MonoMs,
  monoMs,
  type NodeId,
  nodeId,
  proposalId,
  scn,
} from '../../src/base/scalars.ts';
import { type ArbiterImage, newArbiterImage } from '../../src/codec/arbiter-image.ts';
import { committedEndOf, samePosition } from '../../src/codec/clog.ts';
import { firstRecord, noVersion } from '../../src/codec/config-record.ts';
import type { ClosedGroup } from '../../src/codec/group-builder.ts';
import type { MetaImage } from '../../src/codec/meta-image.ts';
import type { PalfMessage } from '../../src/codec/palf-message.ts';
import { PalfCore } from '../../src/palf/core.ts';
import type { PalfEffect, PalfOutcome } from '../../src/palf/effects.ts';
import { ArbiterCore, type ArbiterInput } from '../../src/palf/arbiter.ts';
import type { LogReadResult, PalfInput, Verdict } from '../../src/palf/inputs.ts';
import { extendHistory } from '../../src/palf/proposal-history.ts';
import { type PalfSettings, palfSettingsDefault } from '../../src/palf/settings.ts';
import type { PalfView } from '../../src/palf/view.ts';
import { EventLoop } from './sim/event-loop.ts';
import { SimRandom } from './sim/random.ts';

const start: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };

type Effect<K extends PalfEffect['kind']> = Extract<PalfEffect, { kind: K }>;

/** An arbiter: its image survives a crash. */
export class RigArbiter {
  readonly id: NodeId;
  image: ArbiterImage;
  core: ArbiterCore | undefined;
  life = 0;

  constructor(id: NodeId) {
    this.id = id;
    this.image = newArbiterImage(id);
  }
}

/** What survives a crash, and the process that may be running on it. */
export class RigNode {
  readonly id: NodeId;
  meta: MetaImage;
  /** durable log from the base on */
  groups: ClosedGroup[] = [];
  core: PalfCore | undefined;
  /** tells completions of an earlier process */
  life = 0;
  wakeAt: number | undefined;
  /** writes wait while this is set */
  isDiskStuck = false;
  waiting: (() => void)[] = [];
  readonly replies = new Map<number, PalfOutcome>();
  readonly roles: Effect<'roleChanged'>[] = [];
  readonly rebuilds: Effect<'rebuildFrom'>[] = [];
  /** ahead of the rig's time */
  readonly clockOffset: number;

  constructor(id: NodeId, meta: MetaImage, clockOffset: number) {
    this.id = id;
    this.meta = meta;
    this.clockOffset = clockOffset;
  }

  get view(): PalfView {
    return must(this.core, `process of ${this.id}`).view();
  }

  get end(): LogPosition {
    return this.groups.at(-1)?.end ?? this.meta.base;
  }
}

export class PalfRig {
  readonly random: SimRandom;
  readonly nodes = new Map<NodeId, RigNode>();
  readonly arbiter: RigArbiter | undefined;
  readonly #loop = new EventLoop();
  /** of a thousand messages */
  lost = 0;
  doubled = 0;
  delayMsMax = 1;
  ioMsMax = 1;
  /** keeps messages from arriving */
  isCut: (from: NodeId, to: NodeId, message: PalfMessage) => boolean = () => false;
  /** every committed position there ever was */
  readonly committed = new Map<number, LogPosition>();
  readonly #leaders = new Map<number, NodeId>();
  readonly settings: PalfSettings;
  #nextToken = 1;
  #wall = 1_000_000;

  constructor(
    seed: number,
    members: readonly string[],
    learners: readonly string[] = [],
    { arbiter, settings = {} }: { readonly arbiter?: string; readonly settings?: Partial<PalfSettings> } = {},
  ) {
    this.random = new SimRandom(seed);
    this.settings = { ...palfSettingsDefault, ...settings };
    if (arbiter !== undefined) this.arbiter = new RigArbiter(nodeId(arbiter));
    for (const name of [...members, ...learners]) this.add(name, members, learners);
  }

  add(name: string, members: readonly string[], learners: readonly string[]): RigNode {
    const id = nodeId(name);
    const node = new RigNode(
      id,
      {
        stream: logStreamId(1001),
        incarnation: 'rig',
        blockBytes: 16_384,
        self: id,
        promised: proposalId(0),
        leaseMs: 0,
        accepted: proposalId(0),
        config: firstRecord({
          members: members.map(nodeId),
          learners: learners.map(nodeId),
          arbiter: this.arbiter?.id ?? null,
          accessMode: 'APPEND',
          referenceScn: scn(0),
        }),
        cutApplied: noVersion,
        history: [],
        base: start,
        checkpointLsn: lsn(0),
        durableEnd: lsn(0),
        truncateTo: null,
        impaired: null,
        mendings: 0,
      },
      this.random.between(0, 50_000),
    );
    this.nodes.set(id, node);
    return node;
  }

  node(name: string): RigNode {
    return must(this.nodes.get(nodeId(name)), name);
  }

  clock(node: RigNode): MonoMs {
    return monoMs(this.now + node.clockOffset);
  }

  // --- processes ---

  /** Starts a node's process on what is durable; `lose` groups of its log are gone, or rotten. */
  boot(
    node: RigNode,
    changes: { readonly priority?: number; readonly lose?: number; readonly leaseMs?: number } = {},
  ): void {
    assert(node.core === undefined, 'a node runs once');
    const { lose = 0, priority = 0, leaseMs = this.settings.leaseMs } = changes;
    if (node.meta.truncateTo !== null) this.#truncate(node, node.meta.truncateTo);
    if (lose > 0) node.groups.splice(node.groups.length - lose);
    node.core = new PalfCore({ ...this.settings, priority, leaseMs });
    node.life += 1;
    node.wakeAt = undefined;
    let history: readonly ProposalEra[] = node.meta.history.filter(era => era.startLsn < node.meta.base.lsn);
    let proven = node.meta.base.lsn;
    for (const group of node.groups) {
      history = extendHistory(history, group.proposalId, group.start.lsn);
      proven = lsn(Math.max(proven, committedEndOf(group.bytes)));
    }
    const ends = [node.meta.base, ...node.groups.map(({ end }) => end)];
    const committed = ends.filter(end => end.lsn <= proven).at(-1) ?? node.meta.base;
    this.feed(node, {
      kind: 'boot',
      self: node.id,
      meta: node.meta,
      end: node.end,
      history,
      committed,
      tail: ends.filter(end => end.lsn > committed.lsn),
      corrupt: lose > 0,
    });
  }

  bootAll(): this {
    for (const node of this.nodes.values()) if (node.core === undefined) this.boot(node);
    if (this.arbiter !== undefined && this.arbiter.core === undefined) this.bootArbiter();
    return this;
  }

  /** The process is gone: what is not durable is lost. */
  crash(node: RigNode): void {
    node.core = undefined;
    node.life += 1;
    node.waiting = [];
  }

  bootArbiter(leaseMs = this.settings.leaseMs): void {
    const { id, image } = this.theArbiter;
    this.theArbiter.core = new ArbiterCore({ self: id, image }, { leaseMs }, monoMs(this.now));
  }

  crashArbiter(): void {
    this.theArbiter.core = undefined;
    this.theArbiter.life += 1;
  }

  get theArbiter(): RigArbiter {
    return must(this.arbiter, 'an arbiter');
  }

  /** The same word on nodes to all who run, again and again. */
  judge(verdictOf: (node: RigNode) => Verdict): this {
    for (const node of this.running)
      for (const other of this.nodes.values())
        if (other !== node) this.feed(node, { kind: 'verdict', node: other.id, verdict: verdictOf(other) });
    this.after(500, () => this.judge(verdictOf));
    return this;
  }

  #feedArbiter(input: ArbiterInput): void {
    const arbiter = this.theArbiter;
    if (arbiter.core === undefined) return;
    const { life } = arbiter;
    for (const effect of arbiter.core.step(input, monoMs(this.now)))
      if (effect.kind === 'send') this.#send(arbiter, effect.to, effect.message);
      else
        this.after(this.#io(), () => {
          if (arbiter.life !== life) return;
          arbiter.image = effect.image;
          this.#feedArbiter({ kind: 'persisted', id: effect.id });
          for (const { to, message } of effect.thenSend) this.#send(arbiter, to, message);
        });
  }

  feed(node: RigNode, input: PalfInput): void {
    const core = must(node.core, `process of ${node.id}`);
    for (const effect of core.step(input, this.clock(node))) this.#carryOut(node, effect);
    this.#checkLeases();
  }

  /** Asks the node's core; the answer is in `node.replies` when it comes. */
  ask(node: RigNode, input: (token: number) => PalfInput): number {
    const token = this.#nextToken++;
    this.feed(node, input(token));
    return token;
  }

  propose(node: RigNode, text = 'x'): PalfOutcome {
    this.#wall += 10;
    const token = this.ask(node, given => ({
      kind: 'propose',
      entry: { kind: 'redo', body: [Buffer.from(text)] },
      wall: scn(this.#wall),
      token: given,
    }));
    return must(node.replies.get(token), 'answer of a proposal');
  }

  // --- effects ---

  #carryOut(node: RigNode, effect: PalfEffect): void {
    switch (effect.kind) {
      case 'appendLog':
        return this.#write(node, effect.ioId, () => {
          assert(samePosition(node.end, effect.start), 'log is written at its end');
          node.groups.push(...effect.groups);
          return effect.thenSend.map(
            ({ to, message }) =>
              () =>
                this.#send(node, to, message),
          );
        });
      case 'persistMeta':
        return this.#write(node, effect.ioId, () => {
          node.meta = effect.image;
          return [
            ...effect.thenReply.map(reply => () => this.#reply(node, reply.token, reply.outcome)),
            ...effect.thenSend.map(
              ({ to, message }) =>
                () =>
                  this.#send(node, to, message),
            ),
          ];
        });
      case 'truncateLog':
        assert(
          node.meta.truncateTo !== null && samePosition(node.meta.truncateTo, effect.to),
          'a cut is noted before it is made',
        );
        return this.#write(node, effect.ioId, () => {
          this.#truncate(node, effect.to);
          return [];
        });
      case 'send':
        return this.#send(node, effect.to, effect.message);
      case 'readLog': {
        const { life } = node;
        const result = this.#read(node, effect);
        this.after(this.#io(), () => {
          if (node.life === life) this.feed(node, { kind: 'logRead', readId: effect.readId, result });
        });
        return;
      }
      case 'commitTo':
        return this.#checkCommit(node, effect.end);
      case 'roleChanged':
        node.roles.push(effect);
        if (effect.role === 'leader') this.#checkLeader(node, effect);
        return;
      case 'reply':
        return this.#reply(node, effect.token, effect.outcome);
      case 'rebuildFrom':
        node.rebuilds.push(effect);
        return;
      case 'wakeAt': {
        const { life } = node;
        const at = Math.max(this.now, effect.at - node.clockOffset);
        node.wakeAt = at;
        this.after(at - this.now, () => {
          if (node.life !== life || node.wakeAt !== at) return;
          node.wakeAt = undefined;
          this.feed(node, { kind: 'wake' });
        });
        return;
      }
      case 'leaderHint':
      case 'trace':
        return;
    }
  }

  #io(): number {
    return this.random.between(0, this.ioMsMax * 1_000) / 1_000;
  }

  /** A durable write: `land` says what it lets go. */
  #write(node: RigNode, ioId: number, land: () => (() => void)[]): void {
    const { life } = node;
    const finish = () => {
      if (node.life !== life) return;
      const promises = land();
      this.feed(node, { kind: 'ioDone', ioId, outcome: 'ok' });
      for (const promise of promises) if (node.life === life) promise();
    };
    this.after(this.#io(), () => {
      if (node.isDiskStuck && node.life === life) node.waiting.push(finish);
      else finish();
    });
  }

  freeDisk(node: RigNode): void {
    node.isDiskStuck = false;
    for (const finish of node.waiting.splice(0)) finish();
  }

  #truncate(node: RigNode, to: LogPosition): void {
    node.groups = node.groups.filter(group => group.end.lsn <= to.lsn);
    assert(node.end.lsn === to.lsn, 'a log is cut at a boundary');
  }

  #read(node: RigNode, { from, to, bytesMax }: Effect<'readLog'>): LogReadResult {
    if (from < node.meta.base.lsn) return { kind: 'gone' };
    const first = node.groups.findIndex(group => group.start.lsn === from);
    if (first < 0) return { kind: 'failed' };
    let bytes = 0;
    const groups = node.groups.slice(first).filter((group, index) => {
      bytes += group.bytes.length;
      return group.end.lsn <= to && (index === 0 || bytes <= bytesMax);
    });
    return { kind: 'groups', start: must(groups[0], 'group').start, groups };
  }

  #reply(node: RigNode, token: number, outcome: PalfOutcome): void {
    assert(!node.replies.has(token), 'a token gets one reply');
    node.replies.set(token, outcome);
  }

  #send(from: { readonly id: NodeId }, to: NodeId, message: PalfMessage): void {
    const target = this.nodes.get(to) ?? (this.arbiter?.id === to ? this.arbiter : undefined);
    if (target === undefined || this.random.between(0, 999) < this.lost) return;
    const deliver = () => {
      if (target instanceof RigArbiter) {
        if (!this.isCut(from.id, to, message)) this.#feedArbiter({ kind: 'message', from: from.id, message });
        return;
      }
      if (target.core === undefined || this.isCut(from.id, to, message)) return;
      this.feed(target, { kind: 'message', from: from.id, message });
    };
    const delay = () => this.random.between(0, this.delayMsMax * 1_000) / 1_000;
    this.after(delay(), deliver);
    if (this.random.between(0, 999) < this.doubled) this.after(delay() * 20, deliver);
  }

  // --- time ---

  get now(): number {
    return this.#loop.now;
  }

  after(ms: number, run: () => void): void {
    this.#loop.after(ms, run);
  }

  /** Time goes on for `ms`. */
  run(ms: number): this {
    let isOver = false;
    this.after(ms, () => {
      isOver = true;
    });
    while (!isOver) this.#loop.turnOnce();
    return this;
  }

  /** Time goes on until the condition holds; fails after 20 s of it. */
  until(condition: () => boolean, what: string): this {
    const limit = this.now + 20_000;
    while (!condition()) assert(this.#loop.turnOnce() && this.now <= limit, `${what} within 20 s`);
    return this;
  }

  // --- what is known ---

  get running(): readonly RigNode[] {
    return [...this.nodes.values()].filter(({ core }) => core !== undefined);
  }

  get leader(): RigNode | undefined {
    return this.running.find(node => node.view.isActive);
  }

  elect(...not: readonly RigNode[]): RigNode {
    const found = () => this.running.find(node => !not.includes(node) && node.view.isActive);
    this.until(() => found() !== undefined, 'a leader');
    return must(found(), 'leader');
  }

  /** Proposes at the leader and waits until it is committed there. */
  commit(node: RigNode, text = 'x'): LogPosition {
    const outcome = this.propose(node, text);
    assert(outcome.kind === 'ordered', `an entry is ordered, not ${JSON.stringify(outcome)}`);
    this.until(() => node.view.committed.lsn >= outcome.endLsn, 'a commit');
    return node.view.committed;
  }

  /** All running replicas have what the node has. */
  settle(node: RigNode): this {
    const { committed } = node.view;
    const has = (other: RigNode) => other.view.committed.lsn >= committed.lsn;
    return this.until(() => this.running.every(has), `replicas with log up to LSN ${committed.lsn}`);
  }

  followers(of: RigNode): readonly RigNode[] {
    return this.running.filter(node => node !== of);
  }

  #checkCommit(node: RigNode, end: LogPosition): void {
    const known = this.committed.get(end.lsn);
    if (known === undefined) this.committed.set(end.lsn, end);
    else assert(samePosition(known, end), `L1: ${node.id} commits another log at LSN ${end.lsn}`);
    assert(node.end.lsn >= end.lsn, `L4: ${node.id} commits what it has not flushed`);
  }

  #checkLeader(node: RigNode, { proposalId: proposal }: Effect<'roleChanged'>): void {
    const known = this.#leaders.get(proposal);
    assert(known === undefined || known === node.id, `E1: ${known} and ${node.id} lead proposal ${proposal}`);
    this.#leaders.set(proposal, node.id);
    const ends = new Map(node.groups.map(({ end }) => [end.lsn as number, end]));
    for (const [at, end] of this.committed) {
      if (at <= node.meta.base.lsn) continue;
      const own = ends.get(at);
      assert(own !== undefined && samePosition(own, end), `L3: leader ${node.id} lacks committed LSN ${at}`);
    }
  }

  #checkLeases(): void {
    let holder: NodeId | undefined;
    for (const node of this.running) {
      const { leaseUntil } = node.view;
      if (this.clock(node) >= leaseUntil) continue;
      assert(holder === undefined, `E2: ${holder} and ${node.id} hold a lease`);
      holder = node.id;
    }
  }
}
