/**
 * Makes a cluster of servers that wait: all of them prepare one plan, this server decides, then each becomes a member, this one last. Interrupted
 * anywhere, the same command at this or another of the servers goes on where it stopped.
 *
 * A plan that only was prepared is replaced by a new one. Must never decide before every server has prepared, nor replace a plan that one of them
 * has decided on.
 */
import { isObError, ObError } from '../../base/errors.ts';
import type { StepReport } from '../../role/steps.ts';
import {
  addressesOf,
  chooseSysNodes,
  type JoinPlan,
  type JoinState,
  sameAddresses,
  type ServerDescription,
  serverDescriptionSchema,
} from './join-plan.ts';
import { parseBody } from './node-body.ts';
import type { WaitingServer } from './waiting-server.ts';

type JoinOp = 'join.describe' | 'join.prepare' | 'join.commit' | 'join.abandon' | 'join.admit';

export interface BootstrapOptions {
  /** this server; it takes part */
  readonly self: WaitingServer;
  readonly addresses: readonly string[];
  /** Asks another server. Errors of kind `unavailable` mean that it could not be asked, or its answer was lost. */
  readonly ask: (address: string, op: JoinOp, body: unknown) => Promise<unknown>;
  readonly newPlanId: () => string;
  /** seals this server's key for the plan */
  readonly sealKey: (planId: string) => string;
  readonly progress: (report: StepReport) => void;
}

export interface BootstrapOutcome {
  readonly clusterId: string;
  readonly servers: readonly string[];
  /** decided, but not reached: they become members when they are there again */
  readonly missing: readonly string[];
}

/** Throws OBS_CLUSTER_*, OBS_NODE_SECRET. */
export async function bootstrapCluster(options: BootstrapOptions): Promise<BootstrapOutcome> {
  const { self, progress } = options;
  const addresses = checkList(options.addresses, self.address);
  const own = (await self.describe()).clusterId;
  if (own !== null) throw new ObError('OBS_CLUSTER_BOOTSTRAPPED', { cluster: own });
  await abandonOther(options, addresses);

  const described = await Promise.all(addresses.map(address => describe(options, address)));
  const found = described.flatMap(answer => (isObError(answer) ? [] : [answer]));
  const joins = found.flatMap(({ join }) => (join === null ? [] : [join]));
  const clusters = new Set(found.flatMap(({ clusterId }) => (clusterId === null ? [] : [clusterId])));
  const decided = decidedPlan(joins, clusters, addresses);
  for (const answer of described) {
    // Once it was decided, a server that cannot be asked does not hold up the others.
    if (isObError(answer) && (decided === null || answer.kind !== 'unavailable')) throw answer;
    if (!isObError(answer)) check(answer, decided, addresses);
  }
  if (decided === null) checkAlike(found);
  const plan = decided ?? newPlan(options, found);
  const reached = found.map(({ address }) => address);
  const others = reached.filter(address => address !== self.address);
  const tell = (step: string, detail: string): void =>
    progress({ step, site: '', state: 'done', detail, ms: 0 });

  const prepare = (address: string): Promise<unknown> => askFor(options, address, 'join.prepare', plan);
  await Promise.all([...others.map(prepare), self.prepare(plan)]);
  tell('prepare', `${reached.length} servers, sys tenant on ${plan.sysNodes.length} of them`);
  await self.decide(plan.planId);
  const body = { planId: plan.planId };
  await Promise.all(others.map(address => askFor(options, address, 'join.commit', body)));
  await self.commit(plan.planId);
  tell('commit', `cluster ${plan.planId}`);
  const missing = addresses.filter(address => !reached.includes(address));
  return { clusterId: plan.planId, servers: addresses, missing };
}

function checkList(given: readonly string[], self: string): readonly string[] {
  const addresses = given.map(address => address.trim());
  const wrong = (why: string): ObError => new ObError('OBS_CLUSTER_SERVER_LIST', { why });
  const bad = addresses.find(address => !/^\S+:\d{1,5}$/.test(address));
  if (bad !== undefined) throw wrong(`'${bad}' is no host:port`);
  const double = addresses.find((address, index) => addresses.indexOf(address) !== index);
  if (double !== undefined) throw wrong(`'${double}' is in it twice`);
  if (!addresses.includes(self)) throw wrong(`this server, ${self}, is not in it`);
  return addresses;
}

/** A plan of this server's own for another list gives way, if nobody can have decided on it. */
async function abandonOther(options: BootstrapOptions, addresses: readonly string[]): Promise<void> {
  const { self, ask } = options;
  const { state } = self;
  if (state === null || sameAddresses(addressesOf(state.plan), addresses)) return;
  await self.abandon(state.plan.planId);
  for (const address of addressesOf(state.plan)) {
    if (address === self.address) continue;
    // Whoever is not reached refuses to take part in anything else until its directory is emptied.
    await ask(address, 'join.abandon', { planId: state.plan.planId }).catch(() => {});
  }
}

async function describe(options: BootstrapOptions, address: string): Promise<ServerDescription | ObError> {
  if (address === options.self.address) return options.self.describe();
  try {
    const answer = await askFor(options, address, 'join.describe', {});
    return parseBody(serverDescriptionSchema, answer);
  } catch (error) {
    if (isObError(error)) return error;
    throw error;
  }
}

async function askFor(
  { ask }: BootstrapOptions,
  address: string,
  op: JoinOp,
  body: unknown,
): Promise<unknown> {
  try {
    return await ask(address, op, body);
  } catch (error) {
    if (!isObError(error) || error.kind !== 'unavailable') throw error;
    throw new ObError('OBS_CLUSTER_SERVER_UNREACHABLE', { address, why: error.message }, error);
  }
}

/** The plan that a server has decided on, or of whose cluster one is a member already. */
function decidedPlan(
  joins: readonly JoinState[],
  clusters: ReadonlySet<string>,
  addresses: readonly string[],
): JoinPlan | null {
  const decided = joins.find(
    ({ plan, phase }) =>
      (phase === 'committing' || clusters.has(plan.planId)) && sameAddresses(addressesOf(plan), addresses),
  );
  return decided?.plan ?? null;
}

function check(server: ServerDescription, decided: JoinPlan | null, addresses: readonly string[]): void {
  const { address, clusterId, contents, join } = server;
  if (!addresses.includes(address))
    throw new ObError('OBS_CLUSTER_SERVER_LIST', {
      why: `a server of it calls itself ${address} (cluster.advertise, or cluster.host:cluster.port)`,
    });
  if (clusterId !== null && clusterId !== decided?.planId)
    throw new ObError('OBS_CLUSTER_SERVER_OTHER_CLUSTER', { address, cluster: clusterId });
  if (contents !== null) throw new ObError('OBS_CLUSTER_SERVER_NOT_EMPTY', { address, what: contents });
  if (join !== null && !sameAddresses(addressesOf(join.plan), addresses))
    throw new ObError('OBS_CLUSTER_BOOTSTRAP_OTHER', { address, servers: addressesOf(join.plan).join(', ') });
}

/** What all servers of a cluster must have in common. */
function checkAlike(servers: readonly ServerDescription[]): void {
  const [first] = servers;
  for (const server of servers) {
    const refuse = (why: string): ObError =>
      new ObError('OBS_CLUSTER_SERVER_REFUSED', { address: server.address, why });
    if (server.version !== first?.version)
      throw refuse(`it runs version ${server.version}, ${first?.address} version ${first?.version}`);
    if (server.clusterName !== first.clusterName)
      throw refuse(`its clusterName is ${server.clusterName}, that of ${first.address} ${first.clusterName}`);
    if (server.leaseMs !== first.leaseMs)
      throw refuse(`its palf.leaseMs is ${server.leaseMs}, that of ${first.address} ${first.leaseMs}`);
    const twin = servers.find(other => other !== server && other.nodeId === server.nodeId);
    if (twin !== undefined)
      throw refuse(`its data directory is a copy of that of ${twin.address} (node ${server.nodeId})`);
  }
}

function newPlan(options: BootstrapOptions, described: readonly ServerDescription[]): JoinPlan {
  const planId = options.newPlanId();
  const servers = described.map(({ nodeId, address, zone, region }) => ({ nodeId, address, zone, region }));
  return { planId, servers, sysNodes: [...chooseSysNodes(servers)], sealedKey: options.sealKey(planId) };
}
