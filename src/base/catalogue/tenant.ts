/** Errors of the tenant engine: SQL on SQLite, capture, apply, checkpoint. */
import type { CatalogueRow } from '../errors.ts';

export const tenantErrors = {
  OBS_TENANT_READ_ONLY: {
    kind: 'not-leader',
    message: 'tenant {tenant} is a standby: it takes no writes',
    hint: 'Send writes to the primary; obstandby status names it.',
    mysql: { number: 4688, sqlState: 'HY000' },
  },
  OBS_TENANT_NOT_LEADER: {
    kind: 'not-leader',
    message: 'tenant {tenant} is not led by this server; its leader serves clients at {leader}',
    hint: "Connect to its leader. To read here what may be a little old: SET ob_read_consistency = 'WEAK'.",
    mysql: { number: 4038, sqlState: 'HY000' },
  },

  // --- pages: capture, redo, checkpoint ---
  OBS_TENANT_CAPTURE_LOST: {
    kind: 'bug',
    message: 'a commit on {path} escaped capture: {detail}',
    hint: 'This replica stops leading by itself. Look for another program that writes or checkpoints this file, then restart the server.',
  },
  OBS_TENANT_WAL_INDEX: {
    kind: 'corrupt',
    message: 'the -shm file of {path} is not what this version understands: {detail}',
    hint: 'Stop every other program that has the database open and restart the server: it rebuilds the file from the log.',
  },
  OBS_TENANT_PLATFORM: {
    kind: 'invalid',
    message: 'this machine failed the page self-test in {directory}: {detail}',
    hint: 'Run on little-endian Linux with the data directory on a local file system (ext4, xfs), with the better-sqlite3 this version was installed with.',
  },
  OBS_TENANT_REDO_CORRUPT: {
    kind: 'corrupt',
    message: 'a redo record for {path} cannot be applied: {detail}',
    hint: 'The log of this replica is damaged or not the one of this database: rebuild the replica from another one or from the archive.',
  },
  OBS_TENANT_FILE_IN_USE: {
    kind: 'invalid',
    message: 'other processes have {path} open: {pids}',
    hint: 'Stop the processes {pids}; a tenant is recovered only while nobody else has its database open.',
  },
  OBS_TENANT_FILE_FAILED: {
    kind: 'disk',
    message: '{operation} on {path} failed: {detail}',
    hint: 'Check the disk and its free space; the server has stopped and recovers from its log when started again.',
  },
  OBS_TENANT_CHECKPOINT_CORRUPT: {
    kind: 'corrupt',
    message: 'the checkpoint record {path} is damaged: {detail}',
    hint: 'Rebuild this replica from another one or from the archive.',
  },

  // --- engine: sessions, writer, log ---
  OBS_TENANT_NOT_OPEN: {
    kind: 'unavailable',
    message: 'the engine of tenant {tenant} is {state}',
    hint: 'Try again when the tenant is open; obstandby status tells.',
    mysql: { number: 1053, sqlState: '08S01' },
  },
  OBS_TENANT_SESSION_CLOSED: {
    kind: 'invalid',
    message: 'this session of tenant {tenant} is closed',
    hint: 'Open another one.',
  },
  OBS_TENANT_WRITES_REFUSED: {
    kind: 'unavailable',
    message: 'tenant {tenant} takes no writes now: {why}',
    hint: 'Try again in a moment; obstandby status names the primary.',
    mysql: { number: 4688, sqlState: 'HY000' },
  },
  OBS_TENANT_LOCK_WAIT: {
    kind: 'unavailable',
    message: 'Lock wait timeout exceeded; the writer of tenant {tenant} was held by another transaction',
    hint: 'Try again. Keep write transactions short: a tenant has one writer.',
    mysql: { number: 1205, sqlState: 'HY000' },
  },
  OBS_TENANT_OVERLOADED: {
    kind: 'unavailable',
    message: 'tenant {tenant} has {count} {what} already',
    hint: 'Send fewer requests at once, then try again.',
    mysql: { number: 1203, sqlState: '42000' },
  },
  OBS_TENANT_TRANSACTION_IDLE: {
    kind: 'unavailable',
    message: 'the transaction was idle for {ms} ms and was rolled back',
    hint: 'Begin it again, and keep transactions short: a tenant has one writer.',
    mysql: { number: 4012, sqlState: '25000' },
  },
  OBS_TENANT_TRANSACTION_ENDED: {
    kind: 'unavailable',
    message: 'the transaction was rolled back: {why}',
    hint: 'Begin it again.',
    mysql: { number: 4012, sqlState: '25000' },
  },
  OBS_TENANT_TRANSACTION_STATE: {
    kind: 'invalid',
    message: 'this needs {wanted}',
    hint: 'Mind the order of BEGIN, COMMIT and ROLLBACK.',
    mysql: { number: 1568, sqlState: '25001' },
  },
  OBS_TENANT_READ_TRANSACTION: {
    kind: 'invalid',
    message: 'Cannot execute statement in a READ ONLY transaction.',
    hint: 'End it and begin a transaction that may write.',
    mysql: { number: 1792, sqlState: '25006' },
  },
  OBS_TENANT_OUTCOME_UNKNOWN: {
    kind: 'unknown',
    message:
      'tenant {tenant} stopped leading before this commit was known to be kept: it may or may not have happened',
    hint: 'Connect to the new primary and read back what the transaction would have written before trying again.',
    mysql: { number: 4012, sqlState: 'HY000' },
  },
  OBS_TENANT_UNDONE: {
    kind: 'unavailable',
    message: 'tenant {tenant} undid changes that its log did not take: {why}',
    hint: 'Nothing of this call was kept: try again.',
    mysql: { number: 1205, sqlState: 'HY000' },
  },
  OBS_TENANT_LOG_SHORT: {
    kind: 'corrupt',
    message: 'the log of tenant {tenant} ends at LSN {end}, before its database at LSN {checkpoint}',
    hint: 'Log was lost: rebuild this replica from another one or from the archive.',
  },
  OBS_TENANT_CHECKPOINT_HELD: {
    kind: 'unavailable',
    message: 'readers of tenant {tenant} keep its checkpoint from finishing',
    hint: 'End long read transactions, then try again.',
  },
  OBS_TENANT_APPLY_ORDER: {
    kind: 'invalid',
    message: 'log from LSN {start} does not continue the applied end {applied}',
    hint: 'Apply from the applied end on; this is a fault of the caller.',
  },
  OBS_TENANT_WORKER_LOST: {
    kind: 'bug',
    message: 'a worker thread ended: {why}',
    hint: 'The server has stopped and recovers from its log when started again. Keep its log output and report it.',
  },
} as const satisfies Record<string, CatalogueRow>;
