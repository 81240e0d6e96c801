/**
 * `replica.json` in a replica's directory: what it is a replica of, and who took part when its log was made. Enough to open it
 * again without asking anybody, since whoever could be asked may be a replica that waits to be opened.
 */
import { z } from 'zod';
import { basename, dirname, join } from 'node:path';
import { ObError } from '../base/errors.ts';
import type { TenantId } from '../base/scalars.ts';
import { parseJson } from '../codec/json-bytes.ts';
import type { Disk } from '../platform/disk.ts';
import { type ReplicaSpec, replicaSpecSchema } from './root/local-replicas.ts';
import { tenantPaths } from './tenant-paths.ts';

const formatVersion = 1;

const schema = replicaSpecSchema.extend({
  format: z.literal('obstandby-replica'),
  version: z.literal(formatVersion),
  /** MAKING, DROPPING: a start removes what is left of it */
  state: z.enum(['MAKING', 'HERE', 'DROPPING']),
  /** its log was made: one that is gone is missed, not begun anew (a voter that forgot what it promised would be two) */
  hasLog: z.boolean(),
});
const versionSchema = z.object({ format: z.literal('obstandby-replica'), version: z.int() });

export interface ReplicaFile extends ReplicaSpec {
  readonly state: 'MAKING' | 'HERE' | 'DROPPING';
  readonly hasLog: boolean;
}

const pathOf = (dataDirectory: string, id: TenantId): string =>
  join(tenantPaths(dataDirectory, id).directory, 'replica.json');

/** Null when there is none. Throws OBS_REPLICA_FILE_DAMAGED, OBS_SERVER_FORMAT_NEWER. */
export async function readReplicaFile(
  disk: Disk,
  dataDirectory: string,
  id: TenantId,
): Promise<ReplicaFile | null> {
  const path = pathOf(dataDirectory, id);
  const bytes = await disk.readFile(path);
  if (bytes === undefined) return null;
  const value = parseJson(bytes);
  const version = versionSchema.safeParse(value);
  if (version.success && version.data.version > formatVersion)
    throw new ObError('OBS_SERVER_FORMAT_NEWER', { path, found: version.data.version, known: formatVersion });
  const parsed = schema.safeParse(value);
  if (!parsed.success || parsed.data.tenant.id !== id)
    throw new ObError('OBS_REPLICA_FILE_DAMAGED', { path });
  const { replicaId, tenant, blockBytes, priority, birth, state, hasLog } = parsed.data;
  return { replicaId, tenant, blockBytes, priority, birth, state, hasLog };
}

/** Durable when it resolves. */
export async function writeReplicaFile(disk: Disk, dataDirectory: string, file: ReplicaFile): Promise<void> {
  const { directory } = tenantPaths(dataDirectory, file.tenant.id);
  await disk.makeDirectory(directory);
  const text = JSON.stringify({ format: 'obstandby-replica', version: formatVersion, ...file });
  await disk.replaceFile(pathOf(dataDirectory, file.tenant.id), Buffer.from(`${text}\n`));
}

/** Removes all of a replica, `replica.json` last: a crash in between leaves what says that the rest has to go. */
export async function eraseReplica(disk: Disk, dataDirectory: string, id: TenantId): Promise<void> {
  const { directory } = tenantPaths(dataDirectory, id);
  const file = pathOf(dataDirectory, id);
  const isThere = (await disk.list(dirname(directory))).includes(basename(directory));
  if (!isThere) return;
  for (const entry of await disk.list(directory)) {
    const path = join(directory, entry);
    if (path !== file) await disk.removeDirectory(path);
  }
  await disk.removeDirectory(directory);
}

/** Throws OBS_REPLICA_LOG_MISSING when the log of a replica that had one is gone. */
export async function requireLog(disk: Disk, dataDirectory: string, file: ReplicaFile): Promise<void> {
  if (!file.hasLog) return;
  const { log } = tenantPaths(dataDirectory, file.tenant.id);
  if ((await disk.list(log)).length === 0)
    throw new ObError('OBS_REPLICA_LOG_MISSING', { tenant: file.tenant.name, path: log });
}
