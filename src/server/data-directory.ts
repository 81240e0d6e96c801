/**
 * The data directory: that it is ours, writable, of a known format, and used by one process only.
 *
 * The lock is SQLite's own file lock on `server.lock`, so the kernel releases it however the process ends. Refuses to
 * touch a directory that holds anything obstandby did not make.
 */
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { z } from 'zod';
import { isObError, ObError } from '../base/errors.ts';
import { codeOf, type Disk } from '../platform/disk.ts';
import type { Random } from '../platform/random.ts';

const siteFormatVersion = 1;
const tokenBytes = 32;

const siteSchema = z.object({
  format: z.literal('obstandby-site'),
  version: z.int().min(1),
  siteId: z.uuid(),
  createdMs: z.number(),
});

export interface DataDirectory {
  readonly path: string;
  /** identifies this site to its peers, for ever */
  readonly siteId: string;
  /** bearer token of the operators' API */
  readonly httpToken: string;
  /** encrypts credentials that the sys tenant stores */
  readonly secretKey: Uint8Array;
  /** Tells local commands where this server listens. */
  announce(addresses: Readonly<Record<string, string | number>>): Promise<void>;
  /** Removes the announcement and the lock. */
  release(): void;
}

/**
 * Opens (or makes) the data directory. Throws OBS_SERVER_DIRECTORY_UNWRITABLE, OBS_SERVER_DIRECTORY_FOREIGN,
 * OBS_SERVER_DIRECTORY_LOCKED, OBS_SERVER_FORMAT_NEWER.
 */
export async function openDataDirectory(
  path: string,
  disk: Disk,
  random: Random,
  nowMs: number,
): Promise<DataDirectory> {
  makeDirectory(path);
  const siteFile = join(path, 'site.json');
  if (!existsSync(siteFile)) {
    const others = readdirSync(path).filter(name => name !== 'server.lock' && name !== 'server.lock-journal');
    if (others.length > 0) {
      throw new ObError('OBS_SERVER_DIRECTORY_FOREIGN', {
        path,
        why: `it holds ${others.slice(0, 3).join(', ')} but no site.json`,
      });
    }
  }
  // Only what is known to be ours is changed.
  attempt(path, () => chmodSync(path, 0o700));
  const lock = takeLock(path);
  try {
    const siteId = await readOrMakeSite(path, siteFile, disk, random, nowMs);
    const httpToken = Buffer.from(await readOrMakeSecret(join(path, 'http.token'), disk, random)).toString(
      'utf8',
    );
    const secretKey = Buffer.from(
      Buffer.from(await readOrMakeSecret(join(path, 'secret.key'), disk, random)).toString('utf8'),
      'hex',
    );
    const announcement = join(path, 'server.json');
    return {
      path,
      siteId,
      httpToken,
      secretKey,
      announce: addresses =>
        disk.replaceFile(
          announcement,
          Buffer.from(`${JSON.stringify({ ...addresses, pid: process.pid })}\n`),
        ),
      release() {
        rmSync(announcement, { force: true });
        lock.close();
      },
    };
  } catch (error) {
    lock.close();
    throw isObError(error) ? error : unwritable(path, error);
  }
}

function makeDirectory(path: string): void {
  attempt(path, () => {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  });
}

function attempt(path: string, change: () => void): void {
  try {
    change();
  } catch (error) {
    throw unwritable(path, error);
  }
}

const unwritable = (path: string, cause: unknown): ObError =>
  new ObError('OBS_SERVER_DIRECTORY_UNWRITABLE', { path, why: codeOf(cause) ?? String(cause) }, cause);

function takeLock(path: string): Database.Database {
  const lock = openLockFile(path);
  try {
    lock.pragma('locking_mode = EXCLUSIVE');
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    if ((error as { code?: string }).code !== 'SQLITE_BUSY') {
      throw unwritable(path, error);
    }
    throw new ObError('OBS_SERVER_DIRECTORY_LOCKED', { path, pid: pidOf(path) }, error);
  }
}

function openLockFile(path: string): Database.Database {
  try {
    return new Database(join(path, 'server.lock'), { timeout: 0 });
  } catch (error) {
    throw unwritable(path, error);
  }
}

function pidOf(path: string): number | string {
  try {
    return z.object({ pid: z.number() }).parse(JSON.parse(readFileSync(join(path, 'server.json'), 'utf8')))
      .pid;
  } catch {
    return 'unknown (it is just starting)';
  }
}

async function readOrMakeSite(
  path: string,
  file: string,
  disk: Disk,
  random: Random,
  nowMs: number,
): Promise<string> {
  const bytes = await disk.readFile(file);
  if (bytes === undefined) {
    const site = {
      format: 'obstandby-site',
      version: siteFormatVersion,
      siteId: random.uuid(),
      createdMs: nowMs,
    };
    await disk.replaceFile(file, Buffer.from(`${JSON.stringify(site)}\n`));
    return site.siteId;
  }
  const site = siteSchema.safeParse(parseJson(bytes));
  if (!site.success)
    throw new ObError('OBS_SERVER_DIRECTORY_FOREIGN', { path, why: 'its site.json is not readable' });
  if (site.data.version > siteFormatVersion) {
    throw new ObError('OBS_SERVER_FORMAT_NEWER', {
      path: file,
      found: site.data.version,
      known: siteFormatVersion,
    });
  }
  return site.data.siteId;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}

async function readOrMakeSecret(file: string, disk: Disk, random: Random): Promise<Uint8Array> {
  const known = await disk.readFile(file);
  if (known !== undefined) return known;
  const secret = Buffer.from(Buffer.from(random.bytes(tokenBytes)).toString('hex'));
  await disk.replaceFile(file, secret);
  return secret;
}
