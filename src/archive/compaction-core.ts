/**
 * Which segments to merge: an archiver with a lag target of a second makes many small ones. Runs of neighbours of one
 * piece become one segment, small sizes first, so that each byte is rewritten a few times only. Pure.
 */
import { assert } from '../base/assert.ts';
import { compactedBytesMax, compactionRunMin } from '../base/limits.ts';
import { samePosition } from '../codec/clog.ts';
import type { ArchiveState, SegmentRecord } from '../codec/manifest.ts';

export interface Merge {
  /** neighbours, ascending */
  readonly segments: readonly SegmentRecord[];
}

const sizeLimits = [compactedBytesMax / 256, compactedBytesMax / 16, compactedBytesMax];

/** The next merge worth doing, or undefined. Pieces that are closed merge whatever is left of them. */
export function nextMerge(state: ArchiveState): Merge | undefined {
  const active = state.rounds.at(-1);
  for (const limit of sizeLimits) {
    let run: SegmentRecord[] = [];
    let bytes = 0;
    for (const segment of state.segments) {
      const size = segment.end.lsn - segment.start.lsn;
      const last = run.at(-1);
      const joins =
        last !== undefined &&
        samePosition(last.end, segment.start) &&
        last.pieceId === segment.pieceId &&
        last.roundId === segment.roundId;
      if (size > limit || !joins || bytes + size > compactedBytesMax) {
        if (isWorthIt(run, active)) return { segments: run };
        run = [];
        bytes = 0;
      }
      if (size <= limit) {
        run.push(segment);
        bytes += size;
      }
      // an endless row of tiny ones is merged in bounded steps
      if (run.length >= mergedSegmentsMax) return { segments: run };
    }
    if (isWorthIt(run, active)) return { segments: run };
  }
  return undefined;
}

const mergedSegmentsMax = compactionRunMin * 2;

function isWorthIt(
  run: readonly SegmentRecord[],
  active: { readonly roundId: number; readonly usedPieceId: number } | undefined,
): boolean {
  const first = run[0];
  if (first === undefined || run.length < 2) return false;
  assert(run.length <= mergedSegmentsMax, 'a merge is bounded');
  const closed = first.roundId !== active?.roundId || first.pieceId < active.usedPieceId;
  return closed || run.length >= compactionRunMin;
}
