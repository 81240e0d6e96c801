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
import { z } from 'zod';
import { must } from '../base/assert.ts';
import { isObError, ObError } from '../base/errors.ts';
import { type NodeId, nodeId } from '../base/scalars.ts';
import type { ArbitrationPicture } from '../cluster/root/arbitration.ts';
import {
  type ClusterFile,
  type ClusterServer,
  readClusterFile,
  writeClusterFile,
} from '../cluster/root/cluster-file.ts';
import { parseJson } from '../codec/json-bytes.ts';
import { codeOf, type Disk } from '../platform/disk.ts';
import type { Random } from '../platform/random.ts';
import { type DirectoryLock, takeLock } from './directory-lock.ts';

/** 2: the directory has a node id. */
const siteFormatVersion = 2;
const tokenBytes = 32;

const siteSchema = z.object({
  format: z.literal('obstandby-site'),
  version: z.int().min(1),
  siteId: z.uuid(),
  /** absent in version 1 */
  nodeId: z.uuid().optional(),
  createdMs: z.number(),
});

export interface DataDirectory {
  readonly path: string;
  /** identifies this site to its peers, for ever: the cluster's id where it belongs to one */
  readonly siteId: string;
  /** identifies this directory among the servers of its cluster: an emptied one is another server */
  readonly nodeId: NodeId;
  /** null: not part of a cluster of several servers, or not yet */
  readonly cluster: ClusterFile | null;
  /** bearer token of the operators' API */
  readonly httpToken: string;
  /** encrypts credentials that the sys tenant stores; the same on every server of a cluster */
  readonly secretKey: Uint8Array;
  /** Whether anything but the server's own identity was ever kept here; what it is, or null. */
  contents(): Promise<string | null>;
  /** Becomes part of a cluster: its key, then the file that says so. Repeatable. */
  join(cluster: ClusterFile, secretKey: Uint8Array): Promise<void>;
  /** What is known of the other servers now. */
  remember(
    servers: readonly ClusterServer[],
    sysNodes: readonly NodeId[],
    arbitration: ArbitrationPicture,
  ): Promise<void>;
  /** Tells local commands where this server listens. */
  announce(addresses: Readonly<Record<string, string | number>>): Promise<void>;
  /** Removes the announcement and the lock. */
  release(): void;
}

/**
 * Opens (or makes) the data directory. Throws OBS_SERVER_DIRECTORY_UNWRITABLE, OBS_SERVER_DIRECTORY_FOREIGN,
 * OBS_SERVER_DIRECTORY_LOCKED, OBS_SERVER_FORMAT_NEWER, OBS_CLUSTER_FILE_DAMAGED, OBS_CLUSTER_DIRECTORY_OTHER_NODE.
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
  const lock = lockDirectory(path);
  try {
    const site = await readOrMakeSite(path, siteFile, disk, random, nowMs);
    const clusterFile = join(path, 'cluster.json');
    let cluster = await readClusterFile(disk, clusterFile);
    /** pictures of the cluster are kept one after another, the newest last */
    let remembering: Promise<void> = Promise.resolve();
    if (cluster !== null && cluster.nodeId !== site.nodeId) {
      const why = `its cluster.json is that of node ${cluster.nodeId}, its site.json that of node ${site.nodeId}`;
      throw new ObError('OBS_CLUSTER_DIRECTORY_OTHER_NODE', { path, why });
    }
    const httpToken = textOf(await readOrMakeSecret(join(path, 'http.token'), disk, random));
    const keyFile = join(path, 'secret.key');
    let secretKey = Buffer.from(textOf(await readOrMakeSecret(keyFile, disk, random)), 'hex');
    const announcement = join(path, 'server.json');
    return {
      path,
      httpToken,
      nodeId: site.nodeId,
      get siteId() {
        return cluster?.clusterId ?? site.siteId;
      },
      get cluster() {
        return cluster;
      },
      get secretKey() {
        return secretKey;
      },
      async contents() {
        const [tenant] = await disk.list(join(path, 'tenants'));
        return tenant === undefined ? null : `the files of tenant ${tenant}`;
      },
      async join(file, key) {
        // The key first: a server that knows its cluster must be able to open what is stored there.
        await disk.replaceFile(keyFile, Buffer.from(Buffer.from(key).toString('hex')));
        await writeClusterFile(disk, clusterFile, file);
        secretKey = Buffer.from(key);
        cluster = file;
      },
      remember(servers, sysNodes, arbitration) {
        const turn = remembering.then(async () => {
          const changed = { ...must(cluster, 'a server of a cluster'), servers, sysNodes, arbitration };
          if (JSON.stringify(changed) === JSON.stringify(cluster)) return;
          await writeClusterFile(disk, clusterFile, changed);
          cluster = changed;
        });
        remembering = turn.catch(() => {});
        return turn;
      },
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

function lockDirectory(path: string): DirectoryLock {
  let lock: DirectoryLock | null;
  try {
    lock = takeLock(join(path, 'server.lock'));
  } catch (error) {
    throw unwritable(path, error);
  }
  if (lock === null) throw new ObError('OBS_SERVER_DIRECTORY_LOCKED', { path, pid: pidOf(path) });
  return lock;
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
): Promise<{ readonly siteId: string; readonly nodeId: NodeId }> {
  const bytes = await disk.readFile(file);
  const known = bytes === undefined ? undefined : readSite(path, file, bytes);
  const siteId = known?.siteId ?? random.uuid();
  const node = known?.nodeId ?? random.uuid();
  if (known?.nodeId === undefined) {
    const createdMs = known?.createdMs ?? nowMs;
    const site = { format: 'obstandby-site', version: siteFormatVersion, siteId, nodeId: node, createdMs };
    await disk.replaceFile(file, Buffer.from(`${JSON.stringify(site)}\n`));
  }
  return { siteId, nodeId: nodeId(node) };
}

function readSite(path: string, file: string, bytes: Uint8Array): z.output<typeof siteSchema> {
  const site = siteSchema.safeParse(parseJson(bytes));
  if (!site.success)
    throw new ObError('OBS_SERVER_DIRECTORY_FOREIGN', { path, why: 'its site.json is not readable' });
  const { version } = site.data;
  if (version > siteFormatVersion)
    throw new ObError('OBS_SERVER_FORMAT_NEWER', { path: file, found: version, known: siteFormatVersion });
  return site.data;
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

async function readOrMakeSecret(file: string, disk: Disk, random: Random): Promise<Uint8Array> {
  const known = await disk.readFile(file);
  if (known !== undefined) return known;
  const secret = Buffer.from(Buffer.from(random.bytes(tokenBytes)).toString('hex'));
  await disk.replaceFile(file, secret);
  return secret;
}
