/** Errors between the nodes of one cluster (OBS_NODE_*), and of the cluster as a whole (OBS_CLUSTER_*). */
import type { CatalogueRow } from '../errors.ts';

export const clusterErrors = {
  OBS_NODE_UNREACHABLE: {
    kind: 'unavailable',
    message: 'no connection to node {node} at {address}: {why}; nothing was asked of it',
    hint: 'Check that the server runs there, its cluster port, and the network between the servers.',
  },
  OBS_NODE_CLOSED: {
    kind: 'unavailable',
    message: 'the connection with node {node} ended: {why}',
    hint: 'It is made again by itself; if it keeps ending, look at the log of the other server.',
  },
  OBS_NODE_LOST: {
    kind: 'unavailable',
    message:
      "the connection with node {node} ended before it answered '{op}': {why}; it may have been done there",
    hint: 'Look whether it was done before asking again.',
  },
  OBS_NODE_TIMEOUT: {
    kind: 'unavailable',
    message: "node {node} did not answer '{op}' within {timeoutMs} ms; it may have been done there",
    hint: 'Look whether it was done before asking again; check the load of that server and the network.',
  },
  OBS_NODE_SILENT: {
    kind: 'unavailable',
    message: 'nothing was heard from node {node} for {silentMs} ms',
    hint: 'Check the load of that server and the network between the servers.',
  },
  OBS_NODE_PROTOCOL: {
    kind: 'corrupt',
    message: '{address} sent something that is not the protocol between servers: {what}',
    hint: 'Check that the address is the cluster port of an obstandby server and that nothing in between alters bytes.',
  },
  OBS_NODE_VERSION: {
    kind: 'invalid',
    message: 'the server at {address} speaks protocol versions {theirs}, this one {ours}',
    hint: 'Upgrade the older server.',
  },
  OBS_NODE_SECRET: {
    kind: 'invalid',
    message: 'the server at {address} does not have the cluster secret of this server',
    hint: 'Give all servers of the cluster the same cluster secret.',
  },
  OBS_NODE_OTHER_CLUSTER: {
    kind: 'invalid',
    message: 'the server at {address} belongs to cluster {theirs}, this one to {ours}',
    hint: 'Correct the address, or the name of the cluster.',
  },
  OBS_NODE_OTHER_ID: {
    kind: 'invalid',
    message: 'the server at {address} is node {actual}, expected {expected}',
    hint: 'Its data directory is another one than it was: add it as a new server, or correct its address.',
  },
  OBS_NODE_SELF: {
    kind: 'invalid',
    message: 'the server at {address} is this server itself',
    hint: 'Correct the address.',
  },
  OBS_NODE_DUPLICATE_ID: {
    kind: 'invalid',
    message: 'node id {node} is claimed by two processes: one is connected, the other is at {address}',
    hint: 'Stop one of them: a data directory was copied, or a cluster port leads to the wrong server.',
  },
  OBS_NODE_UNKNOWN: {
    kind: 'unavailable',
    message: 'node {node} is not known here',
    hint: 'Check the list of servers; a new one is known everywhere within seconds.',
  },
  OBS_NODE_BUSY: {
    kind: 'unavailable',
    message: 'the server refuses: {what} is over its limit of {limit}',
    hint: 'Try again later.',
  },
  OBS_NODE_BAD_REQUEST: {
    kind: 'invalid',
    message: 'the request is not valid: {what}',
    hint: 'Upgrade all servers to the same version.',
  },
  OBS_NODE_FAILED: {
    kind: 'unavailable',
    message: 'node {node} could not do it: {why}',
    hint: 'Look at the log of that server.',
  },
  OBS_CLUSTER_TENANTS_MAX: {
    kind: 'invalid',
    message:
      'the cluster has {count} tenants, and no room for another: what every server is told of them is {bytes} of at most {limit} bytes',
    hint: 'Nothing was made. Create it in another cluster, or drop tenants that are not used; short zone names leave more room.',
  },
  OBS_REPLICA_FILE_DAMAGED: {
    kind: 'corrupt',
    message: '{path} is damaged',
    hint: 'This replica stays as it is and does not open. Remove it from the locality of its tenant and add it again; without other replicas restore from the archive.',
  },
  OBS_REPLICA_COPY_NO_ROOM: {
    kind: 'unavailable',
    message: 'there is no room for a copy of tenant {tenant}',
    hint: 'Make room on the disk of this server: the copy is tried again. Or remove this replica from the locality of its tenant.',
  },
  OBS_REPLICA_LOG_MISSING: {
    kind: 'corrupt',
    message: 'the log of tenant {tenant} was at {path} and is gone',
    hint: 'Bring the directory back, or remove this replica from the locality of its tenant and add it again: an empty log may not take part in its place.',
  },
} as const satisfies Record<string, CatalogueRow>;
