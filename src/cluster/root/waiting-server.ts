/**
 * A server that is to become part of a cluster: prepares what it is told, and becomes a member when it is told that it was decided. Each step is
 * durable before it is answered and may be asked for again.
 *
 * A plan that was prepared gives way to another one of the same servers, never to one of other servers, and not once this server itself has
 * decided: so two plans are never carried out with one server in both.
 */
import { ObError } from '../../base/errors.ts';
import { Turns } from '../turns.ts';
import type { ClusterFile, ClusterServer } from './cluster-file.ts';
import {
  addressesOf,
  type JoinPlan,
  type JoinState,
  sameAddresses,
  type ServerDescription,
} from './join-plan.ts';

export interface WaitingServerPorts {
  /** who it is and where it stands, by its configuration */
  readonly facts: Pick<
    ServerDescription,
    'nodeId' | 'address' | 'zone' | 'region' | 'clusterName' | 'version' | 'leaseMs'
  >;
  readonly directory: {
    readonly cluster: ClusterFile | null;
    contents(): Promise<string | null>;
    join(cluster: ClusterFile, secretKey: Uint8Array): Promise<void>;
  };
  /** what was prepared, durable when it resolves */
  readonly store: { load(): Promise<JoinState | null>; save(state: JoinState | null): Promise<void> };
  /** opens the key that a plan brings; `clusterId` is what it was sealed for. Throws when the secret is another one. */
  openKey(sealedKey: string, clusterId: string): Uint8Array;
}

export class WaitingServer {
  readonly #ports: WaitingServerPorts;
  readonly #joined = Promise.withResolvers<ClusterFile>();
  #state: JoinState | null;
  /** one change at a time */
  readonly #turns = new Turns();

  private constructor(ports: WaitingServerPorts, state: JoinState | null) {
    this.#ports = ports;
    this.#state = state;
  }

  static async open(ports: WaitingServerPorts): Promise<WaitingServer> {
    return new WaitingServer(ports, await ports.store.load());
  }

  get address(): string {
    return this.#ports.facts.address;
  }

  get state(): JoinState | null {
    return this.#state;
  }

  /** Resolves when this server belongs to a cluster. */
  get joined(): Promise<ClusterFile> {
    return this.#joined.promise;
  }

  async describe(): Promise<ServerDescription> {
    const { facts, directory } = this.#ports;
    const clusterId = directory.cluster?.clusterId ?? null;
    const contents = clusterId === null ? await directory.contents() : null;
    return { ...facts, clusterId, contents, join: this.#state };
  }

  prepare(plan: JoinPlan): Promise<void> {
    return this.#turns.run(async () => {
      if (this.#isMemberOf(plan.planId)) return;
      const { facts, directory } = this.#ports;
      if (this.#state?.plan.planId === plan.planId) return;
      if (this.#state !== null && !this.#givesWayTo(plan)) throw this.#takesPartInOther();
      const contents = await directory.contents();
      if (contents !== null)
        throw new ObError('OBS_CLUSTER_SERVER_NOT_EMPTY', { address: facts.address, what: contents });
      if (!plan.servers.some(server => isSame(server, facts)))
        throw new ObError('OBS_CLUSTER_SERVER_REFUSED', {
          address: facts.address,
          why: 'it is not the server that the plan names',
        });
      // A plan that cannot be carried out is not prepared.
      this.#ports.openKey(plan.sealedKey, plan.planId);
      await this.#save({ plan, phase: 'prepared' });
    });
  }

  /** The decision, at the server that makes it: from here on the plan is carried out. */
  decide(planId: string): Promise<void> {
    return this.#turns.run(async () => {
      if (this.#isMemberOf(planId)) return;
      if (this.#state?.plan.planId !== planId) throw this.#takesPartInOther();
      if (this.#state.phase !== 'committing') await this.#save({ ...this.#state, phase: 'committing' });
    });
  }

  /** The plan was decided: this server is a member now. */
  commit(planId: string): Promise<void> {
    return this.#turns.run(async () => {
      if (this.#isMemberOf(planId)) return;
      if (this.#state?.plan.planId !== planId) throw this.#takesPartInOther();
      const { servers, sysNodes, sealedKey } = this.#state.plan;
      const { nodeId } = this.#ports.facts;
      await this.#join({ clusterId: planId, nodeId, servers, sysNodes, firstSysNodes: sysNodes }, sealedKey);
    });
  }

  /** The plan will not be carried out. */
  abandon(planId: string): Promise<void> {
    return this.#turns.run(async () => {
      if (this.#state?.plan.planId !== planId) return;
      if (this.#state.phase === 'committing' || this.#ports.directory.cluster !== null)
        throw this.#takesPartInOther();
      await this.#save(null);
    });
  }

  /** Added to a cluster that runs; `sealedKey` is its own. */
  admit(cluster: Omit<ClusterFile, 'nodeId' | 'firstSysNodes'>, sealedKey: string): Promise<void> {
    return this.#turns.run(async () => {
      if (this.#isMemberOf(cluster.clusterId)) return;
      if (this.#state !== null && this.#state.plan.planId !== cluster.clusterId)
        throw this.#takesPartInOther();
      const { facts, directory } = this.#ports;
      const contents = await directory.contents();
      if (contents !== null)
        throw new ObError('OBS_CLUSTER_SERVER_NOT_EMPTY', { address: facts.address, what: contents });
      await this.#join({ ...cluster, nodeId: facts.nodeId, firstSysNodes: [] }, sealedKey);
    });
  }

  async #join(cluster: ClusterFile, sealedKey: string): Promise<void> {
    const key = this.#ports.openKey(sealedKey, cluster.clusterId);
    await this.#ports.directory.join(cluster, key);
    await this.#save(null);
    this.#joined.resolve(cluster);
  }

  /** Throws OBS_CLUSTER_SERVER_OTHER_CLUSTER. */
  #isMemberOf(clusterId: string): boolean {
    const { cluster } = this.#ports.directory;
    if (cluster === null) return false;
    if (cluster.clusterId === clusterId) return true;
    const { address } = this.#ports.facts;
    throw new ObError('OBS_CLUSTER_SERVER_OTHER_CLUSTER', { address, cluster: cluster.clusterId });
  }

  #givesWayTo(plan: JoinPlan): boolean {
    const state = this.#state;
    return state?.phase === 'prepared' && sameAddresses(addressesOf(state.plan), addressesOf(plan));
  }

  #takesPartInOther(): ObError {
    const servers = this.#state === null ? 'none' : addressesOf(this.#state.plan).join(', ');
    return new ObError('OBS_CLUSTER_BOOTSTRAP_OTHER', { address: this.#ports.facts.address, servers });
  }

  async #save(state: JoinState | null): Promise<void> {
    await this.#ports.store.save(state);
    this.#state = state;
  }
}

const isSame = (one: ClusterServer, other: ClusterServer): boolean =>
  one.nodeId === other.nodeId && one.address === other.address && one.zone === other.zone;
