/**
 * Handing the leadership over: to a member that was named, or to a fitter one.
 *
 * The leader takes no more entries, waits until the target has everything (and everything is committed, unless the own disk
 * is the reason), gives up its lease and tells the target, which stands at once. Fitter is a sound, healthy member with the
 * whole log that stands before this replica in the primary zone list, or any such member while the own disk is slow; it must
 * show so twice in a row, and not right after this term began, so that two never pass a leadership to and fro.
 *
 * Must never hand over to a member without the record agreed on: nobody who has it would vote for that one.
 */
import { type MonoMs, monoMs, type NodeId } from '../base/scalars.ts';
import { compareVersions } from '../codec/config-record.ts';
import type { Token } from './inputs.ts';
import type { Leadership } from './leadership.ts';
import type { PeerProgress } from './peer-progress.ts';
import type { Replica } from './replica.ts';

interface Transfer {
  readonly target: NodeId;
  /** undefined: nobody asked for it */
  readonly token: Token | undefined;
  readonly deadline: MonoMs;
  /** what the own disk does not finish is not waited for */
  readonly isUrgent: boolean;
}

export interface HandOverHost {
  /** what was asked of the leader is under way: it would end abandoned */
  readonly isBusy: boolean;
  /** Ends the term in favour of `target`. */
  handOver(target: NodeId): void;
}

/** Leases a term lasts before it is handed to a fitter member. */
const settledLeases = 4;
/** Answers in a row that make a member fitter. */
const sightings = 2;

export class HandOver {
  readonly #replica: Replica;
  readonly #leadership: Leadership;
  readonly #host: HandOverHost;
  readonly #notBefore: MonoMs;
  #transfer: Transfer | undefined;

  constructor(replica: Replica, leadership: Leadership, host: HandOverHost) {
    this.#replica = replica;
    this.#leadership = leadership;
    this.#host = host;
    this.#notBefore = monoMs(replica.now + settledLeases * replica.settings.leaseMs);
  }

  get isUnderWay(): boolean {
    return this.#transfer !== undefined;
  }

  get wakeAt(): MonoMs | undefined {
    return this.#transfer?.deadline;
  }

  request(target: NodeId, token: Token): void {
    const { out, self, now, settings } = this.#replica;
    if (!this.#leadership.agreed.members.includes(target))
      return out.refuse(token, { why: 'not-member', node: target });
    if (target === self) return out.reply(token, { kind: 'transferred', to: self });
    if (this.#transfer !== undefined) return out.refuse(token, { why: 'busy' });
    const peer = this.#leadership.peer(target);
    if (peer === undefined || !this.#mayWin(peer)) return this.#refuse(target, token);
    this.#transfer = { target, token, deadline: monoMs(now + settings.leaseMs), isUrgent: false };
  }

  /** A member that the others would elect, once it has the log. */
  #mayWin(peer: PeerProgress): boolean {
    const { agreed } = this.#leadership;
    return this.#leadership.isSound(peer.node) && compareVersions(peer.version, agreed.version) >= 0;
  }

  #refuse(node: NodeId, token: Token): void {
    const end = this.#leadership.peer(node)?.flushed ?? this.#replica.meta.wanted.base.lsn;
    this.#replica.out.refuse(token, { why: 'not-caught-up', node, end, needed: this.#replica.log.tail.lsn });
  }

  /** At the end of each step: the target may have everything. */
  advance(): void {
    const transfer = this.#transfer;
    if (transfer === undefined) return;
    const { log, out, now } = this.#replica;
    const { target, token } = transfer;
    const isReady = transfer.isUrgent || this.#leadership.isDrained;
    const peer = this.#leadership.peer(target);
    if (isReady && peer !== undefined && this.#mayWin(peer) && peer.flushed >= log.tail.lsn) {
      this.#transfer = undefined;
      this.#host.handOver(target);
      if (token !== undefined) out.reply(token, { kind: 'transferred', to: target });
    } else if (now >= transfer.deadline) {
      this.#transfer = undefined;
      if (token !== undefined) this.#refuse(target, token);
    }
  }

  /** A member answered: it may be fitter to lead. */
  onAnswer(peer: PeerProgress): void {
    const { settings, now, isHealthy, log } = this.#replica;
    const isAble =
      this.#leadership.agreed.members.includes(peer.node) &&
      this.#mayWin(peer) &&
      peer.isHealthy &&
      peer.flushed >= log.committed.lsn;
    const isFitter = isAble && (peer.priority < settings.priority || !isHealthy);
    peer.fitterCount = isFitter ? peer.fitterCount + 1 : 0;
    const isDue = peer.fitterCount >= sightings && now >= this.#notBefore;
    if (!isDue || this.#transfer !== undefined || this.#host.isBusy) return;
    peer.fitterCount = 0;
    this.#transfer = {
      target: peer.node,
      token: undefined,
      deadline: monoMs(now + settings.leaseMs),
      isUrgent: !isHealthy,
    };
  }

  /** The term ends otherwise. */
  abandon(): void {
    const token = this.#transfer?.token;
    this.#transfer = undefined;
    if (token !== undefined) this.#replica.out.reply(token, { kind: 'abandoned' });
  }
}
