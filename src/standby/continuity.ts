/**
 * Is this log a prefix of that one? Decided from the end a standby names (LSN, chained checksum, proposal history) and
 * the source's own log. A fork is refused, never merged (S7); log that is gone is told apart from log that never was.
 */
import { ObError } from '../base/errors.ts';
import type { LogPosition, LogReader, ProposalEra } from '../base/log-access.ts';
import { type Lsn, lsn } from '../base/scalars.ts';

/** The era a byte was written in, or undefined when the history does not reach back that far. */
function eraAt(history: readonly ProposalEra[], at: number): ProposalEra | undefined {
  let found: ProposalEra | undefined;
  for (const era of history) {
    if (era.startLsn > at) break;
    found = era;
  }
  return found;
}

/**
 * The first byte below `end` that the two histories claim for different eras, or undefined if they agree as far as both
 * remember.
 */
export function firstEraConflict(
  mine: readonly ProposalEra[],
  theirs: readonly ProposalEra[],
  end: Lsn,
): Lsn | undefined {
  const myFirst = mine[0];
  const theirFirst = theirs[0];
  if (myFirst === undefined || theirFirst === undefined) return undefined;
  const known = Math.max(myFirst.startLsn, theirFirst.startLsn);
  // Eras only change at their starts: looking at those and at where both begin to remember is looking everywhere.
  const places = [known, ...[...mine, ...theirs].map(era => Number(era.startLsn))]
    .filter(place => place >= known && place < end)
    .sort((a, b) => a - b);
  const conflict = places.find(place => eraAt(mine, place)?.proposalId !== eraAt(theirs, place)?.proposalId);
  return conflict === undefined ? undefined : lsn(conflict);
}

/**
 * Checks that a log whose end is `from` continues in `log`. `source` names that log in errors.
 * Throws OBS_STANDBY_AHEAD, OBS_LOG_RECYCLED, OBS_STANDBY_DIVERGED.
 */
export async function assertContinues(
  log: LogReader,
  from: LogPosition,
  history: readonly ProposalEra[],
  source: string,
): Promise<void> {
  const state = log.state();
  const conflict = firstEraConflict(state.proposalHistory, history, from.lsn);
  if (conflict !== undefined) throw new ObError('OBS_STANDBY_DIVERGED', { source, lsn: conflict });
  if (from.lsn > state.end.lsn) {
    throw new ObError('OBS_STANDBY_AHEAD', { source, lsn: from.lsn, end: state.end.lsn });
  }
  if (from.lsn < state.beginLsn) {
    throw new ObError('OBS_LOG_RECYCLED', { from: from.lsn, begin: state.beginLsn });
  }
  const here = from.lsn === state.end.lsn ? state.end : (await log.read(from.lsn, 1)).start;
  if (here.lsn !== from.lsn || here.checksum !== from.checksum) {
    throw new ObError('OBS_STANDBY_DIVERGED', { source, lsn: from.lsn });
  }
}
