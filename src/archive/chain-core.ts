/**
 * What one manifest may say after the ones before it: the fold of an archive's chain. Every writer checks its manifest
 * with it before writing, every reader after reading; a chain that does not fold is corrupt.
 *
 * Keeps R2 (no hole inside a round, no conflicting overlap), R3 (numbers and checkpoint SCN only grow, except where a
 * claim cuts), R4 (after a claim nothing but the new epoch writes; after a seal nothing but a claim).
 */
import { must, unreachable } from '../base/assert.ts';
import { archiveEpochsMax, archiveRoundsMax, forkedSegmentsMax } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import { type RoleEpoch, roleEpoch, type WallMicros, wallMicros } from '../base/scalars.ts';
import { samePosition } from '../codec/clog.ts';
import type {
  ArchiveState,
  EpochRecord,
  Manifest,
  ManifestRecord,
  RoundRecord,
  SegmentRecord,
} from '../codec/manifest.ts';

/** The newest manifest somebody saw, and what the chain says up to it. */
export interface ChainHead {
  readonly state: ArchiveState;
  /** SHA-256 of manifest `state.number`, or zeros before the first */
  readonly hash: string;
  /** the newest manifest with a full state; 0 before the first */
  readonly fullAt: number;
}

export type ChainStep =
  | { readonly kind: 'state'; readonly state: ArchiveState }
  | { readonly kind: 'broken'; readonly why: string };

export const emptyArchive: ArchiveState = {
  number: 0,
  wall: wallMicros(0),
  epochs: [],
  rounds: [],
  segments: [],
  forked: [],
  retired: [],
  end: null,
};

export const ownerOf = (state: ArchiveState): EpochRecord | null => state.epochs.at(-1) ?? null;
export const headEpochOf = (state: ArchiveState): RoleEpoch => ownerOf(state)?.epoch ?? roleEpoch(0);
export const openRoundOf = (state: ArchiveState): RoundRecord | null => {
  const last = state.rounds.at(-1);
  return last !== undefined && (last.status === 'BEGINNING' || last.status === 'DOING') ? last : null;
};

/** How a round counts its pieces. */
export type PieceRule = Pick<RoundRecord, 'startScn' | 'basePieceId' | 'pieceSwitchMicros'>;

/** The piece a group of this SCN belongs to. */
export const pieceOf = (round: PieceRule, scn: number): number =>
  round.basePieceId + Math.max(0, Math.floor((scn - round.startScn) / round.pieceSwitchMicros));

/** The state after `manifest`. The caller has compared `previousHash`. */
export function applyManifest(state: ArchiveState, manifest: Manifest): ChainStep {
  if (manifest.number !== state.number + 1) return broken(`number ${manifest.number} after ${state.number}`);
  let next: ArchiveState = { ...state, number: manifest.number, wall: manifest.wall };
  const claims = manifest.records.some(record => record.kind === 'claim');
  const owner = ownerOf(state);
  if (claims && manifest.records[0]?.kind !== 'claim') return broken('a claim comes first');
  if (!claims) {
    if (owner === null) return broken('nobody claimed the archive');
    if (manifest.epoch !== owner.epoch || manifest.siteId !== owner.siteId)
      return broken(
        `written by epoch ${manifest.epoch} of ${manifest.siteId}, owned by ${owner.epoch} of ${owner.siteId}`,
      );
    if (owner.sealed !== null) return broken('written after the seal');
  }
  for (const record of manifest.records) {
    const step = applyRecord(next, record, manifest);
    if (step.kind === 'broken') return step;
    next = step.state;
  }
  return { kind: 'state', state: next };
}

const broken = (why: string): ChainStep => ({ kind: 'broken', why });
const goOn = (state: ArchiveState): ChainStep => ({ kind: 'state', state });

function applyRecord(state: ArchiveState, record: ManifestRecord, manifest: Manifest): ChainStep {
  switch (record.kind) {
    case 'claim':
      return applyClaim(state, record, manifest);
    case 'roundStarted':
      return applyRoundStart(state, record, manifest.wall);
    case 'roundEnded':
      return applyRoundEnd(state, record);
    case 'segmentsAdded':
      return applySegments(state, record.segments, manifest.epoch);
    case 'segmentsMerged':
      return applyMerge(state, record.removed, record.by, manifest.wall);
    case 'objectsDeleted': {
      const gone = new Set(record.keys);
      return goOn({ ...state, retired: state.retired.filter(({ key }) => !gone.has(key)) });
    }
    case 'sealed': {
      const owner = must(ownerOf(state), 'an owner');
      if (record.epoch !== owner.epoch) return broken('a seal of another epoch');
      if (state.end !== null && (state.end.lsn !== record.lsn || state.end.checksum !== record.checksum))
        return broken(`sealed at ${record.lsn}, archived to ${state.end.lsn}`);
      const { kind: _, ...sealed } = record;
      return goOn({ ...state, epochs: [...state.epochs.slice(0, -1), { ...owner, sealed }] });
    }
    default:
      return unreachable(record);
  }
}

function applyClaim(
  state: ArchiveState,
  record: Extract<ManifestRecord, { kind: 'claim' }>,
  manifest: Manifest,
): ChainStep {
  if (record.epoch !== manifest.epoch || record.siteId !== manifest.siteId)
    return broken('a claim for somebody else');
  if (record.epoch <= headEpochOf(state))
    return broken(`epoch ${record.epoch} is not above ${headEpochOf(state)}`);
  const { kind: _, ...claim } = record;
  const epoch: EpochRecord = { ...claim, number: manifest.number, wall: manifest.wall, sealed: null };
  const epochs = [...state.epochs, epoch].slice(-archiveEpochsMax);
  return cutOff({ ...state, epochs }, record.cut);
}

/** Log above the cut was archived by an epoch that ended before; it is kept aside and is nobody's past. */
function cutOff(state: ArchiveState, cut: LogPosition | null): ChainStep {
  if (cut === null || state.end === null || cut.lsn > state.end.lsn) return goOn(state);
  if (cut.lsn === state.end.lsn)
    return samePosition(cut, state.end) ? goOn(state) : broken('the cut forked before');
  const kept: SegmentRecord[] = [];
  const forked: SegmentRecord[] = [...state.forked];
  for (const segment of state.segments) {
    if (segment.end.lsn <= cut.lsn) {
      if (segment.end.lsn === cut.lsn && segment.end.checksum !== cut.checksum)
        return broken('the cut forked before');
      kept.push(segment);
    } else {
      forked.push(segment);
      if (segment.start.lsn < cut.lsn) kept.push({ ...segment, end: cut });
      else if (segment.start.lsn === cut.lsn && segment.start.checksum !== cut.checksum)
        return broken('the cut forked before');
    }
  }
  const rounds = state.rounds
    .filter(round => round.start.lsn <= cut.lsn)
    .map(round => (round.end !== null && round.end.lsn > cut.lsn ? { ...round, end: cut } : round));
  const end = rounds.at(-1)?.end ?? null;
  return goOn({ ...state, segments: kept, forked: forked.slice(-forkedSegmentsMax), rounds, end });
}

function applyRoundStart(
  state: ArchiveState,
  record: Extract<ManifestRecord, { kind: 'roundStarted' }>,
  wall: WallMicros,
): ChainStep {
  if (openRoundOf(state) !== null) return broken('a round starts inside a round');
  const last = state.rounds.at(-1);
  if (last !== undefined && record.roundId <= last.roundId) return broken('round ids grow');
  if (last !== undefined && record.basePieceId <= last.usedPieceId) return broken('piece ids grow');
  if (record.startScn < record.start.scn) return broken('a round starts before its log');
  if (state.end !== null) {
    if (record.start.lsn < state.end.lsn) return broken('a round starts inside archived log');
    if (record.start.lsn === state.end.lsn && record.start.checksum !== state.end.checksum)
      return broken('a round starts on another history');
  }
  const round: RoundRecord = {
    roundId: record.roundId,
    status: 'BEGINNING',
    start: record.start,
    startScn: record.startScn,
    startWall: wall,
    basePieceId: record.basePieceId,
    usedPieceId: record.basePieceId,
    pieceSwitchMicros: record.pieceSwitchMicros,
    end: record.start,
    inputBytes: 0,
    outputBytes: 0,
    comment: '',
  };
  return goOn({ ...state, rounds: [...state.rounds, round].slice(-archiveRoundsMax), end: record.start });
}

function applyRoundEnd(
  state: ArchiveState,
  record: Extract<ManifestRecord, { kind: 'roundEnded' }>,
): ChainStep {
  const round = openRoundOf(state);
  if (round === null || round.roundId !== record.roundId) return broken('that round is not open');
  const ended: RoundRecord = { ...round, status: record.status, comment: record.comment };
  return goOn({ ...state, rounds: [...state.rounds.slice(0, -1), ended] });
}

function applySegments(state: ArchiveState, added: readonly SegmentRecord[], epoch: RoleEpoch): ChainStep {
  let round = openRoundOf(state);
  if (round === null || state.end === null) return broken('segments outside a round');
  let end: LogPosition = state.end;
  for (const segment of added) {
    if (segment.epoch !== epoch || segment.roundId !== round.roundId)
      return broken('a segment of another round');
    if (!samePosition(segment.start, end))
      return broken(`a segment starts at ${segment.start.lsn}, the archive ends at ${end.lsn}`);
    if (segment.end.lsn <= segment.start.lsn || segment.end.scn < segment.start.scn)
      return broken('an empty segment');
    if (segment.pieceId < round.usedPieceId) return broken('piece ids grow');
    end = segment.end;
    round = {
      ...round,
      status: 'DOING',
      usedPieceId: segment.pieceId,
      end,
      inputBytes: round.inputBytes + (segment.end.lsn - segment.start.lsn),
      outputBytes: round.outputBytes + segment.storedBytes,
    };
  }
  const named = new Set(added.map(({ key }) => key));
  return goOn({
    ...state,
    end,
    retired: state.retired.filter(({ key }) => !named.has(key)),
    segments: [...state.segments, ...added],
    rounds: [...state.rounds.slice(0, -1), round],
  });
}

function applyMerge(
  state: ArchiveState,
  removed: readonly string[],
  by: SegmentRecord,
  wall: WallMicros,
): ChainStep {
  const first = state.segments.findIndex(segment => segment.key === removed[0]);
  const run = first < 0 ? [] : state.segments.slice(first, first + removed.length);
  if (run.length !== removed.length || run.some((segment, index) => segment.key !== removed[index]))
    return broken('merged segments are not a run');
  const [head, tail] = [must(run[0], 'a first segment'), must(run.at(-1), 'a last segment')];
  if (!samePosition(head.start, by.start) || !samePosition(tail.end, by.end))
    return broken('a merged segment covers another range');
  if (run.some(({ roundId, pieceId }) => roundId !== by.roundId || pieceId !== by.pieceId))
    return broken('a merge over pieces');
  for (const [index, segment] of run.entries())
    if (index > 0 && !samePosition(must(run[index - 1], 'a neighbour').end, segment.start))
      return broken('a merge over a gap');
  const stillNamed = new Set(state.forked.map(({ key }) => key));
  const retired = removed.filter(key => !stillNamed.has(key)).map(key => ({ key, wall }));
  return goOn({
    ...state,
    segments: [...state.segments.slice(0, first), by, ...state.segments.slice(first + run.length)],
    retired: [...state.retired, ...retired],
  });
}
