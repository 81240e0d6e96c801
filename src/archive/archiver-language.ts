/**
 * The language between the archiver's core and its driver: what the core is told (`ArchiverInput`), what it asks for
 * (`ArchiverEffect`), and what an outsider may see of it.
 */
import type { ErrorKind } from '../base/errors.ts';
import type { LogPosition } from '../base/log-access.ts';
import type { Lsn, MonoMs, RoleEpoch, Scn, WallMicros } from '../base/scalars.ts';
import type { ManifestRecord, RoundRecord, SealRecord, SegmentRecord } from '../codec/manifest.ts';
import type { ChainHead, PieceRule } from './chain-core.ts';
import type { Merge } from './compaction-core.ts';

/** Pieces of a round that may not have begun: then they are counted from the first SCN read. */
export type PieceCut = Omit<PieceRule, 'startScn'> & { readonly startScn: Scn | null };

export type RoundState =
  | 'PREPARE'
  | 'BEGINNING'
  | 'DOING'
  | 'INTERRUPTED'
  | 'SUSPENDING'
  | 'SUSPEND'
  | 'STOPPING'
  | 'STOP';

export interface ArchiverSettings {
  readonly epoch: RoleEpoch;
  readonly siteId: string;
  readonly operationId: string;
  /** where this epoch began to write; log archived above it by an older epoch is not our past */
  readonly openedAt: LogPosition | null;
  /** begin a new round even where an open one could go on */
  readonly newRound: boolean;
  readonly binding: 'Optional' | 'Mandatory';
  readonly pieceSwitchMicros: number;
  readonly lagTargetMs: number;
  /** log that holds keep-alives only may wait this long */
  readonly idleMs: number;
  /** Optional: how much log to keep for a slow archive */
  readonly optionalHoldBytes: number;
}

/** Both clocks, as the driver reads them before a step. */
export interface ArchiverTime {
  readonly mono: MonoMs;
  readonly wall: WallMicros;
}

/** Committed groups in the driver's hands, of one piece. */
export interface ReadRun {
  readonly runId: number;
  readonly start: LogPosition;
  readonly end: LogPosition;
  readonly firstScn: Scn;
  readonly pieceId: number;
  /** holds more than keep-alives */
  readonly substantial: boolean;
}

export interface ActivityFailure {
  readonly kind: ErrorKind;
  readonly message: string;
}

export type ActivityResult =
  | { readonly kind: 'chainLoaded'; readonly head: ChainHead }
  | { readonly kind: 'runRead'; readonly run: ReadRun }
  | { readonly kind: 'runEmpty' }
  | { readonly kind: 'runRecycled'; readonly begin: Lsn }
  | { readonly kind: 'segmentStored'; readonly runId: number; readonly record: SegmentRecord }
  | { readonly kind: 'manifestWritten'; readonly head: ChainHead }
  | { readonly kind: 'manifestLost' }
  | { readonly kind: 'segmentsMerged'; readonly by: SegmentRecord }
  | { readonly kind: 'objectsDeleted' }
  | { readonly kind: 'failed'; readonly failure: ActivityFailure };

export type ArchiverInput =
  | { readonly kind: 'begin'; readonly committed: LogPosition }
  | { readonly kind: 'committed'; readonly end: LogPosition }
  | { readonly kind: 'wake' }
  | { readonly kind: 'suspend' }
  | { readonly kind: 'resume' }
  | { readonly kind: 'stop'; readonly token: number }
  | { readonly kind: 'flush'; readonly token: number; readonly to: Lsn }
  | { readonly kind: 'seal'; readonly token: number; readonly record: SealRecord }
  | { readonly kind: 'forget'; readonly token: number }
  | { readonly kind: 'done'; readonly generation: number; readonly result: ActivityResult };

/** What a waiting caller is told. The driver turns refusals into errors. */
export type Outcome =
  | { readonly kind: 'ok' }
  | { readonly kind: 'fenced'; readonly epoch: RoleEpoch }
  | { readonly kind: 'sealed'; readonly by: SealRecord }
  | { readonly kind: 'diverged'; readonly lsn: Lsn }
  | { readonly kind: 'stopped'; readonly state: RoundState };

export type ArchiverEffect =
  /** answers to effects of an older generation are dropped */
  | { readonly kind: 'loadChain'; readonly generation: number; readonly known: ChainHead | null }
  | {
      readonly kind: 'readRun';
      readonly generation: number;
      readonly from: Lsn;
      /** what the log must say about `from`; null where a gap is stepped over */
      readonly continues: LogPosition | null;
      readonly bytesMax: number;
      /** how the run is cut into pieces; without `startScn` it starts a round at its own first SCN */
      readonly pieces: PieceCut;
    }
  | {
      readonly kind: 'storeRun';
      readonly generation: number;
      readonly run: ReadRun;
      readonly roundId: number;
      readonly epoch: RoleEpoch;
    }
  | {
      readonly kind: 'writeManifest';
      readonly generation: number;
      readonly head: ChainHead;
      readonly records: readonly ManifestRecord[];
    }
  | { readonly kind: 'merge'; readonly generation: number; readonly merge: Merge; readonly epoch: RoleEpoch }
  | { readonly kind: 'deleteObjects'; readonly generation: number; readonly keys: readonly string[] }
  /** runs in the driver's hands are not needed any more */
  | { readonly kind: 'forgetRuns' }
  /** log from here on must stay */
  | { readonly kind: 'holdFrom'; readonly lsn: Lsn }
  | { readonly kind: 'wakeAt'; readonly at: MonoMs | null }
  | { readonly kind: 'reply'; readonly token: number; readonly outcome: Outcome }
  | { readonly kind: 'stateChanged'; readonly state: RoundState; readonly comment: string }
  | { readonly kind: 'fenced'; readonly epoch: RoleEpoch; readonly siteId: string };

export interface ArchiverView {
  readonly state: RoundState;
  readonly comment: string;
  readonly head: ChainHead | null;
  readonly round: RoundRecord | null;
  readonly committed: LogPosition | null;
  readonly fenced: boolean;
  readonly sealed: SealRecord | null;
}
