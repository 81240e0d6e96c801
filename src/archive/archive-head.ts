/** What a reader of an archive learns from its chain: how far it goes, whose it is, where its history may be read. */
import type { LogPosition } from '../base/log-access.ts';
import type { Lsn, RoleEpoch, Scn, WallMicros } from '../base/scalars.ts';
import { lsn, scn } from '../base/scalars.ts';
import type {
  ArchiveState,
  ClaimRecord,
  EpochRecord,
  RoundRecord,
  SealRecord,
  SegmentRecord,
} from '../codec/manifest.ts';
import { headEpochOf, ownerOf } from './chain-core.ts';
import type { ArchivedTenant } from './archive-format.ts';

export interface ArchiveHead {
  readonly tenant: ArchivedTenant;
  readonly manifestNumber: number;
  /** when the newest manifest was written, by its writer's clock */
  readonly wall: WallMicros;
  /** the role epoch that owns the archive; 0 when nobody does yet */
  readonly epoch: RoleEpoch;
  readonly owner: ClaimRecord | null;
  /** every claim, oldest first */
  readonly epochs: readonly EpochRecord[];
  readonly sealed: SealRecord | null;
  /** the oldest byte that can be read without a gap up to `end`; null when nothing is archived */
  readonly begin: LogPosition | null;
  readonly end: LogPosition | null;
  readonly checkpointScn: Scn;
  readonly rounds: readonly RoundRecord[];
}

export function headOf(tenant: ArchivedTenant, state: ArchiveState): ArchiveHead {
  const owner = ownerOf(state);
  return {
    tenant,
    manifestNumber: state.number,
    wall: state.wall,
    epoch: headEpochOf(state),
    owner,
    epochs: state.epochs,
    sealed: owner?.sealed ?? null,
    begin: beginOf(state),
    end: state.end,
    checkpointScn: state.end?.scn ?? scn(0),
    rounds: state.rounds,
  };
}

/** The start of the last stretch without a gap. */
function beginOf(state: ArchiveState): LogPosition | null {
  if (state.end === null) return null;
  let begin = state.end;
  for (const segment of state.segments.toReversed()) {
    if (segment.end.lsn !== begin.lsn) break;
    begin = segment.start;
  }
  return begin;
}

export type Place =
  | { readonly kind: 'segment'; readonly segment: SegmentRecord; readonly next: SegmentRecord | null }
  /** nothing is archived from here on yet */
  | { readonly kind: 'end' }
  | { readonly kind: 'gap'; readonly next: Lsn }
  /** above the archived end */
  | { readonly kind: 'ahead' };

/** Where log from `from` on lies. */
export function locate(state: ArchiveState, from: Lsn): Place {
  const { segments, end } = state;
  if (end === null || from === end.lsn) return { kind: end === null && from > 0 ? 'ahead' : 'end' };
  if (from > end.lsn) return { kind: 'ahead' };
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((segments[middle]?.end.lsn ?? lsn(0)) <= from) low = middle + 1;
    else high = middle;
  }
  const segment = segments[low];
  if (segment === undefined) return { kind: 'gap', next: end.lsn };
  if (segment.start.lsn > from) return { kind: 'gap', next: segment.start.lsn };
  return { kind: 'segment', segment, next: segments[low + 1] ?? null };
}

/** The lowest place above which an epoch newer than `known` cut older history off, or null. */
export function cutSince(state: ArchiveState, known: RoleEpoch): LogPosition | null {
  let lowest: LogPosition | null = null;
  for (const { epoch, cut } of state.epochs) {
    if (epoch > known && cut !== null && (lowest === null || cut.lsn < lowest.lsn)) lowest = cut;
  }
  return lowest;
}
