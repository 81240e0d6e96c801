/** Errors of the root service: the cluster's making, its servers (OBS_CLUSTER_*), locality and leader places (OBS_LOCALITY_*). */
import type { CatalogueRow } from '../errors.ts';

export const rootErrors = {
  // --- identity of servers and their directories ---
  OBS_CLUSTER_SECRET_FILE: {
    kind: 'invalid',
    message: 'cluster.secretFile {path} cannot be used: {why}',
    hint: 'Make one with: (umask 077; obstandby cluster secret > FILE), and give every server of the cluster a copy with mode 0600.',
  },
  OBS_CLUSTER_DIRECTORY_OTHER_NODE: {
    kind: 'invalid',
    message: 'data directory {path} is that of another server: {why}',
    hint: 'Start the server with its own directory and address. A server that lost its directory starts with an empty one: it is then a new server.',
  },
  OBS_CLUSTER_DIRECTORY_OTHER_MODE: {
    kind: 'invalid',
    message: 'data directory {path} is part of cluster {cluster}, but cluster.secretFile is not set',
    hint: 'Set cluster.secretFile to the secret of that cluster.',
  },
  OBS_CLUSTER_FILE_DAMAGED: {
    kind: 'corrupt',
    message: '{path} is damaged: {why}',
    hint: 'Move this data directory away and start with an empty one: the server is then replaced by a new one from the other servers.',
  },

  // --- making a cluster ---
  OBS_CLUSTER_NOT_BOOTSTRAPPED: {
    kind: 'unavailable',
    message: 'this server does not belong to a cluster yet',
    hint: 'On one of the servers of a new cluster: obstandby cluster bootstrap --servers HOST:PORT,…; into a running one: obstandby cluster add-server HOST:PORT there.',
    mysql: { number: 1045, sqlState: '08004' },
  },
  OBS_CLUSTER_OF_ONE: {
    kind: 'invalid',
    message: 'this server is a cluster of its own: it has no cluster.secretFile',
    hint: 'Set cluster.secretFile and restart it; other servers can then be added.',
  },
  OBS_CLUSTER_BOOTSTRAPPED: {
    kind: 'invalid',
    message: 'this server belongs to cluster {cluster} already',
    hint: 'Add further servers with: obstandby cluster add-server HOST:PORT.',
  },
  OBS_CLUSTER_SERVER_LIST: {
    kind: 'invalid',
    message: 'the list of servers cannot be used: {why}',
    hint: 'Name the cluster address (cluster.advertise, or cluster.host:cluster.port) of every server once, this one included.',
  },
  OBS_CLUSTER_SERVER_UNREACHABLE: {
    kind: 'unavailable',
    message: 'server {address} cannot be asked: {why}',
    hint: 'Start it, check its cluster address and its cluster.secretFile, and run the command again; what was done stays done.',
  },
  OBS_CLUSTER_SERVER_REFUSED: {
    kind: 'invalid',
    message: 'server {address} cannot become part of this cluster: {why}',
    hint: 'Correct what it says there, and run the command again.',
  },
  OBS_CLUSTER_SERVER_OTHER_CLUSTER: {
    kind: 'invalid',
    message: 'server {address} belongs to cluster {cluster}',
    hint: 'A server is part of one cluster. Name another one, or give it an empty data directory.',
  },
  OBS_CLUSTER_SERVER_NOT_EMPTY: {
    kind: 'invalid',
    message: 'server {address} holds data of its own: {what}',
    hint: 'Only a server with an empty data directory becomes part of a cluster.',
  },
  OBS_CLUSTER_BOOTSTRAP_OTHER: {
    kind: 'invalid',
    message: 'server {address} takes part in another bootstrap, of servers {servers}',
    hint: 'Run that one to its end with the same list, or empty the data directory of the server that is not to be part of it.',
  },

  // --- servers of a cluster ---
  OBS_CLUSTER_LEASE_DIFFERS: {
    kind: 'invalid',
    message:
      'server {address} runs with palf.leaseMs {theirs}, the server that leads the root service with {ours}',
    hint: 'No two leaders come of it, but how soon a dead one is replaced depends on which it was. Set the same palf.leaseMs in the configuration of every server, and restart one server after another.',
  },
  OBS_CLUSTER_NO_SUCH_SERVER: {
    kind: 'invalid',
    message: "there is no server '{address}' in this cluster",
    hint: 'obstandby cluster servers lists them by their cluster address.',
    mysql: { number: 4012, sqlState: 'HY000' },
  },
  OBS_CLUSTER_SERVER_EXISTS: {
    kind: 'invalid',
    message: "server '{address}' is part of this cluster already",
    hint: 'obstandby cluster servers lists them.',
    mysql: { number: 1210, sqlState: 'HY000' },
  },
  OBS_CLUSTER_SERVER_UNHEARD: {
    kind: 'unavailable',
    message: "server '{address}' was added as node {node}, and has not reported yet",
    hint: 'It takes part as soon as it reports: check that it runs and reaches the other servers. obstandby cluster servers shows it as ACTIVE then.',
  },
  OBS_CLUSTER_ZONE_MISMATCH: {
    kind: 'invalid',
    message: "server '{address}' is configured for zone {configured}, not {zone}",
    hint: 'Name its own zone, or change the key zone in its configuration and restart it.',
    mysql: { number: 1210, sqlState: 'HY000' },
  },
  OBS_CLUSTER_SERVER_NEEDED: {
    kind: 'invalid',
    message: "server '{address}' cannot {what}: {why}",
    hint: 'Add a server to its zone or change the locality of those tenants first.',
    mysql: { number: 4179, sqlState: 'HY000' },
  },
  OBS_CLUSTER_STOPS_ELSEWHERE: {
    kind: 'invalid',
    message: 'servers of zone {zone} are stopped already; servers of two zones are not stopped at once',
    hint: 'Start those first: obstandby cluster start-server HOST:PORT.',
    mysql: { number: 4179, sqlState: 'HY000' },
  },
  OBS_CLUSTER_LEADERS_LEFT: {
    kind: 'unavailable',
    message: "server '{address}' is stopped for new leaders, but still leads {tenants}",
    hint: 'Its leaders move as soon as another full replica of those tenants has caught up; run the command again to wait.',
  },
  OBS_CLUSTER_REMOVAL_PENDING: {
    kind: 'unavailable',
    message: "server '{address}' is not empty yet: it holds replicas of {tenants}",
    hint: 'Its replicas go on moving by themselves; obstandby tenant jobs shows how far they are. obstandby cluster start-server keeps it instead.',
  },
  OBS_CLUSTER_NOT_LEADER: {
    kind: 'not-leader',
    message: '{what} is not led by node {self}',
    hint: 'Ask any server with obstandby or as root@sys: it finds the leader by itself.',
  },
  OBS_CLUSTER_NO_LEADER: {
    kind: 'unavailable',
    message: 'no leader of {what} could be asked: {why}',
    hint: 'A majority of its full replicas must run and reach each other; obstandby cluster status shows them. Then try again.',
    mysql: { number: 4038, sqlState: 'HY000' },
  },
  OBS_CLUSTER_OUTCOME_UNKNOWN: {
    kind: 'unknown',
    message:
      'node {node} was lost, or lost its leadership, while it ran {what}: it may go on, or may have ended',
    hint: 'Look at obstandby status, then run the command again: it continues what is unfinished.',
    mysql: { number: 4012, sqlState: 'HY000' },
  },
  OBS_CLUSTER_STALE_ORDER: {
    kind: 'fenced',
    message: 'the order came late and was not carried out: {what}',
    hint: 'Nothing is to be done: whoever leads the root service now decides anew.',
  },
  OBS_CLUSTER_REPLICA_LEADS: {
    kind: 'invalid',
    message: 'the replica of tenant {tenant} on node {self} leads: its files are not removed',
    hint: 'Move the leader first.',
  },

  // --- locality and leader places ---
  OBS_LOCALITY_SYNTAX: {
    kind: 'invalid',
    message: 'the locality is not valid: {why}',
    hint: "Write it like 'F@zone1, F@zone2, F@zone3, R@zone4'; F{2}@zone1 asks for two replicas.",
    mysql: { number: 1210, sqlState: 'HY000' },
  },
  OBS_LOCALITY_REPLICA_TYPE: {
    kind: 'invalid',
    message: "there are no replicas of type '{type}'",
    hint: 'F or FULL votes and may lead; R or READONLY serves weak reads.',
    mysql: { number: 1210, sqlState: 'HY000' },
  },
  OBS_LOCALITY_ZONE: {
    kind: 'invalid',
    message: "there is no zone '{zone}'; the zones are {zones}",
    hint: 'Name one of them, or add a server of the new zone first.',
    mysql: { number: 1210, sqlState: 'HY000' },
  },
  OBS_LOCALITY_TOO_FEW_SERVERS: {
    kind: 'invalid',
    message: 'zone {zone} is to hold {replicas} replica(s) and has {servers} server(s) for them',
    hint: 'A server holds one replica of a tenant: ask for fewer in that zone, or add servers to it.',
    mysql: { number: 4733, sqlState: 'HY000' },
  },
  OBS_LOCALITY_NO_FULL: {
    kind: 'invalid',
    message: 'a locality without a full replica would leave the tenant without a leader',
    hint: 'Keep at least one F replica; three of them survive the loss of any one server.',
    mysql: { number: 4179, sqlState: 'HY000' },
  },
  OBS_LOCALITY_TOO_LARGE: {
    kind: 'invalid',
    message: '{count} {type} replicas are more than the {max} that a tenant may have',
    hint: 'Ask for fewer.',
    mysql: { number: 1210, sqlState: 'HY000' },
  },
  OBS_LOCALITY_BUSY: {
    kind: 'invalid',
    message: "the replicas of tenant '{tenant}' are on their way to locality {target}",
    hint: 'Wait until obstandby tenant jobs shows it as done, or undo it: give the locality {previous} again.',
    mysql: { number: 4179, sqlState: 'HY000' },
  },
  OBS_LOCALITY_PENDING: {
    kind: 'unavailable',
    message: "tenant '{tenant}' is not at locality {target} yet: {why}",
    hint: 'The change goes on by itself; obstandby tenant jobs shows how far it is. Giving locality {previous} again undoes it.',
  },
  OBS_PRIMARY_ZONE_INVALID: {
    kind: 'invalid',
    message: 'the primary zone is not valid: {why}',
    hint: "Write it like 'zone1;zone2,zone3': ';' before a less wanted zone, ',' between equal ones, or RANDOM.",
    mysql: { number: 1210, sqlState: 'HY000' },
  },
  OBS_LOCALITY_NO_REPLICA: {
    kind: 'invalid',
    message: "server '{address}' cannot lead tenant '{tenant}': {why}",
    hint: 'obstandby cluster status lists the full replicas of each tenant.',
    mysql: { number: 4179, sqlState: 'HY000' },
  },
  OBS_LOCALITY_LEADER_NOT_MOVED: {
    kind: 'unavailable',
    message: "server '{address}' did not come to lead tenant '{tenant}': {why}; {leader} leads it now",
    hint: 'Try again: nothing else was changed. GV$OB_LOG_STAT shows whether the replica there is up to date.',
  },
} as const satisfies Record<string, CatalogueRow>;
