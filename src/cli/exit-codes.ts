/**
 * Exit codes, the same for every command, so that scripts can act on them without reading text.
 */
import { isObError } from '../base/errors.ts';

export const exitCodes = {
  done: 0,
  /** failed, nothing changed */
  failed: 1,
  usage: 2,
  /** a guard refused: the primary answers, the lag is too large, the role is wrong */
  refused: 3,
  /** the main thing is done, something is left; the output says what */
  incomplete: 4,
  /** run `obstandby resume` */
  unknown: 5,
} as const;

const guards: ReadonlySet<string> = new Set([
  'OBS_SERVER_FOLLOWER_CONNECTED',
  'OBS_SERVER_TENANT_HAS_STANDBYS',
  'OBS_SERVER_TENANT_STANDBYS_UNKNOWN',
  'OBS_CLUSTER_BOOTSTRAPPED',
  'OBS_CLUSTER_SERVER_NEEDED',
  'OBS_CLUSTER_STOPS_ELSEWHERE',
  'OBS_LOCALITY_BUSY',
  'OBS_ARBITRATION_BUSY',
  'OBS_ARBITRATION_EXISTS',
  'OBS_ARBITRATION_IN_USE',
  'OBS_ARBITRATION_LOCALITY',
  'OBS_ARBITRATION_REPLICA_COUNT',
]);
/** Begun, and going on by itself. */
const goesOn: ReadonlySet<string> = new Set([
  'OBS_LOCALITY_PENDING',
  'OBS_ARBITRATION_PENDING',
  'OBS_CLUSTER_REMOVAL_PENDING',
  'OBS_CLUSTER_SERVER_UNHEARD',
  'OBS_CLUSTER_LEADERS_LEFT',
]);
const usageErrors: ReadonlySet<string> = new Set(['OBS_CLI_USAGE', 'OBS_CLI_NO_SERVER', 'OBS_API_ARGUMENTS']);

export function exitCodeOf(error: unknown): number {
  if (!isObError(error)) return exitCodes.failed;
  if (error.kind === 'unknown') return exitCodes.unknown;
  if (goesOn.has(error.code)) return exitCodes.incomplete;
  if (error.kind === 'fenced' || error.kind === 'diverged') return exitCodes.refused;
  if (error.code.startsWith('OBS_ROLE_') || guards.has(error.code)) return exitCodes.refused;
  if (usageErrors.has(error.code)) return exitCodes.usage;
  if (error.code.startsWith('OBS_CONFIG_')) return exitCodes.usage;
  return exitCodes.failed;
}
