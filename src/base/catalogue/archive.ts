/** Errors of the archive: destinations, manifests, segments, base backups. */
import type { CatalogueRow } from '../errors.ts';

export const archiveErrors = {
  OBS_ARCHIVE_FENCED: {
    kind: 'fenced',
    message: 'archive {dest} belongs to role epoch {epoch} of another site',
    hint: 'This site is no longer the primary: run obstandby status, then make it a standby.',
  },
  OBS_ARCHIVE_SEALED: {
    kind: 'fenced',
    message: 'archive {dest} is sealed at LSN {lsn} by switchover {switchoverId}',
    hint: 'Finish the switchover on the other site, or run obstandby rollback here.',
  },
  OBS_ARCHIVE_UNAVAILABLE: {
    kind: 'unavailable',
    message: 'archive {dest} does not answer: {why}',
    hint: 'Check that the store is up and reachable from this server; archiving resumes by itself.',
  },
  OBS_ARCHIVE_OUTCOME_UNKNOWN: {
    kind: 'unknown',
    message: 'archive {dest} may or may not have stored {key}: {why}',
    hint: 'Run the same command again: it reads back what is there before it writes.',
  },
  OBS_ARCHIVE_FULL: {
    kind: 'unavailable',
    message: 'archive {dest} has no space left',
    hint: 'Free space on the archive media; archiving resumes by itself.',
  },
  OBS_ARCHIVE_DENIED: {
    kind: 'invalid',
    message: 'archive {dest} refuses access: {why}',
    hint: 'Check the credentials or the owner and mode of the directory, then set LOG_ARCHIVE_DEST again.',
  },
  OBS_ARCHIVE_NO_DESTINATION: {
    kind: 'invalid',
    message: 'archive {dest} does not exist',
    hint: 'Create the directory or bucket (is the mount there?), or add create=true to the location.',
  },
  OBS_ARCHIVE_URI_INVALID: {
    kind: 'invalid',
    message: 'archive location {location} is not valid: {why}',
    hint: 'Write file:///absolute/directory or s3://bucket/prefix?endpoint=http://host:port&region=us-east-1.',
  },
  OBS_ARCHIVE_PREFLIGHT_FAILED: {
    kind: 'invalid',
    message: 'archive {dest} cannot be used: {call} of {path} failed: {why}',
    hint: 'The media must support exclusive creation, hard links and fsync; choose another one or fix the mount.',
  },
  OBS_ARCHIVE_NO_CONDITIONAL_WRITES: {
    kind: 'invalid',
    message: 'store {dest} does not honour conditional writes: {why}',
    hint: 'Use a store with If-None-Match on PUT (AWS S3, Ceph, MinIO); without it two primaries could not be told apart.',
  },
  OBS_ARCHIVE_BUCKET_VERSIONED: {
    kind: 'invalid',
    message: 'the bucket of {dest} is versioned',
    hint: 'Use a bucket that never had versioning: some stores ignore write conditions in versioned buckets.',
  },
  OBS_ARCHIVE_FOREIGN: {
    kind: 'invalid',
    message: 'archive {dest} holds {found}, not {wanted}',
    hint: 'Point to the archive of this tenant, or use an empty location.',
    mysql: { number: 9081, sqlState: 'HY000' },
  },
  OBS_ARCHIVE_NO_TENANT: {
    kind: 'invalid',
    message: 'archive {dest} holds no log of {wanted}',
    hint: 'Check the location, and that ARCHIVELOG is on at the primary.',
    mysql: { number: 9080, sqlState: 'HY000' },
  },
  OBS_ARCHIVE_TENANT_AMBIGUOUS: {
    kind: 'invalid',
    message: 'archive {dest} holds several tenants: {found}',
    hint: 'Add tenant=<name> to the location.',
  },
  OBS_ARCHIVE_FORMAT_NEWER: {
    kind: 'invalid',
    message: '{key} in archive {dest} has format version {version}, newer than this program knows',
    hint: 'Upgrade this server.',
  },
  OBS_ARCHIVE_CORRUPT: {
    kind: 'corrupt',
    message: '{key} in archive {dest} is altered or truncated: {why}',
    hint: 'Restore the object from a copy of the archive, or take a new base backup and start a new round.',
  },
  OBS_ARCHIVE_OBJECT_MISSING: {
    kind: 'corrupt',
    message: '{key} is named by the manifests of archive {dest} but is not there',
    hint: 'Restore the object from a copy of the archive, or take a new base backup and start a new round.',
  },
  OBS_ARCHIVE_GAP: {
    kind: 'invalid',
    message: 'archive {dest} has no log from LSN {from}; the next archived log starts at {next}',
    hint: 'Start from a base backup taken after the gap, or rebuild over the network.',
    mysql: { number: 9077, sqlState: 'HY000' },
  },
  OBS_ARCHIVE_DIVERGED: {
    kind: 'diverged',
    message: 'archive {dest} and this log forked before LSN {lsn}',
    hint: 'Another history was archived here. Use an empty location, or rebuild this tenant from the archive.',
  },
  OBS_ARCHIVE_STOPPED: {
    kind: 'unavailable',
    message: 'archiving to {dest} is {state}',
    hint: 'Turn it on: ALTER SYSTEM ARCHIVELOG, and LOG_ARCHIVE_DEST_STATE=ENABLE.',
  },
  OBS_ARCHIVE_BACKUP_MISSING: {
    kind: 'invalid',
    message: 'archive {dest} has no complete base backup {backup}',
    hint: 'List them with obstandby backup list, or take one.',
  },
  OBS_ARCHIVE_NOT_ENOUGH_LOG: {
    kind: 'invalid',
    message: 'archive {dest} cannot restore to SCN {until}: it covers {from} to {to}',
    hint: 'Choose an SCN in that range.',
    mysql: { number: 4018, sqlState: 'HY000' },
  },
  OBS_ARCHIVE_DEST_INVALID: {
    kind: 'invalid',
    message: 'the archive destination is not valid: {problems}',
    hint: 'Write it as LOCATION=file:///dir or LOCATION=s3://bucket/prefix, with BINDING=, PIECE_SWITCH_INTERVAL=, LAG_TARGET= if wanted.',
    mysql: { number: 1210, sqlState: 'HY000' },
  },
  OBS_ARCHIVE_NOT_CONFIGURED: {
    kind: 'invalid',
    message: 'tenant {tenant} has no archive destination',
    hint: "Set one: ALTER SYSTEM SET LOG_ARCHIVE_DEST = 'LOCATION=…', or obstandby archive dest.",
    mysql: { number: 9086, sqlState: 'HY000' },
  },
  OBS_ARCHIVE_ALREADY_ON: {
    kind: 'invalid',
    message: 'log archiving of tenant {tenant} is on',
    hint: 'Turn it off first (NOARCHIVELOG) to change its destination.',
    mysql: { number: 9091, sqlState: 'HY000' },
  },
  OBS_ARCHIVE_ALREADY_OFF: {
    kind: 'invalid',
    message: 'log archiving of tenant {tenant} is off',
    hint: 'There is nothing to turn off.',
    mysql: { number: 9092, sqlState: 'HY000' },
  },
} as const satisfies Record<string, CatalogueRow>;
