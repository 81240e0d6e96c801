/**
 * The composition root: the only place that makes platform objects and wires the layers. Opens from the bottom up — data
 * directory, the links with the other servers, workers, sys tenant, tenants, doors — and closes in reverse. A fatal error (a failed disk, a broken
 * invariant) ends the process at once: what was acknowledged is in the log, and a restart recovers from it.
 */
import { readFileSync } from 'node:fs';
import { isObError, ObError } from '../base/errors.ts';
import { SiteNames } from '../cluster/site-names.ts';
import { NodeLinks } from '../logstream/peers/node-links.ts';
import { HttpApi, type HttpApiBackend } from '../ops/http-api.ts';
import { createMetrics } from '../ops/metrics.ts';
import { nodeClock } from '../platform/clock.ts';
import { nodeDisk } from '../platform/disk.ts';
import { type LevelledLogger, nodeLogger, type Logger } from '../platform/logger.ts';
import { nodeNet } from '../platform/net.ts';
import { nodeRandom } from '../platform/random.ts';
import { MysqlFrontEnd } from '../sql/front-end.ts';
import { holds } from '../sql/privileges.ts';
import { createStatementServices } from '../sql/statement-services.ts';
import { readUser } from '../sql/users.ts';
import type { ServerRow } from '../sql/views/view-definitions.ts';
import { LogServer } from '../standby/network/log-server.ts';
import { provePages } from '../tenant/pages/self-test.ts';
import { WorkerPool } from '../tenant/worker-pool.ts';
import { parseAddress } from '../standby/restore-source.ts';
import { siteAddressText } from '../standby/site-address.ts';
import { type Certificates, readCertificates } from './certificates.ts';
import { type ClusterIdentity, clusterIdentity } from './cluster-identity.ts';
import { watchConfig } from './config-watch.ts';
import type { ServerConfig } from './config-schema.ts';
import { frontEndLimitsOf, reloadableLimits, reloadableSettings, unitSettings } from './live-settings.ts';
import { type DataDirectory, openDataDirectory } from './data-directory.ts';
import { joinCluster, type JoinedCluster } from './join-cluster.ts';
import { peerDirectory, sqlDirectory } from './tenant-access.ts';
import { nodesOf, TenantParts } from './tenant-parts.ts';
import { listening } from './listening.ts';

export interface ServerAddresses {
  readonly sqlAddress: string;
  readonly peerAddress: string;
  readonly httpAddress: string;
}

export interface RunningServer {
  readonly addresses: ServerAddresses;
  /** resolves with the exit code when the server has stopped */
  readonly ended: Promise<number>;
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly config: ServerConfig;
  /** watched for changes of reloadable keys */
  readonly configPath: string;
  /** it waits to become part of a cluster: the API door alone is open */
  readonly onWaiting?: (addresses: { readonly httpAddress: string }) => void;
}

const viewTimeoutMs = 10_000;
const stopMs = 15_000;

/** Things to undo, newest first. */
class Closers {
  readonly #closers: { readonly what: string; readonly close: () => Promise<void> | void }[] = [];
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(what: string, close: () => Promise<void> | void): void {
    this.#closers.push({ what, close });
  }

  async closeAll(): Promise<void> {
    for (let next = this.#closers.pop(); next !== undefined; next = this.#closers.pop()) {
      try {
        await next.close();
      } catch (error) {
        // Closing goes on: everything acknowledged is durable already.
        this.#logger.warn({ what: next.what, error: String(error) }, 'closing failed');
      }
    }
  }
}

/**
 * Starts a server; null when it was told to end while it waited to become part of a cluster. Throws OBS_SERVER_*,
 * OBS_LOG_*, OBS_TENANT_*, OBS_CLUSTER_*; nothing is left running then.
 */
export async function startServer(options: StartOptions): Promise<RunningServer | null> {
  // Whatever is made from here on, SQLite's files included, is for this user alone.
  process.umask(0o077);
  const logger = nodeLogger(options.config.logLevel);
  const closers = new Closers(logger);
  try {
    return await start(options, logger, closers);
  } catch (error) {
    await closers.closeAll();
    throw error;
  }
}

async function start(
  options: StartOptions,
  logger: LevelledLogger,
  closers: Closers,
): Promise<RunningServer | null> {
  const { config, configPath } = options;
  const startedAt = nodeClock.now();
  const { version } = readPackage();
  const certificates = readCertificates(config);
  const directory = await openDataDirectory(config.dataDirectory, nodeDisk, nodeRandom, Date.now());
  closers.add('data directory', () => directory.release());
  const onFatal = fatal(logger, directory);
  const stop = stopOnce(logger, closers);
  // What capture and apply rely on holds for this machine's file system and this SQLite, or nothing is opened.
  provePages(config.dataDirectory);

  const links = await openLinks(config, directory, certificates, logger, onFatal, closers);
  const joined =
    links === null ? null : await join(options, directory, links, logger, version, stop, onFatal);
  if (links !== null && joined === null) {
    await stop.begin();
    return null;
  }
  if (joined !== null) {
    closers.add('join door', () => joined.door.stop());
    if (joined.api !== null) closers.add('API door', () => joined.api?.stop());
    const { servers = [], arbitration = null } = directory.cluster ?? {};
    links?.links.setNodes(nodesOf(servers, arbitration));
  }

  const pool = new WorkerPool({ workers: config.tenant.workerThreads, onFatal });
  closers.add('worker threads', () => pool.close());

  let logServer: LogServer | null = null;
  let sqlAddress: string | null = null;
  let peerAddress: string | null = null;
  let httpAddress: string | null = null;
  const settings = unitSettings(config);
  const siteNames = new SiteNames();
  siteNames.learn(directory.siteId, config.clusterName);
  const parts: TenantParts = new TenantParts({
    config,
    directory,
    settings,
    version,
    cluster: links,
    host: {
      clusterName: config.clusterName,
      advertise: () => siteAddress(parts, config.peer.advertise ?? peerAddress),
      clock: nodeClock,
      disk: nodeDisk,
      net: nodeNet,
      peerTls: certificates.peerClient,
      random: nodeRandom,
      logger,
      pool,
      siteNames,
      variables: process.env,
      followers: incarnation => logServer?.followers(incarnation) ?? [],
      forgetFollowers: incarnation => logServer?.forget(incarnation),
      mayChangeRoles: async (engine, user) => {
        const found = await readUser(engine, user);
        return found !== undefined && holds(found.privileges, 'SUPER');
      },
      reached: killPoint(process.env['OBSTANDBY_KILL_AT']),
      onFatal,
    },
    facts: () => ({
      startTime: Math.floor((performance.timeOrigin + startedAt) * 1000),
      sqlAddress,
      peerAddress: config.peer.advertise ?? peerAddress,
      httpAddress,
    }),
  });
  const { host, registry } = parts;
  const { operations } = parts.control;

  // The peer door is bound first: tenants tell its address to the sites they ask.
  logServer = new LogServer({
    net: nodeNet,
    address: { host: config.peer.host, port: config.peer.port },
    ...(certificates.peer === null ? {} : { tls: certificates.peer }),
    cluster: config.clusterName,
    site: directory.siteId,
    advertise: () => host.advertise(),
    directory: peerDirectory(parts),
    // Half of the disk: a follower that is further behind reads the archive, and never stops the primary.
    followerHoldBytesMax: Math.floor(config.log.diskBytesMax / 2),
    clock: nodeClock,
    random: nodeRandom,
    logger,
    onFatal,
  });
  const peers = logServer;
  const bound = await listening('other sites', config.peer, () => peers.start());
  peerAddress = `${reachable(bound.host, links)}:${bound.port}`;
  closers.add('peer door', () => peers.stop());

  closers.add('tenants', () => parts.close());
  await parts.open();

  const services = createStatementServices({
    clock: nodeClock,
    viewTimeoutMs,
    server: () => serverRow(config.zone, sqlAddress ?? '', peerAddress ?? '', version, startedAt),
  });
  closers.add('views', () => services.close());
  const frontEnd = new MysqlFrontEnd({
    address: { host: config.sql.host, port: config.sql.port },
    ...(certificates.sql === null ? {} : { tls: certificates.sql }),
    directory: sqlDirectory(parts),
    operations,
    services,
    limits: frontEndLimitsOf(config),
    logger,
    clock: nodeClock,
    random: nodeRandom,
    clusterName: config.clusterName,
    version,
    onFatal,
  });
  const sqlPort = (await listening('SQL', config.sql, () => frontEnd.start())).port;
  sqlAddress = `${reachable(config.sql.host, links)}:${sqlPort}`;
  closers.add('SQL door', () => frontEnd.stop());

  const backend: HttpApiBackend = {
    state: 'SERVING',
    operations,
    metrics: createMetrics(() => parts.local.tenants()),
    serverInfo: () => ({
      ...addresses,
      clusterName: config.clusterName,
      siteId: directory.siteId,
      siteNames: siteNames.all(),
      version,
      pid: process.pid,
      nodeId: directory.nodeId,
      zone: config.zone,
      uptimeSeconds: (nodeClock.now() - startedAt) / 1000,
    }),
  };
  const api =
    joined?.api ??
    new HttpApi({
      host: config.http.host,
      port: config.http.port,
      token: directory.httpToken,
      backend,
      logger,
      onFatal,
    });
  if (joined !== null && joined.api !== null) httpAddress = joined.httpAddress;
  else {
    httpAddress = `${config.http.host}:${await api.start()}`;
    closers.add('API door', () => api.stop());
  }
  const addresses: ServerAddresses = { sqlAddress, peerAddress, httpAddress };
  api.serve(backend);
  await directory.announce({ ...addresses });
  closers.add(
    'configuration watch',
    watchConfig(configPath, config, logger, next => {
      frontEnd.changeLimits(reloadableLimits(next));
      Object.assign(settings, reloadableSettings(next));
      logger.setLevel(next.logLevel);
    }),
  );
  logger.info({ ...addresses, site: directory.siteId, tenants: registry.units.length }, 'server is ready');
  return { addresses, ended: stop.ended, stop: () => stop.begin() };
}

interface Links {
  readonly identity: ClusterIdentity;
  readonly links: NodeLinks;
}

/** The door for the other servers of the cluster; null for a server of its own. */
async function openLinks(
  config: ServerConfig,
  directory: DataDirectory,
  certificates: Certificates,
  logger: Logger,
  onFatal: (error: unknown) => void,
  closers: Closers,
): Promise<Links | null> {
  const identity = clusterIdentity(config, directory);
  if (identity === null) return null;
  const { host, port } = config.cluster;
  const links = new NodeLinks({
    net: nodeNet,
    clock: nodeClock,
    random: nodeRandom,
    logger,
    self: directory.nodeId,
    listen: { host, port },
    advertise: () => identity.address,
    cluster: () => directory.cluster?.clusterId ?? null,
    secret: identity.secret,
    clusterName: config.clusterName,
    ...(certificates.cluster === null ? {} : { tls: certificates.cluster }),
    onFatal,
  });
  await listening('the other servers', { host, port }, () => links.start());
  closers.add('links', () => links.stop());
  return { identity, links };
}

/** Null when the process is told to end before the server belongs to a cluster. */
async function join(
  { config, onWaiting }: StartOptions,
  directory: DataDirectory,
  { identity, links }: Links,
  logger: Logger,
  version: string,
  stop: Stop,
  onFatal: (error: unknown) => void,
): Promise<(JoinedCluster & { readonly httpAddress: string }) | null> {
  let httpAddress = '';
  const joined = await joinCluster({
    config,
    directory,
    identity,
    calls: links,
    disk: nodeDisk,
    random: nodeRandom,
    logger,
    version,
    onWaiting: addresses => {
      ({ httpAddress } = addresses);
      onWaiting?.(addresses);
    },
    stopped: stop.begun,
    onFatal,
  });
  return joined === null ? null : { ...joined, httpAddress };
}

/** Every node of the cluster that other sites can connect to, this one if nobody has told of more. */
function siteAddress(parts: TenantParts, own: string | null): string | null {
  const others = parts.control.node.picture?.servers ?? [];
  const texts = others.map(({ nodeId, peerAddress }) => (nodeId === parts.host.self ? own : peerAddress));
  const known = (texts.includes(own) ? texts : [own, ...texts]).filter(text => text !== null);
  const addresses = known.flatMap(text => parseAddress(text) ?? []);
  return addresses.length === 0 ? own : siteAddressText(addresses);
}

/** A door that listens everywhere is told by the name that the other servers know. */
function reachable(host: string, cluster: Links | null): string {
  const isEverywhere = host === '0.0.0.0' || host === '::';
  return isEverywhere && cluster !== null ? cluster.identity.address.replace(/:\d+$/, '') : host;
}

interface Stop {
  /** resolves when the process is told to end */
  readonly begun: Promise<void>;
  readonly ended: Promise<number>;
  begin(): Promise<void>;
}

/** Closes everything once, at a signal or when told to. */
function stopOnce(logger: Logger, closers: Closers): Stop {
  let stopping: Promise<void> | null = null;
  const { promise: ended, resolve: end } = Promise.withResolvers<number>();
  const { promise: begun, resolve: told } = Promise.withResolvers<void>();
  const begin = (): Promise<void> => {
    stopping ??= (async () => {
      told();
      const late = setTimeout(() => {
        logger.error({}, 'closing takes too long; the log recovers what was open');
        process.exit(1);
      }, stopMs);
      await closers.closeAll();
      clearTimeout(late);
      end(0);
    })();
    return stopping;
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      logger.info({ signal }, 'stopping');
      void begin();
    });
  }
  return { begun, ended, begin };
}

/** The end of the process: once, with the reason, and without waiting for anything that may hang. */
function fatal(logger: Logger, directory: DataDirectory): (error: unknown) => void {
  let ending = false;
  return error => {
    if (ending) return;
    ending = true;
    const known = isObError(error)
      ? error
      : new ObError('OBS_BUG', {
          what: error instanceof Error ? (error.stack ?? error.message) : String(error),
        });
    logger.error(
      { ...known.toJSON(), dataDirectory: directory.path, cause: causeText(known.cause) },
      'the server ends',
    );
    process.exit(1);
  };
}

const causeText = (cause: unknown): string =>
  cause instanceof Error ? cause.message : typeof cause === 'string' ? cause : '';

/** A test stops the process at a named point, as a crash would; nothing else is done there. */
function killPoint(wanted: string | undefined): (point: string) => void {
  if (wanted === undefined) return () => {};
  return point => {
    if (point === wanted) process.kill(process.pid, 'SIGKILL');
  };
}

function readPackage(): { version: string } {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
}

function serverRow(
  zone: string,
  sqlAddress: string,
  peerAddress: string,
  version: string,
  startedAt: number,
): ServerRow {
  const split = sqlAddress.lastIndexOf(':');
  return {
    ip: sqlAddress.slice(0, split),
    sqlPort: Number(sqlAddress.slice(split + 1)),
    rpcPort: Number(peerAddress.slice(peerAddress.lastIndexOf(':') + 1)),
    zone,
    version,
    startTime: Math.floor((performance.timeOrigin + startedAt) * 1000),
  };
}
