/**
 * How a standby says what it is doing: OceanBase's states of V$OB_LS_LOG_RESTORE_STATUS, and lag in three stages.
 *
 * Lag is measured against the last end the source told: `transport` is what has not arrived here, `flush` what is not
 * durable here, `apply` what readers here do not see. Each contains the ones before it. Numbers are as of `datumTime`:
 * a frozen number shows its age.
 */
import type { LogPosition } from '../base/log-access.ts';
import type { Lsn, RoleEpoch, Scn, WallMicros } from '../base/scalars.ts';

export type SyncStatus =
  | 'NORMAL'
  | 'SOURCE HAS A GAP'
  | 'STANDBY LOG NOT MATCH'
  | 'CHECK USER OR PASSWORD'
  | 'CHECK NETWORK'
  | 'FETCH LOG TIMEOUT'
  | 'RESTORE SUSPEND'
  | 'STANDBY NEED UPGRADE'
  | 'PRIMARY TENANT DROPPED'
  | 'WAIT LOG STREAM CREATED'
  | 'STANDBY LOG DISK IS FULL'
  | 'STANDBY IN THROTTLING'
  | 'NOT AVAILABLE';

interface LagPair {
  readonly bytes: number;
  readonly seconds: number;
}

/** `datumTime` is when the source last told its end, on this site's wall clock; null before the first time. */
export interface StandbyLag {
  readonly transport: LagPair;
  readonly flush: LagPair;
  readonly apply: LagPair;
  readonly datumTime: WallMicros | null;
}

/** The last end a source told, and when this site heard it (its own wall clock). Kept for the loss certificate. */
export interface SourceEnd {
  readonly lsn: Lsn;
  readonly scn: Scn;
  readonly wall: WallMicros;
  readonly epoch: RoleEpoch;
}

export interface StagePositions {
  readonly received: Pick<LogPosition, 'lsn' | 'scn'>;
  readonly flushed: Pick<LogPosition, 'lsn' | 'scn'>;
  readonly applied: Pick<LogPosition, 'lsn' | 'scn'>;
}

/** Lag of each stage behind the source's last told end; zero everywhere before the source was heard. */
export function lagBehind(source: SourceEnd | null, stages: StagePositions): StandbyLag {
  const pair = (stage: Pick<LogPosition, 'lsn' | 'scn'>): LagPair => {
    if (source === null || stage.lsn >= source.lsn) return { bytes: 0, seconds: 0 };
    return { bytes: source.lsn - stage.lsn, seconds: Math.max(0, source.scn - stage.scn) / 1e6 };
  };
  return {
    transport: pair(stages.received),
    flush: pair(stages.flushed),
    apply: pair(stages.applied),
    datumTime: source?.wall ?? null,
  };
}
