/**
 * The composition root: the only place that makes platform objects and wires the layers. Opens from the bottom up — data
 * directory, workers, sys tenant, tenants, doors — and closes in reverse. A fatal error (a failed disk, a broken
 * invariant) ends the process at once: what was acknowledged is in the log, and a restart recovers from it.
 */
import { readFileSync } from 'node:fs';
import { isObError, ObError } from '../base/errors.ts';
import { logStreamId } from '../base/scalars.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import { SecretBox } from '../cluster/secret-box.ts';
import { SiteNames } from '../cluster/site-names.ts';
import { SysStore } from '../cluster/sys-store.ts';
import { tenantPaths } from '../cluster/tenant-paths.ts';
import { TenantRegistry } from '../cluster/tenant-registry.ts';
import type { UnitHost } from '../cluster/unit-host.ts';
import { LogStream } from '../logstream/log-stream.ts';
import { HttpApi } from '../ops/http-api.ts';
import { createMetrics } from '../ops/metrics.ts';
import { nodeClock } from '../platform/clock.ts';
import { codeOf, nodeDisk } from '../platform/disk.ts';
import { type LevelledLogger, nodeLogger, type Logger } from '../platform/logger.ts';
import { nodeNet } from '../platform/net.ts';
import { nodeRandom } from '../platform/random.ts';
import { MysqlFrontEnd } from '../sql/front-end.ts';
import { holds } from '../sql/privileges.ts';
import { createStatementServices } from '../sql/statement-services.ts';
import { createInitialUsers, readUser } from '../sql/users.ts';
import type { ServerRow } from '../sql/views/view-definitions.ts';
import { LogServer } from '../standby/network/log-server.ts';
import { type TenantEngine } from '../tenant/engine.ts';
import { provePages } from '../tenant/pages/self-test.ts';
import { openTenantEngine } from '../tenant/sqlite-engine.ts';
import { WorkerPool } from '../tenant/worker-pool.ts';
import { readCertificates } from './certificates.ts';
import { watchConfig } from './config-watch.ts';
import type { ServerConfig } from './config-schema.ts';
import { frontEndLimitsOf, reloadableLimits, reloadableSettings, unitSettings } from './live-settings.ts';
import { type DataDirectory, openDataDirectory } from './data-directory.ts';
import { type SysTenant, peerDirectory, sqlDirectory, sysTenantId } from './tenant-access.ts';

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

/** Starts a server. Throws OBS_SERVER_*, OBS_LOG_*, OBS_TENANT_*; nothing is left running then. */
export async function startServer({ config, configPath }: StartOptions): Promise<RunningServer> {
  // Whatever is made from here on, SQLite's files included, is for this user alone.
  process.umask(0o077);
  const logger = nodeLogger(config.logLevel);
  const closers = new Closers(logger);
  try {
    return await start(config, configPath, logger, closers);
  } catch (error) {
    await closers.closeAll();
    throw error;
  }
}

async function start(
  config: ServerConfig,
  configPath: string,
  logger: LevelledLogger,
  closers: Closers,
): Promise<RunningServer> {
  const startedAt = nodeClock.now();
  const { version } = readPackage();
  const certificates = readCertificates(config);
  const directory = await openDataDirectory(config.dataDirectory, nodeDisk, nodeRandom, Date.now());
  closers.add('data directory', () => directory.release());
  const onFatal = fatal(logger, directory);
  // What capture and apply rely on holds for this machine's file system and this SQLite, or nothing is opened.
  provePages(config.dataDirectory);

  const pool = new WorkerPool({ workers: config.tenant.workerThreads, onFatal });
  closers.add('worker threads', () => pool.close());

  let logServer: LogServer | null = null;
  let peerAddress = '';
  const sys = await openSysTenant(config, directory, pool, logger, onFatal);
  closers.add('sys tenant', async () => {
    await sys.engine.close();
    await sys.log.close();
  });
  const store = await SysStore.open(sys.engine, new SecretBox(directory.secretKey, nodeRandom));
  closers.add('sys tables', () => store.close());

  const settings = unitSettings(config);
  const siteNames = new SiteNames();
  siteNames.learn(directory.siteId, config.clusterName);
  const host: UnitHost = {
    dataDirectory: config.dataDirectory,
    siteId: directory.siteId,
    clusterName: config.clusterName,
    advertise: () => config.peer.advertise ?? (peerAddress === '' ? null : peerAddress),
    clock: nodeClock,
    disk: nodeDisk,
    net: nodeNet,
    peerTls: certificates.peerClient,
    random: nodeRandom,
    logger,
    pool,
    store,
    settings,
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
  };
  const registry = new TenantRegistry(host);
  const operations = new ControlPlane({
    host,
    registry,
    createUsers: (engine, rootPassword) => createUsers(engine, rootPassword),
  });

  // The peer door is bound first: tenants tell its address to the sites they ask.
  logServer = new LogServer({
    net: nodeNet,
    address: { host: config.peer.host, port: config.peer.port },
    ...(certificates.peer === null ? {} : { tls: certificates.peer }),
    cluster: config.clusterName,
    site: directory.siteId,
    advertise: () => host.advertise(),
    directory: peerDirectory(registry),
    // Half of the disk: a follower that is further behind reads the archive, and never stops the primary.
    followerHoldBytesMax: Math.floor(config.log.diskBytesMax / 2),
    clock: nodeClock,
    random: nodeRandom,
    logger,
    onFatal,
  });
  const peers = logServer;
  const bound = await listening('other sites', config.peer, () => peers.start());
  peerAddress = `${bound.host}:${bound.port}`;
  closers.add('peer door', () => peers.stop());

  closers.add('tenants', () => registry.closeAll());
  await registry.openAll();

  let sqlAddress = '';
  const services = createStatementServices({
    clock: nodeClock,
    viewTimeoutMs,
    server: () => serverRow(sqlAddress, peerAddress, version, startedAt),
  });
  closers.add('views', () => services.close());
  const frontEnd = new MysqlFrontEnd({
    address: { host: config.sql.host, port: config.sql.port },
    ...(certificates.sql === null ? {} : { tls: certificates.sql }),
    directory: sqlDirectory(host, registry, sys),
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
  sqlAddress = `${config.sql.host}:${sqlPort}`;
  closers.add('SQL door', () => frontEnd.stop());

  const api = new HttpApi({
    host: config.http.host,
    port: config.http.port,
    token: directory.httpToken,
    operations,
    metrics: createMetrics(operations),
    serverInfo: () => ({
      ...addresses,
      clusterName: config.clusterName,
      siteId: directory.siteId,
      siteNames: siteNames.all(),
      version,
      pid: process.pid,
      uptimeSeconds: (nodeClock.now() - startedAt) / 1000,
    }),
    logger,
    onFatal,
  });
  const httpPort = await api.start();
  closers.add('API door', () => api.stop());
  const addresses: ServerAddresses = {
    sqlAddress,
    peerAddress,
    httpAddress: `${config.http.host}:${httpPort}`,
  };
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

  let stopping: Promise<void> | null = null;
  const { promise: ended, resolve: end } = Promise.withResolvers<number>();
  const stop = (): Promise<void> => {
    stopping ??= (async () => {
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
      void stop();
    });
  }
  return { addresses, ended, stop };
}

async function openSysTenant(
  config: ServerConfig,
  directory: DataDirectory,
  pool: WorkerPool,
  logger: Logger,
  onFatal: (error: unknown) => void,
): Promise<SysTenant & { readonly log: LogStream }> {
  const paths = tenantPaths(config.dataDirectory, sysTenantId);
  const incarnation = `sys-${directory.siteId}`;
  const log = await LogStream.open({
    disk: nodeDisk,
    clock: nodeClock,
    directory: paths.log,
    stream: logStreamId(1),
    incarnation,
    limits: { blockBytes: config.log.blockBytes, diskBytesMax: config.log.diskBytesMax },
    onFatal,
    logger,
  });
  let engine: TenantEngine | undefined;
  try {
    engine = await openTenantEngine({
      pool,
      directory: paths.directory,
      tenant: 'sys',
      incarnation,
      log,
      mode: 'leader',
      pageBytes: 4096,
      clock: nodeClock,
      logger,
      onFatal,
      onCheckpoint: position => {
        log.advanceBase(position.lsn).catch((error: unknown) => {
          if (!isObError(error) || error.kind === 'disk' || error.kind === 'bug') onFatal(error);
        });
      },
    });
    if ((await rootOf(engine)) === undefined) {
      await createUsers(engine, '');
      // From here on a log that vanishes is missed, not begun anew.
      await engine.checkpoint();
    }
    return { engine, log, incarnation };
  } catch (error) {
    await engine?.close();
    await log.close();
    throw error;
  }
}

/** Undefined before the user table was made. */
async function rootOf(engine: TenantEngine): Promise<object | undefined> {
  try {
    return await readUser(engine, 'root');
  } catch (error) {
    if (isObError(error, 'OBS_SQL_NO_SUCH_TABLE')) return undefined;
    throw error;
  }
}

async function createUsers(engine: TenantEngine, rootPassword: string): Promise<void> {
  const session = engine.openSession({ internal: true });
  try {
    await createInitialUsers(session, rootPassword, nodeRandom);
  } finally {
    await session.close();
  }
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

/** Opens a door; an address that cannot be had is told by the door's name. */
async function listening<Bound>(
  door: string,
  { host, port }: { readonly host: string; readonly port: number },
  start: () => Promise<Bound>,
): Promise<Bound> {
  try {
    return await start();
  } catch (error) {
    const why = codeOf(error);
    if (isObError(error) || why === undefined) throw error;
    throw new ObError('OBS_SERVER_CANNOT_LISTEN', { door, address: `${host}:${port}`, why }, error);
  }
}

function readPackage(): { version: string } {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
}

function serverRow(sqlAddress: string, peerAddress: string, version: string, startedAt: number): ServerRow {
  const split = sqlAddress.lastIndexOf(':');
  return {
    ip: sqlAddress.slice(0, split),
    sqlPort: Number(sqlAddress.slice(split + 1)),
    rpcPort: Number(peerAddress.slice(peerAddress.lastIndexOf(':') + 1)),
    zone: 'zone1',
    version,
    startTime: Math.floor((performance.timeOrigin + startedAt) * 1000),
  };
}
