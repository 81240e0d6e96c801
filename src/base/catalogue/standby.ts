/** Errors of a standby: restore source, continuity, apply. */
import type { CatalogueRow } from '../errors.ts';

export const standbyErrors = {
  OBS_STANDBY_DIVERGED: {
    kind: 'diverged',
    message: 'the log of {source} and this standby forked before LSN {lsn}',
    hint: 'This standby follows another history. Rebuild it: obstandby standby create.',
  },
} as const satisfies Record<string, CatalogueRow>;
