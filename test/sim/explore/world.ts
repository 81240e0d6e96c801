/**
 * One moment of the explored world as whole numbers: a node's state for each node, a link's for each pair, what happened so far,
 * how many deaths, writes, losses of messages and partings are left, and whether the replicas are parted. What can happen in it, and what becomes of it.
 */
import { Broken, hold } from './broken.ts';
import type { Histories, Now } from './history.ts';
import type { NodeStates, Outcome } from './node-states.ts';
import { type Links, type Messages, messagesMax } from './site.ts';
import { arbiterAt, nodes, replicas } from './trio.ts';

/** Pairs of different nodes, by sender and receiver. */
const pairs = nodes.flatMap((_, from) => nodes.flatMap((__, to) => (from === to ? [] : [{ from, to }])));
const slots = nodes.map((_, from) =>
  nodes.map((__, to) => nodes.length + pairs.findIndex(pair => pair.from === from && pair.to === to)),
);
const historySlot = nodes.length + pairs.length;
const deathsSlot = historySlot + 1;
const writesSlot = historySlot + 2;
const lossesSlot = historySlot + 3;
const partingsSlot = historySlot + 4;
/** 1: the replicas do not reach each other, the arbiter reaches both */
const partedSlot = historySlot + 5;
export const worldWidth = historySlot + 6;

const linkSlot = (from: number, to: number): number => slots[from]?.[to] ?? -1;

const placeOf = (node: string): number => nodes.findIndex(each => each === node);

export type World = Int32Array;

type MoveKind = 'deliver' | 'lose' | 'complete' | 'wake' | 'start' | 'die' | 'write' | 'part' | 'meet';

/** Something that happens to one node, and what can become of it. */
export interface Move {
  readonly kind: MoveKind;
  readonly node: number;
  /** whose message it is */
  readonly from: number;
  readonly outcomes: readonly Outcome[];
}

export class Worlds {
  readonly nodes: readonly NodeStates[];
  readonly links: Links;
  readonly #messages: Messages;
  readonly #histories: Histories;
  readonly #startsAtRest: boolean;
  /** of the world that is stepped */
  #world: World = new Int32Array(worldWidth);
  readonly #now: Now = {
    isThere: node => this.isUp(this.#world, placeOf(node)) && !this.#isParted(this.#world),
    proposal: node => this.states(placeOf(node)).recordOf(this.state(this.#world, placeOf(node))),
    holds: (node, name) => this.states(placeOf(node)).holds(this.state(this.#world, placeOf(node)), name),
  };

  constructor(parts: {
    readonly nodes: readonly NodeStates[];
    readonly links: Links;
    readonly messages: Messages;
    readonly histories: Histories;
    /** a process comes back when nothing is under way */
    readonly startsAtRest: boolean;
  }) {
    this.nodes = parts.nodes;
    this.links = parts.links;
    this.#messages = parts.messages;
    this.#histories = parts.histories;
    this.#startsAtRest = parts.startsAtRest;
  }

  begin(states: readonly number[]): World {
    const world = new Int32Array(worldWidth);
    world.set(states);
    world[historySlot] = this.#histories.begin();
    return world;
  }

  // --- what is seen ---

  states(node: number): NodeStates {
    const states = this.nodes[node];
    if (states === undefined) throw new Broken('no such node');
    return states;
  }

  state(world: World, node: number): number {
    return world[node] ?? 0;
  }

  link(world: World, from: number, to: number): number {
    return world[linkSlot(from, to)] ?? 0;
  }

  history(world: World): number {
    return world[historySlot] ?? 0;
  }

  deaths(world: World): number {
    return world[deathsSlot] ?? 0;
  }

  writes(world: World): number {
    return world[writesSlot] ?? 0;
  }

  allow(
    world: World,
    left: {
      readonly deaths: number;
      readonly writes: number;
      readonly losses: number;
      readonly partings: number;
    },
  ): void {
    world[deathsSlot] = left.deaths;
    world[writesSlot] = left.writes;
    world[lossesSlot] = left.losses;
    world[partingsSlot] = left.partings;
  }

  #losses(world: World): number {
    return world[lossesSlot] ?? 0;
  }

  #isParted(world: World): boolean {
    return world[partedSlot] === 1;
  }

  isUp(world: World, node: number): boolean {
    return this.states(node).isUp(this.state(world, node));
  }

  isDue(world: World, node: number): boolean {
    return this.states(node).isDue(this.state(world, node));
  }

  isWriting(world: World, node: number): boolean {
    return this.states(node).isWriting(this.state(world, node));
  }

  mayBeWritten(world: World, node: number): boolean {
    return this.writes(world) > 0 && node !== arbiterAt && this.#holdsLease(world, node);
  }

  #holdsLease(world: World, node: number): boolean {
    return this.states(node).holdsLease(this.state(world, node));
  }

  /** The highest proposal that anybody promised durably. */
  promised(world: World): number {
    let most = 0;
    for (let node = 0; node < nodes.length; node++)
      most = Math.max(most, this.states(node).promised(this.state(world, node)));
    return most;
  }

  /** Nothing is under way. */
  isAtRest(world: World): boolean {
    for (let slot = nodes.length; slot < historySlot; slot++) if (world[slot] !== 0) return false;
    for (let node = 0; node < nodes.length; node++)
      if (this.isWriting(world, node) || this.isDue(world, node)) return false;
    return true;
  }

  /** The same for the same world, in whatever order worlds are found. */
  text(world: World): string {
    const links = pairs.map(({ from, to }) =>
      this.links
        .get(this.link(world, from, to))
        .map(message => this.#messages.print(message))
        .join(),
    );
    const states = nodes.map((_, node) => this.states(node).print(this.state(world, node)));
    const left = world.subarray(deathsSlot);
    return [...states, ...links, this.#histories.text(this.history(world)), ...left].join('\n');
  }

  // --- what can happen ---

  /** Everything but that time goes on. */
  moves(world: World, isAtRest: boolean): Move[] {
    const moves: Move[] = [];
    for (const { from, to } of pairs) {
      const link = this.link(world, from, to);
      if (link === 0) continue;
      const message = this.links.head(link);
      const outcomes = this.states(to).deliver(this.state(world, to), from, message);
      moves.push({ kind: 'deliver', node: to, from, outcomes });
      if (this.#losses(world) > 0)
        moves.push({ kind: 'lose', node: to, from, outcomes: this.states(to).stay(this.state(world, to)) });
    }
    for (let node = 0; node < nodes.length; node++) {
      const states = this.states(node);
      const state = this.state(world, node);
      const move = (kind: MoveKind, outcomes: readonly Outcome[]) =>
        moves.push({ kind, node, from: -1, outcomes });
      if (states.isWriting(state)) for (const outcome of states.complete(state)) move('complete', [outcome]);
      if (states.isDue(state)) {
        const isOtherThere = this.isUp(world, 1 - node) && !this.#isParted(world);
        move('wake', states.wake(state, isOtherThere));
      }
      if (!states.isUp(state)) {
        if (isAtRest || !this.#startsAtRest) move('start', states.start(state));
      } else if (this.deaths(world) > 0) move('die', states.die(state));
      if (this.mayBeWritten(world, node)) move('write', states.write(state));
      else if (this.writes(world) > 0 && node !== arbiterAt && states.isUp(state)) {
        // It refuses, and nothing comes of it; if not, that is broken.
        const broken = states.write(state).filter(({ problem }) => problem !== undefined);
        if (broken.length > 0) move('write', broken);
      }
    }
    // Of no node: what happens to the first one is nothing.
    const nothing = { node: 0, from: -1, outcomes: this.states(0).stay(this.state(world, 0)) };
    if ((world[partingsSlot] ?? 0) > 0 && !this.#isParted(world)) moves.push({ kind: 'part', ...nothing });
    if (this.#isParted(world) && isAtRest) moves.push({ kind: 'meet', ...nothing });
    return moves;
  }

  /** Whether what becomes of it can become of it here. */
  mayBe(world: World, outcome: Outcome): boolean {
    return !outcome.isDeath || this.deaths(world) > 0;
  }

  name(world: World, { kind, node, from }: Move, { what }: Outcome): string {
    const id = nodes[node];
    const head = from < 0 ? 0 : this.links.head(this.link(world, from, node));
    const done = {
      deliver: () => `${nodes[from]} > ${id} ${this.#messages.get(head).kind}`,
      lose: () => `lost: ${nodes[from]} > ${id} ${this.#messages.get(head).kind}`,
      complete: () => `${id}:`,
      wake: () => `${id} wakes`,
      start: () => `${id} starts`,
      die: () => `${id}:`,
      write: () => `${id} is written to`,
      part: () => 'the replicas are parted',
      meet: () => 'the replicas reach each other again',
    }[kind]();
    return `${done}${what === '' ? '' : ` ${what}`}`;
  }

  /** What may not have been is thrown. */
  after(world: World, { kind, node, from }: Move, outcome: Outcome, into: World): void {
    if (outcome.problem !== undefined) throw outcome.problem;
    into.set(world);
    into[node] = outcome.to;
    if (from >= 0) into[linkSlot(from, node)] = this.links.rest(this.link(world, from, node));
    for (const sent of outcome.sends) {
      const to = Math.floor(sent / messagesMax);
      // Who is down gets nothing, nor does who is parted.
      if (!this.isUp(world, to) || (this.#isParted(world) && to !== arbiterAt && node !== arbiterAt))
        continue;
      const slot = linkSlot(node, to);
      into[slot] = this.links.append(into[slot] ?? 0, sent % messagesMax);
    }
    if (kind === 'lose') into[lossesSlot] = this.#losses(world) - 1;
    if (kind === 'part') {
      into[partingsSlot] = (world[partingsSlot] ?? 0) - 1;
      into[partedSlot] = 1;
      into[linkSlot(0, 1)] = 0;
      into[linkSlot(1, 0)] = 0;
    }
    if (kind === 'meet') into[partedSlot] = 0;
    if (kind === 'write') into[writesSlot] = this.writes(world) - 1;
    if (outcome.isDeath) {
      into[deathsSlot] = this.deaths(world) - 1;
      for (let other = 0; other < nodes.length; other++) if (other !== node) into[linkSlot(other, node)] = 0;
    }
    into[historySlot] = this.#happened(into, outcome, this.history(world));
    if (outcome.heldLease) {
      const other = replicas.findIndex((_, each) => each !== node && this.#holdsLease(into, each));
      hold('E2', other < 0, () => `${nodes[node]} and ${nodes[other]} hold a lease`);
    }
  }

  /** What happened, seen from a world in which `outcome` has come to be. */
  #happened(world: World, outcome: Outcome, history: number): number {
    this.#world = world;
    return this.#histories.after(history, outcome.events, this.#now);
  }

  /** Whether nobody can tell from what happened that this did. */
  isUntold(world: World, outcome: Outcome): boolean {
    if (outcome.problem !== undefined) return false;
    if (outcome.events === 0) return true;
    try {
      return this.#happened(world, outcome, this.history(world)) === this.history(world);
    } catch {
      return false;
    }
  }

  /** Until somebody wants to be woken. False: nobody does. */
  pass(world: World, into: World): boolean {
    let ms = Number.POSITIVE_INFINITY;
    for (let node = 0; node < nodes.length; node++)
      ms = Math.min(ms, this.states(node).wakeMs(this.state(world, node)) ?? ms);
    if (ms === Number.POSITIVE_INFINITY) return false;
    into.set(world);
    for (let node = 0; node < nodes.length; node++)
      into[node] = this.states(node).pass(this.state(world, node), ms);
    return true;
  }
}
