/**
 * Disks of their own for data directories: one that can be filled, and one whose device can be made to fail, so that writes are taken
 * and what was written cannot be brought to stable storage. Both need the right to mount.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { atEnd, temporaryDirectory } from './lone-site.ts';

const quiet = { stdio: 'ignore' } as const;
const pieceBytes = 65_536;
const probeBytes = 4 * 1_048_576;

/** False, with a loud line, where nothing can be mounted. */
export const canMount = (): boolean =>
  isPossible('a disk of its own needs the right to mount', directory => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory], quiet);
    execFileSync('umount', [directory]);
  });

/** The same of a disk that fails, which needs a device of the kernel and a file system on it. */
export const canMountFailing = (): boolean =>
  isPossible('a disk that fails needs loop devices and mkfs.ext4', directory => {
    mountFailingDisk(directory, probeBytes).replace();
  });

function isPossible(what: string, attempt: (directory: string) => void): boolean {
  try {
    attempt(temporaryDirectory());
    return true;
  } catch (error) {
    if (process.env['OBSTANDBY_REQUIRE_ALL'] === '1')
      throw new Error(`must run here: ${what}`, { cause: error });
    console.warn(`SKIPPED: ${what}`);
    return false;
  }
}

/** A disk of this size at `path`, until the test ends. */
export function mountSmallDisk(path: string, bytes: number): void {
  mkdirSync(path, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path]);
  atEnd(() => {
    execFileSync('umount', ['-l', path]);
  });
}

/** Takes every byte that is left on a disk; resolves with what gives them back. */
export function fillDisk(path: string): () => void {
  const ballast = join(path, 'ballast');
  const file = openSync(ballast, 'a');
  const piece = Buffer.alloc(pieceBytes);
  try {
    for (;;) writeSync(file, piece);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(file);
  }
  return () => rmSync(ballast);
}

export interface FailingDisk {
  /** From now on what is written reaches no stable storage: the next flush fails. */
  fail(): void;
  /** Another one, empty, is in its place. */
  replace(): void;
}

/**
 * A file system at `path` on a device that promises more room than there is behind it: when that is taken away, the file system takes
 * writes as before and the device fails them later.
 */
export function mountFailingDisk(path: string, bytes: number): FailingDisk {
  const behind = temporaryDirectory();
  mountSmallDisk(behind, bytes);
  const image = join(behind, 'image');
  writeFileSync(image, '');
  truncateSync(image, bytes);
  execFileSync('mkfs.ext4', ['-q', '-E', 'nodiscard,lazy_itable_init=1', image], quiet);
  mkdirSync(path, { recursive: true });
  execFileSync('mount', ['-o', 'loop', image, path]);
  rmSync(join(path, 'lost+found'), { recursive: true });
  let isMounted = true;
  const unmount = (): void => {
    if (isMounted) execFileSync('umount', ['-l', path]);
    isMounted = false;
  };
  atEnd(unmount);
  return { fail: () => fillDisk(behind), replace: unmount };
}
