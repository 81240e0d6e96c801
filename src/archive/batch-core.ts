/**
 * A batch: runs of log that are read one after the other, stored side by side, and named by one manifest, which also
 * says where a round ends and begins. Pure.
 *
 * A round that goes on continues at the archived end exactly (R2); a hole is only ever between rounds, and said.
 */
import { must } from '../base/assert.ts';
import type { LogPosition } from '../base/log-access.ts';
import { type Lsn, lsn, type MonoMs } from '../base/scalars.ts';
import type { ArchiveState, ManifestRecord, SegmentRecord } from '../codec/manifest.ts';
import type { PieceCut, ReadRun } from './archiver-language.ts';
import { openRoundOf } from './chain-core.ts';

export interface Batch {
  readonly since: MonoMs;
  readonly startsRound: boolean;
  /** ends the round before, if one is open */
  readonly opening: readonly ManifestRecord[];
  readonly roundId: number;
  readonly pieces: PieceCut;
  /** where the first run begins, and what the log must say about that place; null after a gap */
  readonly from: Lsn;
  readonly continues: LogPosition | null;
  readonly runs: readonly ReadRun[];
  readonly stored: ReadonlyMap<number, SegmentRecord>;
  readonly reading: boolean;
}

export interface BatchPlan {
  readonly since: MonoMs;
  /** log below is gone before it was archived */
  readonly gapTo: Lsn | null;
  readonly forceRound: boolean;
  readonly pieceSwitchMicros: number;
}

export const gapComment = (from: Lsn, to: Lsn): string =>
  `log ${from} to ${to} was recycled before it was archived`;

export function openBatch(state: ArchiveState, plan: BatchPlan): Batch {
  const open = openRoundOf(state);
  const last = state.rounds.at(-1);
  const startsRound = open === null || plan.gapTo !== null || plan.forceRound;
  const end = state.end?.lsn ?? lsn(0);
  const comment = plan.gapTo === null ? 'ended by a new round' : gapComment(end, plan.gapTo);
  return {
    since: plan.since,
    startsRound,
    opening:
      open !== null && startsRound
        ? [{ kind: 'roundEnded', roundId: open.roundId, status: 'INTERRUPTED', comment }]
        : [],
    roundId: startsRound ? (last?.roundId ?? 0) + 1 : must(open, 'an open round').roundId,
    pieces: startsRound
      ? {
          startScn: null,
          basePieceId: (last?.usedPieceId ?? 0) + 1,
          pieceSwitchMicros: plan.pieceSwitchMicros,
        }
      : piecesOf(must(open, 'an open round')),
    from: plan.gapTo ?? end,
    continues: plan.gapTo === null ? state.end : null,
    runs: [],
    stored: new Map(),
    reading: false,
  };
}

export const nextRead = (batch: Batch): { readonly from: Lsn; readonly continues: LogPosition | null } => {
  const last = batch.runs.at(-1);
  return last === undefined
    ? { from: batch.from, continues: batch.continues }
    : { from: last.end.lsn, continues: last.end };
};

export const withRun = (batch: Batch, run: ReadRun): Batch => ({
  ...batch,
  runs: [...batch.runs, run],
  reading: false,
  pieces: { ...batch.pieces, startScn: batch.pieces.startScn ?? run.firstScn },
});

/** What the manifest says once every run is stored. */
export function batchRecords(batch: Batch): readonly ManifestRecord[] {
  const first = must(batch.runs[0], 'a run');
  const segments = batch.runs.map(({ runId }) => must(batch.stored.get(runId), 'a stored segment'));
  const start: ManifestRecord[] = batch.startsRound
    ? [
        {
          kind: 'roundStarted',
          roundId: batch.roundId,
          start: first.start,
          startScn: first.firstScn,
          basePieceId: batch.pieces.basePieceId,
          pieceSwitchMicros: batch.pieces.pieceSwitchMicros,
        },
      ]
    : [];
  return [...batch.opening, ...start, { kind: 'segmentsAdded', segments }];
}

const piecesOf = ({ startScn, basePieceId, pieceSwitchMicros }: PieceCut): PieceCut => ({
  startScn,
  basePieceId,
  pieceSwitchMicros,
});
