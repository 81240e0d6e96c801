/**
 * What happened so far as far as it is held against what happens next, numbered; and the rules that nodes can break only together.
 *
 * - L1: what is committed anywhere is one log. L3: who leads has all of it. L4: when a leader commits, a majority of its members
 *   has it durably, of those agreed on and of those of a newer record, and a quorum has a record of its term.
 * - E1: a proposal has one leader.
 * - A2: who is degraded is down, or parted from who degrades it. A3: who was degraded in the newest record agreed on leads nothing before it has a newer one that
 *   takes it back.
 * - A4: records agreed on are one line. A5: who is taken back takes the record that says so with everything that was committed
 *   when it was made.
 */
import { assert } from '../../../src/base/assert.ts';
import { hold } from './broken.ts';
import { Interned } from './site.ts';

/** What a step of a node's core did that others must agree with. */
export type Event =
  | {
      readonly kind: 'committed';
      readonly by: string;
      readonly lsn: number;
      readonly name: string;
      /** it has it durably itself */
      readonly isHeld: boolean;
      /** of a leader: whose majorities it stands for */
      readonly groups: readonly (readonly string[])[];
      /** of a leader: its proposal, and who votes in its list */
      readonly proposal: number;
      readonly voters: readonly string[];
    }
  | {
      readonly kind: 'leads';
      readonly by: string;
      readonly proposal: number;
      /** positions that its durable log holds */
      readonly held: readonly string[];
    }
  /** a record that it is a member in became durable */
  | {
      readonly kind: 'takes';
      readonly by: string;
      readonly proposal: number;
      readonly sequence: number;
      readonly held: readonly string[];
    }
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
  /** degraded in the newest record agreed on, and a member of a newer one that it has */
  readonly returned: string;
  /** what was committed when it was made */
  readonly needed: readonly string[];
  readonly degrades: number;
  readonly upgrades: number;
}

/** What is asked of the world as it is. */
export interface Now {
  /** up, and reached by the other replica */
  isThere(node: string): boolean;
  /** the position is in its durable log */
  holds(node: string, name: string): boolean;
  /** the proposal whose record it has durably */
  proposal(node: string): number;
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
      returned: '',
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
    assert(events < eventsMax, 'events are few');
    const key = history * eventsMax + events;
    const known = this.#after.get(key);
    if (known !== undefined) return known;
    const list = this.#events.get(events);
    let next = this.#known.get(history);
    for (const event of list) next = after(next, event, now);
    const number = this.#number(next);
    // What depends on nothing but what happened need not be looked at again.
    if (!list.some(isOfNow)) this.#after.set(key, number);
    return number;
  }
}

/** Whether it may have been depends on the world as it is. */
const isOfNow = (event: Event): boolean =>
  event.kind === 'degrades' || (event.kind === 'committed' && event.groups.length > 0);

function after(history: History, event: Event, now: Now): History {
  const { committed, leaders } = history;
  switch (event.kind) {
    case 'committed': {
      const { by, lsn, name, isHeld, groups, proposal, voters } = event;
      const taken = voters.filter(voter => voter === by || now.proposal(voter) >= proposal);
      hold(
        'L4',
        voters.length === 0 || taken.length > voters.length / 2,
        () => `${by} commits ${name} in ${proposal}, whose record ${taken.join()} of ${voters.join()} have`,
      );
      for (const group of groups) {
        const having = group.filter(node => (node === by ? isHeld : now.holds(node, name)));
        hold(
          'L4',
          having.length > group.length / 2,
          () => `${by} commits ${name} for ${group.join()}, durable at ${having.join()}`,
        );
      }
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
      const { agreed } = history;
      const isBack = agreed?.degraded.includes(by) === true && isNewer(event, agreed);
      return isBack ? { ...history, returned: by } : history;
    }
    case 'degrades':
      hold('A2', !now.isThere(event.node), () => `${event.by} degrades ${event.node}, which is alive`);
      return {
        ...history,
        returning: '',
        returned: '',
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
  const { by } = event;
  // By whom does not matter later on.
  const next = { ...history, returned: '', agreed: { ...event, by: '' } };
  if (agreed === undefined) return next;
  if (nameOf(agreed) === nameOf(event)) return { ...next, returned: history.returned };
  hold('A4', isNewer(event, agreed), () => `${by} has ${nameOf(event)} agreed on, and ${nameOf(agreed)} was`);
  hold(
    'A3',
    !agreed.degraded.includes(by) || history.returned === by,
    () => `${by} is degraded in ${nameOf(agreed)}, and has ${nameOf(event)} agreed on`,
  );
  return next;
}

interface Version {
  readonly proposal: number;
  readonly sequence: number;
}

const isNewer = (one: Version, other: Version): boolean =>
  one.proposal > other.proposal || (one.proposal === other.proposal && one.sequence > other.sequence);

const nameOf = ({ proposal, sequence, members, degraded }: Extract<Event, { kind: 'agreed' }>): string =>
  `${proposal}.${sequence} ${members.join('')}|${degraded.join('')}`;
