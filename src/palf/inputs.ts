/**
 * What a palf core is told: one tagged union. The driver verified checksums and shapes before (codec); meaning is
 * checked by the core.
 */
import type { AccessMode, LogPosition, NewEntry, ProposalEra } from '../base/log-access.ts';
import type { Lsn, NodeId, Scn } from '../base/scalars.ts';
import type { Group } from '../codec/clog.ts';
import type { MetaImage } from '../codec/meta-image.ts';

/** Names the caller of an input in the reply; every token gets exactly one reply. */
export type Token = number;

export type PalfInput =
  /** first and once: what recovery found. `end` is the last good group; `history` the eras up to there */
  | {
      readonly kind: 'boot';
      readonly self: NodeId;
      readonly meta: MetaImage;
      readonly end: LogPosition;
      readonly history: readonly ProposalEra[];
    }
  /** the time of the last `wakeAt` came */
  | { readonly kind: 'wake' }
  /** completion of exactly one earlier effect that carried this id */
  | { readonly kind: 'ioDone'; readonly ioId: number; readonly outcome: 'ok' | 'failed' }
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
  /** the database is durable up to `checkpointLsn`; `base` is the group boundary at or before it */
  | {
      readonly kind: 'advanceBase';
      readonly base: LogPosition;
      readonly checkpointLsn: Lsn;
      readonly token: Token;
    }
  /** take nothing more, finish what is ordered, note the exact end */
  | { readonly kind: 'close'; readonly token: Token }
  /** seats of a log stream with several members; a core with one member refuses them */
  | { readonly kind: 'message'; readonly from: NodeId; readonly message: PalfMessage }
  | { readonly kind: 'changeConfig'; readonly token: Token }
  | { readonly kind: 'transfer'; readonly target: NodeId; readonly token: Token };

/** Messages between members; none exist while a log stream has one member. */
export interface PalfMessage {
  readonly kind: string;
}
