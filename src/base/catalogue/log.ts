/** Errors of the clog: blocks, groups, palf, log streams. */
import type { CatalogueRow } from '../errors.ts';

export const logErrors = {
  OBS_LOG_NOT_APPENDABLE: {
    kind: 'not-leader',
    message: 'log stream {stream} does not take new entries: {why}',
    hint: 'Write to the tenant that is primary now; obstandby status names it.',
  },
  OBS_LOG_RECYCLED: {
    kind: 'invalid',
    message: 'log from LSN {from} is recycled; the oldest kept is {begin}',
    hint: 'Read it from the archive, or rebuild from a snapshot.',
  },
  OBS_LOG_OUTCOME_UNKNOWN: {
    kind: 'unknown',
    message: 'the log stream lost its leader before the entry at LSN {lsn} was known to be committed',
    hint: 'Read back what the transaction would have written before trying again.',
  },
} as const satisfies Record<string, CatalogueRow>;
