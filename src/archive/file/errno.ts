/** What the operating system's errors on archive media mean to an operator. None of them ends the process. */
import { ObError } from '../../base/errors.ts';

export const errnoOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

export function fileStoreError(dest: string, error: unknown): ObError {
  if (error instanceof ObError) return error;
  const why = error instanceof Error ? error.message : String(error);
  switch (errnoOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new ObError('OBS_ARCHIVE_FULL', { dest }, error);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new ObError('OBS_ARCHIVE_DENIED', { dest, why }, error);
    default:
      return new ObError('OBS_ARCHIVE_UNAVAILABLE', { dest, why }, error);
  }
}
