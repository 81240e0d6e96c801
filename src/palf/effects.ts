/**
 * What a palf core wants done: one tagged union, in order. A promise (a reply or message that says "durable") travels
 * as `thenReply`/`thenSend` of the write that makes it true, and the driver lets it go when that write has succeeded:
 * there is no other way to make one (L8).
 */
import type { AccessMode, ConfigVersion, LogPosition } from '../base/log-access.ts';
import type { Lsn, MonoMs, NodeId, ProposalId, Scn } from '../base/scalars.ts';
import type { ClosedGroup } from '../codec/group-builder.ts';
import type { MetaImage } from '../codec/meta-image.ts';
import type { PalfMessage } from '../codec/palf-message.ts';
import type { Token } from './inputs.ts';

/** Why something was not taken; nothing of it happened. */
export type PalfRefusal =
  /** `leader`: who leads, as far as this replica knows */
  | { readonly why: 'not-leader'; readonly leader: NodeId | null }
  /** leads, but its lease has run out and was not renewed yet */
  | { readonly why: 'no-lease' }
  | { readonly why: 'transferring' }
  | { readonly why: 'access-mode'; readonly accessMode: AccessMode }
  | { readonly why: 'mode-changing' }
  | { readonly why: 'mode-version'; readonly actual: number }
  | { readonly why: 'mode-transition'; readonly from: AccessMode; readonly to: AccessMode }
  | { readonly why: 'window-full' }
  | { readonly why: 'entry-too-large' }
  | { readonly why: 'not-at-end'; readonly end: LogPosition }
  | { readonly why: 'diverged'; readonly at: Lsn }
  | { readonly why: 'block-boundary'; readonly at: Lsn }
  | { readonly why: 'below-base'; readonly base: Lsn }
  | { readonly why: 'behind-checkpoint'; readonly end: Lsn; readonly checkpointLsn: Lsn }
  | { readonly why: 'config-version'; readonly actual: ConfigVersion }
  /** the node does not take part, or not in the way the change needs */
  | { readonly why: 'unknown-node'; readonly node: NodeId }
  /** the node is already what the change would make it */
  | { readonly why: 'already'; readonly node: NodeId }
  | { readonly why: 'last-member' }
  /** the leader does not remove itself: transfer first */
  | { readonly why: 'is-leader'; readonly node: NodeId }
  | { readonly why: 'not-caught-up'; readonly node: NodeId; readonly end: Lsn; readonly needed: Lsn }
  /** the members left would have no majority that answers and has the log */
  | { readonly why: 'no-quorum' }
  | { readonly why: 'too-many' }
  /** an arbiter is set: the F replicas stay as they are, and so does it */
  | { readonly why: 'arbitrated' }
  /** an arbiter serves 2 or 4 F replicas */
  | { readonly why: 'replica-count'; readonly count: number }
  /** not while there are degraded replicas */
  | { readonly why: 'degraded'; readonly nodes: readonly NodeId[] }
  | { readonly why: 'not-member'; readonly node: NodeId }
  /** this replica is damaged or being rebuilt */
  | { readonly why: 'impaired' }
  /** another change is in flight */
  | { readonly why: 'busy' }
  | { readonly why: 'closed' };

export type PalfOutcome =
  /** has its place in the log; not durable yet */
  | { readonly kind: 'ordered'; readonly endLsn: Lsn; readonly scn: Scn }
  | { readonly kind: 'written'; readonly end: LogPosition }
  | { readonly kind: 'mode-changed'; readonly modeVersion: number }
  | { readonly kind: 'flashed-back'; readonly end: LogPosition }
  | { readonly kind: 'base-advanced'; readonly base: LogPosition }
  | { readonly kind: 'config-changed'; readonly version: ConfigVersion }
  /** leadership was given up for `to`, which was told; it leads when it says so */
  | { readonly kind: 'transferred'; readonly to: NodeId }
  | { readonly kind: 'rebuild-begun' }
  | { readonly kind: 'rebuild-finished'; readonly base: LogPosition }
  | { readonly kind: 'closed'; readonly end: LogPosition }
  /** leadership ended first: whether it happens is not known here, and never will be */
  | { readonly kind: 'abandoned' }
  | { readonly kind: 'refused'; readonly refusal: PalfRefusal };

export interface PalfReply {
  readonly token: Token;
  readonly outcome: PalfOutcome;
}

export interface PalfSend {
  readonly to: NodeId;
  readonly message: PalfMessage;
}

/** State changes worth a log line; flat. */
export type PalfTrace =
  | { readonly event: 'leader'; readonly proposalId: ProposalId; readonly lsn: Lsn }
  | { readonly event: 'step-down'; readonly proposalId: ProposalId; readonly why: string }
  | { readonly event: 'candidate'; readonly proposalId: ProposalId; readonly stage: string }
  | {
      readonly event: 'access-mode';
      readonly accessMode: AccessMode;
      readonly modeVersion: number;
      readonly proposalId: ProposalId;
      readonly lsn: Lsn;
    }
  | {
      readonly event: 'config';
      readonly proposalId: ProposalId;
      readonly sequence: number;
      readonly members: string;
    }
  /** a record without the member, or with it again, is on its way */
  | { readonly event: 'degrade' | 'upgrade'; readonly proposalId: ProposalId; readonly node: NodeId }
  | { readonly event: 'truncate'; readonly from: Lsn; readonly to: Lsn }
  | { readonly event: 'flashback'; readonly from: Lsn; readonly to: Lsn }
  | { readonly event: 'impaired'; readonly what: string; readonly lsn: Lsn }
  | { readonly event: 'mended'; readonly lsn: Lsn }
  /** what another replica sent cannot be of this log stream's history */
  | { readonly event: 'foreign'; readonly from: NodeId; readonly what: string; readonly lsn: Lsn };

export type PalfEffect =
  /** one atomic image; at most one in flight */
  | {
      readonly kind: 'persistMeta';
      readonly ioId: number;
      readonly image: MetaImage;
      readonly thenSend: readonly PalfSend[];
      readonly thenReply: readonly PalfReply[];
    }
  /** one durable write inside one block; at most one in flight */
  | {
      readonly kind: 'appendLog';
      readonly ioId: number;
      readonly start: LogPosition;
      readonly end: LogPosition;
      readonly groups: readonly ClosedGroup[];
      readonly thenSend: readonly PalfSend[];
    }
  /**
   * Forget the log behind `to`; only when a persisted meta image says so, and never with a write in flight.
   * `flashback`: the committed end goes back with it.
   */
  | {
      readonly kind: 'truncateLog';
      readonly ioId: number;
      readonly to: LogPosition;
      readonly flashback: boolean;
    }
  /** only messages that promise nothing that is not durable already */
  | { readonly kind: 'send'; readonly to: NodeId; readonly message: PalfMessage }
  /** the committed end moved forward to here */
  | { readonly kind: 'commitTo'; readonly end: LogPosition }
  /**
   * `leader`: this replica leads, and its log is whole from here on. Comes again with a higher proposal id when the leader
   * opens another proposal. `follower`: it leads no more; what it ordered and did not see committed is unknown.
   */
  | {
      readonly kind: 'roleChanged';
      readonly role: 'leader' | 'follower';
      readonly proposalId: ProposalId;
      readonly startLsn: Lsn;
      readonly leader: NodeId | null;
    }
  /** who leads, as far as this replica knows */
  | { readonly kind: 'leaderHint'; readonly leader: NodeId | null }
  | { readonly kind: 'reply'; readonly token: Token; readonly outcome: PalfOutcome }
  /** flushed groups wanted, from the boundary `from` on, none that ends behind `to`, at least one */
  | {
      readonly kind: 'readLog';
      readonly readId: number;
      readonly from: Lsn;
      readonly to: Lsn;
      readonly bytesMax: number;
    }
  /** log this replica needs is gone everywhere: a copy of `peer`'s database, at or behind `base`, must replace its own */
  | { readonly kind: 'rebuildFrom'; readonly peer: NodeId; readonly base: LogPosition }
  /** replaces the wake-up asked for before; `at` now or earlier means at the end of this turn */
  | { readonly kind: 'wakeAt'; readonly at: MonoMs }
  | { readonly kind: 'trace'; readonly trace: PalfTrace };
