/** Errors of a standby: restore source, continuity, apply. */
import type { CatalogueRow } from '../errors.ts';

export const standbyErrors = {
  OBS_STANDBY_DIVERGED: {
    kind: 'diverged',
    message: 'the log of {source} and this standby forked before LSN {lsn}',
    hint: 'This standby follows another history. Rebuild it: obstandby standby create.',
  },
  OBS_STANDBY_AHEAD: {
    kind: 'diverged',
    message: 'this standby has log up to LSN {lsn}, {source} only up to {end}',
    hint: 'If the source is a new primary after a failover, this standby must be cut back or rebuilt; if it is a standby, wait.',
  },
  OBS_STANDBY_SOURCE_STALE: {
    kind: 'fenced',
    message: '{source} is at role epoch {theirs}; this standby has seen {known}',
    hint: 'It is not the primary any more: set the log restore source to the one that is.',
  },
  OBS_STANDBY_SOURCE_INVALID: {
    kind: 'invalid',
    message: 'the log restore source is not valid: {problems}',
    hint: "Write SERVICE=host:port;host:port USER=user@tenant PASSWORD=secret, LOCATION=uri, both, or '' for none.",
  },
  OBS_STANDBY_UNTIL_PASSED: {
    kind: 'invalid',
    message: 'log up to SCN {sync} is here already; it cannot be stopped at SCN {until}',
    hint: 'Give a later SCN, or restore a new tenant up to that point from the archive.',
  },
  OBS_STANDBY_NOT_CAUGHT_UP: {
    kind: 'unavailable',
    message:
      'log up to LSN {lsn} was not here and applied in time: flushed {flushed}, applied {applied}, {status}',
    hint: 'Look at the sync status of the standby, remove its cause and run the command again.',
  },
  OBS_STANDBY_STOPPED: {
    kind: 'unavailable',
    message: 'the standby stopped pulling',
    hint: 'It is being closed or changes its role; run the command again afterwards.',
  },
  OBS_STANDBY_SNAPSHOT_BROKEN: {
    kind: 'unavailable',
    message: 'the snapshot of {source} is not whole: {what}',
    hint: 'Run the creation of the standby again.',
  },
} as const satisfies Record<string, CatalogueRow>;
