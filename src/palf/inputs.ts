/**
 * What a palf core is told: one tagged union. The driver verified checksums and shapes before (codec); meaning is
 * checked by the core.
 */
import type { AccessMode, ConfigVersion, LogPosition, NewEntry, ProposalEra } from '../base/log-access.ts';
import type { Lsn, NodeId, Scn } from '../base/scalars.ts';
import type { Group } from '../codec/clog.ts';
import type { ClosedGroup } from '../codec/group-builder.ts';
import type { MetaImage } from '../codec/meta-image.ts';
import type { PalfMessage } from '../codec/palf-message.ts';

/** Names the caller of an input in the reply; every token gets exactly one reply. */
export type Token = number;

/**
 * How a node was found by those who probed it. `unknown`: they could not tell. Everything between `alive` and `unknown` is a reason
 * not to wait for its log.
 */
export type Verdict = 'alive' | 'dead' | 'stopped' | 'disk-full' | 'rebuilding' | 'unknown';

/** `CLUSTER_POLICY`: only a leader that reaches the root service degrades others; one that does not lets go. */
export type DegradationPolicy = 'LS_POLICY' | 'CLUSTER_POLICY';

/** One step of membership, for one replica at a time. A replica joins as a learner, and is promoted when it has the log. */
export type ConfigChange =
  /** the node votes without a log, for 2 or 4 F replicas; or does so no more */
  | { readonly kind: 'set-arbiter' | 'remove-arbiter'; readonly node: NodeId }
  | { readonly kind: 'add-learner' | 'promote' | 'demote' | 'remove'; readonly node: NodeId }
  /** promotes the learner `new`, then removes `old`. A degraded `old` goes in one step: `new` is degraded in its place */
  | { readonly kind: 'replace'; readonly old: NodeId; readonly new: NodeId };

/** What a leader with an arbiter goes by when it degrades and upgrades other replicas. */
export type ArbitrationNews =
  /** what probes say of another replica's node; an old word counts as `unknown` */
  | { readonly kind: 'verdict'; readonly node: NodeId; readonly verdict: Verdict }
  /** whether this node reaches the leader of the root service; it does not until it is said */
  | { readonly kind: 'root-service'; readonly reachable: boolean }
  /** how long a replica is waited for, and on which terms one is degraded */
  | {
      readonly kind: 'set-arbitration';
      readonly timeoutMs: number;
      readonly policy: DegradationPolicy;
    };

export type PalfInput =
  /**
   * First and once: what recovery found. `end` is the last good group, `history` the eras up to there. `committed` is the
   * furthest end that recovery can prove to be committed (at least the base), `tail` the ends of the groups behind it,
   * ascending, the last of them `end`. `corrupt`: log that had been durable lies behind `end`, or should.
   */
  | {
      readonly kind: 'boot';
      readonly self: NodeId;
      readonly meta: MetaImage;
      readonly end: LogPosition;
      readonly history: readonly ProposalEra[];
      readonly committed: LogPosition;
      readonly tail: readonly LogPosition[];
      readonly corrupt: boolean;
    }
  /** the time of the last `wakeAt` came */
  | { readonly kind: 'wake' }
  /**
   * The durable write of exactly one earlier effect that carried this id is done; `given-up`: log that found no room as it was
   * being replaced. One that failed is never told: nothing is known about the disk any more, and the driver feeds this core
   * nothing from then on.
   */
  | { readonly kind: 'ioDone'; readonly ioId: number; readonly outcome: 'ok' | 'given-up' }
  /** order an entry; `wall` is the wall clock, below which no SCN may fall */
  | { readonly kind: 'propose'; readonly entry: NewEntry; readonly wall: Scn; readonly token: Token }
  /** groups another site wrote, which continue a log that ends at `start` */
  | {
      readonly kind: 'rawWrite';
      readonly start: LogPosition;
      readonly groups: readonly Group[];
      readonly token: Token;
    }
  | {
      readonly kind: 'changeMode';
      readonly to: AccessMode;
      readonly expectedModeVersion: number;
      readonly referenceScn: Scn;
      readonly token: Token;
    }
  /** cut the log at a group boundary the driver found */
  | { readonly kind: 'flashback'; readonly cut: LogPosition; readonly token: Token }
  /**
   * The database is durable up to `checkpointLsn`; `base` is the group boundary at or before it. A database that others may
   * flash back tells it before it is (with the base as it was): from then on no cut goes below, so that none overtakes it.
   */
  | {
      readonly kind: 'advanceBase';
      readonly base: LogPosition;
      readonly checkpointLsn: Lsn;
      readonly token: Token;
    }
  | {
      readonly kind: 'changeConfig';
      readonly change: ConfigChange;
      readonly expectedVersion: ConfigVersion;
      readonly token: Token;
    }
  | ArbitrationNews
  /** hand the leadership to a member */
  | { readonly kind: 'transfer'; readonly target: NodeId; readonly token: Token }
  /** position in the primary zone list of this replica; lower leads rather */
  | { readonly kind: 'setPriority'; readonly priority: number }
  /** this replica's log and database are about to be replaced: it votes no more, and takes no log, from the reply on */
  | { readonly kind: 'beginRebuild'; readonly token: Token }
  /** they were: no log is left on disk, the database is durable up to `checkpointLsn`, and the log goes on from `base` */
  | {
      readonly kind: 'finishRebuild';
      readonly base: LogPosition;
      readonly checkpointLsn: Lsn;
      readonly history: readonly ProposalEra[];
      readonly token: Token;
    }
  /** take nothing more, finish what is ordered, note the exact end */
  | { readonly kind: 'close'; readonly token: Token }
  /** from another replica of this log stream; the sender's identity was proven by the transport */
  | { readonly kind: 'message'; readonly from: NodeId; readonly message: PalfMessage }
  /** answer to `readLog`, in any order; the groups are whole, follow each other, and begin where `start` says */
  | { readonly kind: 'logRead'; readonly readId: number; readonly result: LogReadResult };

export type LogReadResult =
  | { readonly kind: 'groups'; readonly start: LogPosition; readonly groups: readonly ClosedGroup[] }
  /** not on disk any more */
  | { readonly kind: 'gone' }
  /** damaged, cut meanwhile, or not to be read now */
  | { readonly kind: 'failed' };
