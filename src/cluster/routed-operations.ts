/**
 * Any server can be asked anything: each verb runs where it must, at the leader of the root service or of its tenant, with its progress and with its
 * errors whole. What is read is gathered from all servers that answer.
 *
 * Must never run a verb twice: one whose connection was lost while it ran, or whose leadership, is reported as unknown. Only
 * before it was begun it is somebody else's to run.
 */
import { z } from 'zod';
import { isObError, ObError } from '../base/errors.ts';
import {
  nodeTenantsMax,
  rootCallMs,
  routedFindMs,
  routedVerbMs,
  serverEventsMax,
  serverEventsReportMax,
} from '../base/limits.ts';
import { type Lsn, type NodeId, type TenantId, wallMicros } from '../base/scalars.ts';
import type {
  ArbiterOutcome,
  ArbitrationFacts,
  ArbitrationInfo,
  BootstrapReport,
  ClusterInfo,
  ClusterOperations,
  PlacedTenant,
  ReplicaInfo,
  ServerEventInfo,
  ServerOperations,
  TenantJob,
} from './cluster-operations.ts';
import type { Operations, Progress, TenantInfo } from './operations.ts';
import { gatherArbitration } from './root/arbitration-info.ts';
import type { ClusterNode } from './root/cluster-node.ts';
import { isLedElsewhere } from './root/leader-calls.ts';
import type { LocalReplica, LocalReplicas } from './root/local-replicas.ts';
import type { NodeCalls } from './root/node-calls.ts';
import { parseBody } from './root/node-body.ts';
import type { ClusterPicture, ServerEntry, TenantEntry } from './root/picture.ts';
import { sysTenant } from './root/root-facts.ts';
import { openJson, sealJson } from './sealed-json.ts';
import type { SecretBox } from './secret-box.ts';

/** Verbs that the root service runs. */
export type RootVerbs = Pick<Operations, 'createTenant' | 'dropTenant' | 'createStandbyTenant' | 'restore'> &
  Omit<ClusterOperations, 'cluster' | 'bootstrap' | 'arbitration' | 'serverEvents'> & {
    arbitrationFacts(): Promise<ArbitrationFacts>;
    /** those behind the one with this id, oldest first, as many as one answer holds */
    serverEvents(after: number): Promise<readonly (ServerEventInfo & { readonly id: number })[]>;
  };
/** Verbs that the leader of their tenant runs; the first parameter names it. */
export type LeaderVerbs = Omit<
  Operations,
  'tenants' | 'tenant' | 'createTenant' | 'dropTenant' | 'createStandbyTenant' | 'restore'
>;

export interface LocalVerbs extends LeaderVerbs, Pick<Operations, 'tenants'> {
  /** resolves when a leadership of the tenant is not just being begun here */
  settled(name: string): Promise<void>;
  /** Throws OBS_TENANT_NOT_LEADER where the tenant is not led, with who leads it. */
  mustLead(name: string): void;
}

/** How many parameters a verb has before its progress. */
const rootVerbs: Readonly<Record<keyof RootVerbs, number>> = {
  createTenant: 1,
  dropTenant: 2,
  createStandbyTenant: 1,
  restore: 1,
  tenantJobs: 0,
  addServer: 2,
  removeServer: 1,
  stopServer: 1,
  startServer: 1,
  alterTenant: 2,
  transferLeader: 2,
  addArbiter: 1,
  replaceArbiter: 2,
  removeArbiter: 1,
  setParameter: 3,
  arbitrationFacts: 0,
  serverEvents: 1,
};
const leaderVerbs: Readonly<Record<keyof LeaderVerbs, number>> = {
  setLogRestoreSource: 2,
  recoverStandby: 2,
  forgetFollower: 2,
  openTenant: 1,
  setLogArchiveDest: 2,
  setLogArchiveDestState: 2,
  archivelog: 1,
  noarchivelog: 1,
  backup: 2,
  switchoverToStandby: 2,
  switchoverToPrimary: 2,
  switchover: 2,
  activateStandby: 2,
  resume: 1,
  rollback: 1,
  lossCertificate: 1,
  checkpoint: 1,
};

/** They change nothing that a second time would change again. */
const repeatableVerbs: ReadonlySet<string> = new Set([
  'tenantJobs',
  'lossCertificate',
  'checkpoint',
  'serverEvents',
]);

const order = z.object({
  verb: z
    .string()
    .refine(
      (name): name is keyof RootVerbs | keyof LeaderVerbs =>
        Object.hasOwn(rootVerbs, name) || Object.hasOwn(leaderVerbs, name),
    ),
  parameters: z.array(z.unknown()),
});
const envelope = z.object({ sealed: z.base64() });
const page = z.object({ after: z.int() });

export interface RoutedOperationsOptions {
  readonly node: ClusterNode;
  readonly self: NodeId;
  readonly calls: NodeCalls;
  readonly replicas: LocalReplicas;
  /** what the leader of a tenant does, here */
  readonly local: LocalVerbs;
  /** what the leader of the root service does, here; throws OBS_CLUSTER_NOT_LEADER */
  readonly root: () => RootVerbs;
  /** seals what goes to another server: some verbs carry passwords */
  readonly box: SecretBox;
  readonly clusterId: string;
  readonly clusterName: string;
}

const silent: Progress = () => {};

export class RoutedOperations implements ServerOperations {
  readonly #options: RoutedOperationsOptions;

  constructor(options: RoutedOperationsOptions) {
    this.#options = options;
    const { calls } = options;
    calls.onRequest('node.operate', (body, _from, progress) => this.#serve(body, report => progress(report)));
    calls.onRequest('node.tenants', body => this.#serveTenants(parseBody(page, body).after));
    calls.onRequest('node.replicas', body =>
      Promise.resolve(this.#serveReplicas(parseBody(page, body).after)),
    );
  }

  // --- verbs ---

  createTenant(...parameters: Parameters<Operations['createTenant']>): Promise<void> {
    return this.#atRoot('createTenant', parameters, silent);
  }
  dropTenant(...parameters: Parameters<Operations['dropTenant']>): Promise<void> {
    return this.#atRoot('dropTenant', parameters, silent);
  }
  createStandbyTenant(
    options: Parameters<Operations['createStandbyTenant']>[0],
    progress: Progress = silent,
  ): Promise<void> {
    return this.#atRoot('createStandbyTenant', [options], progress);
  }
  restore(options: Parameters<Operations['restore']>[0], progress: Progress = silent): Promise<void> {
    return this.#atRoot('restore', [options], progress);
  }
  tenantJobs(): Promise<readonly TenantJob[]> {
    return this.#atRoot('tenantJobs', [], silent);
  }
  addServer(address: string, zone: string | null, progress: Progress = silent): Promise<void> {
    return this.#atRoot('addServer', [address, zone], progress);
  }
  removeServer(address: string, progress: Progress = silent): Promise<void> {
    return this.#atRoot('removeServer', [address], progress);
  }
  stopServer(address: string): Promise<void> {
    return this.#atRoot('stopServer', [address], silent);
  }
  startServer(address: string): Promise<void> {
    return this.#atRoot('startServer', [address], silent);
  }
  alterTenant(
    name: string,
    placement: Parameters<ClusterOperations['alterTenant']>[1],
    progress: Progress = silent,
  ): Promise<void> {
    return this.#atRoot('alterTenant', [name, placement], progress);
  }
  transferLeader(name: string, server: string): Promise<void> {
    return this.#atRoot('transferLeader', [name, server], silent);
  }
  addArbiter(address: string, progress: Progress = silent): Promise<void> {
    return this.#atRoot('addArbiter', [address], progress);
  }
  replaceArbiter(old: string, address: string, progress: Progress = silent): Promise<ArbiterOutcome> {
    return this.#atRoot('replaceArbiter', [old, address], progress);
  }
  removeArbiter(address: string, progress: Progress = silent): Promise<ArbiterOutcome> {
    return this.#atRoot('removeArbiter', [address], progress);
  }
  setParameter(...parameters: Parameters<ClusterOperations['setParameter']>): Promise<void> {
    return this.#atRoot('setParameter', parameters, silent);
  }
  async serverEvents(): Promise<readonly ServerEventInfo[]> {
    const all: ServerEventInfo[] = [];
    for (let after = 0; all.length < serverEventsMax; ) {
      const events = await this.#atRoot('serverEvents', [after], silent);
      all.push(...events);
      const last = events.at(-1);
      if (last === undefined || events.length < serverEventsReportMax) break;
      after = last.id;
    }
    return all;
  }
  async arbitration(): Promise<ArbitrationInfo> {
    const { calls } = this.#options;
    const facts = await this.#atRoot('arbitrationFacts', [], silent);
    const servers = (this.#options.node.picture?.servers ?? []).map(({ nodeId }) => nodeId);
    return gatherArbitration(calls, facts, servers);
  }
  bootstrap(): Promise<BootstrapReport> {
    return Promise.reject(new ObError('OBS_CLUSTER_BOOTSTRAPPED', { cluster: this.#options.clusterId }));
  }

  setLogRestoreSource(...parameters: Parameters<Operations['setLogRestoreSource']>): Promise<void> {
    return this.#atLeader('setLogRestoreSource', parameters, silent);
  }
  recoverStandby(...parameters: Parameters<Operations['recoverStandby']>): Promise<void> {
    return this.#atLeader('recoverStandby', parameters, silent);
  }
  forgetFollower(...parameters: Parameters<Operations['forgetFollower']>): Promise<void> {
    return this.#atLeader('forgetFollower', parameters, silent);
  }
  /** A replica here that did not open is this server's own affair. */
  async openTenant(name: string): Promise<void> {
    const here = (await this.#options.local.tenants()).find(info => info.name === name);
    if (here !== undefined && here.failure !== null) return this.#options.local.openTenant(name);
    return this.#atLeader('openTenant', [name], silent);
  }
  setLogArchiveDest(...parameters: Parameters<Operations['setLogArchiveDest']>): Promise<void> {
    return this.#atLeader('setLogArchiveDest', parameters, silent);
  }
  setLogArchiveDestState(...parameters: Parameters<Operations['setLogArchiveDestState']>): Promise<void> {
    return this.#atLeader('setLogArchiveDestState', parameters, silent);
  }
  archivelog(name: string): Promise<void> {
    return this.#atLeader('archivelog', [name], silent);
  }
  noarchivelog(name: string): Promise<void> {
    return this.#atLeader('noarchivelog', [name], silent);
  }
  backup(name: string, options: { dest?: string }, progress: Progress = silent) {
    return this.#atLeader('backup', [name, options], progress);
  }
  switchoverToStandby(name: string, options: { verify: boolean }, progress: Progress = silent) {
    return this.#atLeader('switchoverToStandby', [name, options], progress);
  }
  switchoverToPrimary(name: string, options: { verify: boolean }, progress: Progress = silent) {
    return this.#atLeader('switchoverToPrimary', [name, options], progress);
  }
  switchover(name: string, options: { planOnly: boolean }, progress: Progress = silent) {
    return this.#atLeader('switchover', [name, options], progress);
  }
  activateStandby(
    name: string,
    options: Parameters<Operations['activateStandby']>[1],
    progress: Progress = silent,
  ) {
    return this.#atLeader('activateStandby', [name, options], progress);
  }
  resume(name: string, progress: Progress = silent) {
    return this.#atLeader('resume', [name], progress);
  }
  rollback(name: string, progress: Progress = silent) {
    return this.#atLeader('rollback', [name], progress);
  }
  lossCertificate(name: string) {
    return this.#atLeader('lossCertificate', [name], silent);
  }
  checkpoint(name: string): Promise<Lsn> {
    return this.#atLeader('checkpoint', [name], silent);
  }

  // --- reading ---

  async tenants(): Promise<readonly TenantInfo[]> {
    const picture = await this.#options.node.freshPicture();
    const told = await this.#gather<TenantInfo>(picture, 'node.tenants', info => info.tenantId);
    const best = new Map<TenantId, TenantInfo>();
    for (const info of told) {
      const before = best.get(info.tenantId);
      if (before === undefined || rank(info) < rank(before)) best.set(info.tenantId, info);
    }
    return [...best.values()]
      .sort((one, other) => one.tenantId - other.tenantId)
      .map(info => this.#withPlace(info, picture));
  }

  async tenant(name: string): Promise<TenantInfo> {
    const { node, calls } = this.#options;
    const id = await node.tenantId(name).catch((error: unknown) => {
      if (isObError(error, 'OBS_SERVER_NO_SUCH_TENANT')) return null;
      throw error;
    });
    const leader = id === null ? null : node.leaders.leaderOf(id);
    const led = leader === null || id === null ? null : await this.#ask(calls, leader, id);
    const info = led ?? (await this.tenants()).find(entry => entry.name === name);
    if (info === undefined) throw new ObError('OBS_SERVER_NO_SUCH_TENANT', { tenant: name });
    return this.#withPlace(info, node.picture);
  }

  /** What one server tells of one tenant that leads there; null when it cannot be asked, or does not lead. */
  async #ask(calls: NodeCalls, server: NodeId, id: TenantId): Promise<TenantInfo | null> {
    try {
      const body = { after: id - 1 };
      const answer = await calls.request(server, 'node.tenants', body, { timeoutMs: rootCallMs });
      const [info] = answer as TenantInfo[];
      return info !== undefined && info.tenantId === id && rank(info) === 0 ? info : null;
    } catch (error) {
      if (isObError(error)) return null;
      throw error;
    }
  }

  async cluster(): Promise<ClusterInfo> {
    const { node, self, clusterId, clusterName } = this.#options;
    const picture = await node.freshPicture();
    const silentNodes: NodeId[] = [];
    const key = (info: ReplicaInfo): number => info.tenantId;
    const replicas = await this.#gather<ReplicaInfo>(picture, 'node.replicas', key, lost =>
      silentNodes.push(lost),
    );
    return {
      clusterId,
      clusterName,
      self,
      servers: (picture?.servers ?? []).map(entry =>
        serverInfo(entry, node.problem === null ? picture : null),
      ),
      tenants: (picture?.tenants ?? []).map(placedTenant),
      arbiter: node.arbitration.arbiter,
      replicas: typedByLeader(replicas).sort((one, other) => one.tenantId - other.tenantId),
      silent: silentNodes,
      problem: node.problem,
    };
  }

  /** From every server that answers, in pages. */
  async #gather<Info>(
    picture: ClusterPicture | null,
    op: string,
    keyOf: (info: Info) => number,
    onLost: (node: NodeId) => void = () => {},
  ): Promise<readonly Info[]> {
    const { calls, self } = this.#options;
    const nodes = new Set([self, ...(picture?.servers ?? []).map(({ nodeId }) => nodeId)]);
    const ask = async (node: NodeId): Promise<readonly Info[]> => {
      const all: Info[] = [];
      for (let after = 0; ; ) {
        const answer = (await calls.request(node, op, { after }, { timeoutMs: rootCallMs })) as Info[];
        all.push(...answer);
        const last = answer.at(-1);
        if (last === undefined || answer.length < nodeTenantsMax) return all;
        after = keyOf(last);
      }
    };
    const answers = await Promise.allSettled([...nodes].map(ask));
    return answers.flatMap((answer, index) => {
      if (answer.status === 'fulfilled') return answer.value;
      if (!isObError(answer.reason)) throw answer.reason;
      const lost = [...nodes][index];
      if (lost !== undefined) onLost(lost);
      return [];
    });
  }

  #withPlace(info: TenantInfo, picture: ClusterPicture | null): TenantInfo {
    const entry = picture?.tenants.find(({ tenantId }) => tenantId === info.tenantId);
    if (entry === undefined) return info;
    const leader = this.#options.node.leaders.leaderOf(info.tenantId);
    const server = picture?.servers.find(({ nodeId }) => nodeId === leader);
    const { locality, previousLocality, primaryZone, arbitration } = entry;
    return {
      ...info,
      placement: {
        locality,
        previousLocality,
        primaryZone,
        arbitration,
        leader: server?.address ?? null,
        leaderSql: server?.sqlAddress ?? null,
      },
    };
  }

  // --- the way there ---

  async #atRoot<Verb extends keyof RootVerbs>(
    verb: Verb,
    parameters: readonly unknown[],
    progress: Progress,
  ): Promise<Awaited<ReturnType<RootVerbs[Verb]>>> {
    return this.#route(sysTenant.id, 'the root service', verb, parameters, progress) as never;
  }

  async #atLeader<Verb extends keyof LeaderVerbs>(
    verb: Verb,
    parameters: readonly [string, ...unknown[]],
    progress: Progress,
  ): Promise<Awaited<ReturnType<LeaderVerbs[Verb]>>> {
    const [name] = parameters;
    const tenant = await this.#options.node.tenantId(name);
    return this.#route(tenant, `tenant '${name}'`, verb, parameters, progress) as never;
  }

  async #route(
    tenant: TenantId,
    what: string,
    verb: string,
    parameters: readonly unknown[],
    progress: Progress,
  ): Promise<unknown> {
    const { node, box } = this.#options;
    const body = { sealed: sealJson(box, 'operation', { verb, parameters }) };
    const answer = await node.leaders.ask(tenant, what, 'node.operate', body, {
      findMs: routedFindMs,
      timeoutMs: routedVerbMs,
      repeatable: false,
      onProgress: report => progress(report as Parameters<Progress>[0]),
    });
    return (answer as { value?: unknown }).value ?? null;
  }

  async #serve(body: unknown, progress: Progress): Promise<{ value: unknown }> {
    const { box, root, local } = this.#options;
    const { sealed } = parseBody(envelope, body);
    const { verb, parameters } = parseBody(order, openJson(box, 'operation', sealed));
    const isRoot = Object.hasOwn(rootVerbs, verb);
    const count = isRoot ? rootVerbs[verb as keyof RootVerbs] : leaderVerbs[verb as keyof LeaderVerbs];
    const given = Array.from({ length: count }, (_, index) => parameters[index]);
    const target = (isRoot ? root() : local) as unknown as Readonly<
      Record<string, (...all: unknown[]) => Promise<unknown>>
    >;
    if (!isRoot) {
      await local.settled(String(given[0]));
      local.mustLead(String(given[0]));
    }
    try {
      const value = await target[verb]?.(...given, progress);
      return { value: value ?? null };
    } catch (error) {
      // What it had done by then is done: another leader must not take it for a new order.
      if (!isObError(error) || !isLedElsewhere(error) || repeatableVerbs.has(verb)) throw error;
      throw new ObError('OBS_CLUSTER_OUTCOME_UNKNOWN', { node: this.#options.self, what: verb }, error);
    }
  }

  async #serveTenants(after: number): Promise<readonly TenantInfo[]> {
    const infos = [...(await this.#options.local.tenants())];
    return infos
      .sort((one, other) => one.tenantId - other.tenantId)
      .filter(({ tenantId }) => tenantId > after)
      .slice(0, nodeTenantsMax);
  }

  #serveReplicas(after: number): readonly ReplicaInfo[] {
    const { replicas, self } = this.#options;
    return [...replicas.all()]
      .sort((one, other) => one.tenantId - other.tenantId)
      .filter(({ tenantId }) => tenantId > after)
      .slice(0, nodeTenantsMax)
      .map(replica => replicaInfo(replica, self));
  }
}

/** The one that leads tells most, one that did not open least. */
const rank = (info: TenantInfo): number => (info.failure !== null ? 2 : info.roleEpoch > 0 ? 0 : 1);

function replicaInfo(replica: LocalReplica, self: NodeId): ReplicaInfo {
  const state = replica.state();
  const { config, end } = state;
  return {
    tenantId: replica.tenantId,
    stream: state.stream,
    nodeId: self,
    role: state.isActive ? 'LEADER' : 'FOLLOWER',
    type: config.learners.includes(self) ? 'READONLY' : 'FULL',
    leader: state.leader,
    proposalId: state.proposalId,
    configVersion: config.version,
    accessMode: state.accessMode,
    members: config.members,
    learners: config.learners,
    degraded: config.degraded,
    arbiter: config.arbiter,
    isImpaired: state.isImpaired,
    baseLsn: state.baseLsn,
    beginLsn: state.beginLsn,
    endLsn: end.lsn,
    endScn: end.scn,
    maxLsn: state.maxLsn,
    maxScn: state.maxScn,
  };
}

/** A learner that has just been made does not know yet what it is: its leader does. */
function typedByLeader(replicas: readonly ReplicaInfo[]): ReplicaInfo[] {
  const leaders = new Map(
    replicas.flatMap(replica => (replica.role === 'LEADER' ? [[replica.tenantId, replica] as const] : [])),
  );
  return replicas.map(replica => {
    const leader = leaders.get(replica.tenantId);
    if (leader === undefined) return replica;
    return { ...replica, type: leader.learners.includes(replica.nodeId) ? 'READONLY' : 'FULL' };
  });
}

const serverInfo = (entry: ServerEntry, picture: ClusterPicture | null) => ({
  ...entry,
  stopTime: entry.stopTime === null ? null : wallMicros(entry.stopTime),
  createTime: wallMicros(entry.createTime),
  startTime: entry.startTime === null ? null : wallMicros(entry.startTime),
  leaseMs: entry.leaseMs ?? null,
  isRoot: picture?.root === entry.nodeId,
});

const placedTenant = ({
  tenantId,
  name,
  status,
  locality,
  previousLocality,
  primaryZone,
  arbitration,
  replicas,
}: TenantEntry): PlacedTenant => ({
  tenantId,
  name,
  status,
  locality,
  previousLocality,
  primaryZone,
  arbitration,
  replicas: replicas.map(({ node, type }) => ({ nodeId: node, type: type === 'F' ? 'FULL' : 'READONLY' })),
});
