/**
 * Since when everything has held that lets a leader degrade a member: kept from what went into its core, not from what it made
 * of it. A2 says that nothing is degraded before, A2 and A9 that something follows soon.
 */
import type { NodeId } from '../../../../src/base/scalars.ts';
import type { ConfigRecord } from '../../../../src/codec/config-record.ts';
import type { Verdict } from '../../../../src/palf/inputs.ts';
import type { NodeStep } from '../facts.ts';
import type { GroupWorld } from '../world.ts';

interface Known {
  readonly startedAt: number;
  /** when each other node last showed that it hears this one, or leads it */
  readonly heardAt: Map<NodeId, number>;
  /** answers to this node as a leader or candidate */
  readonly answeredAt: Map<NodeId, number>;
  readonly verdicts: Map<NodeId, { readonly verdict: Verdict; readonly at: number }>;
  isRootReachable: boolean;
  /** what it has promised, or is about to */
  promised: number;
  /** since when all conditions have held; undefined while they do not */
  since: number | undefined;
}

const answers = new Set([
  'promise',
  'renewed',
  'ack',
  'mismatch',
  'config-ack',
  'support',
  'oppose',
  'reject',
]);
const words = new Set([
  ...answers,
  'renew',
  'push',
  'commit',
  'config',
  'rebuild',
  'mend',
  'resign',
  'hand-over',
]);
const wordsOfLog = new Set(['fetch', 'fetched', 'unfetched']);

export class Conditions {
  readonly #world: GroupWorld;
  readonly #known = new Map<NodeId, Known>();

  constructor(world: GroupWorld) {
    this.#world = world;
  }

  /** To be called once with every step, in order. */
  follow(step: NodeStep): Known {
    const { self, input, now } = step;
    if (input.kind === 'boot')
      this.#known.set(self, {
        startedAt: now,
        heardAt: new Map(),
        answeredAt: new Map(),
        verdicts: new Map(),
        isRootReachable: false,
        promised: input.meta.promised,
        since: undefined,
      });
    const known = this.#known.get(self);
    if (known === undefined) throw new Error(`${self} steps before it boots`);
    if (input.kind === 'verdict') {
      known.verdicts.set(input.node, { verdict: input.verdict, at: now });
      if (input.verdict === 'alive') known.heardAt.set(input.node, now);
    } else if (input.kind === 'root-service') known.isRootReachable = input.reachable;
    else if (input.kind === 'message') {
      const { kind, proposal } = input.message;
      const isWord = words.has(kind) || wordsOfLog.has(kind);
      if (isWord && proposal >= known.promised) known.heardAt.set(input.from, now);
      if (answers.has(kind)) known.answeredAt.set(input.from, now);
    }
    for (const effect of step.effects)
      if (effect.kind === 'persistMeta') known.promised = Math.max(known.promised, effect.image.promised);
    known.since = this.#holds(step, known) ? (known.since ?? now) : undefined;
    return known;
  }

  /** Why this record may not be made of that one, or undefined. */
  objection({ self, now }: NodeStep, previous: ConfigRecord): string | undefined {
    const known = this.#known.get(self);
    const { arbitration, leaseMs } = this.#world.options;
    if (known === undefined || arbitration === null) return 'nothing is known';
    const { arbiter, members, degraded } = previous;
    if (arbiter === null) return 'there is no arbiter';
    const answeredAt = known.answeredAt.get(arbiter);
    if (answeredAt === undefined || now - answeredAt >= leaseMs) return `${arbiter} does not answer`;
    let living = 1;
    for (const node of members) {
      if (node === self) continue;
      const said = known.verdicts.get(node);
      const verdict =
        said === undefined || now - said.at > arbitration.timeoutMs / 2 ? 'unknown' : said.verdict;
      if (verdict === 'unknown') return `${node} is not known to be dead or alive`;
      if (verdict === 'alive') living += 1;
      const heardAt = known.heardAt.get(node) ?? known.startedAt;
      if (verdict === 'dead' && now - heardAt < arbitration.timeoutMs)
        return `${node} was heard ${now - heardAt} ms ago`;
    }
    if (living === members.length) return 'nobody is dead';
    if (living * 2 !== members.length + degraded.length)
      return `${living} of ${members.length + degraded.length} are left`;
    return undefined;
  }

  /** As `objection`, of those that are dead alone: what must lead to something. */
  #holds(step: NodeStep, known: Known): boolean {
    const { view, self, now } = step;
    const { governing, config, stage } = view;
    const isFree = config.version.sequence === governing.version.sequence;
    const isOwn = governing.version.proposalId === view.proposalId;
    if ((stage !== 'leading' && stage !== 'starting') || !isFree || !isOwn) return false;
    if (governing.arbiter === null || this.objection(step, governing) !== undefined) return false;
    return governing.members.every(node => {
      if (node === self) return true;
      const verdict = known.verdicts.get(node)?.verdict;
      const peer = view.peers.find(other => other.node === node);
      if (verdict === 'dead') return true;
      // One that is alive has taken the record, and answers.
      const answeredAt = known.answeredAt.get(node) ?? 0;
      const isCurrent = peer?.version.sequence === governing.version.sequence && !peer.isImpaired;
      return verdict === 'alive' && isCurrent && now - answeredAt < this.#world.options.leaseMs;
    });
  }
}
