/**
 * Which servers get the replicas of a locality. Pure. Replicas stay where they are as long as they may; a new one goes to the server of its
 * zone that holds fewest. A stopped server keeps what it has and gets nothing; one that leaves keeps nothing.
 */
import { ObError } from '../../base/errors.ts';
import type { NodeId } from '../../base/scalars.ts';
import type { Locality, LocalityItem, ReplicaType } from './locality.ts';

export interface PlacementServer {
  readonly node: NodeId;
  readonly zone: string;
  /** may be given a new replica: serves, is not stopped, answers */
  readonly takes: boolean;
  /** may go on holding one: is not on its way out */
  readonly keeps: boolean;
  /** replicas it holds, of all tenants */
  readonly load: number;
}

export interface Assignment {
  readonly node: NodeId;
  readonly type: ReplicaType;
}

/** Throws OBS_LOCALITY_TOO_FEW_SERVERS when a zone has not enough servers that may hold a replica now. */
export function placeReplicas(
  locality: Locality,
  servers: readonly PlacementServer[],
  current: readonly Assignment[],
): readonly Assignment[] {
  const placed: Assignment[] = [];
  const isFree = (node: NodeId): boolean => placed.every(assignment => assignment.node !== node);
  const typeAt = new Map(current.map(({ node, type }) => [node, type]));
  const add = (item: LocalityItem, candidates: readonly PlacementServer[]): number => {
    const missing = item.count - placed.filter(isOf(item, servers)).length;
    const chosen = candidates
      .filter(({ node, zone }) => zone === item.zone && isFree(node))
      .slice(0, Math.max(0, missing));
    for (const { node } of chosen) placed.push({ node, type: item.type });
    return missing - chosen.length;
  };
  const staying = servers.filter(({ node, keeps }) => keeps && typeAt.has(node));
  // What is there with the right type comes first, then what changes its type, then what is made anew.
  for (const item of locality)
    add(
      item,
      staying.filter(({ node }) => typeAt.get(node) === item.type),
    );
  for (const item of locality) add(item, staying);
  const newcomers = servers
    .filter(({ node, takes, keeps }) => takes && keeps && !typeAt.has(node))
    .sort((one, other) => one.load - other.load || (one.node < other.node ? -1 : 1));
  for (const item of locality) {
    if (add(item, newcomers) <= 0) continue;
    const { zone } = item;
    const able = servers.filter(server => server.zone === zone && server.keeps);
    const replicas = locality.filter(other => other.zone === zone).reduce((sum, { count }) => sum + count, 0);
    throw new ObError('OBS_LOCALITY_TOO_FEW_SERVERS', {
      zone,
      replicas,
      servers: able.filter(({ node, takes }) => takes || typeAt.has(node)).length,
    });
  }
  return placed;
}

const isOf =
  (item: LocalityItem, servers: readonly PlacementServer[]) =>
  ({ node, type }: Assignment): boolean =>
    type === item.type && servers.some(server => server.node === node && server.zone === item.zone);
