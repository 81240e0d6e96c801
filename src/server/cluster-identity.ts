/**
 * Whether the data directory, the configuration and the cluster secret belong together; told before anything is opened. A server of its own (no
 * cluster.secretFile) needs none of it.
 */
import { ObError } from '../base/errors.ts';
import { readClusterSecret } from '../cluster/root/cluster-secret.ts';
import type { ServerConfig } from './config-schema.ts';
import type { DataDirectory } from './data-directory.ts';

export interface ClusterIdentity {
  readonly secret: string;
  /** where the other servers reach this one; it names the server */
  readonly address: string;
}

/** Null for a server of its own. Throws OBS_CLUSTER_SECRET_FILE, OBS_CLUSTER_DIRECTORY_*, OBS_CLUSTER_ZONE_MISMATCH. */
export function clusterIdentity(
  { cluster: door, zone }: Pick<ServerConfig, 'cluster' | 'zone'>,
  { path, nodeId, cluster }: Pick<DataDirectory, 'path' | 'nodeId' | 'cluster'>,
): ClusterIdentity | null {
  if (door.secretFile === null) {
    if (cluster === null) return null;
    throw new ObError('OBS_CLUSTER_DIRECTORY_OTHER_MODE', { path, cluster: cluster.clusterId });
  }
  const secret = readClusterSecret(door.secretFile);
  const address = door.advertise ?? `${door.host}:${door.port}`;
  const self = cluster?.servers.find(server => server.nodeId === nodeId);
  if (self === undefined) return { secret, address };
  if (self.address !== address) {
    const why = `it belongs to the server at ${self.address}, this one is configured as ${address}`;
    throw new ObError('OBS_CLUSTER_DIRECTORY_OTHER_NODE', { path, why });
  }
  if (self.zone !== zone)
    throw new ObError('OBS_CLUSTER_ZONE_MISMATCH', { address, configured: zone, zone: self.zone });
  return { secret, address };
}
