/**
 * A voter, and how it comes to stand itself.
 *
 * A voter gives its word, the lease, to one node at a time, for as long as that one counts on it, and while that holds nobody else gets anything from it: a node that
 * was cut off or removed cannot disturb those that hear a leader (E11). When the word has run out it asks the others first,
 * which promises nothing and leaves no trace (`canvass`). One opposes hard if it has given its word, keeps silent after a
 * restart, or holds a newer record than the candidate (E6); softly if it is fitter itself, and then it canvasses at once. A candidate
 * that was opposed softly for some rounds insists. With a quorum behind it the candidate prepares (`candidacy`).
 *
 * A prepare is vote, promise and lease in one. It is answered when the promised proposal is durable and nothing of an older
 * one is on its way to the disk any more, so that the answer holds everything ever acknowledged here (E5, L8).
 *
 * Nothing here is random: candidates part by their place in the member list.
 */
import { type MonoMs, monoMs, type NodeId, type ProposalId } from '../base/scalars.ts';
import { compareVersions } from '../codec/config-record.ts';
import type { PalfMessageOf } from '../codec/palf-message.ts';
import { hasVoteQuorum, votersOf } from './quorum.ts';
import type { Replica } from './replica.ts';
import { awaitedRounds, modestRounds, roundMs } from './settings.ts';
import { compareFitness, standingOf } from './standing.ts';

/** Leases a replica keeps still after it learned that others go on without it. */
const retiredLeases = 10;

/** What a voter needs of the rest of its core. */
export interface ElectorHost {
  /** neither a candidate past its canvass nor a leader */
  isFollowing(): boolean;
  /** leads, and its lease holds */
  holdsLease(): boolean;
  /** Ends a candidacy or leadership of a lower proposal. */
  stepDown(why: string): void;
  prepare(released: ProposalId): void;
}

export class Elector {
  readonly #replica: Replica;
  readonly #host: ElectorHost;
  /** when to canvass next, if nothing forbids it */
  #canvassAt: MonoMs;
  /** 0: not canvassing */
  #round = 0;
  readonly #answers = new Map<NodeId, { readonly isSoft: boolean; readonly at: MonoMs }>();
  /** who got the promised proposal as a vote */
  #votedFor: NodeId | null = null;
  #pending:
    | {
        readonly to: NodeId;
        readonly proposal: ProposalId;
        readonly sentAt: MonoMs;
        readonly leaseMs: number;
      }
    | undefined;

  constructor(replica: Replica, host: ElectorHost) {
    this.#replica = replica;
    this.#host = host;
    const { now, silentUntil, rank, settings } = replica;
    this.#canvassAt = monoMs(Math.max(now, silentUntil) + rank * settings.canvassMs);
  }

  get isCanvassing(): boolean {
    return this.#round > 0;
  }

  /** May stand: everything but the time. */
  get #isEligible(): boolean {
    return this.#replica.isMember && this.#isFit;
  }

  /**
   * One that lost log may vote: it says so, and a candidate counts it if that log cannot matter to it (`candidacy`). One whose
   * log is being replaced says nothing.
   */
  get #mayVote(): boolean {
    return this.#replica.meta.wanted.impaired !== 'rebuilding';
  }

  get #isFit(): boolean {
    const { meta, ioAgeMs, settings, isClosing, isMuted } = this.#replica;
    return !isClosing && !isMuted && meta.wanted.impaired === null && ioAgeMs < settings.leaseMs;
  }

  /** When `tick` has something to do; undefined for never. */
  get wakeAt(): MonoMs | undefined {
    const { isMember, meta, isClosing, lease, silentUntil } = this.#replica;
    const isAsking = isMember || this.#isDegraded;
    if (!this.#host.isFollowing() || !isAsking || isClosing || meta.wanted.impaired !== null)
      return undefined;
    return monoMs(Math.max(this.#canvassAt, lease.until, silentUntil));
  }

  tick(): void {
    const { now } = this.#replica;
    const due = this.wakeAt;
    if (due === undefined || now < due) return;
    if (this.#isEligible) return this.#canvass();
    if (this.#isDegraded && this.#isFit) this.#askArbiter();
    this.#standStill(this.#replica.settings.renewMs);
  }

  get #isDegraded(): boolean {
    const { config, self } = this.#replica;
    return config.degraded.includes(self);
  }

  /**
   * Who is degraded stands for nothing. If it hears no leader, it may have been taken back by one that died before it could
   * say so; the arbiter has that record, and hands it to who asks. Round 0: what it says to the rest counts for nothing.
   */
  #askArbiter(): void {
    const { config, out, meta } = this.#replica;
    const { arbiter } = config;
    if (arbiter === null) return;
    out.send(arbiter, {
      kind: 'canvass',
      proposal: meta.wanted.promised,
      round: 0,
      standing: standingOf(this.#replica),
      insist: false,
    });
  }

  /** Back to following: the next attempt is not before `ms` from now. */
  standStill(ms: number): void {
    this.#standStill(ms);
  }

  #standStill(ms: number): void {
    this.#round = 0;
    this.#answers.clear();
    this.#canvassAt = monoMs(Math.max(this.#canvassAt, this.#replica.now + ms));
  }

  /** The own word to itself is void; an only voter had given it for ever. */
  freed(): void {
    const { now, settings } = this.#replica;
    this.#canvassAt = monoMs(Math.min(this.#canvassAt, now + settings.leaseMs));
  }

  /** The word is free: stands as soon as its place in the list allows. */
  standSoon(): void {
    const { now, rank, settings } = this.#replica;
    this.#canvassAt = monoMs(now + rank * settings.canvassMs);
  }

  // --- canvass ---

  #canvass(): void {
    const { self, config, settings, rank, now, out, meta } = this.#replica;
    this.#round += 1;
    this.#replica.leader = null;
    this.#canvassAt = monoMs(now + roundMs(settings, rank));
    const message = {
      kind: 'canvass',
      proposal: meta.wanted.promised,
      round: this.#round,
      standing: standingOf(this.#replica),
      insist: this.#insists,
    } as const;
    for (const voter of votersOf(config)) if (voter !== self) out.send(voter, message);
    this.#count();
  }

  get #insists(): boolean {
    return this.#round > modestRounds;
  }

  #count(): void {
    const { self, config, settings, now } = this.#replica;
    const isFor = (voter: NodeId): boolean => {
      if (voter === self) return true;
      const answer = this.#answers.get(voter);
      if (answer === undefined || now - answer.at > settings.leaseMs / 2) return false;
      return !answer.isSoft || this.#insists;
    };
    if (this.#round === 0 || !hasVoteQuorum([config], isFor)) return;
    this.#standStill(0);
    this.#host.prepare(0 as ProposalId);
  }

  onCanvass(from: NodeId, message: PalfMessageOf<'canvass'>): void {
    const { self, now, lease, config, meta, out, settings, rank } = this.#replica;
    this.#replica.hearOf(message.proposal);
    const { round, standing } = message;
    if (this.#replica.isSilent || !this.#mayVote) return;
    if (meta.wanted.impaired !== null && standing.accepted <= meta.wanted.accepted) return;
    const order = compareVersions(standing.version, config.version);
    const isMember = config.members.includes(from);
    const oppose = (hard: boolean) =>
      out.send(from, {
        kind: 'oppose',
        proposal: meta.wanted.promised,
        round,
        hard,
        version: config.version,
        isMember,
      });
    const isTaken = this.#host.holdsLease() || lease.isBound(now, from);
    if (isTaken || order < 0 || (order === 0 && !isMember)) return oppose(true);
    const own = { node: self, standing: standingOf(this.#replica) };
    const isFitter = this.#isEligible && compareFitness(own, { node: from, standing }) > 0;
    if (isFitter && !message.insist) {
      oppose(false);
      if (this.#host.isFollowing() && this.#round === 0 && !lease.isHeld(now)) this.#canvass();
      return;
    }
    // Who asks again and again does not hear the answers: waiting for that one would keep those away who hear each other.
    if (round <= awaitedRounds) this.#standStill(roundMs(settings, rank));
    out.send(from, { kind: 'support', proposal: meta.wanted.promised, round });
  }

  onSupport(from: NodeId, message: PalfMessageOf<'support'>): void {
    this.#replica.hearOf(message.proposal);
    this.#answers.set(from, { isSoft: false, at: this.#replica.now });
    this.#count();
  }

  onOppose(from: NodeId, message: PalfMessageOf<'oppose'>): void {
    const { config, settings } = this.#replica;
    this.#replica.hearOf(message.proposal);
    if (message.hard) this.#answers.delete(from);
    else this.#answers.set(from, { isSoft: true, at: this.#replica.now });
    const isLeftOut = !message.isMember && compareVersions(message.version, config.version) > 0;
    if (isLeftOut) this.#standStill(retiredLeases * settings.leaseMs);
    else this.#count();
  }

  // --- votes ---

  onPrepare(from: NodeId, message: PalfMessageOf<'prepare'>): void {
    const { now, lease, config, meta, out, isClosing } = this.#replica;
    const { proposal, sentAt, leaseMs } = message;
    this.#replica.hearOf(proposal);
    // Who was just made a member may not know it: the candidate's record says who votes.
    if (this.#replica.isSilent || isClosing || !this.#mayVote) return;
    if (message.released > 0) lease.releaseLeader(message.released);
    const { promised } = meta.wanted;
    const order = compareVersions(message.version, config.version);
    const isRefused =
      this.#host.holdsLease() ||
      lease.isBound(now, from) ||
      order < 0 ||
      (order === 0 && !config.members.includes(from)) ||
      proposal < promised ||
      (proposal === promised && this.#votedFor !== from);
    if (isRefused) {
      out.send(from, { kind: 'reject', proposal, promised });
      return;
    }
    if (proposal > promised) {
      this.#host.stepDown('another stands for election');
      this.#replica.raise(proposal);
      this.#votedFor = from;
    }
    this.#giveWord(from, proposal, leaseMs);
    this.#pending = { to: from, proposal, sentAt, leaseMs };
  }

  /** This replica itself used `proposal` up. */
  votedForSelf(proposal: ProposalId): void {
    const { self, now, settings } = this.#replica;
    this.#votedFor = self;
    this.#give(self, proposal, monoMs(now + settings.leaseMs));
    this.#pending = undefined;
  }

  /** Promised to another's proposal without its vote, if it was not. */
  follows(proposal: ProposalId): void {
    if (proposal <= this.#replica.meta.wanted.promised) return;
    this.#replica.raise(proposal);
    this.#votedFor = null;
    this.#pending = undefined;
  }

  /** At the end of each step: what a vote waits for may have happened. */
  settle(): void {
    const { meta, log, out, isLogQuiet, health } = this.#replica;
    if (!this.#mayVote) this.#pending = undefined;
    if (this.#pending === undefined || !isLogQuiet) return;
    const { to, proposal, sentAt, leaseMs } = this.#pending;
    if (meta.durable.promised !== proposal || meta.sureLeaseMs < leaseMs) return;
    this.#pending = undefined;
    out.send(to, {
      kind: 'promise',
      proposal,
      sentAt,
      accepted: meta.durable.accepted,
      end: log.flushed,
      committed: log.committed,
      cutApplied: meta.durable.cutApplied,
      ...health,
    });
  }

  // --- the lease ---

  /** A leader that is followed asks for its lease. */
  onRenew(from: NodeId, message: PalfMessageOf<'renew'>): void {
    const { now, lease, settings, meta } = this.#replica;
    const { proposal, sentAt, leaseMs } = message;
    if (this.#replica.isSilent || lease.isBound(now, from)) return;
    this.#giveWord(from, proposal, leaseMs);
    const renewed = {
      kind: 'renewed',
      proposal,
      sentAt,
      priority: settings.priority,
      healthy: this.#replica.isHealthy,
      ...this.#replica.health,
    } as const;
    if (meta.sureLeaseMs < leaseMs) meta.thenSend(from, renewed);
    else this.#replica.answer(from, renewed);
  }

  /** To another: nothing of it may leave before a restart would keep silent for so long. */
  #giveWord(to: NodeId, proposal: ProposalId, leaseMs: number): void {
    const { meta, longestWord, now } = this.#replica;
    const longest = longestWord.give(meta.wanted.leaseMs, leaseMs, now);
    if (longest !== meta.wanted.leaseMs) meta.change({ leaseMs: longest });
    this.#give(to, proposal, monoMs(now + leaseMs));
  }

  #give(to: NodeId, proposal: ProposalId, until: MonoMs): void {
    const { lease, rank, settings } = this.#replica;
    lease.grant(to, proposal, until);
    this.#standStill(0);
    this.#canvassAt = monoMs(lease.until + rank * settings.canvassMs);
  }

  onResign(from: NodeId, message: PalfMessageOf<'resign'>): void {
    const { lease, now } = this.#replica;
    if (this.#pending?.to === from && this.#pending.proposal === message.proposal) this.#pending = undefined;
    if (!lease.isHeld(now)) return;
    lease.release(from, message.proposal);
    if (!lease.isHeld(now) && this.#host.isFollowing()) this.standSoon();
  }

  /** The leader gave up for this replica. */
  onHandOver(from: NodeId, message: PalfMessageOf<'hand-over'>): void {
    const { lease, meta, now } = this.#replica;
    const isMine = message.proposal === meta.wanted.promised && this.#host.isFollowing();
    if (!isMine || this.#replica.isSilent || !this.#isEligible || lease.isBound(now, from)) return;
    lease.release(from, message.proposal);
    this.#host.prepare(message.proposal);
  }
}
