/**
 * What keeps a standby from pulling, as the pull core sees it: a catalogued error reduced to what decides the next step,
 * and the state of V$OB_LS_LOG_RESTORE_STATUS it is shown as.
 */
import type { ErrorCode } from '../base/catalogue.ts';
import { isObError, type ObError } from '../base/errors.ts';
import { type Lsn, lsn } from '../base/scalars.ts';
import type { SyncStatus } from './sync-status.ts';

export interface PullProblem {
  readonly code: ErrorCode;
  readonly message: string;
  /** OBS_LOG_RECYCLED: the oldest log the source still has */
  readonly begin: Lsn | null;
}

export function pullProblem(error: unknown): PullProblem {
  if (!isObError(error)) {
    return {
      code: 'OBS_PEER_FAILED',
      message: error instanceof Error ? error.message : 'unknown failure',
      begin: null,
    };
  }
  return { code: error.code, message: error.message, begin: beginOf(error) };
}

function beginOf(error: ObError): Lsn | null {
  const begin = error.details['begin'];
  return error.code === 'OBS_LOG_RECYCLED' &&
    typeof begin === 'number' &&
    Number.isSafeInteger(begin) &&
    begin >= 0
    ? lsn(begin)
    : null;
}

/** The state a problem is shown as. */
export function statusOf(problem: PullProblem): SyncStatus {
  switch (problem.code) {
    case 'OBS_LOG_RECYCLED':
    case 'OBS_ARCHIVE_GAP':
    case 'OBS_ARCHIVE_OBJECT_MISSING':
    case 'OBS_ARCHIVE_CORRUPT':
      return 'SOURCE HAS A GAP';
    case 'OBS_STANDBY_DIVERGED':
    case 'OBS_STANDBY_AHEAD':
    case 'OBS_STANDBY_SOURCE_STALE':
    case 'OBS_PEER_INCARNATION':
    case 'OBS_ARCHIVE_DIVERGED':
    case 'OBS_ARCHIVE_FOREIGN':
      return 'STANDBY LOG NOT MATCH';
    case 'OBS_PEER_ACCESS_DENIED':
    case 'OBS_ARCHIVE_DENIED':
      return 'CHECK USER OR PASSWORD';
    case 'OBS_PEER_TIMEOUT':
      return 'FETCH LOG TIMEOUT';
    case 'OBS_PEER_VERSION':
    case 'OBS_PEER_ERROR':
    case 'OBS_ARCHIVE_FORMAT_NEWER':
      return 'STANDBY NEED UPGRADE';
    case 'OBS_PEER_NO_SUCH_TENANT':
      return 'PRIMARY TENANT DROPPED';
    case 'OBS_PEER_NOT_READY':
      return 'WAIT LOG STREAM CREATED';
    case 'OBS_LOG_DISK_FULL':
      return 'STANDBY LOG DISK IS FULL';
    case 'OBS_PEER_UNREACHABLE':
    case 'OBS_PEER_CLOSED':
    case 'OBS_PEER_PROTOCOL':
    case 'OBS_PEER_BUSY':
    case 'OBS_ARCHIVE_UNAVAILABLE':
      return 'CHECK NETWORK';
    default:
      return 'NOT AVAILABLE';
  }
}

/** Trying again at once cannot help: somebody has to change something first. */
export function needsSomebody(problem: PullProblem): boolean {
  switch (statusOf(problem)) {
    case 'CHECK NETWORK':
    case 'FETCH LOG TIMEOUT':
    case 'WAIT LOG STREAM CREATED':
    case 'NOT AVAILABLE':
      return false;
    default:
      return true;
  }
}
