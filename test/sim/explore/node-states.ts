/**
 * One node of the explored world by itself: the states it can be in, numbered, and everything that can become of each with one
 * thing that happens to it. What it does depends on nothing else, so each is tried once, whatever the rest of the world is like.
 *
 * A state is the core's (`core-states`), when it wants to be woken, what is durable, and what is being written. Held against
 * every step, because the node alone can break it:
 *
 * - E5, L8: nothing is said that is not durable: no promise or proposal, no record taken, no log.
 * - E10: nothing is taken without a lease.
 * - A1: an arbiter never acknowledges log. A6: a record forgets nobody: members and degraded are the replicas.
 */
import { assert, must } from '../../../src/base/assert.ts';
import { type MonoMs, scn } from '../../../src/base/scalars.ts';
import type { ConfigRecord } from '../../../src/codec/config-record.ts';
import { compareVersions, noVersion } from '../../../src/codec/config-record.ts';
import type { PalfMessage } from '../../../src/codec/palf-message.ts';
import type { ArbiterEffect, ArbiterView } from '../../../src/palf/arbiter.ts';
import type { PalfEffect, PalfSend } from '../../../src/palf/effects.ts';
import type { PalfView } from '../../../src/palf/view.ts';
import { votersOf } from '../../../src/palf/quorum.ts';
import { hold } from './broken.ts';
import type { CoreStates, Session } from './core-states.ts';
import type { Event, Histories } from './history.ts';
import { Interned, type Messages, messagesMax } from './site.ts';
import type { Durables } from './durables.ts';
import { arbiterAt, nodes, replicas } from './trio.ts';

/** A write under way: what kind, what will be durable, what it lets go. */
type Io = readonly [kind: string, durable: number, sends: readonly number[]];

interface NodeState {
  /** -1: down */
  readonly core: number;
  /** in how many milliseconds it wants to be woken; null for never */
  readonly wakeMs: number | null;
  readonly durable: number;
  readonly io: readonly Io[];
}

/** What can become of a node. */
export interface Outcome {
  readonly what: string;
  readonly to: number;
  /** receiver · `messagesMax` + message, in order */
  readonly sends: readonly number[];
  /** number in `Histories` */
  readonly events: number;
  /** what it broke by itself */
  readonly problem: Error | undefined;
  /** it died */
  readonly isDeath: boolean;
  /** it held a lease before, in between or afterwards */
  readonly heldLease: boolean;
  /** whether it holds a lease is not what it was; of a death: that it held one in between, for afterwards it does not matter */
  readonly isVisible: boolean;
}

/** While something happens to it. */
interface Run {
  /** its core is the one before, until it is settled */
  state: NodeState;
  replica: Session<PalfEffect, PalfView> | undefined;
  arbiter: Session<ArbiterEffect, ArbiterView> | undefined;
  sends: number[];
  events: Event[];
  heldLease: boolean;
}

const codesMax = 4 * messagesMax;

export class NodeStates {
  readonly #at: number;
  readonly #self: string;
  readonly #isCoarse: boolean;
  readonly #states = new Interned<NodeState>();
  readonly #outcomes = new Map<number, readonly Outcome[]>();
  readonly #named = new Map<string, readonly Outcome[]>();
  readonly #passed = new Map<number, number>();
  readonly #holds: boolean[] = [];
  readonly #replica: CoreStates<PalfEffect, PalfView> | undefined;
  readonly #arbiter: CoreStates<ArbiterEffect, ArbiterView> | undefined;
  readonly #messages: Messages;
  readonly #durables: Durables;
  readonly #histories: Histories;

  constructor(parts: {
    readonly at: number;
    readonly isCoarse: boolean;
    readonly replica: CoreStates<PalfEffect, PalfView> | undefined;
    readonly arbiter: CoreStates<ArbiterEffect, ArbiterView> | undefined;
    readonly messages: Messages;
    readonly durables: Durables;
    readonly histories: Histories;
  }) {
    this.#at = parts.at;
    this.#self = must(nodes[parts.at], 'node');
    this.#isCoarse = parts.isCoarse;
    this.#replica = parts.replica;
    this.#arbiter = parts.arbiter;
    this.#messages = parts.messages;
    this.#durables = parts.durables;
    this.#histories = parts.histories;
  }

  get size(): number {
    return this.#states.values.length;
  }

  #number(state: NodeState): number {
    return this.#states.number(JSON.stringify(state), () => state);
  }

  // --- what is seen of a state ---

  isUp(number: number): boolean {
    return this.#states.get(number).core >= 0;
  }

  isWriting(number: number): boolean {
    return this.#states.get(number).io.length > 0;
  }

  isDue(number: number): boolean {
    const { wakeMs } = this.#states.get(number);
    return wakeMs !== null && wakeMs <= 0;
  }

  wakeMs(number: number): number | null {
    return this.#states.get(number).wakeMs;
  }

  promised(number: number): number {
    return this.#durables.facts(this.#at, this.#states.get(number).durable).promised;
  }

  /** The position is in its durable log. */
  holds(number: number, name: string): boolean {
    return this.#durables.positions(this.#states.get(number).durable).includes(name);
  }

  /** The proposal whose record it has durably. */
  recordOf(number: number): number {
    const { version } = this.#durables.facts(this.#at, this.#states.get(number).durable);
    return (version ?? noVersion).proposalId;
  }

  holdsLease(number: number): boolean {
    this.#holds[number] ??= this.#leaseHeld(this.#states.get(number).core);
    return this.#holds[number];
  }

  /** The same for the same state, in whatever order states are found. */
  print(number: number): string {
    const { core, wakeMs, durable, io } = this.#states.get(number);
    const writes = io.map(
      ([kind, written, sends]) =>
        `${kind} ${this.#durables.text(this.#at, written)} ${sends.map(each => this.#messages.print(each % messagesMax)).join()}`,
    );
    const corePrint = core < 0 ? 'down' : (this.#replica ?? this.#arbiter)?.print(core);
    return `${corePrint} ${wakeMs} ${this.#durables.text(this.#at, durable)} ${writes.join()}`;
  }

  #leaseHeld(core: number): boolean {
    return core >= 0 && this.#replica?.isActive(core) === true;
  }

  // --- what can become of it ---

  down(durable: number): number {
    return this.#number({ core: -1, wakeMs: null, durable, io: [] });
  }

  deliver(number: number, from: number, message: number): readonly Outcome[] {
    const key = number * codesMax + from * messagesMax + message;
    const known = this.#outcomes.get(key);
    if (known !== undefined) return known;
    const outcomes = this.#ways(number, run =>
      this.#feed(run, (at, ids) => ({
        kind: 'message',
        from: must(nodes[from], 'sender'),
        message: this.#messages.give(message, at, ids),
      })),
    );
    // As `reduction` relies on.
    if (this.#at === arbiterAt)
      for (const { sends } of outcomes)
        assert(
          sends.every(sent => Math.floor(sent / messagesMax) === from),
          'an arbiter answers who asked',
        );
    this.#outcomes.set(key, outcomes);
    return outcomes;
  }

  /** What a replica is told of the other, which is the truth, then the wake-up. */
  wake(number: number, isOtherUp: boolean): readonly Outcome[] {
    return this.#known(`wake ${number} ${isOtherUp}`, () =>
      this.#ways(number, run => {
        run.state = { ...run.state, wakeMs: null };
        const verdict = isOtherUp ? 'alive' : 'dead';
        this.#feed(run, () => ({ kind: 'verdict', node: nodes[1 - this.#at], verdict }));
        this.#feed(run, () => ({ kind: 'wake' }));
      }),
    );
  }

  write(number: number): readonly Outcome[] {
    return this.#known(`write ${number}`, () =>
      this.#ways(number, run =>
        this.#feed(run, () => ({
          kind: 'propose',
          entry: { kind: 'redo', body: [Buffer.from('x')] },
          wall: scn(1_000),
          token: 1,
        })),
      ),
    );
  }

  start(number: number): readonly Outcome[] {
    return this.#known(`start ${number}`, () => this.#ways(number, run => this.#boot(run)));
  }

  /** Nothing happens to it. */
  stay(number: number): readonly Outcome[] {
    return this.#known(`stay ${number}`, () => [this.#outcome(number, '', () => {})]);
  }

  /** Its writes under way become durable, or one after the other not at all. */
  die(number: number): readonly Outcome[] {
    return this.#known(`die ${number}`, () => this.#deaths(this.#begin(number), number, 'dies'));
  }

  complete(number: number): readonly Outcome[] {
    return this.#known(`complete ${number}`, () =>
      this.#states
        .get(number)
        .io.map(io => this.#outcome(number, `${io[0]} is durable`, run => this.#complete(run, io))),
    );
  }

  /** Time goes on. */
  pass(number: number, ms: number): number {
    const key = number * codesMax + ms;
    let after = this.#passed.get(key);
    if (after === undefined) {
      const state = this.#states.get(number);
      after = state.core < 0 ? number : this.#number(this.#aged(state, ms));
      this.#passed.set(key, after);
    }
    return after;
  }

  #aged(state: NodeState, ms: number): NodeState {
    const wakeMs = state.wakeMs === null ? null : rounded(state.wakeMs - ms);
    return { ...state, wakeMs, core: must(this.#replica ?? this.#arbiter, 'cores').pass(state.core, ms) };
  }

  #known(key: string, make: () => readonly Outcome[]): readonly Outcome[] {
    let known = this.#named.get(key);
    if (known === undefined) {
      known = make();
      this.#named.set(key, known);
    }
    return known;
  }

  // --- how ---

  #begin(number: number): Run {
    const state = this.#states.get(number);
    const heldLease = this.#leaseHeld(state.core);
    return { state, replica: undefined, arbiter: undefined, sends: [], events: [], heldLease };
  }

  /** What it does, with its writes under way; or done, or cut short by its death at any point. */
  #ways(number: number, act: (run: Run) => void): readonly Outcome[] {
    if (!this.#isCoarse) return [this.#outcome(number, '', act)];
    const outcomes: Outcome[] = [];
    let deaths: Outcome[] = [];
    const whole = this.#outcome(number, '', run => {
      deaths = [];
      act(run);
      for (;;) {
        const [first] = run.state.io;
        if (first === undefined) break;
        // Without writes it is the death before the next thing.
        deaths.push(...this.#deaths(run, number, 'and dies'));
        this.#complete(run, first);
      }
    });
    outcomes.push(whole, ...deaths);
    return outcomes;
  }

  #deaths(run: Run, number: number, what: string): readonly Outcome[] {
    const { io, durable: before } = run.state;
    const all: Outcome[] = [];
    for (let done = 0; done < 1 << io.length; done++) {
      let durable = before;
      for (const [index, [kind, written]] of io.entries())
        if ((done & (1 << index)) !== 0) durable = this.#durables.after(this.#at, durable, kind, written);
      const state: NodeState = { core: -1, wakeMs: null, durable, io: [] };
      const dead: Run = { ...run, state, replica: undefined, arbiter: undefined };
      all.push(this.#sum(number, `${what} with ${done} written`, dead, true));
    }
    return all;
  }

  #outcome(number: number, what: string, act: (run: Run) => void): Outcome {
    const run = this.#begin(number);
    try {
      act(run);
      return this.#sum(number, what, run);
    } catch (error) {
      const problem = error instanceof Error ? error : new Error(String(error));
      return { ...this.#sum(number, what, this.#begin(number)), problem };
    }
  }

  #sum(number: number, what: string, run: Run, isDeath = false): Outcome {
    const { sends, events, heldLease } = run;
    const state = this.#settled(run);
    const before = this.#states.get(number);
    const wasHeld = this.#leaseHeld(before.core);
    const hasHeldBetween = heldLease && !wasHeld;
    const hasChanged = wasHeld !== this.#leaseHeld(state.core);
    return {
      what,
      to: this.#number({ ...state, io: state.io.toSorted(byKind) }),
      sends: [...sends],
      events: this.#histories.events(events),
      problem: undefined,
      isDeath,
      heldLease,
      isVisible: hasHeldBetween || (!isDeath && hasChanged),
    };
  }

  #settled({ state, replica, arbiter }: Run): NodeState {
    if (replica !== undefined) return { ...state, core: must(this.#replica, 'cores').close(replica) };
    return arbiter === undefined ? state : { ...state, core: must(this.#arbiter, 'cores').close(arbiter) };
  }

  #boot(run: Run): void {
    const durable = this.#durables.recovered(this.#at, run.state.durable);
    run.state = { core: -1, wakeMs: null, durable, io: [] };
    if (this.#arbiter !== undefined) {
      run.arbiter = this.#arbiter.start(this.#durables.image(durable));
      return;
    }
    run.replica = must(this.#replica, 'cores').start(undefined);
    const boot = this.#durables.bootOf(durable, this.#at);
    this.#took(run, run.replica, run.replica.step(boot), undefined);
  }

  #complete(run: Run, io: Io): void {
    const [kind, written, sends] = io;
    const { state } = run;
    const durable = this.#durables.after(this.#at, state.durable, kind, written);
    run.state = { ...state, durable, io: state.io.filter(each => each !== io) };
    if (kind === 'persistMeta') this.#take(run, state.durable, durable);
    this.#feed(run, (_, ids) =>
      this.#at === arbiterAt
        ? { kind: 'persisted', id: must(ids.get(kind), 'id') }
        : { kind: 'ioDone', ioId: must(ids.get(kind), 'id'), outcome: 'ok' },
    );
    for (const sent of sends) this.#post(run, sent);
  }

  #take(run: Run, before: number, durable: number): void {
    const { version } = this.#durables.facts(this.#at, durable);
    const { version: known } = this.#durables.facts(this.#at, before);
    if (compareVersions(version ?? noVersion, known ?? noVersion) === 0) return;
    if (!this.#durables.isMember(durable, this.#self)) return;
    const { proposalId: proposal, sequence } = version ?? noVersion;
    const held = this.#durables.positions(durable);
    run.events.push({ kind: 'takes', by: this.#self, proposal, sequence, held });
  }

  #feed(run: Run, input: (at: MonoMs, ids: ReadonlyMap<string, number>) => unknown): void {
    const { core } = run.state;
    if (this.#arbiter !== undefined) {
      run.arbiter ??= this.#arbiter.open(core);
      const { at, ids } = run.arbiter;
      this.#arbiterTook(run, run.arbiter.step(input(at, ids)), at);
      return;
    }
    run.replica ??= must(this.#replica, 'cores').open(core);
    const { at, ids } = run.replica;
    const before = run.replica.core.view();
    this.#took(run, run.replica, run.replica.step(input(at, ids)), before);
  }

  #arbiterTook(run: Run, effects: readonly ArbiterEffect[], at: MonoMs): void {
    for (const effect of effects) {
      if (effect.kind === 'send') {
        this.#post(run, this.#sent(effect, at));
        continue;
      }
      const written = this.#durables.takeImage(effect.image);
      this.#record(effect.image.config);
      run.state = {
        ...run.state,
        io: [...run.state.io, ['persist', written, this.#sends(effect.thenSend, at)]],
      };
    }
  }

  #took(
    run: Run,
    session: Session<PalfEffect, PalfView>,
    effects: readonly PalfEffect[],
    before: PalfView | undefined,
  ): void {
    const { at } = session;
    const self = this.#self;
    const begin = (kind: string, written: number, sends: readonly PalfSend[]) => {
      const io: Io = [kind, written, this.#sends(sends, at)];
      run.state = { ...run.state, io: [...run.state.io, io] };
    };
    const { durable } = run.state;
    let turnEnds = false;
    const hasLease = () => must(this.#replica, 'cores').isActiveNow(session);
    const asked: Extract<PalfEffect, { kind: 'readLog' }>[] = [];
    for (const effect of effects)
      switch (effect.kind) {
        case 'send':
          this.#post(run, this.#sent(effect, at));
          break;
        case 'persistMeta':
          this.#record(effect.image.config);
          begin(effect.kind, this.#durables.withMeta(durable, effect.image), effect.thenSend);
          break;
        case 'appendLog':
          begin(effect.kind, this.#durables.withGroups(durable, effect.groups), effect.thenSend);
          break;
        case 'truncateLog':
          begin(effect.kind, this.#durables.cutTo(durable, effect.to.lsn), []);
          break;
        case 'wakeAt':
          if (effect.at <= at) turnEnds = true;
          else run.state = { ...run.state, wakeMs: rounded(effect.at - at) };
          break;
        case 'commitTo': {
          const { lsn } = effect.end;
          const name = `${lsn}#${effect.end.checksum}`;
          const { stage, governing, config } = session.core.view();
          const leads = stage === 'leading' || stage === 'starting';
          const groups = leads ? [governing.members, config.members] : [];
          const record = stage === 'leading' ? governing : config;
          const { proposalId: proposal } = record.version;
          const voters = leads ? votersOf(record) : [];
          const isHeld = this.#durables.positions(durable).includes(name);
          run.events.push({ kind: 'committed', by: self, lsn, name, isHeld, groups, proposal, voters });
          break;
        }
        case 'reply':
          hold(
            'E10',
            effect.outcome.kind !== 'ordered' || hasLease(),
            () => `${self} takes a write without a lease`,
          );
          break;
        case 'roleChanged':
          if (effect.role === 'leader')
            run.events.push({
              kind: 'leads',
              by: self,
              proposal: effect.proposalId,
              held: this.#durables.positions(durable),
            });
          break;
        case 'trace':
          if (effect.trace.event === 'degrade')
            run.events.push({ kind: 'degrades', by: self, node: effect.trace.node });
          if (effect.trace.event === 'upgrade')
            run.events.push({ kind: 'upgrades', by: self, node: effect.trace.node });
          break;
        case 'readLog':
          asked.push(effect);
          break;
        default:
      }
    this.#agree(run, session.core.view(), before);
    run.state = { ...run.state, io: run.state.io.toSorted(byKind) };
    run.heldLease ||= hasLease();
    // The driver answers from memory, and ends the turn, before anything else happens.
    for (const { from, to } of asked) {
      const result = this.#durables.read(run.state.durable, from, to);
      this.#feed(run, (_, ids) => ({
        kind: 'logRead',
        readId: must(ids.get('readLog'), 'id'),
        result,
      }));
    }
    if (turnEnds) this.#feed(run, () => ({ kind: 'wake' }));
  }

  /** A record that governs here, of this node's own proposal, and did not before. */
  #agree(run: Run, view: PalfView, before: PalfView | undefined): void {
    const { governing, config, stage } = view;
    const { proposalId: proposal, sequence } = governing.version;
    const isOwn = proposal === config.version.proposalId && proposal > 0;
    if ((stage !== 'starting' && stage !== 'leading') || !isOwn) return;
    if (before?.governing.version.sequence === sequence && before.stage === stage) return;
    const { members, degraded } = governing;
    run.events.push({ kind: 'agreed', by: this.#self, proposal, sequence, members, degraded });
  }

  // --- what it says and writes ---

  #sent({ to, message }: PalfSend, at: MonoMs): number {
    return nodes.indexOf(to) * messagesMax + this.#messages.take(message, at);
  }

  #sends(sends: readonly PalfSend[], at: MonoMs): readonly number[] {
    return sends.map(send => this.#sent(send, at));
  }

  #post(run: Run, sent: number): void {
    this.#mayBeSaid(this.#messages.get(sent % messagesMax), run.state.durable);
    run.sends.push(sent);
  }

  #mayBeSaid(message: PalfMessage, durable: number): void {
    const isArbiter = this.#at === arbiterAt;
    const { promised, version, end } = this.#durables.facts(this.#at, durable);
    const self = this.#self;
    hold('A1', !isArbiter || message.kind !== 'ack', () => `${self} acknowledges log`);
    switch (message.kind) {
      case 'ack':
        hold('L8', message.flushed <= end, () => `${self} says ${message.flushed}, durable is ${end}`);
        break;
      case 'config-ack':
        hold(
          'L8',
          compareVersions(message.version, version ?? noVersion) <= 0,
          () => `${self} took no record`,
        );
        break;
      case 'prepare':
      case 'promise':
      case 'renew':
      case 'renewed':
      case 'push':
      case 'config':
        break;
      default:
        return;
    }
    hold(
      'E5',
      message.proposal <= promised,
      () => `${self} uses ${message.proposal}, durable is ${promised}`,
    );
  }

  #record(record: ConfigRecord | null): void {
    const all = record === null ? replicas : [...record.members, ...record.degraded];
    hold(
      'A6',
      all.toSorted().join() === replicas.join(),
      () => `${this.#self} has a record of ${all.join()}`,
    );
  }
}

const byKind = ([one]: Io, [other]: Io): number => (one < other ? -1 : one > other ? 1 : 0);

const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000;
