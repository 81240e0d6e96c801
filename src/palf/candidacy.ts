/**
 * From a promised proposal to a log that is whole: prepare at a quorum, find who has the most, fetch it.
 *
 * Recency of a log is (accepted, end): what was committed under a leader was acknowledged by a log quorum that had accepted it,
 * every vote quorum meets that, and who accepted a later leader holds it too. So the answer with the greatest pair, of any vote
 * quorum and this replica's own, holds everything that was ever committed (L3); an arbiter's answer has no log to weigh. An answer that has not made the cuts of the
 * flashbacks in this replica's record counts up to them only, with what it calls committed as well. That of a voter which lost log is a promise
 * alone, and counts only for a candidate that accepted a later leader than it ever did. Fetched log is compared
 * with the own group by group; a tail of the own that the other does not have goes, durably, before anything is written in
 * its place.
 *
 * The lease counts from when the requests were sent, and is renewed while log is fetched. What is committed elsewhere already
 * is committed here as soon as it is here.
 */
import type { LogPosition } from '../base/log-access.ts';
import { type Lsn, lsn, type MonoMs, monoMs, type NodeId, type ProposalId } from '../base/scalars.ts';
import { samePosition } from '../codec/clog.ts';
import type { PalfMessageOf } from '../codec/palf-message.ts';
import { missedCut } from './flashback-cuts.ts';
import { committedBefore, type ElectedLeader, type Opening } from './leadership.ts';
import { hasVoteQuorum, votersOf } from './quorum.ts';
import type { Replica } from './replica.ts';

export interface CandidacyHost {
  /** The log is whole. */
  lead(elected: ElectedLeader): void;
  /** No leader will come of this; `retryMs`: when to stand again. */
  giveUp(why: string, retryMs: number): void;
}

type Vote = PalfMessageOf<'promise'>;

/** The answer whose log is the most recent. */
interface Best {
  readonly node: NodeId;
  readonly accepted: ProposalId;
  readonly end: LogPosition;
}

interface Fetch {
  readonly best: Best;
  readonly id: number;
  /** the own log is the other's up to here */
  from: LogPosition;
  /** what was received is on its way to the disk */
  isWriting: boolean;
}

export class Candidacy {
  readonly proposal: ProposalId;
  /** a leader that opens another proposal of its own, and why */
  readonly opening: Opening | undefined;
  readonly #replica: Replica;
  readonly #host: CandidacyHost;
  readonly #released: ProposalId;
  readonly #answers = new Map<NodeId, Vote>();
  readonly #against = new Set<NodeId>();
  /** when the newest request that a voter granted was sent */
  readonly #grantedAt = new Map<NodeId, MonoMs>();
  #isSent = false;
  #nextTickAt: MonoMs;
  /** given up if nothing moved until then */
  #deadline: MonoMs;
  #fetch: Fetch | undefined;
  #isOver = false;

  constructor(
    replica: Replica,
    host: CandidacyHost,
    { released, opening }: { released: ProposalId; opening?: Opening | undefined },
  ) {
    this.#replica = replica;
    this.#host = host;
    this.#released = released;
    this.opening = opening;
    this.proposal = replica.nextProposal();
    replica.raise(this.proposal);
    this.#nextTickAt = monoMs(replica.now + replica.settings.renewMs);
    this.#deadline = monoMs(replica.now + replica.settings.leaseMs);
    replica.out.trace({ event: 'candidate', proposalId: this.proposal, stage: 'prepare' });
  }

  get stage(): 'preparing' | 'fetching' {
    return this.#fetch === undefined ? 'preparing' : 'fetching';
  }

  get wakeAt(): MonoMs {
    return monoMs(Math.min(this.#nextTickAt, this.#deadline));
  }

  /** The end: answers that still come mean nothing. */
  end(): void {
    this.#isOver = true;
  }

  /** Voters may vote for others. */
  resign(): void {
    const message = { kind: 'resign', proposal: this.proposal } as const;
    for (const voter of this.#others) this.#replica.out.send(voter, message);
  }

  get #others(): readonly NodeId[] {
    return votersOf(this.#replica.config).filter(voter => voter !== this.#replica.self);
  }

  tick(): void {
    const { now, settings } = this.#replica;
    if (this.#isOver) return;
    if (now >= this.#deadline || this.#replica.ioAgeMs >= settings.leaseMs)
      return this.#giveUp('nothing moved');
    if (now < this.#nextTickAt) return;
    this.#nextTickAt = monoMs(now + settings.renewMs);
    if (this.#fetch === undefined) return this.#sendPrepares(voter => !this.#answers.has(voter));
    this.#sendRenewals();
    if (!this.#fetch.isWriting) this.#ask(this.#fetch);
  }

  /** At the end of each step: the promise became durable, or a write ended. */
  advance(): void {
    if (this.#isOver) return;
    if (!this.#isSent && this.#replica.meta.durable.promised === this.proposal) {
      this.#isSent = true;
      this.#sendPrepares(() => true);
    }
    if (this.#fetch === undefined) this.#choose();
    else if (this.#fetch.isWriting && this.#replica.isLogQuiet) {
      this.#fetch.isWriting = false;
      this.#continue(this.#fetch);
    }
  }

  #sendPrepares(isWanted: (voter: NodeId) => boolean): void {
    if (!this.#isSent) return;
    const message = {
      kind: 'prepare',
      proposal: this.proposal,
      sentAt: this.#replica.now,
      leaseMs: this.#replica.settings.leaseMs,
      version: this.#replica.config.version,
      released: this.#released,
    } as const;
    for (const voter of this.#others) if (isWanted(voter)) this.#replica.out.send(voter, message);
  }

  #sendRenewals(): void {
    const { now, out, settings } = this.#replica;
    const message = {
      kind: 'renew',
      proposal: this.proposal,
      sentAt: now,
      leaseMs: settings.leaseMs,
      committed: committedBefore(this.#replica, this.opening),
    } as const;
    for (const voter of this.#others) out.send(voter, message);
  }

  // --- votes ---

  onPromise(from: NodeId, message: Vote): void {
    if (this.#isOver || message.proposal !== this.proposal || !this.#mayCount(message)) return;
    this.#grant(from, message.sentAt);
    this.#against.delete(from);
    this.#answers.set(from, message);
    this.advance();
  }

  /**
   * A voter that lost log cannot say what it acknowledged: at most what leaders up to the last that it accepted committed. Who
   * accepted a later leader, durably, has all of that, and needs nothing but the promise.
   */
  #mayCount({ impaired, accepted }: Vote): boolean {
    return !impaired || accepted < this.#replica.meta.durable.accepted;
  }

  onRenewed(from: NodeId, message: PalfMessageOf<'renewed'>): void {
    if (message.proposal === this.proposal) this.#grant(from, message.sentAt);
  }

  #grant(voter: NodeId, sentAt: MonoMs): void {
    if (!votersOf(this.#replica.config).includes(voter)) return;
    const before = this.#grantedAt.get(voter);
    if (before === undefined || before < sentAt) this.#grantedAt.set(voter, sentAt);
  }

  onReject(from: NodeId, message: PalfMessageOf<'reject'>): void {
    if (this.#isOver || message.proposal !== this.proposal) return;
    if (message.promised >= this.proposal) return this.#giveUp('another proposal is higher');
    this.#against.add(from);
    const mayWin = hasVoteQuorum([this.#replica.config], voter => !this.#against.has(voter));
    if (!mayWin) this.#giveUp('a quorum keeps its word to another');
  }

  #choose(): void {
    const { self, config, meta, log, isLogQuiet } = this.#replica;
    if (meta.durable.promised !== this.proposal || !isLogQuiet) return;
    if (!hasVoteQuorum([config], voter => voter === self || this.#answers.has(voter))) return;
    let best: Best = { node: self, accepted: meta.durable.accepted, end: log.flushed };
    for (const [node, answer] of this.#answers) {
      if (node === config.arbiter || answer.impaired) continue;
      const end = this.#counted(answer, answer.end);
      if (end === undefined) continue;
      const isMore = answer.accepted - best.accepted || end.lsn - best.end.lsn;
      if (isMore > 0) best = { node, accepted: answer.accepted, end };
    }
    if (best.node === self) return this.#win();
    if (best.end.lsn < log.committed.lsn) return this.#giveUp('the most recent log ends before a commit');
    this.#replica.out.trace({
      event: 'candidate',
      proposalId: this.proposal,
      stage: `fetch from ${best.node}`,
    });
    const from =
      log.holds(best.end) === true ? best.end : log.flushed.lsn < best.end.lsn ? log.flushed : log.committed;
    this.#fetch = { best, id: this.#replica.out.nextId(), from, isWriting: false };
    this.#progress();
    this.#sendRenewals();
    this.#continue(this.#fetch);
  }

  /** A position in an answer's log without what flashbacks that it has not heard of cut off; undefined: that is not known. */
  #counted({ cutApplied }: Vote, at: LogPosition): LogPosition | undefined {
    const cut = missedCut(this.#replica.config, cutApplied);
    if (cut === 'unknown') return undefined;
    return cut !== null && at.lsn > cut.lsn ? cut : at;
  }

  // --- fetching ---

  #progress(): void {
    this.#deadline = monoMs(this.#replica.now + this.#replica.settings.leaseMs);
  }

  #ask(fetch: Fetch): void {
    this.#replica.out.send(fetch.best.node, {
      kind: 'fetch',
      proposal: this.proposal,
      id: fetch.id,
      from: fetch.from,
    });
  }

  /** The log is the other's up to `fetch.from`, and nothing of it is on its way to the disk. */
  #continue(fetch: Fetch): void {
    const { log, cutter } = this.#replica;
    this.#commit(fetch.from.lsn);
    if (fetch.from.lsn < fetch.best.end.lsn) return this.#ask(fetch);
    if (!samePosition(fetch.from, fetch.best.end))
      return this.#giveUp('the most recent log is not what was promised');
    if (log.tail.lsn === fetch.from.lsn) return this.#win();
    fetch.isWriting = true;
    cutter.begin({ to: fetch.from, flashback: false, decide: () => {}, done: () => {} });
  }

  #commit(upTo: Lsn): void {
    let committed = 0;
    for (const answer of this.#answers.values())
      committed = Math.max(committed, this.#counted(answer, answer.committed)?.lsn ?? 0);
    this.#replica.log.commit(lsn(Math.min(committed, upTo)));
  }

  onFetched(from: NodeId, message: PalfMessageOf<'fetched'>): void {
    const fetch = this.#fetch;
    const { log, cutter } = this.#replica;
    const isAnswer = fetch !== undefined && fetch.best.node === from && fetch.id === message.id;
    if (this.#isOver || !isAnswer || fetch.isWriting || !samePosition(message.prev, fetch.from)) return;
    const groups = message.groups.filter(group => group.end.lsn <= fetch.best.end.lsn);
    const last = groups.at(-1);
    if (
      last === undefined ||
      log.firstMisplaced(groups) !== undefined ||
      log.firstOutOfEra(groups) !== undefined
    )
      return;
    const fit = log.fit(fetch.from, groups);
    if (fit.kind === 'unknown') return this.#giveUp('the own log changed');
    this.#progress();
    if (fit.kind === 'parts') {
      if (fit.at.lsn < log.committed.lsn) return this.#giveUp('two logs were committed');
      fetch.from = fit.at;
      fetch.isWriting = true;
      cutter.begin({ to: fit.at, flashback: false, decide: () => {}, done: () => {} });
      return;
    }
    fetch.from = last.end;
    if (fit.groups.length === 0) return this.#continue(fetch);
    fetch.isWriting = true;
    log.receive(fit.groups);
    this.#replica.askFlush();
  }

  onUnfetched(from: NodeId, message: PalfMessageOf<'unfetched'>): void {
    const fetch = this.#fetch;
    const isAnswer = fetch !== undefined && fetch.best.node === from && fetch.id === message.id;
    if (this.#isOver || !isAnswer || fetch.isWriting) return;
    const { log, out } = this.#replica;
    if (message.why !== 'gone' && fetch.from.lsn > log.committed.lsn) {
      fetch.from = log.committed;
      return this.#ask(fetch);
    }
    if (message.why === 'gone' && message.base.lsn > log.committed.lsn)
      out.push({ kind: 'rebuildFrom', peer: from, base: message.base });
    // Once more at the next tick, until nothing moved for too long. Whoever has the log may lead meanwhile.
    if (message.why !== 'failed')
      this.#giveUp('the most recent log cannot be had', this.#replica.settings.leaseMs);
  }

  #win(): void {
    this.#isOver = true;
    this.#host.lead({
      proposal: this.proposal,
      opening: this.opening,
      promises: this.#answers,
      grantedAt: this.#grantedAt,
    });
  }

  #giveUp(why: string, retryMs = this.#replica.settings.canvassMs * (1 + this.#replica.rank)): void {
    this.#host.giveUp(why, retryMs);
  }
}
