/**
 * What servers tell each other while a cluster is made, and what each keeps of it. Everything that comes over the wire is checked by these
 * shapes. A plan is made once; its id becomes the cluster's.
 */
import { z } from 'zod';
import { sysReplicasMax } from '../../base/limits.ts';
import type { NodeId } from '../../base/scalars.ts';
import { type ClusterServer, clusterServerSchema } from './cluster-file.ts';
import { nodeShape } from './node-body.ts';

export const joinPlanSchema = z.object({
  planId: z.uuid(),
  servers: z.array(clusterServerSchema).min(1).max(256),
  sysNodes: z.array(nodeShape).min(1),
  /** the key of the sys tenant's credentials, sealed under the cluster secret */
  sealedKey: z.base64().max(512),
});

export type JoinPlan = Readonly<z.output<typeof joinPlanSchema>>;

/** `prepared`: waits for the decision. `committing`: this server has decided and brings it to the others. */
export const joinStateSchema = z.object({
  plan: joinPlanSchema,
  phase: z.enum(['prepared', 'committing']),
});

export type JoinState = Readonly<z.output<typeof joinStateSchema>>;

export const serverDescriptionSchema = clusterServerSchema.extend({
  clusterName: z.string().max(64),
  version: z.string().max(64),
  leaseMs: z.number(),
  /** of the cluster it belongs to */
  clusterId: z.uuid().nullable(),
  /** what it holds of its own, or null */
  contents: z.string().max(256).nullable(),
  join: joinStateSchema.nullable(),
});

export type ServerDescription = Readonly<z.output<typeof serverDescriptionSchema>>;

export const sameAddresses = (one: readonly string[], other: readonly string[]): boolean =>
  [...one].sort().join() === [...other].sort().join();

export const addressesOf = (plan: JoinPlan): string[] => plan.servers.map(({ address }) => address);

/**
 * Where the sys tenant's full replicas go: one in each zone, then second ones, as the servers are listed; an odd number where there are more than
 * two servers, so that each of them adds to what may be lost.
 */
export function chooseSysNodes(servers: readonly ClusterServer[]): readonly NodeId[] {
  const zones = new Set(servers.map(({ zone }) => zone)).size;
  const wanted = Math.min(servers.length, sysReplicasMax, Math.max(zones, 3));
  const count = wanted > 2 && wanted % 2 === 0 ? wanted - 1 : wanted;
  const taken = new Map<string, number>();
  const rank = new Map<NodeId, number>();
  for (const { nodeId: server, zone } of servers) {
    const before = taken.get(zone) ?? 0;
    taken.set(zone, before + 1);
    rank.set(server, before);
  }
  return [...rank]
    .sort(([, one], [, other]) => one - other)
    .slice(0, count)
    .map(([server]) => server);
}
