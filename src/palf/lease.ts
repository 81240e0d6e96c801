/**
 * Leases, both sides.
 *
 * How long a lease is, is for the leader to say: its requests carry it, and a voter promises it to one node for exactly so long, counted
 * from the reception of the request. Servers that are configured otherwise, one after another perhaps, thus never count on
 * different times. The promise is in memory alone: after a restart a voter keeps silent until everything it forgot has run
 * out. So the length of the longest word that may hold is durable before a word leaves, in the same image as the promised
 * proposal: no file of its own to keep in step with it, and no write but the first of each length. The leader counts from
 * the moment it sent the request that a quorum answered, less the drift of both clocks. So its lease ends before the promises
 * do, and two leaders never hold one at the same time (E2, E4). The log's safety rests on none of this (E3).
 */
import type { MonoMs, NodeId, ProposalId } from '../base/scalars.ts';
import { monoMs, proposalId } from '../base/scalars.ts';
import type { ConfigRecord } from '../codec/config-record.ts';
import { voteQuorumValue } from './quorum.ts';
import { surelyKept } from './settings.ts';

/** A voter's word. */
export class LeasePromise {
  #to: NodeId | null = null;
  #proposal: ProposalId = proposalId(0);
  #until: MonoMs = monoMs(0);

  get to(): NodeId | null {
    return this.#to;
  }

  get until(): MonoMs {
    return this.#until;
  }

  /** Whether another than `node` holds the lease now. */
  isBound(now: MonoMs, node: NodeId): boolean {
    return now < this.#until && this.#to !== node;
  }

  isHeld(now: MonoMs): boolean {
    return now < this.#until;
  }

  grant(to: NodeId, proposal: ProposalId, until: MonoMs): void {
    this.#until = this.#to === to ? monoMs(Math.max(this.#until, until)) : until;
    this.#to = to;
    this.#proposal = proposal;
  }

  /** The holder wants it no more. Two candidates may have used one proposal: the word went to one of them. */
  release(holder: NodeId, proposal: ProposalId): void {
    if (this.#to === holder) this.releaseLeader(proposal);
  }

  /** The leader of this proposal, whoever that was, handed over. */
  releaseLeader(proposal: ProposalId): void {
    if (this.#proposal !== proposal) return;
    this.#until = monoMs(0);
    this.#to = null;
  }
}

/** Of all words that a voter gave, also before its restart, the longest that may hold still. */
export class LongestWord {
  #allOutAt: MonoMs;

  /** @param allOutAt when words from before the restart have run out */
  constructor(allOutAt: MonoMs) {
    this.#allOutAt = allOutAt;
  }

  /**
   * A word of `leaseMs` is given now: what must be durable when it leaves, where `noted` is. Less than that only when no
   * other word holds, so mostly after a restart: while a leader renews its lease there is always one.
   */
  give(noted: number, leaseMs: number, now: MonoMs): number {
    const longest = now < this.#allOutAt ? Math.max(noted, leaseMs) : leaseMs;
    this.#allOutAt = monoMs(Math.max(this.#allOutAt, now + leaseMs));
    return longest;
  }
}

/**
 * Until when a leader may rely on its voters.
 * @param sentAt when the newest request that the voter granted was sent; undefined for none, the leader itself grants for ever
 */
export function leaseEnd(
  records: readonly ConfigRecord[],
  self: NodeId,
  leaseMs: number,
  sentAt: (voter: NodeId) => MonoMs | undefined,
): MonoMs {
  const since = voteQuorumValue(records, voter =>
    voter === self ? Number.POSITIVE_INFINITY : (sentAt(voter) ?? Number.NEGATIVE_INFINITY),
  );
  if (since === Number.POSITIVE_INFINITY) return monoMs(Number.MAX_SAFE_INTEGER);
  if (since === Number.NEGATIVE_INFINITY) return monoMs(0);
  return monoMs(since + surelyKept(leaseMs));
}
