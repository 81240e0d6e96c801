/**
 * What goes into the pull core and what comes out of it.
 */
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import type { Lsn, MonoMs, RoleEpoch, Scn, WallMicros } from '../base/scalars.ts';
import type { PullProblem } from './pull-problem.ts';
import type { SourceEnd, SyncStatus } from './sync-status.ts';

/** Identifies one connection attempt; what comes from an older one is ignored. */
export type LinkId = number;

export interface PullSourcesShape {
  /** addresses of the network source; 0 for none */
  readonly addresses: number;
  readonly archive: boolean;
}

export type PullerInput =
  | { readonly kind: 'start'; readonly end: LogPosition }
  | { readonly kind: 'stop' }
  | { readonly kind: 'sources'; readonly sources: PullSourcesShape }
  /** RECOVER … UNTIL */
  | { readonly kind: 'until'; readonly scn: Scn }
  /** RECOVER … CANCEL */
  | { readonly kind: 'cancel' }
  | {
      readonly kind: 'connected';
      readonly link: LinkId;
      readonly epoch: RoleEpoch;
      /** null while the source's log is not open */
      readonly log: { readonly beginLsn: Lsn; readonly end: LogPosition } | null;
      readonly wall: WallMicros;
    }
  | {
      readonly kind: 'subscribed';
      readonly link: LinkId;
      readonly end: LogPosition;
      readonly wall: WallMicros;
    }
  | { readonly kind: 'link-lost'; readonly link: LinkId; readonly problem: PullProblem }
  | {
      readonly kind: 'chunk';
      readonly link: LinkId;
      readonly chunk: LogChunk;
      readonly sourceEnd: LogPosition;
      readonly wall: WallMicros;
    }
  | {
      readonly kind: 'heartbeat';
      readonly link: LinkId;
      readonly sourceEnd: LogPosition;
      readonly epoch: RoleEpoch;
      readonly wall: WallMicros;
    }
  | {
      readonly kind: 'archive-chunk';
      readonly read: number;
      readonly chunk: LogChunk;
      readonly archivedEnd: LogPosition;
      readonly epoch: RoleEpoch;
      readonly wall: WallMicros;
    }
  | { readonly kind: 'archive-end'; readonly read: number; readonly wall: WallMicros }
  | { readonly kind: 'archive-failed'; readonly read: number; readonly problem: PullProblem }
  | { readonly kind: 'written'; readonly end: LogPosition }
  /** `end` is where the log stands after the failure */
  | { readonly kind: 'write-failed'; readonly end: LogPosition; readonly problem: PullProblem }
  | { readonly kind: 'wake' };

export type PullerEffect =
  | { readonly kind: 'connect'; readonly link: LinkId; readonly address: number; readonly epoch: RoleEpoch }
  | { readonly kind: 'subscribe'; readonly link: LinkId; readonly from: LogPosition }
  | { readonly kind: 'disconnect'; readonly link: LinkId }
  | { readonly kind: 'ack'; readonly link: LinkId; readonly creditBytes: number }
  | {
      readonly kind: 'read-archive';
      readonly read: number;
      readonly from: LogPosition;
      readonly bytesMax: number;
    }
  | { readonly kind: 'write'; readonly chunk: LogChunk }
  | { readonly kind: 'source-end'; readonly end: SourceEnd }
  /** a source is at a role epoch not known here before */
  | { readonly kind: 'epoch'; readonly epoch: RoleEpoch }
  /** replaces the wake asked for before; null for none */
  | { readonly kind: 'wake-at'; readonly at: MonoMs | null };

export interface PullerOptions {
  readonly sources: PullSourcesShape;
  readonly recoveryUntil: Scn;
  readonly knownEpoch: RoleEpoch;
  readonly sourceEnd: SourceEnd | null;
  /** 0 for no limit */
  readonly bandwidthBytesPerSecond: number;
  /** decides the jitter of waiting times; any whole number */
  readonly jitterSeed: number;
}

export interface PullerView {
  readonly status: SyncStatus;
  /** why, for people */
  readonly comment: string;
  readonly transport: 'network' | 'archive' | null;
  readonly received: LogPosition;
  readonly flushed: LogPosition;
  readonly recoveryUntil: Scn;
  readonly sourceEnd: SourceEnd | null;
  readonly knownEpoch: RoleEpoch;
  /** the log at the source's last told end is all here */
  readonly synchronised: boolean;
}
