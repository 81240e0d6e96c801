/**
 * The arbiter of a log stream: a voter without a log. It takes part in elections, leases and records, and in nothing else: it
 * never acknowledges log, never stands for election, and says of its own log that it is empty, which candidates do not
 * weigh. Pure: `step(input, now) → effects`, as the core of a replica.
 *
 * Its word is what keeps two halves of a log stream apart. It votes for nobody whose record is older than its own, so that
 * who was degraded cannot be elected (A3), and takes the records of one side only, those of the highest proposal that it
 * promised (A4). A record that its leader gave to nobody else before it died keeps no member out: they are told of it here.
 * Promise and record are durable before anything rests on them (E5); the lease it gives is in memory, and after a restart it
 * keeps silent until all leases from before have run out (E4): the longest of them is in the image.
 *
 * Must never: let a promise or the acknowledgement of a record go before the image that holds it is durable; acknowledge
 * log (A1); take an older record, or one of a lower proposal than it promised (C1).
 */
import { assert } from '../base/assert.ts';
import type { ConfigVersion, LogPosition } from '../base/log-access.ts';
import { lsn, type MonoMs, monoMs, type NodeId, type ProposalId, scn } from '../base/scalars.ts';
import type { ArbiterImage } from '../codec/arbiter-image.ts';
import { compareVersions, type ConfigRecord, haveSameVoters, noVersion } from '../codec/config-record.ts';
import type { LogHealth, PalfMessage, PalfMessageOf } from '../codec/palf-message.ts';
import type { PalfSend } from './effects.ts';
import { LeasePromise, LongestWord } from './lease.ts';
import { owe } from './outbox.ts';
import type { PalfSettings } from './settings.ts';

export type ArbiterInput =
  /** the sender's identity was proven by the transport */
  | { readonly kind: 'message'; readonly from: NodeId; readonly message: PalfMessage }
  /** the image of exactly one earlier effect is durable */
  | { readonly kind: 'persisted'; readonly id: number };

export type ArbiterEffect =
  /** one atomic image; at most one in flight. `thenSend` leaves when it is durable */
  | {
      readonly kind: 'persist';
      readonly id: number;
      readonly image: ArbiterImage;
      readonly thenSend: readonly PalfSend[];
    }
  /** only messages that promise nothing that is not durable already */
  | { readonly kind: 'send'; readonly to: NodeId; readonly message: PalfMessage };

/** Read-only picture, for status and checkers. */
export interface ArbiterView {
  /** what is durable */
  readonly image: ArbiterImage;
  /** who holds its lease, as far as it knows; null for nobody */
  readonly leader: NodeId | null;
  /** until when it keeps its word; 0 for nobody */
  readonly promisedUntil: MonoMs;
  /** until when a restarted one may have forgotten a promise */
  readonly silentUntil: MonoMs;
}

const noLog: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };
const health: LogHealth = { mendings: 0, impaired: false, checkpoint: lsn(0) };

export class ArbiterCore {
  readonly #self: NodeId;
  readonly #lease = new LeasePromise();
  readonly #longestWord: LongestWord;
  readonly #silentUntil: MonoMs;
  #durable: ArbiterImage;
  #wanted: ArbiterImage;
  /** who got the promised proposal as a vote */
  #votedFor: NodeId | null = null;
  #effects: ArbiterEffect[] = [];
  #inFlight: { readonly id: number; readonly image: ArbiterImage } | undefined;
  #lastId = 0;
  /** what rests on the wanted image */
  #owed: PalfSend[] = [];
  /** what rests on the image in flight, and no later one */
  #behind: PalfSend[] = [];

  /**
   * @param image what is durable; of a new arbiter `newArbiterImage`
   * @param settings of the cluster: for so long it keeps silent at least
   */
  constructor(
    { self, image }: { readonly self: NodeId; readonly image: ArbiterImage },
    settings: Pick<PalfSettings, 'leaseMs'>,
    now: MonoMs,
  ) {
    assert(image.self === self, 'an arbiter belongs to one node');
    this.#self = self;
    this.#durable = image;
    this.#wanted = image;
    const forgotten = monoMs(now + Math.max(settings.leaseMs, image.leaseMs));
    this.#silentUntil = image.promised > 0 ? forgotten : monoMs(0);
    this.#longestWord = new LongestWord(forgotten);
  }

  /** The only entry. Effects are to be carried out in order. */
  step(input: ArbiterInput, now: MonoMs): readonly ArbiterEffect[] {
    if (input.kind === 'persisted') this.#onPersisted(input.id);
    else if (input.from !== this.#self) this.#onMessage(input.from, input.message, now);
    this.#issue();
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  view(): ArbiterView {
    return {
      image: this.#durable,
      leader: this.#lease.to,
      promisedUntil: this.#lease.until,
      silentUntil: this.#silentUntil,
    };
  }

  #onMessage(from: NodeId, message: PalfMessage, now: MonoMs): void {
    switch (message.kind) {
      case 'canvass':
        return this.#onCanvass(from, message, now);
      case 'prepare':
        return this.#onPrepare(from, message, now);
      case 'renew':
        return this.#onRenew(from, message, now);
      case 'resign':
        return this.#onResign(from, message);
      case 'config':
        return this.#onConfig(from, message);
      default:
      // Log, its acknowledgements and answers to candidates are not for an arbiter.
    }
  }

  // --- election ---

  #onCanvass(from: NodeId, { round, standing }: PalfMessageOf<'canvass'>, now: MonoMs): void {
    if (now < this.#silentUntil) return;
    const { promised } = this.#wanted;
    const version = this.#version;
    const order = compareVersions(standing.version, version);
    const isMember = this.#isMember(from);
    const isTaken = this.#lease.isBound(now, from) || order < 0 || (order === 0 && !isMember);
    this.#send(
      from,
      isTaken
        ? { kind: 'oppose', proposal: promised, round, hard: true, version, isMember }
        : { kind: 'support', proposal: promised, round },
    );
    if (order < 0) this.#handRecord(from);
  }

  #onPrepare(from: NodeId, message: PalfMessageOf<'prepare'>, now: MonoMs): void {
    if (now < this.#silentUntil) return;
    const { proposal, sentAt, leaseMs, released } = message;
    if (released > 0) this.#lease.releaseLeader(released);
    const { promised } = this.#wanted;
    const order = compareVersions(message.version, this.#version);
    const isRefused =
      this.#lease.isBound(now, from) ||
      order < 0 ||
      (order === 0 && !this.#isMember(from)) ||
      proposal < promised ||
      (proposal === promised && this.#votedFor !== from);
    if (isRefused) return this.#send(from, { kind: 'reject', proposal, promised });
    if (proposal > promised) {
      this.#raise(proposal);
      this.#votedFor = from;
    }
    this.#giveWord(from, proposal, leaseMs, now);
    this.#thenSend(from, {
      kind: 'promise',
      proposal,
      sentAt,
      accepted: noVersion.proposalId,
      end: noLog,
      committed: noLog,
      cutApplied: noVersion,
      ...health,
    });
  }

  /** A leader, or a candidate that repairs its log, asks for its lease. */
  #onRenew(from: NodeId, { proposal, sentAt, leaseMs }: PalfMessageOf<'renew'>, now: MonoMs): void {
    if (!this.#follow(from, proposal)) return;
    if (now < this.#silentUntil || this.#lease.isBound(now, from)) return;
    this.#giveWord(from, proposal, leaseMs, now);
    this.#thenSend(from, { kind: 'renewed', proposal, sentAt, priority: 0, healthy: true, ...health });
  }

  /** Nothing of it leaves before a restart would keep silent for so long: what is said of it waits for what is wanted now. */
  #giveWord(to: NodeId, proposal: ProposalId, leaseMs: number, now: MonoMs): void {
    const longest = this.#longestWord.give(this.#wanted.leaseMs, leaseMs, now);
    if (longest !== this.#wanted.leaseMs) this.#wanted = { ...this.#wanted, leaseMs: longest };
    this.#lease.grant(to, proposal, monoMs(now + leaseMs));
  }

  #onResign(from: NodeId, { proposal }: PalfMessageOf<'resign'>): void {
    this.#lease.release(from, proposal);
    const isWanted = ({ to, message }: PalfSend): boolean =>
      to !== from || message.kind !== 'promise' || message.proposal !== proposal;
    this.#owed = this.#owed.filter(isWanted);
    this.#behind = this.#behind.filter(isWanted);
  }

  // --- records ---

  #onConfig(from: NodeId, { proposal, record, start, barrier }: PalfMessageOf<'config'>): void {
    if (!this.#follow(from, proposal)) return;
    const order = compareVersions(record.version, this.#version);
    if (order < 0) return;
    if (order > 0) {
      const basis = { start, barrier, since: this.#sinceOf(record) };
      this.#wanted = { ...this.#wanted, config: record, basis };
    }
    this.#thenSend(from, { kind: 'config-ack', proposal, version: record.version, ...health });
  }

  /** The first of the records in a row, up to this one, that were taken here and have its voters. */
  #sinceOf(record: ConfigRecord): ConfigVersion {
    const { config, basis } = this.#wanted;
    const goesOn = config !== null && basis !== null && haveSameVoters(config, record);
    return goesOn ? basis.since : record.version;
  }

  /**
   * Who made the record that is held here may have died before it reached anybody else: a member of it that does not have it
   * would never get this vote. It is told of it as that leader would have told it, late, and takes it only with the log that
   * it needs, or where it can tell that nothing that was committed depends on that. What is not durable here is not told: nobody else might ever have it again.
   */
  #handRecord(to: NodeId): void {
    const { config, basis, promised } = this.#durable;
    if (config === null || basis === null || config.arbiter !== this.#self) return;
    if (config.members.includes(to))
      this.#send(to, { kind: 'record', proposal: promised, record: config, ...basis });
  }

  /** A leader speaks: whether it is one for this arbiter. A higher proposal than the promised one is promised now. */
  #follow(from: NodeId, proposal: ProposalId): boolean {
    const { promised } = this.#wanted;
    if (proposal < promised) {
      this.#send(from, { kind: 'reject', proposal, promised });
      return false;
    }
    if (proposal > promised) {
      this.#raise(proposal);
      this.#votedFor = null;
    }
    return true;
  }

  get #version() {
    return this.#wanted.config?.version ?? noVersion;
  }

  #isMember(node: NodeId): boolean {
    return this.#wanted.config?.members.includes(node) ?? false;
  }

  /** From now on nothing of a lower proposal is taken, and nothing is said under one. */
  #raise(proposal: ProposalId): void {
    const isOfIt = ({ message }: PalfSend): boolean => message.proposal >= proposal;
    this.#owed = this.#owed.filter(isOfIt);
    this.#behind = this.#behind.filter(isOfIt);
    this.#wanted = { ...this.#wanted, promised: proposal };
  }

  // --- what is durable ---

  #send(to: NodeId, message: PalfMessage): void {
    this.#effects.push({ kind: 'send', to, message });
  }

  /** Leaves when everything wanted now is durable. */
  #thenSend(to: NodeId, message: PalfMessage): void {
    if (this.#wanted === this.#durable) this.#send(to, message);
    else if (this.#wanted === this.#inFlight?.image) owe(this.#behind, { to, message });
    else owe(this.#owed, { to, message });
  }

  #issue(): void {
    if (this.#inFlight !== undefined || this.#wanted === this.#durable) return;
    this.#lastId += 1;
    this.#inFlight = { id: this.#lastId, image: this.#wanted };
    const thenSend = this.#owed;
    this.#owed = [];
    this.#effects.push({ kind: 'persist', id: this.#lastId, image: this.#wanted, thenSend });
  }

  #onPersisted(id: number): void {
    const written = this.#inFlight;
    assert(written?.id === id, 'completions name the image in flight');
    assert(written.image.promised >= this.#durable.promised, 'promised proposals never decrease');
    this.#inFlight = undefined;
    this.#durable = written.image;
    for (const { to, message } of this.#behind) this.#send(to, message);
    this.#behind = [];
  }
}
