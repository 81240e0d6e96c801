/**
 * Two replicas and an arbiter, with everything within its bounds that can happen to them, in every order: the real cores, breadth
 * first.
 *
 * At each moment: a message at the head of a link arrives or is lost, a write becomes durable, a process that is due is woken,
 * a process dies (with its writes under way done or not), one comes back, a client writes, the replicas are parted or reach each other
 * again.
 *
 * What is counted is bounded in `Bounds`, and told with the verdict. Besides, this world is a simple one; what it leaves out is left to the
 * simulator:
 *
 * - Time goes on when nothing else is under way. Messages and writes are faster than timers, who is due is woken before time goes on,
 *   and there is one clock: no late answers, no drift, no pauses.
 * - What replicas are told of each other is the truth at the moment they are woken: dead or alive, and dead when they are
 *   parted. Losses of messages and partings are counted, and there are none by default.
 * - Links keep order, and nothing comes twice. What a process sent before it died arrives.
 * - No change of members, mode or leader is asked for, nothing is cut, copied, closed, torn or rots, and the policy is LS_POLICY.
 *
 * That there are fewer states than moments is owed to four things, each sound by the reasons given where it is done: what cannot be told
 * apart is one state (`portrait`, `site`); what one node makes of one thing is tried once (`node-states`); what commutes is tried in
 * one order (`reduction`); and worlds are kept as whole numbers and found by all of them (`world-table`).
 *
 * Must never: call what was capped complete.
 */
import { createHash } from 'node:crypto';
import { assert, must } from '../../../src/base/assert.ts';
import { logStreamId, lsn, proposalId, scn } from '../../../src/base/scalars.ts';
import { type ArbiterImage, newArbiterImage } from '../../../src/codec/arbiter-image.ts';
import { firstRecord, noVersion } from '../../../src/codec/config-record.ts';
import { ArbiterCore, type ArbiterInput } from '../../../src/palf/arbiter.ts';
import { PalfCore } from '../../../src/palf/core.ts';
import type { PalfInput } from '../../../src/palf/inputs.ts';
import { CoreStates } from './core-states.ts';
import { Durables } from './durables.ts';
import { Histories } from './history.ts';
import { NodeStates } from './node-states.ts';
import { Ages } from './portrait.ts';
import { chosen } from './reduction.ts';
import { Links, Messages, questionOf } from './site.ts';
import { a, arbiterAt, b, nodes, settings, start, z } from './trio.ts';
import { WorldTable } from './world-table.ts';
import { type Move, type World, Worlds, worldWidth } from './world.ts';

export interface Bounds {
  /** deaths of processes, of whichever */
  readonly crashes: number;
  readonly writes: number;
  /** messages under way that get lost, besides those to a process that is down; what a process sent before it died arrives */
  readonly losses: number;
  /** times that the replicas stop to reach each other, until they do again when nothing is under way; the arbiter reaches both */
  readonly partings: number;
  /** degrades, and upgrades, after which a state has no next one */
  readonly changes: number;
  /** elections, lost ones with them: a state in which somebody has promised a higher proposal has no next one */
  readonly proposals: number;
  /** a write is durable before anything else happens, unless its process dies in it: far fewer states */
  readonly isCoarse: boolean;
  /** from a leader that all know and nothing under way; else from the start of all processes */
  readonly isSettled: boolean;
  /** a process that died comes back when no message is under way any more: starting takes longer than a message */
  readonly startsAtRest: boolean;
  /** what commutes is tried in one order; needs `startsAtRest` */
  readonly isReduced: boolean;
  /** what behaves alike is told apart, where it is not the same: to compare with */
  readonly isExact: boolean;
  readonly statesMax: number;
}

/** Worlds of one kind: how many, and a print of them that does not say in which order they were found. */
interface Kept {
  readonly count: number;
  readonly print: string;
}

export interface Verdict {
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  /** of the cores, and of the nodes with their disks */
  readonly coreStates: number;
  readonly nodeStates: number;
  readonly isComplete: boolean;
  /** states in which a replica is degraded, in which one that was has been taken back, and in which something is committed */
  readonly degraded: number;
  readonly upgraded: number;
  readonly written: number;
  /** states from which nothing was tried, for there was a change or a proposal too many before */
  readonly beyond: number;
  /** states in which nothing is under way, and those of them in which time alone goes on */
  readonly rests: Kept;
  readonly terminal: Kept;
  /** most messages under way on one link: links are not bounded */
  readonly linkMost: number;
  readonly bounds: Bounds;
  readonly invariants: readonly string[];
  readonly problem: string | undefined;
  /** what led to it */
  readonly path: readonly string[];
}

const invariants = [
  'E1',
  'E2',
  'E5',
  'E10',
  'L1',
  'L3',
  'L4',
  'L8',
  'A1',
  'A2',
  'A3',
  'A4',
  'A5',
  'A6',
] as const;

const saidEvery = 1_000_000;

class Prints {
  readonly #all = new Set<string>();
  readonly #sums = new Uint32Array(4);

  add(text: string): void {
    const hash = createHash('md5').update(text).digest();
    const name = hash.toString('latin1');
    if (this.#all.has(name)) return;
    this.#all.add(name);
    for (let each = 0; each < 4; each++)
      this.#sums[each] = (this.#sums[each] ?? 0) + hash.readUInt32LE(4 * each);
  }

  get kept(): Kept {
    return { count: this.#all.size, print: Buffer.from(this.#sums.buffer).toString('hex') };
  }
}

export class Explorer {
  readonly #bounds: Bounds;
  readonly #durables = new Durables();
  readonly #histories = new Histories();
  readonly #worlds: Worlds;
  readonly #table = new WorldTable(worldWidth);
  readonly #cores: readonly { readonly size: number }[];
  readonly #rests = new Prints();
  readonly #terminal = new Prints();
  readonly #into: World = new Int32Array(worldWidth);
  #transitions = 0;

  constructor(bounds: Bounds) {
    assert(bounds.startsAtRest || !bounds.isReduced, 'processes that start at any time do not commute');
    assert(bounds.partings === 0 || !bounds.isReduced, 'nothing commutes with a parting');
    // A replica counts how often another was taken back of late (`portrait`): of that, numbers alone are told apart.
    assert(bounds.changes < 3, 'few are taken back');
    this.#bounds = bounds;
    const messages = new Messages(bounds.isExact);
    const links = new Links();
    const cores = coresOf(bounds.isExact);
    this.#cores = [...cores.replicas, cores.arbiter];
    const parts = {
      messages,
      durables: this.#durables,
      histories: this.#histories,
      isCoarse: bounds.isCoarse,
    };
    this.#worlds = new Worlds({
      links,
      messages,
      histories: this.#histories,
      startsAtRest: bounds.startsAtRest,
      nodes: nodes.map(
        (_, at) =>
          new NodeStates({
            ...parts,
            at,
            replica: cores.replicas[at],
            arbiter: at === arbiterAt ? cores.arbiter : undefined,
          }),
      ),
    });
  }

  /** @param said is told after every so many states */
  run(said: (states: number, tried: number, depth: number) => void = () => {}): Verdict {
    const table = this.#table;
    const world: World = new Int32Array(worldWidth);
    table.add(this.#begin(), -1);
    const counts = { degraded: 0, upgraded: 0, written: 0, beyond: 0 };
    let depth = 0;
    let layerEnd = 1;
    const verdict = (isComplete: boolean, problem?: string, path: readonly string[] = []): Verdict => ({
      states: table.size,
      transitions: this.#transitions,
      depth,
      coreStates: this.#cores.reduce((sum, { size }) => sum + size, 0),
      nodeStates: this.#worlds.nodes.reduce((sum, { size }) => sum + size, 0),
      isComplete,
      ...counts,
      rests: this.#rests.kept,
      terminal: this.#terminal.kept,
      linkMost: this.#worlds.links.longest,
      bounds: this.#bounds,
      invariants,
      problem,
      path,
    });
    for (let at = 0; at < table.size; at++) {
      if (at === layerEnd) {
        depth += 1;
        layerEnd = table.size;
      }
      if (at % saidEvery === 0) said(table.size, at, depth);
      if (table.size > this.#bounds.statesMax) return verdict(false);
      table.read(at, world);
      const history = this.#worlds.history(world);
      const { degrades, upgrades } = this.#histories.changes(history);
      if (degrades > 0 && upgrades === 0) counts.degraded += 1;
      if (upgrades > 0) counts.upgraded += 1;
      if (this.#histories.hasCommits(history)) counts.written += 1;
      const isBeyond =
        Math.max(degrades, upgrades) > this.#bounds.changes ||
        this.#worlds.promised(world) > this.#bounds.proposals;
      if (isBeyond) {
        counts.beyond += 1;
        continue;
      }
      const broken = this.#expand(world, at);
      if (broken !== undefined) return verdict(false, broken.problem, [...this.#pathTo(at), broken.name]);
    }
    return verdict(true);
  }

  /** Everything that can happen next is in the table afterwards, or what is broken is said. */
  #expand(world: World, at: number): { problem: string; name: string } | undefined {
    const worlds = this.#worlds;
    const isAtRest = worlds.isAtRest(world);
    const moves = worlds.moves(world, isAtRest);
    if (isAtRest) {
      const text = worlds.text(world);
      this.#rests.add(text);
      if (moves.length === 0) this.#terminal.add(text);
      if (worlds.pass(world, this.#into)) {
        this.#transitions += 1;
        this.#table.add(this.#into, at);
      }
    } else if (this.#bounds.isReduced) {
      const some = chosen(worlds, world, moves, this.#bounds.proposals);
      if (some !== undefined) {
        const { broken, isFurther } = this.#try(world, at, some);
        if (broken !== undefined || isFurther) return broken;
      }
    }
    return this.#try(world, at, moves).broken;
  }

  /** `isFurther`: something came of it from which nothing was tried yet. */
  #try(
    world: World,
    at: number,
    moves: readonly Move[],
  ): { broken: { problem: string; name: string } | undefined; isFurther: boolean } {
    let isFurther = false;
    for (const move of moves)
      for (const outcome of move.outcomes) {
        if (!this.#worlds.mayBe(world, outcome)) continue;
        this.#transitions += 1;
        try {
          this.#worlds.after(world, move, outcome, this.#into);
        } catch (error) {
          const problem = error instanceof Error ? error.message : String(error);
          return { broken: { problem, name: this.#worlds.name(world, move, outcome) }, isFurther };
        }
        if (this.#table.add(this.#into, at) > at) isFurther = true;
      }
    return { broken: undefined, isFurther };
  }

  // --- the way to a world ---

  #pathTo(last: number): string[] {
    const line: number[] = [];
    for (let at = last; at >= 0; at = this.#table.parent(at)) line.push(at);
    line.reverse();
    return line.slice(1).map((to, index) => this.#nameOf(must(line[index], 'parent'), to));
  }

  #nameOf(from: number, to: number): string {
    const [world, wanted] = [new Int32Array(worldWidth), new Int32Array(worldWidth)];
    this.#table.read(from, world);
    this.#table.read(to, wanted);
    const isWanted = () => this.#into.every((number, each) => number === wanted[each]);
    const isAtRest = this.#worlds.isAtRest(world);
    for (const move of this.#worlds.moves(world, isAtRest))
      for (const outcome of move.outcomes) {
        if (!this.#worlds.mayBe(world, outcome) || outcome.problem !== undefined) continue;
        this.#worlds.after(world, move, outcome, this.#into);
        if (isWanted()) return this.#worlds.name(world, move, outcome);
      }
    return 'time goes on';
  }

  // --- the beginning ---

  #begin(): World {
    const config = firstRecord({
      members: [a, b],
      learners: [],
      arbiter: z,
      accessMode: 'APPEND',
      referenceScn: scn(0),
    });
    const down = nodes.map((self, at) =>
      this.#worlds.states(at).down(
        at === arbiterAt
          ? this.#durables.takeImage(newArbiterImage(z))
          : this.#durables.take({
              meta: {
                stream: logStreamId(1001),
                incarnation: 'explored',
                blockBytes: 16_384,
                self,
                promised: proposalId(0),
                leaseMs: 0,
                accepted: proposalId(0),
                config,
                cutApplied: noVersion,
                history: [],
                base: start,
                checkpointLsn: lsn(0),
                durableEnd: lsn(0),
                truncateTo: null,
                impaired: null,
                mendings: 0,
              },
              groups: [],
            }),
      ),
    );
    const world = this.#worlds.begin(down);
    for (let node = 0; node < nodes.length; node++) {
      const move = this.#worlds.moves(world, true).find(each => each.kind === 'start' && each.node === node);
      this.#first(world, must(move, 'start'));
    }
    if (this.#bounds.isSettled) this.#settle(world);
    const { crashes: deaths, writes, losses, partings } = this.#bounds;
    this.#worlds.allow(world, { deaths, writes, losses, partings });
    return world;
  }

  #first(world: World, move: Move): void {
    this.#worlds.after(world, move, must(move.outcomes[0], 'outcome'), this.#into);
    world.set(this.#into);
  }

  /** One way, without deaths and writes, to a leader that has renewed its lease, with nothing under way. */
  #settle(world: World): void {
    for (let rests = 0; rests < 8; ) {
      const [move] = this.#worlds.moves(world, this.#worlds.isAtRest(world));
      if (move !== undefined) {
        this.#first(world, move);
        continue;
      }
      if (this.#histories.isAgreed(this.#worlds.history(world))) rests += 1;
      assert(this.#worlds.pass(world, this.#into), 'something can always happen');
      world.set(this.#into);
    }
  }
}

function coresOf(isExact: boolean) {
  const [ages, coarse] = [new Ages(settings, isExact), new Ages(settings)];
  const replica = () =>
    new CoreStates<ReturnType<PalfCore['step']>[number], ReturnType<PalfCore['view']>>({
      make: () => {
        const core = new PalfCore(settings);
        return {
          core,
          step: (input, now) => core.step(input as PalfInput, now),
          view: () => core.view(),
        };
      },
      idsOf: effect => {
        if (effect.kind === 'readLog') return [effect.kind, effect.readId];
        if (effect.kind === 'send' && effect.message.kind === 'fetch')
          return [questionOf(effect.message.proposal), effect.message.id];
        return 'ioId' in effect ? [effect.kind, effect.ioId] : undefined;
      },
      isActive: ({ leaseUntil }, at) => leaseUntil > at,
      ages,
      coarse,
    });
  const arbiter = new CoreStates<ReturnType<ArbiterCore['step']>[number], ReturnType<ArbiterCore['view']>>({
    make: (how, at) => {
      const core = new ArbiterCore({ self: z, image: how as ArbiterImage }, settings, at);
      return { core, step: (input, now) => core.step(input as ArbiterInput, now), view: () => core.view() };
    },
    idsOf: effect => (effect.kind === 'persist' ? [effect.kind, effect.id] : undefined),
    isActive: () => false,
    ages,
    coarse,
  });
  return { replicas: [replica(), replica()], arbiter };
}
