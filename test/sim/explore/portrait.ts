/**
 * All of a core's state as a text: two cores with the same text behave alike from here on. That is what makes it sound to go on
 * from one of them alone. Decided here is what may be left out of the text, each with its reason:
 *
 * - Times are counted from now, and one that is compared with a bound only says "old" once it is past every bound: `oldFrom`.
 * - A word that has run out (`LeasePromise`), an answer and a verdict that count no more are as if they were not.
 * - Rounds of a candidate count up to the last one that anybody asks about.
 * - Numbers of writes and reads name what is in flight and nothing else.
 * - What is only shown, and what can have no consequence among equal replicas with disks that answer at once.
 *
 * Never left out: anything that a core asks about later on. Plain values are told by what they hold, wherever they are
 * held; parts of the core (classes) by where they were met first.
 */
import type { MonoMs } from '../../../src/base/scalars.ts';
import { awaitedRounds, type PalfSettings, verdictMs } from '../../../src/palf/settings.ts';

/** named as times are, and LSNs */
const noTimes = new Set(['_mendAt', 'at_']);
const known = new Map<string, boolean>();

function isTime(name: string): boolean {
  let is = known.get(name);
  if (is === undefined) {
    const isNamedSo = /(?:At|Until|until|since|Since|deadline|notBefore|silentUntil)$/.test(name);
    is = (isNamedSo || name === '_at' || name === 'at') && !noTimes.has(name);
    known.set(name, is);
  }
  return is;
}
const left = new Set([
  'ioId',
  '_lastId',
  '_truncateIo',
  'readId',
  '_out',
  'now',
  'settings',
  '_settings',
  'id',
]);
/** left out because nothing comes of them here */
const inconsequential = new Set([
  // Whom a replica takes for the leader: told to those who ask it, and asked by no rule.
  '_leader',
  // When a leader may hand over to a fitter one. Nobody is fitter: priorities are equal, and disks answer (asserted below).
  '_notBefore',
  // Whether a shorter lease than the noted one may be noted: all leases are equal here.
  '_allOutAt',
]);

type Fields = Record<string, unknown>;

/** A time that only says whether it has come. */
const comes = 0;

/** By name, from which age on a time is as good as any older one. */
export class Ages {
  readonly #oldFrom: ReadonlyMap<string, number>;
  /** compared with all of the bounds together: a leader waits for two leases */
  readonly #otherwise: number;
  readonly isExact: boolean;
  readonly answerMs: number;
  readonly verdictMs: number;
  readonly mismatchMs: number;

  /** @param isExact nothing is taken for old before everything is, and nothing is left out for what it means */
  constructor(settings: PalfSettings, isExact = false) {
    this.isExact = isExact;
    const { leaseMs, renewMs, arbitrationTimeoutMs } = settings;
    this.#otherwise = 2 * leaseMs + 2 * renewMs;
    // As `elector` counts answers to a candidate.
    this.answerMs = leaseMs / 2;
    this.verdictMs = verdictMs(settings);
    this.mismatchMs = renewMs / 4;
    this.#oldFrom = new Map([
      ...(
        [
          '_canvassAt',
          '_deadline',
          'deadline',
          '_nextTickAt',
          '_armedAt',
          '_heldUntil',
          '_copyAskedUntil',
          '_silentUntil',
          'silentUntil',
          'until',
        ] as const
      ).map(name => [name, comes] as const),
      // A term ends a lease after its own has.
      ['_leaseUntil', leaseMs],
      ['grantedAt', 2 * leaseMs],
      ['_grantedAt', 2 * leaseMs],
      ['answeredAt', leaseMs],
      ['progressAt', renewMs],
      ['_pushedAt', renewMs],
      ['recordSentAt', renewMs / 4],
      ['_heardAt', arbitrationTimeoutMs],
      ['_startedAt', arbitrationTimeoutMs],
      ['since', arbitrationTimeoutMs],
    ]);
  }

  /** Whether every rule that looks at a time of this name says of this age what it says of all greater ones. */
  isOld(name: string, age: number): boolean {
    const from = (this.isExact ? undefined : this.#oldFrom.get(name)) ?? this.#otherwise;
    // What comes now has not been done yet, what should have been done before is not waited for.
    return from === comes ? age > 0 : age >= from;
  }
}

let unique = 0;
/** texts of positions, records and images */
const constants = new WeakMap<object, string>();

export function portraitOf(core: object, now: MonoMs, ages: Ages): string {
  const seen = new Map<object, number>();
  let name = '';
  const timeText = (value: number): string => {
    if (value >= 1e15) return 'ever';
    const age = now - value;
    return ages.isOld(name, age) ? 'old' : `t${Math.round(-age * 1_000)}`;
  };
  /** What counts no more, as if it were not there. */
  const isSpent = (holder: string, value: unknown): boolean => {
    if (ages.isExact || typeof value !== 'object' || value === null || !('at' in value)) return false;
    const age = now - Number(value.at);
    if (holder === '_verdicts') return age > ages.verdictMs;
    return holder === '_answers' && age > ages.answerMs;
  };
  const isForgotten = (told: { readonly at: number } | undefined): boolean =>
    !ages.isExact && told !== undefined && now - told.at >= ages.mismatchMs;
  const walkMap = (value: ReadonlyMap<unknown, unknown>, isTimed: boolean): string => {
    const holder = name;
    const entries: string[] = [];
    for (const [key, item] of value) {
      if (isSpent(holder, item)) continue;
      // An arbiter is never degraded: nobody asks when it was heard.
      if (!ages.isExact && holder === '_heardAt' && key === 'z') continue;
      name = holder;
      entries.push(`${walk(key, false)}=${walk(item, isTimed)}`);
    }
    // Whoever comes first in a map is told first, on a link of its own.
    return `{${entries.sort().join()}}`;
  };
  const walkFields = (value: Fields): string => {
    const isPlain = Object.getPrototypeOf(value) === Object.prototype;
    // Values that never change, without times.
    const isConstant = isPlain && ('checksum' in value || 'members' in value || 'incarnation' in value);
    const text = isConstant ? constants.get(value) : undefined;
    if (text !== undefined) return text;
    if (!isPlain) {
      const known = seen.get(value);
      if (known !== undefined) return `^${known}`;
      seen.set(value, seen.size);
      // A word that has run out binds nobody, and is given anew as if it had never been given.
      const isWord = '_until' in value && '_proposal' in value && '_to' in value;
      if (!ages.isExact && isWord && Number(value['_until']) <= now) return 'free';
    }
    const parts: string[] = [];
    const keys = Object.keys(value);
    for (const each of isPlain ? keys.sort() : keys) {
      name = each;
      const item = value[each];
      if (left.has(each) || typeof item === 'function') continue;
      if (!ages.isExact && inconsequential.has(each)) continue;
      // What a leader was elected with, once its term has begun.
      if (each === '_elected' && value['_stage'] !== 'opening') continue;
      if (each === 'fitterCount' && item !== 0) throw new Error('somebody is fitter to lead');
      // How often something was taken back matters only when it was more often than here.
      if (each === '_upgradedAt') parts.push(`${each}:${(item as unknown[]).length}`);
      else if (each === '_round' && !ages.isExact)
        parts.push(`${each}:${Math.min(Number(item), awaitedRounds + 1)}`);
      // Where this log ended when it was told so last, and when: as good as never, once it is told again.
      else if (each === '_mismatchAt' && isForgotten(item as { at: number } | undefined))
        parts.push(`${each}:never`);
      else parts.push(`${each}:${walk(item, isTime(each))}`);
    }
    // What a cut that waits is for is known to a function alone.
    const { _state, _cut } = value as { _state?: unknown; _cut?: unknown };
    if (_state === 'waiting' && _cut !== undefined) parts.push(`only ${unique++}`);
    const all = `(${parts.join()})`;
    if (isConstant) constants.set(value, all);
    return all;
  };
  const walk = (value: unknown, isTimed: boolean): string => {
    switch (typeof value) {
      case 'number':
        return isTimed ? timeText(value) : String(value);
      case 'function':
        return '';
      case 'object':
        break;
      default:
        return String(value);
    }
    if (value === null) return '~';
    if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
    if (Array.isArray(value)) return `[${value.map(item => walk(item, isTimed)).join()}]`;
    if (value instanceof Map) return walkMap(value, isTimed);
    if (value instanceof Set)
      return `{${[...value]
        .map(item => walk(item, false))
        .sort()
        .join()}}`;
    return walkFields(value as Fields);
  };
  return walk(core, false);
}
