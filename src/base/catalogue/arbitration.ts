/** Errors of the arbiter's process (OBS_ARBITER_*), and of the arbitration service as a cluster uses it (OBS_ARBITRATION_*). */
import type { CatalogueRow } from '../errors.ts';

const sqlState = 'HY000';

export const arbitrationErrors = {
  // --- the arbiter's own process ---
  OBS_ARBITER_JOURNAL_DAMAGED: {
    kind: 'corrupt',
    message: '{path} is damaged at byte {at}: {what}',
    hint: 'What this arbiter promised is lost, so it does not vote any more. Move its data directory away, start it with an empty one, and on a server: obstandby cluster arbiter replace OLD NEW (both may be the same address).',
  },
  OBS_ARBITER_DISK_FAILED: {
    kind: 'disk',
    message: 'could not {what} the journal {path}: {why}',
    hint: 'Check the disk; nothing that was not durable was promised. Start the arbiter again.',
  },
  OBS_ARBITER_DIRECTORY_FOREIGN: {
    kind: 'invalid',
    message: 'data directory {path} is not that of an arbiter: {why}',
    hint: 'Give the arbiter an empty directory of its own.',
  },
  OBS_ARBITER_DIRECTORY_LOCKED: {
    kind: 'invalid',
    message: 'another arbiter uses data directory {path}',
    hint: 'Stop it, or give this one a directory of its own.',
  },
  OBS_ARBITER_NO_SUCH_CLUSTER: {
    kind: 'invalid',
    message: "the arbiter at {address} serves no cluster named '{cluster}'",
    hint: 'Add the cluster with its secret file to the list clusters of the arbiter, and start it again.',
    mysql: { number: 4758, sqlState },
  },
  OBS_ARBITER_OTHER_CLUSTER: {
    kind: 'invalid',
    message: "the arbiter serves another cluster named '{cluster}' ({theirs}), not this one ({ours})",
    hint: 'If that cluster is gone, stop the arbiter and forget it: obstandby arbiter --config FILE --forget {cluster}. Otherwise give one of the two clusters another clusterName.',
    mysql: { number: 4757, sqlState },
  },
  OBS_ARBITER_FULL: {
    kind: 'unavailable',
    message: 'the arbiter serves {limit} log streams already',
    hint: 'Start another arbiter for some of the clusters.',
  },

  // --- the arbitration service of a cluster ---
  OBS_ARBITRATION_NONE: {
    kind: 'invalid',
    message: 'the cluster has no arbitration service{what}',
    hint: 'Start an arbiter (obstandby arbiter --config FILE), then: obstandby cluster arbiter add HOST:PORT. obstandby cluster arbiter status shows it.',
    mysql: { number: 4747, sqlState },
  },
  OBS_ARBITRATION_EXISTS: {
    kind: 'invalid',
    message:
      'the cluster has an arbitration service already, at {address}; a second one would not add anything',
    hint: 'To move it: obstandby cluster arbiter replace {address} NEW.',
    mysql: { number: 4748, sqlState },
  },
  OBS_ARBITRATION_UNREACHABLE: {
    kind: 'unavailable',
    message: 'the arbiter at {address} could not be asked: {why}',
    hint: 'Start it, check its address, its clusters and their secret files, and the network; then run the command again. Nothing was changed.',
    mysql: { number: 4758, sqlState },
  },
  OBS_ARBITRATION_NOT_ARBITER: {
    kind: 'invalid',
    message: 'what answers at {address} is no arbiter: {why}',
    hint: 'Name the address of a process that was started with: obstandby arbiter --config FILE.',
    mysql: { number: 4758, sqlState },
  },
  OBS_ARBITRATION_WIPED: {
    kind: 'invalid',
    message:
      'the arbiter at {address} is not the one that was added: it lost its data directory, or was told to forget this cluster, and what it promised',
    hint: 'Where it had a vote it counts for nothing now. Start it with an empty data directory, and put it in its own place: obstandby cluster arbiter replace {address} {address}.',
    mysql: { number: 4758, sqlState },
  },
  OBS_ARBITRATION_IN_USE: {
    kind: 'invalid',
    message: 'the arbitration service is used by {tenants}',
    hint: 'Take it from each of them first: obstandby tenant alter TENANT --arbitration off. To use another arbiter: obstandby cluster arbiter replace OLD NEW.',
    mysql: { number: 4179, sqlState },
  },
  OBS_ARBITRATION_REPLICA_COUNT: {
    kind: 'invalid',
    message:
      "tenant '{tenant}' has {count} full replica(s); the arbitration service is for exactly 2 or 4 of them",
    hint: "An odd number needs no arbiter: its majority decides. Change it first: obstandby tenant alter {tenant} --locality 'F@zone1,F@zone2'.",
    mysql: { number: 4179, sqlState },
  },
  OBS_ARBITRATION_LOCALITY: {
    kind: 'invalid',
    message:
      "locality {target} has {count} full replica(s), and tenant '{tenant}' uses the arbitration service, which is for exactly 2 or 4 of them",
    hint: 'Take the arbitration service from it first: obstandby tenant alter {tenant} --arbitration off.',
    mysql: { number: 4179, sqlState },
  },
  OBS_ARBITRATION_BUSY: {
    kind: 'invalid',
    message: "tenant '{tenant}' is busy with {what}",
    hint: 'Wait until obstandby tenant jobs and obstandby cluster arbiter status show nothing under way, then run the command again.',
    mysql: { number: 4179, sqlState },
  },
  OBS_ARBITRATION_PENDING: {
    kind: 'unavailable',
    message: "the arbitration service of tenant '{tenant}' is {state}: {why}",
    hint: 'It goes on by itself; obstandby cluster arbiter status shows how far it is. The opposite command undoes it.',
  },
  OBS_ARBITRATION_STALE: {
    kind: 'unavailable',
    message:
      'the arbitration service was removed, but the arbiter at {address} could not be told and keeps what it knew of this cluster: {why}',
    hint: 'When it runs again for other clusters: stop it, and obstandby arbiter --config FILE --forget {cluster}.',
    mysql: { number: 4757, sqlState },
  },
  OBS_PARAMETER_VALUE: {
    kind: 'invalid',
    message: "'{value}' is no value of parameter {name}: {wanted}",
    hint: 'GV$OB_PARAMETERS shows the parameters and their values.',
    mysql: { number: 1210, sqlState },
  },
} as const satisfies Record<string, CatalogueRow>;
