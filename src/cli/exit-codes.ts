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
]);
const usageErrors: ReadonlySet<string> = new Set(['OBS_CLI_USAGE', 'OBS_CLI_NO_SERVER', 'OBS_API_ARGUMENTS']);

export function exitCodeOf(error: unknown): number {
  if (!isObError(error)) return exitCodes.failed;
  if (error.kind === 'unknown') return exitCodes.unknown;
  if (error.kind === 'fenced' || error.kind === 'diverged') return exitCodes.refused;
  if (error.code.startsWith('OBS_ROLE_') || guards.has(error.code)) return exitCodes.refused;
  if (usageErrors.has(error.code)) return exitCodes.usage;
  if (error.code.startsWith('OBS_CONFIG_')) return exitCodes.usage;
  return exitCodes.failed;
}
