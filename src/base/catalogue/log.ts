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
  OBS_LOG_WINDOW_FULL: {
    kind: 'unavailable',
    message: 'log stream {stream} has {bytes} bytes waiting for the disk and takes no more',
    hint: 'Try again; if it persists, the log disk is too slow or stalled.',
  },
  OBS_LOG_ENTRY_TOO_LARGE: {
    kind: 'invalid',
    message: 'an entry of {bytes} bytes is larger than the limit of {limit}',
    hint: 'Split the transaction into smaller ones.',
  },
  OBS_LOG_DISK_FULL: {
    kind: 'unavailable',
    message: 'the log disk of log stream {stream} is full: {why}',
    hint: 'Free space or raise log.diskBytesMax; log is kept for: {holders}.',
    mysql: { number: 1021, sqlState: 'HY000' },
  },
  OBS_LOG_DISK_FAILED: {
    kind: 'disk',
    message: 'log stream {stream} could not {what}: {why}',
    hint: 'The process ends so that nothing unsaved is acknowledged. Check the disk, then start it again.',
  },
  OBS_LOG_CORRUPT: {
    kind: 'corrupt',
    message: 'the log of log stream {stream} is damaged at LSN {lsn}: {what}',
    hint: 'Keep the files. Rebuild this copy from the other site or the archive; it must not become primary.',
  },
  OBS_LOG_FOREIGN: {
    kind: 'invalid',
    message: 'the log in {directory} belongs to log stream {stream} of incarnation {incarnation}',
    hint: 'The data directory was mixed up or copied. Give this tenant its own directory.',
  },
  OBS_LOG_FORMAT_NEWER: {
    kind: 'invalid',
    message:
      'log stream {stream} in {directory} has format version {found}; this program knows up to {known}',
    hint: 'Run a program at least as new as the one that wrote it; nothing was changed.',
  },
  OBS_LOG_POSITION_INVALID: {
    kind: 'invalid',
    message: 'LSN {lsn} is not a position of log stream {stream}, which ends at {end}',
    hint: 'Ask the log stream for its state and go on from its end.',
  },
  OBS_LOG_BLOCK_MISMATCH: {
    kind: 'invalid',
    message: 'a group at LSN {lsn} does not fit the blocks of log stream {stream} ({blockBytes} bytes)',
    hint: 'Create the standby with the block size of its source.',
  },
  OBS_LOG_MODE_CONFLICT: {
    kind: 'invalid',
    message: 'the access mode of log stream {stream} has version {actual}, not {expected}',
    hint: 'Somebody else changed it. Read the state again before deciding.',
  },
  OBS_LOG_MODE_TRANSITION: {
    kind: 'invalid',
    message: 'log stream {stream} cannot go from {from} to {to}',
    hint: 'A primary goes to RAW_WRITE first; a log is cut in FLASHBACK only.',
  },
  OBS_LOG_INCOMPLETE: {
    kind: 'invalid',
    message: 'log stream {stream} ends at LSN {end}, but its database already holds LSN {checkpoint}',
    hint: 'Let this standby catch up before it becomes primary.',
  },
  OBS_LOG_BUSY: {
    kind: 'unavailable',
    message: 'log stream {stream} is in the middle of another change',
    hint: 'Try again when it has finished.',
  },
  OBS_LOG_FLASHBACK_REFUSED: {
    kind: 'invalid',
    message: 'log stream {stream} cannot be cut at SCN {scn}: its base is LSN {base}',
    hint: 'The database file already holds later changes. Rebuild from a snapshot instead.',
  },
} as const satisfies Record<string, CatalogueRow>;
