/** What the explorer keeps of messages and links: small values, equal ones the same. */
import { assert, must } from '../../../src/base/assert.ts';
import { type MonoMs, monoMs } from '../../../src/base/scalars.ts';
import type { PalfMessage } from '../../../src/codec/palf-message.ts';
import { awaitedRounds } from '../../../src/palf/settings.ts';

/** Values by their text, numbered. */
export class Interned<T> {
  readonly #values: T[] = [];
  readonly #texts: string[] = [];
  readonly #numbers = new Map<string, number>();

  number(text: string, make: () => T): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    this.#numbers.set(text, this.#values.length);
    this.#values.push(make());
    this.#texts.push(text);
    return this.#values.length - 1;
  }

  get(number: number): T {
    return must(this.#values[number], 'value');
  }

  get values(): readonly T[] {
    return this.#values;
  }

  text(number: number): string {
    return must(this.#texts[number], 'text');
  }
}

export const textOf = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    part instanceof Uint8Array ? Buffer.from(part).toString('base64') : part,
  );

interface Message {
  readonly message: PalfMessage;
  readonly ageMs: number;
  readonly print: string;
}

/**
 * Messages under way, numbered: what they say, and how long ago the question that they belong to was sent. Left out is what no
 * receiver looks at: the round of an answer to a candidate, and that of a candidate beyond the last that anybody asks about.
 * The number of a question for log is the one that its candidate has for it where the answer arrives.
 */
export class Messages {
  readonly #known = new Interned<Message>();
  /** rounds are told apart */
  readonly #isExact: boolean;

  constructor(isExact: boolean) {
    this.#isExact = isExact;
  }

  take(message: PalfMessage, now: MonoMs): number {
    const ageMs = 'sentAt' in message ? Math.round((now - message.sentAt) * 1_000) / 1_000 : 0;
    const said: Record<string, unknown> = { ...message, sentAt: ageMs };
    delete said['id'];
    const exact = textOf(said);
    if (message.kind === 'canvass') said['round'] = Math.min(message.round, awaitedRounds + 1);
    else delete said['round'];
    const print = textOf(said);
    return this.#known.number(this.#isExact ? exact : print, () => ({ message, ageMs, print }));
  }

  /** As it arrives, where numbers of questions are `ids`. */
  give(number: number, now: MonoMs, ids: ReadonlyMap<string, number>): PalfMessage {
    const { message, ageMs } = this.#known.get(number);
    if ('sentAt' in message) return { ...message, sentAt: monoMs(now - ageMs) };
    if (message.kind !== 'fetched' && message.kind !== 'unfetched') return message;
    return { ...message, id: ids.get(questionOf(message.proposal)) ?? -1 };
  }

  get(number: number): PalfMessage {
    return this.#known.get(number).message;
  }

  /** What can be told apart of it. */
  print(number: number): string {
    return this.#known.get(number).print;
  }
}

/** A candidate asks one replica for its log, under one number. */
export const questionOf = (proposal: number): string => `question ${proposal}`;

/** Messages under way from one node to another, in the order of sending; 0 for none. */
export class Links {
  readonly #known = new Interned<readonly number[]>();
  readonly #appended = new Map<number, number>();
  readonly #rest: number[] = [];

  constructor() {
    assert(this.#number([]) === 0, 'an empty link is 0');
  }

  #number(link: readonly number[]): number {
    return this.#known.number(link.join(), () => link);
  }

  append(link: number, message: number): number {
    const key = link * messagesMax + message;
    let known = this.#appended.get(key);
    if (known === undefined) {
      assert(message < messagesMax, 'messages are few');
      known = this.#number([...this.#known.get(link), message]);
      this.#appended.set(key, known);
    }
    return known;
  }

  get(link: number): readonly number[] {
    return this.#known.get(link);
  }

  head(link: number): number {
    return must(this.#known.get(link)[0], 'message');
  }

  rest(link: number): number {
    let rest = this.#rest[link];
    if (rest === undefined) {
      rest = this.#number(this.#known.get(link).slice(1));
      this.#rest[link] = rest;
    }
    return rest;
  }

  get longest(): number {
    return this.#known.values.reduce((most, { length }) => Math.max(most, length), 0);
  }
}

export const messagesMax = 1 << 20;
