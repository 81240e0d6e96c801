/**
 * `cluster.json` in a data directory: which cluster the server belongs to, who it is there, and where it finds the others before anybody has told it.
 * Replaced as a whole; what it says of the other servers follows the root service and may be old, who the server itself is never changes.
 */
import { z } from 'zod';
import { ObError } from '../../base/errors.ts';
import type { NodeId } from '../../base/scalars.ts';
import { parseJson } from '../../codec/json-bytes.ts';
import type { Disk } from '../../platform/disk.ts';
import { type ArbitrationPicture, arbitrationPictureSchema } from './arbitration.ts';
import { addressShape, nodeShape } from './node-body.ts';

const formatVersion = 1;

export const clusterServerSchema = z.object({
  nodeId: nodeShape,
  /** where the other servers reach it: host:port */
  address: addressShape,
  zone: z.string().min(1).max(64),
  region: z.string().min(1).max(64),
});

/** A server as every other one knows it. */
export type ClusterServer = Readonly<z.output<typeof clusterServerSchema>>;

const schema = z.object({
  format: z.literal('obstandby-cluster'),
  version: z.literal(formatVersion),
  clusterId: z.uuid(),
  nodeId: nodeShape,
  servers: z.array(clusterServerSchema).min(1),
  sysNodes: z.array(nodeShape).min(1),
  firstSysNodes: z.array(nodeShape),
  arbitration: arbitrationPictureSchema.nullable().default(null),
});

const versionSchema = z.object({ format: z.literal('obstandby-cluster'), version: z.int() });

export interface ClusterFile {
  readonly clusterId: string;
  /** this server */
  readonly nodeId: NodeId;
  readonly servers: readonly ClusterServer[];
  /** where the sys tenant has replicas, as far as is known */
  readonly sysNodes: readonly NodeId[];
  /** where it had them when the cluster was made; empty on a server that was added later: it makes none by itself */
  readonly firstSysNodes: readonly NodeId[];
  /** the arbiter and its terms, as far as is known; absent: none was ever told */
  readonly arbitration?: ArbitrationPicture | null;
}

/** Null when there is none. Throws OBS_CLUSTER_FILE_DAMAGED, OBS_SERVER_FORMAT_NEWER. */
export async function readClusterFile(disk: Disk, path: string): Promise<ClusterFile | null> {
  const bytes = await disk.readFile(path);
  if (bytes === undefined) return null;
  const value = parseJson(bytes);
  const version = versionSchema.safeParse(value);
  if (version.success && version.data.version > formatVersion)
    throw new ObError('OBS_SERVER_FORMAT_NEWER', { path, found: version.data.version, known: formatVersion });
  const parsed = schema.safeParse(value);
  if (!parsed.success)
    throw new ObError('OBS_CLUSTER_FILE_DAMAGED', { path, why: 'it is not what a server writes there' });
  const { clusterId, nodeId: self, servers, sysNodes, firstSysNodes, arbitration } = parsed.data;
  if (!servers.some(server => server.nodeId === self))
    throw new ObError('OBS_CLUSTER_FILE_DAMAGED', { path, why: 'the server itself is not in its list' });
  return {
    clusterId,
    nodeId: self,
    servers,
    sysNodes,
    firstSysNodes,
    ...(arbitration === null ? {} : { arbitration }),
  };
}

export async function writeClusterFile(disk: Disk, path: string, file: ClusterFile): Promise<void> {
  const text = JSON.stringify({ format: 'obstandby-cluster', version: formatVersion, ...file });
  await disk.replaceFile(path, Buffer.from(`${text}\n`));
}
