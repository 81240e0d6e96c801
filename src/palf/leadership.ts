/**
 * A leader's term: from a whole log to the end of its proposal.
 *
 * It starts with a record of its own proposal (same content, or what it was opened for), durable here together with the word
 * that this log is the leader's. Everyone who takes that record has the log up to `start`. When a vote quorum took it and a
 * log quorum has `start` durable, the term is open: everything before is committed, and whoever is elected later has it.
 *
 * Commit counts flushed positions of members that took the leader's record, never anything else (L4): a position that a
 * quorum flushed before that could still be overruled by a log with a later `accepted`. The leader's own disk is always part
 * of it.
 *
 * One record change is in flight at a time (C3). Until it is agreed a quorum of both records is asked for everything. Only
 * those who vote in the new record hear of it before: if nobody else takes it, whoever was to go must not hold
 * the newest record. A record may be changed as soon as the first one of the term is agreed: every candidate meets that
 * from then on, and has the log up to `start` (a term may be open only when a dead member is degraded).
 *
 * Entries are ordered, and the leader serves, only inside its lease; outside of it the term waits for one more lease to be
 * renewed, and ends. It ends at once when a higher proposal is heard of, or the own disk does not answer (E9, E10).
 */
import { assert } from '../base/assert.ts';
import type { ConfigVersion, LogPosition } from '../base/log-access.ts';
import { type Lsn, lsn, type MonoMs, monoMs, type NodeId, type ProposalId } from '../base/scalars.ts';
import { type ConfigRecord, compareVersions, replicasOf } from '../codec/config-record.ts';
import type { PalfMessageOf } from '../codec/palf-message.ts';
import type { PalfOutcome } from './effects.ts';
import type { LogReadResult, Token } from './inputs.ts';
import { lastCutVersion } from './flashback-cuts.ts';
import { leaseEnd } from './lease.ts';
import { PeerProgress } from './peer-progress.ts';
import { hasVoteQuorum, logQuorumValue, votersOf } from './quorum.ts';
import type { Replica } from './replica.ts';
import { Replicator } from './replicator.ts';
import { renewalAt } from './settings.ts';

/** Why a leader opens another proposal of its own, and what the first record of it says more. */
export interface Opening {
  readonly token: Token;
  readonly change: (record: ConfigRecord) => ConfigRecord;
  /** the log is cut here first */
  readonly cut: LogPosition | null;
  readonly outcome: (record: ConfigRecord, end: LogPosition) => PalfOutcome;
}

/** What may be told to be committed while a term is opened: nothing that it is going to cut off. */
export const committedBefore = ({ log }: Replica, opening: Opening | undefined): Lsn =>
  lsn(Math.min(log.committed.lsn, opening?.cut?.lsn ?? log.committed.lsn));

/** What a candidate hands to the leader it becomes. */
export interface ElectedLeader {
  readonly proposal: ProposalId;
  readonly opening: Opening | undefined;
  readonly promises: ReadonlyMap<NodeId, PalfMessageOf<'promise'>>;
  readonly grantedAt: ReadonlyMap<NodeId, MonoMs>;
}

/** A record on its way to be agreed on. */
interface RecordChange {
  readonly record: ConfigRecord;
  /** null: the first record of the term */
  readonly previous: ConfigRecord | null;
  /** log that must be durable before it is taken */
  readonly barrier: Lsn;
  readonly agreed: () => void;
}

export interface LeadershipHost {
  /** The term ends. */
  giveUp(why: string, retryMs: number): void;
  /** The term is open. */
  leads(): void;
}

/** Ticks in which a replica is told that it takes part no more. */
const farewellTicks = 5;

export class Leadership {
  readonly proposal: ProposalId;
  readonly #replica: Replica;
  readonly #host: LeadershipHost;
  readonly #elected: ElectedLeader;
  readonly #peers = new Map<NodeId, PeerProgress>();
  readonly #leaving = new Map<NodeId, number>();
  readonly #replicator: Replicator;
  #stage: 'opening' | 'starting' | 'leading' = 'opening';
  #start: LogPosition;
  /** what governs: the last record agreed on */
  #agreed: ConfigRecord;
  #isStartAgreed = false;
  #change: RecordChange | undefined;
  /** log that must be durable before the record agreed on last is taken */
  #barrier: Lsn;
  #leaseUntil: MonoMs;
  #nextTickAt: MonoMs;
  /** what was committed at the last tick, and at the one before */
  #committedAtTicks: readonly [Lsn, Lsn];
  #isOver = false;

  constructor(replica: Replica, host: LeadershipHost, elected: ElectedLeader) {
    const { now, log, meta } = replica;
    this.#replica = replica;
    this.#host = host;
    this.#elected = elected;
    this.proposal = elected.proposal;
    this.#replicator = new Replicator(replica, elected.proposal);
    this.#agreed = meta.durable.config;
    this.#start = log.tail;
    this.#barrier = lsn(0);
    this.#leaseUntil = monoMs(0);
    this.#committedAtTicks = [log.tail.lsn, log.tail.lsn];
    this.#nextTickAt = renewalAt(now, replica.settings);
    assert(log.isFlushed, 'a term starts on a flushed log');
  }

  // --- start ---

  /** The first record becomes durable, with the cut of a flashback if the term was opened for one. */
  begin(): void {
    const { opening } = this.#elected;
    const { meta, cutter } = this.#replica;
    const version = { proposalId: this.proposal, sequence: meta.wanted.config.version.sequence + 1 };
    const before = { ...meta.wanted.config, version };
    const record = opening === undefined ? before : opening.change(before);
    // The barrier of the first record is where the term starts.
    this.#change = { record, previous: null, barrier: lsn(0), agreed: () => this.#startAgreed() };
    this.#syncPeers();
    for (const [node, sentAt] of this.#elected.grantedAt) {
      const peer = this.#peers.get(node);
      if (peer !== undefined) peer.grantedAt = sentAt;
    }
    this.#renewLease();
    // A cut that this replica alone had made stays made.
    const { cutApplied } = meta.wanted;
    const lastCut = lastCutVersion(record);
    const decide = () =>
      meta.change({
        accepted: this.proposal,
        config: record,
        cutApplied: compareVersions(lastCut, cutApplied) > 0 ? lastCut : cutApplied,
      });
    if (opening?.cut === null || opening === undefined) decide();
    else cutter.begin({ to: opening.cut, flashback: true, decide, done: () => {} });
  }

  /** At the end of each step: a write ended, or the record became durable. */
  advance(): void {
    if (this.#isOver) return;
    const { meta, cutter } = this.#replica;
    const isDurable = meta.durable.accepted === this.proposal;
    if (this.#stage === 'opening' && isDurable && !cutter.isBusy) this.#startTerm();
    if (this.#stage !== 'opening') {
      this.#checkAgreed();
      this.#advanceCommit();
    }
    this.#replicator.endStep();
  }

  #startTerm(): void {
    const { log } = this.#replica;
    this.#stage = 'starting';
    this.#start = log.tail;
    this.#committedAtTicks = [log.tail.lsn, log.tail.lsn];
    for (const peer of this.#peers.values()) {
      const promise = this.#elected.promises.get(peer.node);
      if (promise !== undefined) {
        peer.hear(promise, this.#replica.now);
        if (this.#hasLog(peer.node)) this.#replicator.onMismatch(peer, promise);
      } else if (this.#hasLog(peer.node)) this.#replicator.probe(peer);
      this.#sendRecord(peer);
    }
    this.#tell();
  }

  #startAgreed(): void {
    this.#isStartAgreed = true;
  }

  #lead(): void {
    const { out, self, log } = this.#replica;
    this.#stage = 'leading';
    this.#host.leads();
    this.#replica.leader = self;
    out.push({
      kind: 'roleChanged',
      role: 'leader',
      proposalId: this.proposal,
      startLsn: this.#start.lsn,
      leader: self,
    });
    out.trace({ event: 'leader', proposalId: this.proposal, lsn: this.#start.lsn });
    const { opening } = this.#elected;
    if (opening !== undefined)
      this.#replica.meta.thenReply(opening.token, opening.outcome(this.#agreed, log.committed));
  }

  // --- what others see ---

  get stage(): 'starting' | 'leading' {
    return this.#stage === 'leading' ? 'leading' : 'starting';
  }

  get isLeading(): boolean {
    return this.#stage === 'leading';
  }

  /** What the term is being opened for, and who waits for it. */
  get opening(): Opening | undefined {
    return this.isLeading ? undefined : this.#elected.opening;
  }

  get agreed(): ConfigRecord {
    return this.#agreed;
  }

  get leaseUntil(): MonoMs {
    return this.#leaseUntil;
  }

  get holdsLease(): boolean {
    return this.#replica.now < this.#leaseUntil;
  }

  get isChanging(): boolean {
    return this.#change !== undefined;
  }

  /** The first record of the term is agreed on, and none is in flight: another may be proposed. */
  get mayPropose(): boolean {
    return this.#isStartAgreed && this.#change === undefined && this.holdsLease;
  }

  /** Everything ordered is committed. */
  get isDrained(): boolean {
    const { log } = this.#replica;
    return log.isFlushed && log.committed.lsn === log.tail.lsn;
  }

  get peers(): readonly PeerProgress[] {
    return [...this.#peers.values()];
  }

  peer(node: NodeId): PeerProgress | undefined {
    return this.#peers.get(node);
  }

  /** A member that answers, took this leader's record, and is not damaged. */
  isSound(node: NodeId): boolean {
    if (node === this.#replica.self) return true;
    const peer = this.#peers.get(node);
    if (peer === undefined || peer.isImpaired || !peer.hasAccepted || peer.answeredAt === 0) return false;
    return this.#replica.now - peer.answeredAt < this.#replica.settings.leaseMs;
  }

  /** Whoever it is, it answered within a lease. */
  answers(node: NodeId): boolean {
    const answeredAt = this.#peers.get(node)?.answeredAt ?? 0;
    return answeredAt > 0 && this.#replica.now - answeredAt < this.#replica.settings.leaseMs;
  }

  /** A replica that took the record agreed on, and has what becoming a member needs. */
  isReadyToCount(node: NodeId): boolean {
    const peer = this.#peers.get(node);
    if (peer === undefined || !this.answers(node) || !this.isCaughtUp(node)) return false;
    return compareVersions(peer.version, this.#agreed.version) >= 0;
  }

  /**
   * A replica that has what was committed a renewal ago, and keeps its word: needed as soon as it counts. Its log counts
   * when it takes the record that makes it a member, with what that needs. Durably: what had only arrived there goes with its
   * process, and nothing tells that it did.
   */
  isCaughtUp(node: NodeId): boolean {
    const { self, now, settings, meta } = this.#replica;
    if (node === self) return true;
    const peer = this.#peers.get(node);
    if (peer === undefined || peer.isImpaired || peer.grantedAt === undefined) return false;
    // Who is behind the base needs a copy of the database first, however short the log is.
    const needed = Math.max(meta.wanted.base.lsn, this.#committedAtTicks[1]);
    return peer.flushed >= needed && now - peer.grantedAt < settings.leaseMs;
  }

  get wakeAt(): MonoMs | undefined {
    return this.#peers.size === 0 && this.#leaving.size === 0 ? undefined : this.#nextTickAt;
  }

  // --- peers ---

  get #records(): readonly ConfigRecord[] {
    if (this.#change === undefined) return [this.#agreed];
    const { record, previous } = this.#change;
    return previous === null ? [record] : [previous, record];
  }

  #hasLog(node: NodeId): boolean {
    return this.#records.every(record => record.arbiter !== node);
  }

  #syncPeers(): void {
    const { self, now } = this.#replica;
    const nodes = new Set(this.#records.flatMap(record => [...votersOf(record), ...replicasOf(record)]));
    nodes.delete(self);
    for (const node of this.#peers.keys()) if (!nodes.has(node)) this.#peers.delete(node);
    for (const node of nodes) if (!this.#peers.has(node)) this.#peers.set(node, new PeerProgress(node, now));
  }

  /** Groups got their place: they go out as the own write begins. */
  pump(): void {
    if (this.#stage === 'opening') return;
    for (const peer of this.#peers.values()) if (this.#hasLog(peer.node)) this.#replicator.pump(peer);
  }

  /**
   * Nothing before the term's first record is agreed: the list that counts may be one that nobody else ever took, and others may elect
   * another leader by the list that they know. Nor before everything up to the term's start is at a quorum.
   */
  #advanceCommit(): void {
    const { self, log, meta } = this.#replica;
    if (meta.durable.accepted !== this.proposal) return;
    const before = log.committed.lsn;
    const reached = logQuorumValue(this.#records, member => {
      if (member === self) return log.flushed.lsn;
      const peer = this.#peers.get(member);
      return peer?.hasAccepted === true && !peer.isImpaired ? peer.flushed : 0;
    });
    if (this.#isStartAgreed && reached >= this.#start.lsn) log.commit(lsn(reached));
    if (log.committed.lsn > before) this.#tell();
    const isWhole = this.#isStartAgreed && log.committed.lsn >= this.#start.lsn;
    // What it needed may come after a long sleep, when others have gone on: the lease says that nobody has (L3).
    if (this.#stage === 'starting' && isWhole && this.holdsLease) this.#lead();
  }

  #tell(): void {
    this.#replicator.tellCommitted([...this.#peers.values()].filter(peer => this.#hasLog(peer.node)));
  }

  // --- lease ---

  #renewLease(): void {
    const { self, settings } = this.#replica;
    this.#leaseUntil = leaseEnd(
      this.#records,
      self,
      settings.leaseMs,
      voter => this.#peers.get(voter)?.grantedAt,
    );
    this.#replica.lease.grant(self, this.proposal, this.#leaseUntil);
  }

  tick(): void {
    const { now, settings, ioAgeMs } = this.#replica;
    if (this.#isOver || now < this.#nextTickAt) return;
    this.#nextTickAt = renewalAt(now, settings);
    this.#committedAtTicks = [this.#replica.log.committed.lsn, this.#committedAtTicks[0]];
    if (this.wakeAt === undefined) return;
    if (this.#records.some(record => votersOf(record).length > 1)) {
      if (ioAgeMs >= settings.leaseMs) return this.#host.giveUp('the disk does not answer', settings.leaseMs);
      if (now >= this.#leaseUntil + settings.leaseMs) return this.#host.giveUp('the lease ran out', 0);
    }
    // A sole voter's promise becomes durable with its first record.
    if (!this.#replica.isPromiseDurable) return;
    const message = {
      kind: 'renew',
      proposal: this.proposal,
      sentAt: now,
      leaseMs: settings.leaseMs,
      committed: committedBefore(this.#replica, this.opening),
    } as const;
    for (const peer of this.#peers.values()) {
      this.#replica.out.send(peer.node, message);
      if (this.#stage === 'opening') continue;
      this.#sendRecord(peer);
      if (!this.#hasLog(peer.node)) continue;
      this.#replicator.retry(peer);
      if (peer.isImpaired) this.#mend(peer);
    }
    this.#sayFarewell();
  }

  onRenewed(from: NodeId, message: PalfMessageOf<'renewed'>): PeerProgress | undefined {
    const peer = this.#peers.get(from);
    if (peer === undefined || message.proposal !== this.proposal) return undefined;
    if (!peer.hear(message, this.#replica.now)) return undefined;
    peer.priority = message.priority;
    peer.isHealthy = message.healthy;
    if (peer.grantedAt === undefined || message.sentAt > peer.grantedAt) peer.grantedAt = message.sentAt;
    this.#renewLease();
    return peer;
  }

  /** A vote that comes late: the voter's lease, and where its log ends. */
  onPromise(from: NodeId, message: PalfMessageOf<'promise'>): void {
    const peer = this.#peers.get(from);
    if (peer === undefined || message.proposal !== this.proposal) return;
    if (!peer.hear(message, this.#replica.now)) return;
    if (peer.grantedAt === undefined || message.sentAt > peer.grantedAt) peer.grantedAt = message.sentAt;
    this.#renewLease();
    const isUnknown = this.#stage !== 'opening' && peer.next === undefined;
    if (isUnknown && this.#hasLog(peer.node)) this.#replicator.onMismatch(peer, message);
  }

  // --- log ---

  onAck(from: NodeId, message: PalfMessageOf<'ack'>): void {
    const peer = this.#heard(from, message);
    if (peer === undefined) return;
    this.#replicator.onAck(peer, message);
    // It may just have got what the record needs.
    if (message.flushed < message.received) this.#sendRecordAgain(peer);
  }

  onMismatch(from: NodeId, message: PalfMessageOf<'mismatch'>): void {
    const peer = this.#heard(from, message);
    if (peer === undefined) return;
    this.#replicator.onMismatch(peer, message);
    // It may have to hear of a flashback before the logs can meet.
    if (peer.next === undefined) this.#sendRecordAgain(peer);
  }

  #heard(from: NodeId, message: PalfMessageOf<'ack' | 'mismatch' | 'config-ack'>): PeerProgress | undefined {
    const peer = this.#peers.get(from);
    if (peer === undefined || message.proposal !== this.proposal || this.#stage === 'opening')
      return undefined;
    return peer.hear(message, this.#replica.now) ? peer : undefined;
  }

  /** False: this leader did not ask for it. */
  onLogRead(readId: number, result: LogReadResult): boolean {
    for (const peer of this.#peers.values()) {
      if (peer.readId !== readId) continue;
      this.#replicator.onRead(peer, result);
      return true;
    }
    return false;
  }

  #mend(peer: PeerProgress): void {
    this.#replica.out.send(peer.node, {
      kind: 'mend',
      proposal: this.proposal,
      mendings: peer.mendings,
      end: this.#replica.log.tail.lsn,
    });
  }

  // --- records ---

  /** The next record, durable here first. Only with no other change in flight. */
  propose(change: Partial<ConfigRecord>, agreed: (version: ConfigVersion) => void): void {
    assert(this.#isStartAgreed && this.#change === undefined, 'one change at a time');
    const { meta, log } = this.#replica;
    const { sequence } = this.#agreed.version;
    const version = { proposalId: this.proposal, sequence: sequence + 1 };
    const record: ConfigRecord = { ...this.#agreed, ...change, version };
    const barrier = log.committed.lsn;
    this.#change = { record, previous: this.#agreed, barrier, agreed: () => agreed(version) };
    meta.change({ config: record });
    this.#syncPeers();
    this.#renewLease();
  }

  /** The newest record that this peer may have: one in flight goes to those who take part in it alone. */
  #recordFor(node: NodeId): ConfigRecord | undefined {
    const { record } = this.#change ?? {};
    if (record !== undefined && votersOf(record).includes(node)) return record;
    return this.#isStartAgreed ? this.#agreed : undefined;
  }

  #sendRecord(peer: PeerProgress): void {
    const record = this.#recordFor(peer.node);
    if (record === undefined || !this.#isDurable(record)) return;
    if (compareVersions(peer.version, record.version) >= 0) return;
    peer.recordSentAt = this.#replica.now;
    this.#replica.out.send(peer.node, this.#configMessage(record));
  }

  /** Not with every answer. */
  #sendRecordAgain(peer: PeerProgress): void {
    const { now, settings } = this.#replica;
    if (now - peer.recordSentAt >= settings.renewMs / 4) this.#sendRecord(peer);
  }

  #configMessage(record: ConfigRecord): PalfMessageOf<'config'> {
    const barrier = record === this.#change?.record ? this.#change.barrier : this.#barrier;
    return { kind: 'config', proposal: this.proposal, record, start: this.#start, barrier };
  }

  #isDurable(record: ConfigRecord): boolean {
    return compareVersions(this.#replica.meta.durable.config.version, record.version) >= 0;
  }

  /** The own image with a new record became durable: the others hear of it. */
  recordDurable(): void {
    if (this.#isOver || this.#stage === 'opening') return;
    for (const peer of this.#peers.values()) this.#sendRecord(peer);
  }

  onConfigAck(from: NodeId, message: PalfMessageOf<'config-ack'>): void {
    const peer = this.#heard(from, message);
    if (peer === undefined) {
      this.#leaving.delete(from);
      return;
    }
    const record = [this.#change?.record, this.#agreed].find(
      known => known !== undefined && compareVersions(known.version, message.version) === 0,
    );
    if (record === undefined || record.version.proposalId !== this.proposal) return;
    const isMember = record.members.includes(from);
    peer.took(message.version, isMember);
    if (!isMember) return;
    peer.acknowledge(this.#start.lsn, this.#start.lsn, this.#replica.now);
    peer.next ??= this.#start;
    this.#replicator.pump(peer);
  }

  #checkAgreed(): void {
    const change = this.#change;
    if (change === undefined || !this.#isDurable(change.record)) return;
    const { record } = change;
    const hasTaken = (voter: NodeId): boolean => {
      if (voter === this.#replica.self) return true;
      const peer = this.#peers.get(voter);
      return peer !== undefined && !peer.isImpaired && compareVersions(peer.version, record.version) >= 0;
    };
    // Its own quorum: who goes is not told of it, and cannot be elected any more without one of those who hold it. Where
    // an arbiter stays nobody goes, and everybody who lives is needed while members are degraded.
    const { previous } = change;
    const isArbitrated = previous !== null && record.arbiter !== null && previous.arbiter === record.arbiter;
    if (!hasVoteQuorum(isArbitrated ? [previous, record] : [record], hasTaken)) return;
    const before = this.#agreed;
    this.#change = undefined;
    this.#agreed = record;
    this.#barrier = change.barrier;
    const those = new Set([...replicasOf(record), record.arbiter]);
    for (const node of [...replicasOf(before), before.arbiter])
      if (node !== null && !those.has(node)) this.#leaving.set(node, farewellTicks);
    this.#syncPeers();
    // Its log counts again when it takes the record that makes it a member again.
    for (const node of record.degraded) this.#peers.get(node)?.degrade();
    this.#renewLease();
    this.#trace(record, before);
    change.agreed();
    if (!this.#isOver) for (const peer of this.#peers.values()) this.#sendRecord(peer);
    this.#sayFarewell();
  }

  #trace(record: ConfigRecord, before: ConfigRecord): void {
    const { out, log } = this.#replica;
    const { proposalId, sequence } = record.version;
    out.trace({ event: 'config', proposalId, sequence, members: record.members.join(' ') });
    if (record.modeVersion === before.modeVersion) return;
    const { accessMode, modeVersion } = record;
    out.trace({ event: 'access-mode', accessMode, modeVersion, proposalId, lsn: log.committed.lsn });
  }

  /** Those who take part no more are told, for a while. */
  #sayFarewell(): void {
    for (const [node, ticks] of this.#leaving) {
      this.#replica.out.send(node, this.#configMessage(this.#agreed));
      if (ticks === 1) this.#leaving.delete(node);
      else this.#leaving.set(node, ticks - 1);
    }
  }

  /** The end: nothing that still comes counts. */
  end(): void {
    this.#isOver = true;
  }

  /** Tells the voters that the lease is wanted no more. */
  resign(): void {
    const message = { kind: 'resign', proposal: this.proposal } as const;
    for (const node of this.#peers.keys()) this.#replica.out.send(node, message);
  }
}
