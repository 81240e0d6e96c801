/**
 * What happened so far as far as it is held against what happens next, numbered; and the rules that nodes can break only together.
 *
 * - L1: what is committed anywhere is one log. L3: who leads has all of it.
 * - E1: a proposal has one leader.
 * - A2: who is degraded is down. A3: who was degraded in the newest record agreed on leads nothing until it was taken back.
 * - A4: records agreed on are one line. A5: who is taken back takes the record that says so with everything that was committed
 *   when it was made.
 */
import { hold } from './broken.ts';
import { Interned } from './site.ts';

/** What a step of a node's core did that others must agree with. */
export type Event =
  | { readonly kind: 'committed'; readonly by: string; readonly lsn: number; readonly name: string }
  | {
      readonly kind: 'leads';
      readonly by: string;
      readonly proposal: number;
      /** positions that its durable log holds */
      readonly held: readonly string[];
    }
  /** a record that it is a member in became durable */
  | { readonly kind: 'takes'; readonly by: string; readonly held: readonly string[] }
  | { readonly kind: 'degrades' | 'upgrades'; readonly by: string; readonly node: string }
  | {
      readonly kind: 'agreed';
      readonly by: string;
      readonly proposal: number;
      readonly sequence: number;
      readonly members: readonly string[];
      readonly degraded: readonly string[];
    };

interface History {
  /** what was committed anywhere, as "lsn#checksum", in order */
  readonly committed: readonly string[];
  /** who led which proposal */
  readonly leaders: Readonly<Record<number, string>>;
  /** the newest record agreed on */
  readonly agreed: Extract<Event, { kind: 'agreed' }> | undefined;
  /** the one that a record in flight takes back */
  readonly returning: string;
  /** what was committed when it was made */
  readonly needed: readonly string[];
  readonly degrades: number;
  readonly upgrades: number;
}

/** What is asked of the world as it is. */
export interface Now {
  isUp(node: string): boolean;
}

const eventsMax = 1 << 16;
/** Degrades and upgrades counted: more are as many. */
const countedMax = 9;

export class Histories {
  readonly #known = new Interned<History>();
  readonly #events = new Interned<readonly Event[]>();
  readonly #after = new Map<number, number>();

  begin(): number {
    this.events([]);
    return this.#number({
      committed: [],
      leaders: {},
      agreed: undefined,
      returning: '',
      needed: [],
      degrades: 0,
      upgrades: 0,
    });
  }

  #number(history: History): number {
    return this.#known.number(JSON.stringify(history), () => history);
  }

  events(events: readonly Event[]): number {
    return this.#events.number(JSON.stringify(events), () => events);
  }

  text(history: number): string {
    return this.#known.text(history);
  }

  /** How often a replica was degraded, and taken back. */
  changes(history: number): { readonly degrades: number; readonly upgrades: number } {
    return this.#known.get(history);
  }

  hasCommits(history: number): boolean {
    return this.#known.get(history).committed.length > 0;
  }

  isAgreed(history: number): boolean {
    return this.#known.get(history).agreed !== undefined;
  }

  /** What may not have been is thrown. */
  after(history: number, events: number, now: Now): number {
    // Nothing happened.
    if (events === 0) return history;
    const key = history * eventsMax + events;
    const known = this.#after.get(key);
    if (known !== undefined) return known;
    const list = this.#events.get(events);
    let next = this.#known.get(history);
    for (const event of list) next = after(next, event, now);
    const number = this.#number(next);
    // What depends on nothing but what happened need not be looked at again.
    if (list.every(({ kind }) => kind !== 'degrades')) this.#after.set(key, number);
    return number;
  }
}

function after(history: History, event: Event, now: Now): History {
  const { committed, leaders } = history;
  switch (event.kind) {
    case 'committed': {
      const { by, lsn, name } = event;
      const known = committed.find(each => Number.parseInt(each, 10) === lsn);
      hold('L1', known === undefined || known === name, () => `${by} commits ${name}, known is ${known}`);
      if (known !== undefined) return history;
      const all = [...committed, name];
      return { ...history, committed: all.sort((x, y) => Number.parseInt(x, 10) - Number.parseInt(y, 10)) };
    }
    case 'leads': {
      const { by, proposal, held } = event;
      hold('E1', (leaders[proposal] ?? by) === by, () => `${by} leads ${proposal} too`);
      for (const name of committed) hold('L3', held.includes(name), () => `${by} leads without ${name}`);
      return { ...history, leaders: { ...leaders, [proposal]: by } };
    }
    case 'takes': {
      const { by, held } = event;
      for (const name of history.returning === by ? history.needed : [])
        hold('A5', held.includes(name), () => `${by} is taken back without ${name}`);
      return history;
    }
    case 'degrades':
      hold('A2', !now.isUp(event.node), () => `${event.by} degrades ${event.node}, which is alive`);
      return {
        ...history,
        returning: '',
        needed: [],
        degrades: Math.min(countedMax, history.degrades + 1),
      };
    case 'upgrades':
      return {
        ...history,
        returning: event.node,
        needed: committed,
        upgrades: Math.min(countedMax, history.upgrades + 1),
      };
    case 'agreed':
      return agree(history, event);
  }
}

function agree(history: History, event: Extract<Event, { kind: 'agreed' }>): History {
  const { agreed } = history;
  const { by, proposal, sequence } = event;
  // By whom does not matter later on.
  const next = { ...history, agreed: { ...event, by: '' } };
  if (agreed === undefined || nameOf(agreed) === nameOf(event)) return next;
  const isNewer = proposal > agreed.proposal || (proposal === agreed.proposal && sequence > agreed.sequence);
  hold('A4', isNewer, () => `${by} has ${nameOf(event)} agreed on, and ${nameOf(agreed)} was`);
  hold(
    'A3',
    !agreed.degraded.includes(by) || history.returning === by,
    () => `${by} is degraded in ${nameOf(agreed)}, and has ${nameOf(event)} agreed on`,
  );
  return next;
}

const nameOf = ({ proposal, sequence, members, degraded }: Extract<Event, { kind: 'agreed' }>): string =>
  `${proposal}.${sequence} ${members.join('')}|${degraded.join('')}`;
