/**
 * Messages between the replicas of one log stream. Every one carries a proposal id; what each means, and what it
 * promises, is said where it is made (`palf/`).
 */
import type { ConfigVersion, LogPosition } from '../base/log-access.ts';
import type { Lsn, MonoMs, ProposalId } from '../base/scalars.ts';
import type { ConfigRecord } from './config-record.ts';
import type { ClosedGroup } from './group-builder.ts';

/** How fit a replica is to lead; compared in this order. */
export interface Standing {
  readonly version: ConfigVersion;
  readonly accepted: ProposalId;
  readonly end: Lsn;
  /** lower leads rather */
  readonly priority: number;
}

/** What a replica says of the state of its log with every answer. */
export interface LogHealth {
  /** counts the times durable log was lost there: answers from before it count no more */
  readonly mendings: number;
  readonly impaired: boolean;
  /** its database holds everything below: no flashback cuts its log before */
  readonly checkpoint: Lsn;
}

export type PalfMessage =
  // --- election ---
  /** would you let me lead? Nothing is promised by either side */
  | {
      readonly kind: 'canvass';
      readonly proposal: ProposalId;
      readonly round: number;
      readonly standing: Standing;
      readonly insist: boolean;
    }
  | { readonly kind: 'support'; readonly proposal: ProposalId; readonly round: number }
  /** `isMember`: the candidate is a member in the record the answerer holds, of that version */
  | {
      readonly kind: 'oppose';
      readonly proposal: ProposalId;
      readonly round: number;
      readonly hard: boolean;
      readonly version: ConfigVersion;
      readonly isMember: boolean;
    }
  /**
   * Vote, log prepare and lease in one. `leaseMs`: how long the sender counts on the word that it asks for. `released`: the leader
   * of that proposal handed over to the sender; 0 for none.
   */
  | {
      readonly kind: 'prepare';
      readonly proposal: ProposalId;
      readonly sentAt: MonoMs;
      readonly leaseMs: number;
      readonly version: ConfigVersion;
      readonly released: ProposalId;
    }
  /** durable: nothing of a lower proposal is taken from here on; this is what the log holds */
  | ({
      readonly kind: 'promise';
      readonly proposal: ProposalId;
      readonly sentAt: MonoMs;
      readonly accepted: ProposalId;
      readonly end: LogPosition;
      readonly committed: LogPosition;
      readonly cutApplied: ConfigVersion;
    } & LogHealth)
  /** the answerer has promised `promised`, or keeps a lease it promised to another */
  | { readonly kind: 'reject'; readonly proposal: ProposalId; readonly promised: ProposalId }
  // --- lease ---
  /** `leaseMs`: as in `prepare` */
  | {
      readonly kind: 'renew';
      readonly proposal: ProposalId;
      readonly sentAt: MonoMs;
      readonly leaseMs: number;
      readonly committed: Lsn;
    }
  | ({
      readonly kind: 'renewed';
      readonly proposal: ProposalId;
      readonly sentAt: MonoMs;
      readonly priority: number;
      /** its disk answers in time */
      readonly healthy: boolean;
    } & LogHealth)
  /** the leader gave up its lease: lead, if you can */
  | { readonly kind: 'hand-over'; readonly proposal: ProposalId }
  /** the candidate or leader of this proposal wants the lease no more */
  | { readonly kind: 'resign'; readonly proposal: ProposalId }
  // --- log ---
  /** groups that follow `prev` in the sender's log; without groups: does your log hold `prev`? */
  | {
      readonly kind: 'push';
      readonly proposal: ProposalId;
      readonly prev: LogPosition;
      readonly committed: Lsn;
      readonly groups: readonly ClosedGroup[];
    }
  /** durable: the log up to `flushed` is the leader's. Up to `received` it is too, but not durable yet */
  | ({
      readonly kind: 'ack';
      readonly proposal: ProposalId;
      readonly flushed: Lsn;
      readonly received: Lsn;
    } & LogHealth)
  /** a push that did not fit: the log ends at `end`, and up to `committed` it is everybody's */
  | ({
      readonly kind: 'mismatch';
      readonly proposal: ProposalId;
      readonly end: LogPosition;
      readonly committed: LogPosition;
    } & LogHealth)
  | { readonly kind: 'commit'; readonly proposal: ProposalId; readonly committed: Lsn }
  /** the log that was asked for is gone: begin from a copy at or behind `base` */
  | { readonly kind: 'rebuild'; readonly proposal: ProposalId; readonly base: LogPosition }
  /** the log of the sender does not go through `at`, where the receiver's committed log ends: begin from a copy, likewise */
  | {
      readonly kind: 'parted';
      readonly proposal: ProposalId;
      readonly at: LogPosition;
      readonly base: LogPosition;
    }
  /** a replica that lost log has all it ever said to be durable when its log reaches `end` */
  | { readonly kind: 'mend'; readonly proposal: ProposalId; readonly mendings: number; readonly end: Lsn }
  // --- reconfirm ---
  /** groups behind `from`, wanted by a candidate from the replica that promised the most */
  | {
      readonly kind: 'fetch';
      readonly proposal: ProposalId;
      readonly id: number;
      readonly from: LogPosition;
    }
  | {
      readonly kind: 'fetched';
      readonly proposal: ProposalId;
      readonly id: number;
      readonly prev: LogPosition;
      readonly groups: readonly ClosedGroup[];
    }
  | {
      readonly kind: 'unfetched';
      readonly proposal: ProposalId;
      readonly id: number;
      readonly why: 'mismatch' | 'gone' | 'failed';
      readonly base: LogPosition;
    }
  // --- config record ---
  /** `start`: end of the leader's log when it began; `barrier`: log that must be durable before the record is taken */
  | {
      readonly kind: 'config';
      readonly proposal: ProposalId;
      readonly record: ConfigRecord;
      readonly start: LogPosition;
      readonly barrier: Lsn;
    }
  /**
   * An arbiter's, to a member of it whose own record is older: what it was told with `config`, whose sender may be gone. `since`: the
   * first of the records in a row up to this one that the arbiter took, and that all have its voters and degraded replicas.
   */
  | {
      readonly kind: 'record';
      readonly proposal: ProposalId;
      readonly record: ConfigRecord;
      readonly start: LogPosition;
      readonly barrier: Lsn;
      readonly since: ConfigVersion;
    }
  /** durable: this record is held, and the log holds its barrier */
  | ({
      readonly kind: 'config-ack';
      readonly proposal: ProposalId;
      readonly version: ConfigVersion;
    } & LogHealth);

export type PalfMessageOf<K extends PalfMessage['kind']> = Extract<PalfMessage, { kind: K }>;

export interface PalfMessageProblem {
  readonly kind: 'problem';
  readonly what: string;
}
