/**
 * A lock that one process has on a file, and the kernel takes back however the process ends: SQLite's own file lock.
 */
import Database from 'better-sqlite3';

export interface DirectoryLock {
  close(): void;
}

/** Null when another process has it. Throws the system's error when the file cannot be had. */
export function takeLock(path: string): DirectoryLock | null {
  const lock = new Database(path, { timeout: 0 });
  try {
    lock.pragma('locking_mode = EXCLUSIVE');
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    if ((error as { code?: string }).code === 'SQLITE_BUSY') return null;
    throw error;
  }
}
