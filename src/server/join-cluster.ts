/**
 * From a data directory that belongs to no cluster to one that does: waits for a bootstrap, or to be added, with only the operators' API and the
 * cluster's door open. A directory that has tenants of its own becomes a cluster of one at once, to which servers can be added.
 */
import { join } from 'node:path';
import { ObError } from '../base/errors.ts';
import type { ServerOperations } from '../cluster/cluster-operations.ts';
import { JoinDoor } from '../cluster/root/join-door.ts';
import type { NodeCalls } from '../cluster/root/node-calls.ts';
import { HttpApi, type HttpApiBackend } from '../ops/http-api.ts';
import type { Disk } from '../platform/disk.ts';
import type { Logger } from '../platform/logger.ts';
import type { Random } from '../platform/random.ts';
import type { ClusterIdentity } from './cluster-identity.ts';
import type { ServerConfig } from './config-schema.ts';
import type { DataDirectory } from './data-directory.ts';

export interface JoinClusterOptions {
  readonly config: ServerConfig;
  readonly directory: DataDirectory;
  readonly identity: ClusterIdentity;
  readonly calls: NodeCalls;
  readonly disk: Disk;
  readonly random: Random;
  readonly logger: Logger;
  readonly version: string;
  /** the API door is open, and nothing else yet */
  readonly onWaiting: (addresses: { readonly httpAddress: string }) => void;
  /** resolves when the process is told to end */
  readonly stopped: Promise<void>;
  readonly onFatal: (error: unknown) => void;
}

export interface JoinedCluster {
  readonly door: JoinDoor;
  /** the API door, if it is open already: `serve` gives it what is behind it from now on */
  readonly api: HttpApi | null;
}

/** Resolves when the directory belongs to a cluster; null when the process is told to end before. */
export async function joinCluster(options: JoinClusterOptions): Promise<JoinedCluster | null> {
  const { config, directory, identity, calls, disk, random, version, logger } = options;
  const { zone, region, clusterName, palf } = config;
  const { nodeId } = directory;
  const { address, secret } = identity;
  const door = await JoinDoor.open({
    calls,
    facts: { nodeId, address, zone, region, clusterName, version, leaseMs: palf.leaseMs },
    directory,
    disk,
    path: join(directory.path, 'join.json'),
    secret,
    random,
  });
  if (directory.cluster === null && (await directory.contents()) !== null) {
    const servers = [{ nodeId, address, zone, region }];
    const sysNodes = [nodeId];
    const cluster = { clusterId: directory.siteId, nodeId, servers, sysNodes, firstSysNodes: sysNodes };
    await directory.join(cluster, directory.secretKey);
    logger.info({ cluster: directory.siteId }, 'this server is a cluster that others can be added to');
  }
  if (directory.cluster !== null) return { door, api: null };
  const api = await openApi(options, door);
  const hasJoined = await Promise.race([
    door.server.joined.then(() => true),
    options.stopped.then(() => false),
  ]);
  if (!hasJoined) {
    door.stop();
    await api.stop();
    return null;
  }
  logger.info({ cluster: directory.siteId, node: nodeId }, 'this server belongs to a cluster now');
  api.serve(startingBackend(options));
  return { door, api };
}

async function openApi(options: JoinClusterOptions, door: JoinDoor): Promise<HttpApi> {
  const { config, directory, identity, logger, onFatal, onWaiting } = options;
  const api = new HttpApi({
    host: config.http.host,
    port: config.http.port,
    token: directory.httpToken,
    backend: waitingBackend(options, door),
    logger,
    onFatal,
  });
  const httpAddress = `${config.http.host}:${await api.start()}`;
  await directory.announce({ httpAddress, clusterAddress: identity.address });
  logger.info({ httpAddress, clusterAddress: identity.address }, 'waiting to become part of a cluster');
  onWaiting({ httpAddress });
  return api;
}

function waitingBackend(options: JoinClusterOptions, door: JoinDoor): HttpApiBackend {
  const refuse = (): Promise<never> => Promise.reject(new ObError('OBS_CLUSTER_NOT_BOOTSTRAPPED'));
  const bootstrap: ServerOperations['bootstrap'] = (servers, progress = () => {}) =>
    door.bootstrap(servers, progress);
  return {
    state: 'WAITING',
    operations: onlyAnswering({ bootstrap, tenants: () => Promise.resolve([]) }, refuse),
    metrics: () => Promise.resolve(''),
    serverInfo: () => waitingFacts(options),
  };
}

function startingBackend(options: JoinClusterOptions): HttpApiBackend {
  const refuse = (): Promise<never> => Promise.reject(new ObError('OBS_SERVER_STARTING'));
  return {
    state: 'STARTING',
    operations: onlyAnswering({}, refuse),
    metrics: () => Promise.resolve(''),
    serverInfo: () => waitingFacts(options),
  };
}

const waitingFacts = ({ config, directory, identity, version }: JoinClusterOptions): object => ({
  clusterName: config.clusterName,
  siteId: directory.siteId,
  siteNames: {},
  version,
  pid: process.pid,
  nodeId: directory.nodeId,
  zone: config.zone,
  clusterAddress: identity.address,
});

/** The verbs of a server that has nothing yet but these. */
const onlyAnswering = (answers: Partial<ServerOperations>, refuse: () => Promise<never>): ServerOperations =>
  new Proxy({} as ServerOperations, {
    get: (_, verb) => answers[verb as keyof ServerOperations] ?? refuse,
  });
