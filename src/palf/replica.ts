/**
 * What a replica is, whichever part it plays at the moment: its log, its meta image, its word to a leader, the time. The
 * parts (`elector`, `receiver`, `record-acceptor`, `candidacy`, `leadership`) share it; `core.ts` puts them together.
 */
import { assert, must } from '../base/assert.ts';
import { type MonoMs, monoMs, type NodeId, type ProposalId, proposalId } from '../base/scalars.ts';
import type { ConfigRecord } from '../codec/config-record.ts';
import type { LogHealth, PalfMessage } from '../codec/palf-message.ts';
import { LeasePromise, LongestWord } from './lease.ts';
import { LogCutter } from './log-cutter.ts';
import type { PalfInput } from './inputs.ts';
import { MetaWriter } from './meta-writer.ts';
import type { Outbox } from './outbox.ts';
import { lastProposal } from './proposal-history.ts';
import { votersOf } from './quorum.ts';
import { ReplicaLog } from './replica-log.ts';
import type { PalfSettings } from './settings.ts';

export type Boot = Extract<PalfInput, { kind: 'boot' }>;

export class Replica {
  readonly self: NodeId;
  settings: PalfSettings;
  readonly out: Outbox;
  readonly meta: MetaWriter;
  readonly log: ReplicaLog;
  readonly cutter: LogCutter;
  readonly lease = new LeasePromise();
  readonly longestWord: LongestWord;
  now: MonoMs;
  /** until when a restarted voter may have forgotten a promise */
  readonly silentUntil: MonoMs;
  /** a durable log write is wanted at the end of this turn */
  isFlushAsked = false;
  isClosing = false;
  /** it gave its leadership up because it cannot reach the root service (CLUSTER_POLICY), and does not stand */
  isMuted = false;
  /** log that had been durable is missing behind the end: what is left of it goes first */
  #mustErase: boolean;
  #leader: NodeId | null = null;
  /** the highest proposal heard of anywhere */
  #seen: ProposalId = proposalId(0);

  constructor(boot: Boot, settings: PalfSettings, out: Outbox, now: MonoMs) {
    const { meta, self } = boot;
    assert(boot.end.lsn >= meta.base.lsn, 'a log does not end before its base');
    assert(meta.self === self, 'a replica belongs to one node');
    this.self = self;
    this.settings = settings;
    this.out = out;
    this.now = now;
    this.meta = new MetaWriter(meta, out);
    this.log = new ReplicaLog(proven(boot), meta.blockBytes, out);
    this.cutter = new LogCutter(this.log, this.meta, out);
    // One that never promised anything has nothing to forget, and the only voter promises to itself alone.
    this.#mustErase = boot.corrupt;
    if (boot.corrupt) {
      this.meta.change({ impaired: meta.impaired ?? 'damaged', mendings: meta.mendings + 1 });
      out.trace({ event: 'impaired', what: 'durable log is missing', lsn: boot.end.lsn });
    }
    const mayHavePromised = meta.promised > 0 && !this.isSoleVoter;
    const forgotten = monoMs(now + Math.max(settings.leaseMs, meta.leaseMs));
    this.silentUntil = mayHavePromised ? forgotten : monoMs(0);
    this.longestWord = new LongestWord(forgotten);
  }

  get config(): ConfigRecord {
    return this.meta.wanted.config;
  }

  get isMember(): boolean {
    return this.config.members.includes(this.self);
  }

  get isSoleVoter(): boolean {
    const voters = votersOf(this.config);
    return voters.length === 1 && voters[0] === this.self;
  }

  /** Place in the member list; spreads attempts that would otherwise collide. */
  get rank(): number {
    return Math.max(0, this.config.members.indexOf(this.self));
  }

  get isSilent(): boolean {
    return this.now < this.silentUntil;
  }

  get leader(): NodeId | null {
    return this.#leader;
  }

  set leader(leader: NodeId | null) {
    if (leader === this.#leader) return;
    this.#leader = leader;
    this.out.push({ kind: 'leaderHint', leader });
  }

  /** Remains of damaged log are erased before anything is written in their place. */
  eraseDamaged(): void {
    if (!this.#mustErase || this.cutter.isBusy) return;
    this.#mustErase = false;
    this.cutter.begin({
      to: this.log.flushed,
      flashback: false,
      erase: true,
      decide: () => {},
      done: () => {},
    });
  }

  /** Nothing of the log is on its way to the disk, and nothing waits. */
  get isLogQuiet(): boolean {
    return this.log.isFlushed && !this.cutter.isBusy;
  }

  /** How long the oldest durable write has been in flight. */
  get ioAgeMs(): number {
    const since = [this.log.writingSince, this.meta.writingSince, this.cutter.writingSince];
    return Math.max(0, ...since.map(at => (at === undefined ? 0 : this.now - at)));
  }

  /** The disk answers in time to lead. */
  get isHealthy(): boolean {
    return this.ioAgeMs <= this.settings.leaseMs / 4;
  }

  get health(): LogHealth {
    const { mendings, impaired, checkpointLsn } = this.meta.wanted;
    return { mendings, impaired: impaired !== null, checkpoint: checkpointLsn };
  }

  /** The proposal promised last is durable: what is said or written under it may be. */
  get isPromiseDurable(): boolean {
    return this.meta.durable.promised === this.meta.wanted.promised;
  }

  /** Says something that rests on the promised proposal, and on nothing else that is not durable. */
  answer(to: NodeId, message: PalfMessage): void {
    if (this.isPromiseDurable) this.out.send(to, message);
    else this.meta.thenSend(to, message);
  }

  hearOf(proposal: ProposalId): void {
    if (proposal > this.#seen) this.#seen = proposal;
  }

  /** Above every proposal heard of, promised here, and every era of the log, inherited ones included. */
  nextProposal(): ProposalId {
    const { promised } = this.meta.wanted;
    return proposalId(Math.max(this.#seen, promised, lastProposal(this.log.history)) + 1);
  }

  /** From now on nothing of a lower proposal is taken. What was not handed to the disk is forgotten with it. */
  raise(proposal: ProposalId): void {
    assert(proposal > this.meta.wanted.promised, 'promises rise');
    this.hearOf(proposal);
    this.meta.dropSendsBelow(proposal);
    this.meta.change({ promised: proposal });
    this.cutter.cancelWaiting();
    this.log.dropUnsubmitted();
  }

  /** The durable write begins at the end of this turn, so that everything of one turn shares it. */
  askFlush(): void {
    if (!this.log.isFlushing) this.isFlushAsked = true;
  }
}

/** What the database holds was committed, whatever the log alone can prove. */
function proven(boot: Boot): Pick<Boot, 'end' | 'committed' | 'tail' | 'history'> {
  const { end, committed, tail, history } = boot;
  const { checkpointLsn } = boot.meta;
  if (committed.lsn >= checkpointLsn) return boot;
  const count = tail.findIndex(at => at.lsn >= checkpointLsn);
  return count < 0
    ? { end, committed: end, tail: [], history }
    : { end, committed: must(tail[count], 'committed end'), tail: tail.slice(count + 1), history };
}
