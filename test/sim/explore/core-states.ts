/**
 * The states of one node's core, numbered, and what each input makes of each. A state is what its text says (`portrait`), whatever
 * came before; it is made again from the inputs that first led to it when another input is tried. That time passes is a step as
 * any other, so that a state does not say how long ago the last input was.
 *
 * Texts are told apart by 128 bits of their hash.
 */
import { createHash } from 'node:crypto';
import { must } from '../../../src/base/assert.ts';
import { type MonoMs, monoMs } from '../../../src/base/scalars.ts';
import { type Ages, portraitOf } from './portrait.ts';

/** A core as the explorer steps it; times are those of its own first inputs. */
export interface Stepped<E, V> {
  readonly core: object;
  step(input: unknown, now: MonoMs): readonly E[];
  view(): V;
}

interface Known {
  readonly parent: number;
  /** what it got, all at once, after which time may have passed; of one that starts, `Start` is the first */
  readonly inputs: readonly unknown[];
  readonly at: MonoMs;
  /** ids that its IO in flight has here */
  readonly ids: ReadonlyMap<string, number>;
  /** of the core as it can be told apart, however states are */
  readonly print: string;
  readonly isActive: boolean;
}

interface Start {
  readonly how: unknown;
  readonly at: MonoMs;
}

/** A core that something happens to. */
export class Session<E, V> {
  readonly at: MonoMs;
  readonly parent: number;
  readonly core: Stepped<E, V>;
  readonly #inputs: unknown[];
  readonly #idsOf: (effect: E) => readonly [string, number] | undefined;
  #ids: ReadonlyMap<string, number>;

  constructor(parts: {
    readonly core: Stepped<E, V>;
    readonly at: MonoMs;
    readonly parent: number;
    readonly inputs: readonly unknown[];
    readonly ids: ReadonlyMap<string, number>;
    readonly idsOf: (effect: E) => readonly [string, number] | undefined;
  }) {
    this.core = parts.core;
    this.at = parts.at;
    this.parent = parts.parent;
    this.#inputs = [...parts.inputs];
    this.#ids = parts.ids;
    this.#idsOf = parts.idsOf;
  }

  get inputs(): readonly unknown[] {
    return this.#inputs;
  }

  get ids(): ReadonlyMap<string, number> {
    return this.#ids;
  }

  step(input: unknown): readonly E[] {
    this.#inputs.push(input);
    const effects = this.core.step(input, this.at);
    for (const effect of effects) {
      const io = this.#idsOf(effect);
      if (io !== undefined) this.#ids = new Map(this.#ids).set(...io);
    }
    return effects;
  }
}

const startedAt = monoMs(1_000_000);

export class CoreStates<E, V> {
  readonly #known: Known[] = [];
  readonly #byText = new Map<string, number>();
  readonly #make: (how: unknown, at: MonoMs) => Stepped<E, V>;
  readonly #idsOf: (effect: E) => readonly [string, number] | undefined;
  readonly #isActive: (view: V, at: MonoMs) => boolean;
  readonly #ages: Ages;
  readonly #coarse: Ages;
  /** the core that was stepped last: mostly it is stepped again */
  #warm: { readonly state: number; readonly core: Stepped<E, V> } | undefined;

  constructor(parts: {
    /** a new process, from what is durable */
    readonly make: (how: unknown, at: MonoMs) => Stepped<E, V>;
    /** the number that an effect gives to IO or a question, by its kind */
    readonly idsOf: (effect: E) => readonly [string, number] | undefined;
    /** whether it holds a lease */
    readonly isActive: (view: V, at: MonoMs) => boolean;
    /** which cores are one state */
    readonly ages: Ages;
    /** which have one print */
    readonly coarse: Ages;
  }) {
    this.#make = parts.make;
    this.#idsOf = parts.idsOf;
    this.#isActive = parts.isActive;
    this.#ages = parts.ages;
    this.#coarse = parts.coarse;
  }

  get size(): number {
    return this.#known.length;
  }

  isActive(state: number): boolean {
    return must(this.#known[state], 'state').isActive;
  }

  isActiveNow({ core, at }: Session<E, V>): boolean {
    return this.#isActive(core.view(), at);
  }

  /** The same for the same state, in whatever order states are found. */
  print(state: number): string {
    return must(this.#known[state], 'state').print;
  }

  /** A process that starts: `how` it begins. */
  start(how: unknown): Session<E, V> {
    const begin: Start = { how, at: startedAt };
    const core = this.#make(how, startedAt);
    return this.#session({ core, at: startedAt, parent: -1, inputs: [begin], ids: new Map() });
  }

  /** Something is about to happen to a core in this state. */
  open(state: number): Session<E, V> {
    const { at, ids } = must(this.#known[state], 'state');
    return this.#session({ core: this.#again(state), at, parent: state, inputs: [], ids });
  }

  #session(parts: Omit<ConstructorParameters<typeof Session<E, V>>[0], 'idsOf'>): Session<E, V> {
    return new Session({ ...parts, idsOf: this.#idsOf });
  }

  pass(state: number, ms: number): number {
    return this.#note(this.open(state), ms);
  }

  /** The state that the core is in now. */
  close(session: Session<E, V>): number {
    return this.#note(session, 0);
  }

  #note({ core, at: steppedAt, parent, inputs, ids }: Session<E, V>, ms: number): number {
    const at = monoMs(steppedAt + ms);
    const text = hashOf(portraitOf(core.core, at, this.#ages));
    const known = this.#byText.get(text);
    if (known !== undefined) {
      this.#warm = undefined;
      return known;
    }
    const to = this.#known.length;
    const print = this.#ages.isExact ? hashOf(portraitOf(core.core, at, this.#coarse)) : text;
    const isActive = this.#isActive(core.view(), at);
    this.#known.push({ parent, inputs, at, ids, print, isActive });
    this.#byText.set(text, to);
    this.#warm = { state: to, core };
    return to;
  }

  /** A core in this state; it is the caller's to step. */
  #again(state: number): Stepped<E, V> {
    if (this.#warm?.state === state) {
      const { core } = this.#warm;
      this.#warm = undefined;
      return core;
    }
    const line: Known[] = [];
    for (let at = state; at >= 0; ) {
      const known = must(this.#known[at], 'state');
      line.push(known);
      at = known.parent;
    }
    const first = must(line.at(-1), 'start');
    const { how, at: begunAt } = first.inputs[0] as Start;
    const core = this.#make(how, begunAt);
    for (const input of first.inputs.slice(1)) core.step(input, begunAt);
    let now = first.at;
    for (let index = line.length - 2; index >= 0; index--) {
      const { inputs, at } = must(line[index], 'inputs');
      for (const input of inputs) core.step(input, now);
      now = at;
    }
    return core;
  }
}

const hashOf = (text: string): string => createHash('md5').update(text).digest('base64');
