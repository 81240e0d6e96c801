/**
 * What must be true before a database file is rewritten without SQLite: nobody has it open, and no file of SQLite's
 * lies beside it that would be replayed into it.
 */
import fs from 'node:fs';
import { dirname } from 'node:path';
import { ObError } from '../../base/errors.ts';
import { fileFailed } from './database-files.ts';

/**
 * Deletes `-wal`, `-shm` and `-journal`, durably. Only while nobody has the database open: the log is the truth and
 * the database file a cache of it, so nothing is lost with them.
 */
export function dropSideFiles(path: string): void {
  try {
    for (const suffix of ['-wal', '-shm', '-journal']) fs.rmSync(`${path}${suffix}`, { force: true });
  } catch (error) {
    throw fileFailed('remove', `${path}-*`, error);
  }
  syncDirectory(dirname(path));
}

/** Processes other than this one that hold a lock on the database or its `-shm`, ascending. */
export function foreignHolders(path: string): number[] {
  const locks = readLocks();
  const holders = new Set<number>();
  for (const file of [path, `${path}-shm`]) {
    const stat = fs.statSync(file, { throwIfNoEntry: false, bigint: true });
    if (stat === undefined) continue;
    for (const lock of locks) {
      if (lock.inode !== stat.ino || lock.pid === process.pid) continue;
      if (lock.device === deviceText(stat.dev) || hasOpen(lock.pid, file)) holders.add(lock.pid);
    }
  }
  return [...holders].toSorted((one, other) => one - other);
}

/** Throws OBS_TENANT_FILE_IN_USE, naming the processes, while another one has the database open. */
export function refuseForeignHolders(path: string): void {
  const pids = foreignHolders(path);
  if (pids.length > 0) throw new ObError('OBS_TENANT_FILE_IN_USE', { path, pids: pids.join(', ') });
}

/** Makes the names in a directory durable. */
export function syncDirectory(directory: string): void {
  try {
    const fd = fs.openSync(directory, 'r');
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    throw fileFailed('fsync', directory, error);
  }
}

interface FileLock {
  readonly pid: number;
  /** as /proc/locks prints it: `fd:01` */
  readonly device: string;
  readonly inode: bigint;
}

/** The POSIX locks of this machine; none where the kernel does not list them. */
function readLocks(): FileLock[] {
  let text: string;
  try {
    text = fs.readFileSync('/proc/locks', 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw fileFailed('read', '/proc/locks', error);
  }
  const locks: FileLock[] = [];
  // 12: POSIX  ADVISORY  READ 4711 fd:01:5767312 1073741826 1073742335
  for (const match of text.matchAll(/(?:POSIX|OFDLCK)\s+\S+\s+\S+\s+(-?\d+)\s+(\w+:\w+):(\d+)/g)) {
    locks.push({ pid: Number(match[1]), device: String(match[2]), inode: BigInt(String(match[3])) });
  }
  return locks;
}

/** Linux's numbering of a device, as /proc/locks prints it. */
function deviceText(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
  const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn);
  const hex = (value: bigint) => value.toString(16).padStart(2, '0');
  return `${hex(major)}:${hex(minor)}`;
}

/** For file systems whose locks carry another device number: asks the process itself. */
function hasOpen(pid: number, file: string): boolean {
  const wanted = fs.realpathSync(file);
  try {
    return fs.readdirSync(`/proc/${pid}/fd`).some(name => {
      try {
        return fs.readlinkSync(`/proc/${pid}/fd/${name}`) === wanted;
      } catch {
        // That descriptor was closed meanwhile.
        return false;
      }
    });
  } catch {
    // The process has ended, or belongs to another user, who cannot open a file of mode 0600.
    return false;
  }
}
