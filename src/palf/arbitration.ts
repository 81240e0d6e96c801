/**
 * When a leader with an arbiter goes on without members, and when it takes them back.
 *
 * With an even number of F replicas half of them can die and leave the other half without a majority. If the arbiter then votes
 * with those that are left, the dead can be degraded: their log counts no more, and the living commit alone. All of this must
 * hold: the arbiter answers; every member that is not alive is known to be dead, stopped, without disk or being rebuilt, and
 * was of no use for `arbitrationTimeoutMs`; every other is known to be alive and took this leader's record; those that are left
 * are exactly half of the F replicas, and have the log but for what was committed a moment ago (C6); the lease is held.
 * Nothing follows from not knowing (A2). Who is not told of it can win no election: the arbiter, and everybody who is left,
 * hold the newer record (A3, A4).
 *
 * One member goes, or comes back, with each record, so that the quorums of two records in a row always meet (C2). To take one back is
 * tried first: it must be alive, and have the log but for what was committed a moment ago (A5). Taking back is bounded in
 * number, so that the two do not alternate (A7); degrading is not, for nothing is committed before.
 *
 * Silence is counted from the last answer of a node, whatever part this replica played when it came, so that a leader that
 * has just been elected need not wait again.
 */
import type { MonoMs, NodeId } from '../base/scalars.ts';
import { type ConfigRecord, fullReplicasOf } from '../codec/config-record.ts';
import type { PalfMessage } from '../codec/palf-message.ts';
import type { ArbitrationNews, Verdict } from './inputs.ts';
import type { Leadership } from './leadership.ts';
import { hasLogQuorum } from './quorum.ts';
import type { Replica } from './replica.ts';
import { verdictMs } from './settings.ts';

/** Replicas taken back within some leases; four of them may have to be more than once. */
const upgradesMax = 4;
const upgradeLeases = 25;

type Judgement = 'alive' | 'dead' | 'unknown';

export type ArbitrationStep =
  | { readonly kind: 'change'; readonly what: 'degrade' | 'upgrade'; readonly node: NodeId }
  /** the root service must be asked, and cannot be */
  | { readonly kind: 'let-go' };

/** How far a member's log was, and since when it has not come further though there was more. */
interface Progress {
  readonly flushed: number;
  readonly since: MonoMs;
}

/** Words that show both ways to their sender to be open, or a leader that speaks. */
const isAnswer = ({ kind }: PalfMessage): boolean => kind !== 'canvass' && kind !== 'prepare';

export class Arbitration {
  readonly #replica: Replica;
  readonly #startedAt: MonoMs;
  readonly #heardAt = new Map<NodeId, MonoMs>();
  readonly #verdicts = new Map<NodeId, { readonly verdict: Verdict; readonly at: MonoMs }>();
  readonly #upgradedAt: MonoMs[] = [];
  /** of the term of `#leadership` */
  readonly #progress = new Map<NodeId, Progress>();
  #leadership: Leadership | undefined;
  #isRootReachable = false;
  #record: ConfigRecord;

  constructor(replica: Replica) {
    this.#replica = replica;
    this.#startedAt = replica.now;
    this.#record = replica.config;
  }

  /** Any message of another replica. What was said under an older proposal may be late, and shows nothing. */
  heard(from: NodeId, message: PalfMessage): void {
    const { now, meta } = this.#replica;
    if (isAnswer(message) && message.proposal >= meta.wanted.promised) this.#heardAt.set(from, now);
  }

  onNews(news: ArbitrationNews): void {
    const { now, settings } = this.#replica;
    switch (news.kind) {
      case 'verdict':
        this.#verdicts.set(news.node, { verdict: news.verdict, at: now });
        if (news.verdict === 'alive') this.#heardAt.set(news.node, now);
        return;
      case 'root-service':
        this.#isRootReachable = news.reachable;
        if (news.reachable) this.#replica.isMuted = false;
        return;
      case 'set-arbitration':
        this.#replica.settings = {
          ...settings,
          arbitrationTimeoutMs: news.timeoutMs,
          degradationPolicy: news.policy,
        };
        if (news.policy === 'LS_POLICY') this.#replica.isMuted = false;
    }
  }

  /** At the end of each step: counts what was taken back, by whomever. */
  observe(): void {
    const { config, now } = this.#replica;
    if (config === this.#record) return;
    const returned = this.#record.degraded.filter(node => config.members.includes(node));
    this.#record = config;
    for (const _ of returned) this.#upgradedAt.push(now);
    if (this.#upgradedAt.length > upgradesMax)
      this.#upgradedAt.splice(0, this.#upgradedAt.length - upgradesMax);
    const nodes = new Set([...fullReplicasOf(config), ...config.learners]);
    for (const known of [this.#heardAt, this.#verdicts])
      for (const node of known.keys()) if (!nodes.has(node)) known.delete(node);
  }

  /** What a leader does now, if anything. Looked at often: when it is woken, and with every verdict. */
  decide(leadership: Leadership): ArbitrationStep | undefined {
    const record = leadership.agreed;
    if (record.arbiter === null) return undefined;
    this.#follow(leadership);
    if (!leadership.mayPropose) return undefined;
    return this.#upgrade(leadership, record) ?? this.#degrade(leadership, record);
  }

  /** The record without the member, or with it again. */
  static apply({ what, node }: Extract<ArbitrationStep, { kind: 'change' }>, record: ConfigRecord) {
    const { members, degraded } = record;
    const without = (nodes: readonly NodeId[]) => nodes.filter(other => other !== node);
    return what === 'degrade'
      ? { members: without(members), degraded: [...degraded, node] }
      : { members: [...members, node], degraded: without(degraded) };
  }

  #follow(leadership: Leadership): void {
    if (this.#leadership !== leadership) this.#progress.clear();
    this.#leadership = leadership;
    const { now, log } = this.#replica;
    for (const peer of leadership.peers) {
      const flushed = peer.hasAccepted && !peer.isImpaired ? peer.flushed : 0;
      const before = this.#progress.get(peer.node);
      const isUseful = before === undefined || flushed > before.flushed || flushed >= log.flushed.lsn;
      if (isUseful) this.#progress.set(peer.node, { flushed, since: now });
    }
  }

  #upgrade(leadership: Leadership, record: ConfigRecord): ArbitrationStep | undefined {
    const { now, settings } = this.#replica;
    // Also before the term is open: with a member lost for good, it may open only when another is back.
    if (record.degraded.length === 0) return undefined;
    const oldest = this.#upgradedAt.length < upgradesMax ? undefined : this.#upgradedAt[0];
    if (oldest !== undefined && now - oldest < upgradeLeases * settings.leaseMs) return undefined;
    const node = record.degraded.find(
      each => this.#freshVerdict(each) === 'alive' && leadership.isReadyToCount(each),
    );
    return node === undefined ? undefined : { kind: 'change', what: 'upgrade', node };
  }

  #degrade(leadership: Leadership, record: ConfigRecord): ArbitrationStep | undefined {
    const { self, settings } = this.#replica;
    const { arbiter, members } = record;
    const fullCount = fullReplicasOf(record).length;
    if (arbiter === null || fullCount % 2 !== 0 || !leadership.answers(arbiter)) return undefined;
    const others = members.filter(node => node !== self);
    const judgements = others.map(node => this.#judge(leadership, node));
    const node = others[judgements.indexOf('dead')];
    if (node === undefined || judgements.includes('unknown')) return undefined;
    const alive = 1 + judgements.filter(judgement => judgement === 'alive').length;
    if (alive !== fullCount / 2) return undefined;
    const step = { kind: 'change', what: 'degrade', node } as const;
    // One that answers and gets no log would not take the record either, which meanwhile keeps out whoever comes back.
    const next = { ...record, ...Arbitration.apply(step, record) };
    if (!hasLogQuorum(next, member => leadership.isCaughtUp(member))) return undefined;
    if (settings.degradationPolicy === 'CLUSTER_POLICY' && !this.#isRootReachable) return { kind: 'let-go' };
    return step;
  }

  #freshVerdict(node: NodeId): Verdict {
    const { now, settings } = this.#replica;
    const said = this.#verdicts.get(node);
    return said === undefined || now - said.at > verdictMs(settings) ? 'unknown' : said.verdict;
  }

  #judge(leadership: Leadership, node: NodeId): Judgement {
    const { now, settings } = this.#replica;
    const { arbitrationTimeoutMs } = settings;
    const verdict = this.#freshVerdict(node);
    switch (verdict) {
      case 'alive':
        return leadership.isSound(node) ? 'alive' : 'unknown';
      case 'dead': {
        const heardAt = this.#heardAt.get(node) ?? this.#startedAt;
        return now - heardAt >= arbitrationTimeoutMs ? 'dead' : 'unknown';
      }
      case 'disk-full':
      case 'rebuilding': {
        const since = this.#progress.get(node)?.since ?? now;
        return now - since >= arbitrationTimeoutMs ? 'dead' : 'unknown';
      }
      case 'stopped':
        // An operator's word needs no proof.
        return 'dead';
      case 'unknown':
        return 'unknown';
    }
  }
}
