/**
 * What a palf core wants done: one tagged union, in order. A promise (a reply or message that says "durable") travels
 * as `thenReply`/`thenSend` of the write that makes it true, and the driver lets it go when that write has succeeded:
 * there is no other way to make one (L8).
 */
import type { AccessMode, LogPosition } from '../base/log-access.ts';
import type { Lsn, MonoMs, NodeId, ProposalId, Scn } from '../base/scalars.ts';
import type { ClosedGroup } from '../codec/group-builder.ts';
import type { MetaImage } from '../codec/meta-image.ts';
import type { PalfMessage, Token } from './inputs.ts';

/** Why something was not taken; nothing of it happened. */
export type PalfRefusal =
  | { readonly why: 'not-leader' }
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
  | { readonly why: 'busy' }
  | { readonly why: 'closed' }
  | { readonly why: 'single-member' };

export type PalfOutcome =
  /** has its place in the log; not durable yet */
  | { readonly kind: 'ordered'; readonly endLsn: Lsn; readonly scn: Scn }
  | { readonly kind: 'written'; readonly end: LogPosition }
  | { readonly kind: 'mode-changed'; readonly modeVersion: number }
  | { readonly kind: 'flashed-back'; readonly end: LogPosition }
  | { readonly kind: 'base-advanced'; readonly base: LogPosition }
  | { readonly kind: 'closed'; readonly end: LogPosition }
  | { readonly kind: 'refused'; readonly refusal: PalfRefusal };

export interface PalfReply {
  readonly token: Token;
  readonly outcome: PalfOutcome;
}

interface PalfSend {
  readonly to: NodeId;
  readonly message: PalfMessage;
}

/** State changes worth a log line; flat. */
type PalfTrace =
  | { readonly event: 'leader'; readonly proposalId: ProposalId; readonly lsn: Lsn }
  | {
      readonly event: 'access-mode';
      readonly accessMode: AccessMode;
      readonly modeVersion: number;
      readonly proposalId: ProposalId;
      readonly lsn: Lsn;
    }
  | { readonly event: 'flashback'; readonly from: Lsn; readonly to: Lsn };

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
  /** forget the log behind `to`; only when a persisted meta image says so */
  | { readonly kind: 'truncateLog'; readonly ioId: number; readonly to: LogPosition }
  /** only messages that promise nothing durable */
  | { readonly kind: 'send'; readonly to: NodeId; readonly message: PalfMessage }
  /** the committed end moved forward to here */
  | { readonly kind: 'commitTo'; readonly end: LogPosition }
  | {
      readonly kind: 'roleChanged';
      readonly role: 'leader' | 'follower';
      readonly proposalId: ProposalId;
      readonly startLsn: Lsn;
    }
  | { readonly kind: 'reply'; readonly token: Token; readonly outcome: PalfOutcome }
  /** bytes wanted for a resend or a repair */
  | { readonly kind: 'readLog'; readonly readId: number; readonly from: Lsn; readonly bytesMax: number }
  /** replaces the wake-up asked for before */
  | { readonly kind: 'wakeAt'; readonly at: MonoMs }
  | { readonly kind: 'trace'; readonly trace: PalfTrace };
