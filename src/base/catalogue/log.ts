/** Errors of the clog: blocks, groups, palf, log streams. */
import type { CatalogueRow } from '../errors.ts';

export const logErrors = {
  OBS_LOG_NOT_APPENDABLE: {
    kind: 'not-leader',
    message: 'log stream {stream} does not take new entries: {why}',
    hint: 'Write to the tenant that is primary now; obstandby status names it.',
  },
  OBS_LOG_NOT_LEADER: {
    kind: 'not-leader',
    message: 'log stream {stream} is not led here; its leader is {leader}',
    hint: 'Go to the node that leads; obstandby status names it.',
    mysql: { number: 4038, sqlState: 'HY000' },
  },
  OBS_LOG_LEASE_LOST: {
    kind: 'not-leader',
    message: 'log stream {stream} was led here, but its lease ran out: no majority answers',
    hint: 'Try again: this node or another one leads as soon as a majority of the members can talk to each other.',
    mysql: { number: 4038, sqlState: 'HY000' },
  },
  OBS_LOG_CHANGE_UNKNOWN: {
    kind: 'unknown',
    message: 'log stream {stream} lost its leader while it was to {what}; that may or may not have happened',
    hint: 'Read the state at its leader, then decide whether to ask again.',
  },
  OBS_LOG_CONFIG_CONFLICT: {
    kind: 'invalid',
    message: 'the configuration of log stream {stream} has version {actual}, not {expected}',
    hint: 'Somebody else changed it. Read the members again before deciding.',
  },
  OBS_LOG_CONFIG_REFUSED: {
    kind: 'invalid',
    message: 'log stream {stream} cannot change its members like that: {why}',
    hint: 'Read the members of the log stream, then ask for a change that fits them.',
  },
  OBS_LOG_LAST_MEMBER: {
    kind: 'invalid',
    message: 'log stream {stream} would be left without an F replica',
    hint: 'Add another F replica first.',
  },
  OBS_LOG_NOT_CAUGHT_UP: {
    kind: 'unavailable',
    message: 'the replica of log stream {stream} on node {node} has log up to LSN {end}, and needs {needed}',
    hint: 'Wait until it has caught up; GV$OB_LOG_STAT shows how far it is.',
  },
  OBS_LOG_NO_QUORUM: {
    kind: 'unavailable',
    message:
      'the members that log stream {stream} would have left have no majority that answers and has its log',
    hint: 'Bring the other members up first, or choose another change.',
  },
  OBS_LOG_TRANSFERRING: {
    kind: 'unavailable',
    message: 'log stream {stream} is being handed over to another member',
    hint: 'Try again in a moment, at the new leader.',
  },
  OBS_LOG_IMPAIRED: {
    kind: 'unavailable',
    message: 'the replica of log stream {stream} on this node is damaged or being rebuilt',
    hint: 'Wait until it has been mended from the other replicas; the log of the server says how far that is.',
  },
  OBS_LOG_OTHER_NODE: {
    kind: 'invalid',
    message: 'the log in {directory} belongs to node {found}, this is node {self}',
    hint: 'A data directory cannot move to another node. Add this node as a new one; it gets a copy of its own.',
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
  OBS_LOG_HOLDS_FULL: {
    kind: 'unavailable',
    message: 'log of log stream {stream} is kept for {limit} readers, and cannot be kept for {name} as well',
    hint: 'Try again when some of them are done: standbys, backups and rebuilds that are under way keep log.',
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
  OBS_LOG_TAIL_CORRUPT: {
    kind: 'corrupt',
    message: 'log of log stream {stream} that is not agreed yet is damaged here at LSN {lsn}: {what}',
    hint: 'The server ends and is to be started again: it gives that log up then and takes what the others have. Have the disk checked.',
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
