/**
 * Takes SQLite's write lock. Readers of other threads and processes take it themselves for a moment when they meet a
 * wal-index header between its two writes; so a lock that is taken is waited for, but not for long: nobody else writes.
 */
import type Database from 'better-sqlite3';
import { ObError } from '../../base/errors.ts';
import { writeLockWaitMsMax } from '../../base/limits.ts';
import { foreignHolders } from './recovery-guard.ts';

const pause = new Int32Array(new SharedArrayBuffer(4));

/**
 * Runs a prepared BEGIN IMMEDIATE. Throws OBS_TENANT_FILE_IN_USE, naming the processes, if the lock is still taken after
 * about `waitMs`.
 */
export function takeWriteLock(begin: Database.Statement, path: string, waitMs = writeLockWaitMsMax): void {
  for (let waitedMs = 0; ; waitedMs++) {
    try {
      begin.run();
      return;
    } catch (error) {
      if (!isBusy(error)) throw error;
      if (waitedMs >= waitMs) {
        const pids = foreignHolders(path).join(', ');
        throw new ObError('OBS_TENANT_FILE_IN_USE', { path, pids: pids === '' ? 'unknown' : pids }, error);
      }
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

/** SQLite could not get a lock at once. */
export const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && String(error.code).startsWith('SQLITE_BUSY');
