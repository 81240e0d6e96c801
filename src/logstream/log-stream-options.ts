/** What a log stream is opened with, and what it tells: who leads, what it needs, how far the others are. */
import type { AccessMode, ConfigVersion, LogPosition, ProposalEra } from '../base/log-access.ts';
import type { ObError } from '../base/errors.ts';
import {
  type LogStreamId,
  type Lsn,
  lsn,
  type MonoMs,
  type NodeId,
  type ProposalId,
  scn,
} from '../base/scalars.ts';
import type { PalfSettings } from '../palf/settings.ts';
import type { PalfView } from '../palf/view.ts';
import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import type { Logger } from '../platform/logger.ts';
import type { MemberNet, StreamKey } from './member-net.ts';

/** Who leads, as this replica knows it; told when any of it changes. */
export interface RoleChange {
  readonly role: 'leader' | 'follower';
  readonly leader: NodeId | null;
  /** of the leadership that began or ended here */
  readonly proposalId: ProposalId;
}

/** The log that this replica needs is gone: a copy of `peer`'s database, at or behind `base`, must replace its own. */
export interface RebuildNeed {
  readonly peer: NodeId;
  readonly base: LogPosition;
}

/** Another replica's progress, as the leader knows it. */
export interface ReplicaProgress {
  readonly node: NodeId;
  readonly flushedLsn: Lsn;
  /** of the members it knows of */
  readonly version: ConfigVersion;
  /** null: never in this leadership */
  readonly answeredMsAgo: number | null;
  readonly isImpaired: boolean;
}

export const progressOf = ({ peers }: PalfView, now: MonoMs): readonly ReplicaProgress[] =>
  peers.map(({ node, flushed, version, answeredAt, isImpaired }) => ({
    node,
    flushedLsn: flushed,
    version,
    answeredMsAgo: answeredAt === 0 ? null : now - answeredAt,
    isImpaired,
  }));

export interface LogStreamOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  /** the stream's own directory; made if absent */
  readonly directory: string;
  readonly stream: LogStreamId;
  /** the tenant's; a log of another incarnation is refused */
  readonly incarnation: string;
  readonly limits: {
    /** size of a block file, for a log that is made now */
    readonly blockBytes: number;
    /** log bytes kept on disk; entries are refused near it */
    readonly diskBytesMax: number;
  };
  /** this node, and the way to the others; a log stream that will only ever have one member needs neither */
  readonly self?: NodeId;
  readonly key?: StreamKey;
  readonly net?: MemberNet | null;
  /** who takes part in a log that is made now (default: this node alone) */
  readonly initialConfig?: {
    readonly members: readonly NodeId[];
    readonly learners: readonly NodeId[];
    readonly arbiter?: NodeId | null;
  };
  /** the same on all members */
  readonly timing?: Partial<Omit<PalfSettings, 'priority'>>;
  /** position in the primary zone list; lower leads rather */
  readonly priority?: number;
  /** a log that is made now begins here (default: LSN 0) and in this access mode (default: APPEND) */
  readonly initialPosition?: LogPosition;
  readonly initialAccessMode?: AccessMode;
  /**
   * With `initialPosition`: what the database beside the log already holds (at or behind the position), and the source's
   * eras up to there. Until the log has reached the one it takes no entries; without the others it could use a
   * proposal id again.
   */
  readonly initialCheckpointLsn?: Lsn;
  readonly initialHistory?: readonly ProposalEra[];
  /** Called in the tick in which the role, the proposal or the known leader changes, from the first change on. */
  readonly onRole?: (change: RoleChange) => void;
  /** Asks for `beginRebuild`, a copy, `finishRebuild`; again and again until that is done. */
  readonly onRebuild?: (need: RebuildNeed) => void;
  /** A flashback was made here: log behind `to` that was committed is no more, and none is in its place yet. */
  readonly onCutBack?: (to: LogPosition) => void;
  /** The process must end: a durable write failed or an invariant broke. Called once. */
  readonly onFatal: (error: ObError) => void;
  readonly logger?: Logger;
}

export const logStart: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };

/** What a log that is made now begins with. */
export interface InitialLog {
  readonly position: LogPosition;
  readonly accessMode: AccessMode;
  readonly checkpointLsn: Lsn;
  readonly history: readonly ProposalEra[];
  readonly members: readonly NodeId[];
  readonly learners: readonly NodeId[];
  readonly arbiter?: NodeId | null;
}

export const initialLog = (options: LogStreamOptions, self: NodeId): InitialLog => ({
  position: options.initialPosition ?? logStart,
  accessMode: options.initialAccessMode ?? 'APPEND',
  checkpointLsn: options.initialCheckpointLsn ?? options.initialPosition?.lsn ?? logStart.lsn,
  history: options.initialHistory ?? [],
  ...(options.initialConfig ?? { members: [self], learners: [] }),
});
