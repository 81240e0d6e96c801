/** Errors of the tenant engine: SQL on SQLite, capture, apply, checkpoint. */
import type { CatalogueRow } from '../errors.ts';

export const tenantErrors = {
  OBS_TENANT_READ_ONLY: {
    kind: 'not-leader',
    message: 'tenant {tenant} is a standby: it takes no writes',
    hint: 'Send writes to the primary; obstandby status names it.',
    mysql: { number: 4688, sqlState: 'HY000' },
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
} as const satisfies Record<string, CatalogueRow>;
