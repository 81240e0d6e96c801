/** A cluster as people read it: servers, who leads, how far replicas are behind, and what needs a person. */
import type { ClusterInfo, ReplicaInfo, ServerInfo } from '../server/entry.ts';
import { bytesText, table } from './output.ts';

export function serversText(cluster: ClusterInfo): string {
  const rows = cluster.servers.map(server => {
    const held = cluster.replicas.filter(({ nodeId }) => nodeId === server.nodeId);
    return [
      server.address,
      server.zone,
      statusOf(server),
      String(held.filter(({ role }) => role === 'LEADER').length),
      String(placesOn(cluster, server)),
      server.sqlAddress ?? '-',
      server.httpAddress ?? '-',
      server.isRoot ? 'root service' : '',
    ];
  });
  return table(['SERVER', 'ZONE', 'STATUS', 'LEADS', 'REPLICAS', 'SQL', 'API', ''], rows);
}

export function clusterText(cluster: ClusterInfo): string {
  const tenants = cluster.tenants.map(tenant => {
    const replicas = cluster.replicas.filter(({ tenantId }) => tenantId === tenant.tenantId);
    const leader = replicas.find(({ role }) => role === 'LEADER');
    return [
      tenant.name,
      tenant.locality,
      tenant.primaryZone,
      leader === undefined ? '-' : addressOf(cluster, leader.nodeId),
      replicasText(cluster, tenant, leader, replicas),
    ];
  });
  return [
    `${cluster.clusterName}: cluster ${cluster.clusterId}`,
    serversText(cluster),
    '',
    table(['TENANT', 'LOCALITY', 'PRIMARY ZONE', 'LEADER', 'OTHER REPLICAS'], tenants),
    ...nextSteps(cluster),
  ].join('\n');
}

/** One line for each thing that an operator should do, or know to be under way. */
export function nextSteps(cluster: ClusterInfo): string[] {
  const steps: string[] = [];
  if (cluster.problem !== null)
    steps.push(`the root service cannot be asked, so this may be old: ${cluster.problem}`);
  for (const { nodeId, address, status, stopTime } of cluster.servers) {
    // The one that was asked answers, whatever the root service has heard of it yet.
    if (status === 'INACTIVE' && nodeId !== cluster.self)
      steps.push(
        `server ${address} does not answer: start it (with an empty data directory if its disk is lost: its replicas are then made anew); or give it up: obstandby cluster remove-server ${address}`,
      );
    if (status === 'DELETING')
      steps.push(`server ${address} is being removed: obstandby tenant jobs shows how far its replicas are`);
    else if (stopTime !== null)
      steps.push(`server ${address} is stopped and leads nothing: obstandby cluster start-server ${address}`);
  }
  const leases = cluster.servers.filter(({ leaseMs }) => (leaseMs ?? null) !== null);
  if (new Set(leases.map(({ leaseMs }) => leaseMs)).size > 1)
    steps.push(
      `palf.leaseMs is not the same everywhere (${leases.map(({ address, leaseMs }) => `${address}: ${leaseMs}`).join(', ')}): set one value in every configuration, and restart one server after another`,
    );
  for (const { tenantId, name, previousLocality, locality, replicas } of cluster.tenants) {
    if (previousLocality !== null)
      steps.push(
        `${name} is on its way from ${previousLocality} to ${locality}: obstandby tenant jobs; to undo it: obstandby tenant alter ${name} --locality '${previousLocality}'`,
      );
    const present = cluster.replicas.filter(replica => replica.tenantId === tenantId);
    const degraded = present.find(({ role }) => role === 'LEADER')?.degraded ?? [];
    if (degraded.length > 0)
      steps.push(
        `${name} runs without ${degraded.map(nodeId => addressOf(cluster, nodeId)).join(', ')} (degraded): bring it back, it is upgraded by itself; until then nobody else has what is committed now`,
      );
    if (present.some(({ role }) => role === 'LEADER')) continue;
    const full = replicas.filter(({ type }) => type === 'FULL').map(({ nodeId }) => nodeId);
    const gone = full.filter(nodeId => present.every(replica => replica.nodeId !== nodeId));
    const names = gone.map(nodeId => addressOf(cluster, nodeId)).join(', ');
    steps.push(
      gone.length * 2 >= full.length
        ? `${name} has no leader: start ${names}; a majority of its full replicas must run`
        : `${name} has no leader at this moment: it elects one`,
    );
  }
  return steps;
}

const placesOn = ({ tenants }: ClusterInfo, { nodeId }: ServerInfo): number =>
  tenants.filter(({ replicas }) => replicas.some(replica => replica.nodeId === nodeId)).length;

const statusOf = ({ status, stopTime }: ServerInfo): string =>
  stopTime === null || status !== 'ACTIVE' ? status : 'STOPPED';

const addressOf = ({ servers }: ClusterInfo, nodeId: string): string =>
  servers.find(server => server.nodeId === nodeId)?.address ?? nodeId;

function replicasText(
  cluster: ClusterInfo,
  { replicas: places }: ClusterInfo['tenants'][number],
  leader: ReplicaInfo | undefined,
  present: readonly ReplicaInfo[],
): string {
  const others = places.filter(({ nodeId }) => nodeId !== leader?.nodeId);
  const texts = others.map(({ nodeId, type }) => {
    const replica = present.find(each => each.nodeId === nodeId);
    const kind = type === 'READONLY' ? ' (R)' : '';
    return `${addressOf(cluster, nodeId)}${kind} ${lagText(replica, leader)}`;
  });
  return texts.length === 0 ? '-' : texts.join(', ');
}

function lagText(replica: ReplicaInfo | undefined, leader: ReplicaInfo | undefined): string {
  if (replica === undefined) return 'does not answer';
  if (leader?.degraded.includes(replica.nodeId) === true) return 'degraded';
  if (replica.isImpaired) return 'is being rebuilt';
  if (leader === undefined) return `at LSN ${replica.endLsn}`;
  const behind = Math.max(0, leader.endLsn - replica.endLsn);
  return behind === 0 ? 'in sync' : `${bytesText(behind)} behind`;
}
