/** Servers that become part of a cluster that runs: added by an operator, or back with an empty directory in the place of the one before. */
import { isObError, ObError } from '../../base/errors.ts';
import { rootCallMs, rootOrderMs, silentServerProbeMs } from '../../base/limits.ts';
import type { MonoMs, NodeId } from '../../base/scalars.ts';
import type { Progress } from '../operations.ts';
import { type ServerDescription, serverDescriptionSchema } from './join-plan.ts';
import { parseBody } from './node-body.ts';
import { netAddress, type RootContext } from './root-context.ts';
import { sysTenant } from './root-facts.ts';

export class RootJoins {
  readonly #context: RootContext;
  #probedAt: MonoMs;

  constructor(context: RootContext) {
    this.#context = context;
    this.#probedAt = context.now;
  }

  /**
   * Resolves when the server has reported. Run again, it admits a server that was noted and not reached. Throws OBS_CLUSTER_SERVER_*,
   * OBS_CLUSTER_ZONE_MISMATCH.
   */
  async addServer(address: string, zone: string | null, progress: Progress): Promise<void> {
    const { facts, options } = this.#context;
    const known = facts.servers.findLast(entry => entry.address === address);
    const server = await this.#describe(address);
    const isMember = server.clusterId === options.clusterId;
    if (known !== undefined && (known.nodeId !== server.nodeId || isMember))
      throw new ObError('OBS_CLUSTER_SERVER_EXISTS', { address });
    this.#mustFit(server);
    if (server.address !== address)
      throw new ObError('OBS_CLUSTER_SERVER_REFUSED', { address, why: `it calls itself ${server.address}` });
    if (zone !== null && zone !== server.zone)
      throw new ObError('OBS_CLUSTER_ZONE_MISMATCH', { address, configured: server.zone, zone });
    await options.store.addServer(server, options.clock.wall());
    await facts.refresh();
    await this.#order(address, 'join.admit', this.#admission());
    progress({ step: 'admit', site: '', state: 'done', detail: `node ${server.nodeId}`, ms: 0 });
    const isHeard = await this.#context.until(rootOrderMs, () => facts.isAlive(server.nodeId));
    if (!isHeard) throw new ObError('OBS_CLUSTER_SERVER_UNHEARD', { address, node: server.nodeId });
  }

  /**
   * A silent server may be another one by now, with an empty directory under the old address: it takes the place of the one before. Or it has not
   * heard yet that it was added, or that the cluster it prepared for was made.
   */
  async probeSilent(): Promise<void> {
    const { facts, watch, now } = this.#context;
    if (now - this.#probedAt < silentServerProbeMs) return;
    this.#probedAt = now;
    for (const { nodeId, address, status } of facts.servers) {
      if (status !== 'INACTIVE' || !watch.isSilent(nodeId, now)) continue;
      await this.#context.attempt({ node: nodeId, address }, () => this.#probe(nodeId, address));
    }
  }

  /** Throws why the server there cannot become part of the cluster. */
  async #probe(nodeId: NodeId, address: string): Promise<void> {
    const { facts, options } = this.#context;
    const found = await this.#describe(address).catch((error: unknown) => {
      if (isObError(error)) return null;
      throw error;
    });
    if (found === null || found.clusterId !== null) return;
    if (found.join?.plan.planId === options.clusterId && found.nodeId === nodeId) {
      await this.#order(address, 'join.commit', { planId: options.clusterId });
      return;
    }
    this.#mustFit(found);
    if (found.nodeId !== nodeId) {
      await options.store.replaceServer(nodeId, found, options.clock.wall());
      await facts.refresh();
      const names = { old: nodeId, node: found.nodeId, address };
      options.logger.info(names, 'a server came back without its data and is a new one');
    }
    await this.#order(address, 'join.admit', this.#admission());
  }

  async #describe(address: string): Promise<ServerDescription> {
    const { calls } = this.#context.options;
    try {
      const options = { timeoutMs: rootCallMs };
      const answer = await calls.requestAt(netAddress(address), 'join.describe', {}, options);
      return parseBody(serverDescriptionSchema, answer);
    } catch (error) {
      if (isObError(error, 'OBS_NODE_OTHER_CLUSTER')) {
        const cluster = String(error.details['theirs'] ?? 'another');
        throw new ObError('OBS_CLUSTER_SERVER_OTHER_CLUSTER', { address, cluster }, error);
      }
      if (!isObError(error) || error.kind !== 'unavailable') throw error;
      throw new ObError('OBS_CLUSTER_SERVER_UNREACHABLE', { address, why: error.message }, error);
    }
  }

  async #order(address: string, op: string, body: unknown): Promise<void> {
    await this.#context.options.calls.requestAt(netAddress(address), op, body, { timeoutMs: rootOrderMs });
  }

  /** Throws OBS_CLUSTER_SERVER_* for a server that cannot become part of this cluster. */
  #mustFit({ address, clusterId, contents, join, version, leaseMs, clusterName }: ServerDescription): void {
    const own = this.#context.options;
    if (clusterId !== null && clusterId !== own.clusterId)
      throw new ObError('OBS_CLUSTER_SERVER_OTHER_CLUSTER', { address, cluster: clusterId });
    if (contents !== null) throw new ObError('OBS_CLUSTER_SERVER_NOT_EMPTY', { address, what: contents });
    const refuse = (why: string): ObError => new ObError('OBS_CLUSTER_SERVER_REFUSED', { address, why });
    if (join !== null && join.plan.planId !== own.clusterId)
      throw refuse('it takes part in the bootstrap of another cluster');
    if (version !== own.version) throw refuse(`it runs version ${version}, this cluster ${own.version}`);
    if (leaseMs !== own.leaseMs)
      throw refuse(`its palf.leaseMs is ${leaseMs}, that of this cluster ${own.leaseMs}`);
    if (clusterName !== own.clusterName)
      throw refuse(`its clusterName is ${clusterName}, that of this cluster ${own.clusterName}`);
  }

  /** What a new server must know to belong to the cluster. */
  #admission(): object {
    const { facts, options } = this.#context;
    const servers = facts.servers.map(({ nodeId, address, zone, region }) => ({
      nodeId,
      address,
      zone,
      region,
    }));
    const sysNodes = facts.replicasOf(sysTenant.id).map(({ node }) => node);
    return {
      cluster: { clusterId: options.clusterId, servers, sysNodes },
      sealedKey: options.sealJoinKey(),
    };
  }
}
