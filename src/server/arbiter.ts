/**
 * The composition of an arbiter: directory, journal, door, status. Small and quick to start: nothing of a server is loaded. A
 * failed disk or a broken invariant ends the process at once; what it promised is in the journal.
 */
import { randomBytes } from 'node:crypto';
import { accessSync, chmodSync, constants, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isObError, ObError } from '../base/errors.ts';
import { readClusterSecret } from '../cluster/root/cluster-secret.ts';
import { ArbiterService } from '../logstream/arbiter/arbiter-service.ts';
import { nodeClock } from '../platform/clock.ts';
import { codeOf, nodeDisk } from '../platform/disk.ts';
import { type Logger, nodeLogger } from '../platform/logger.ts';
import { nodeNet } from '../platform/net.ts';
import { nodeRandom } from '../platform/random.ts';
import type { ArbiterConfig } from './arbiter-config.ts';
import { ArbiterHttp } from './arbiter-http.ts';
import { readDoorCertificates } from './certificates.ts';
import { type DirectoryLock, takeLock } from './directory-lock.ts';
import { listening } from './listening.ts';

export interface RunningArbiter {
  readonly address: string;
  readonly httpAddress: string;
  readonly nodeId: string;
  /** resolves with the exit code when it has stopped */
  readonly ended: Promise<number>;
}

const lockName = 'arbiter.lock';
const known = new Set([lockName, `${lockName}-journal`, 'arbiter.json', 'http.token', 'promises.journal']);
const tokenBytes = 32;

/** Throws OBS_ARBITER_*, OBS_CLUSTER_SECRET_FILE, OBS_SERVER_CANNOT_LISTEN, OBS_CONFIG_INVALID; nothing is left running then. */
export async function startArbiter(config: ArbiterConfig): Promise<RunningArbiter> {
  process.umask(0o077);
  const startedAt = nodeClock.now();
  const logger = nodeLogger(config.logLevel);
  const { dataDirectory, listen, http } = config;
  const clusters = config.clusters.map(({ name, secretFile }) => ({
    name,
    secret: readClusterSecret(secretFile),
  }));
  const tls = readDoorCertificates('listen', listen);
  const lock = openDirectory(dataDirectory);
  const closers: (() => Promise<void> | void)[] = [() => lock.close()];
  try {
    const onFatal = fatal(logger, dataDirectory);
    const service = await ArbiterService.open({
      disk: nodeDisk,
      net: nodeNet,
      clock: nodeClock,
      random: nodeRandom,
      logger,
      directory: dataDirectory,
      listen: { host: listen.host, port: listen.port },
      tls,
      clusters,
      version: packageVersion(),
      onFatal,
    });
    closers.push(() => service.stop());
    const bound = await listening('the servers of the clusters', listen, () => service.start());
    const address = `${listen.host}:${bound.port}`;
    const token = await readToken(dataDirectory);
    const api = new ArbiterHttp({
      token,
      status: () => ({ ...service.status(), uptimeSeconds: (nodeClock.now() - startedAt) / 1000 }),
    });
    const httpPort = await listening('http', http, () => api.start(http.host, http.port));
    const httpAddress = `${http.host}:${httpPort}`;
    closers.push(() => api.stop());
    const announcement = { address, httpAddress, nodeId: service.nodeId, pid: process.pid };
    await nodeDisk.replaceFile(
      join(dataDirectory, 'arbiter.json'),
      Buffer.from(`${JSON.stringify(announcement)}\n`),
    );
    logger.info({ ...announcement, clusters: clusters.map(({ name }) => name) }, 'the arbiter is ready');
    return { address, httpAddress, nodeId: service.nodeId, ended: untilSignal(logger, closers) };
  } catch (error) {
    await closeAll(closers);
    throw error;
  }
}

/** Forgets a cluster of an arbiter that does not run. False: it knew nothing of it. Throws OBS_ARBITER_*. */
export async function forgetCluster({ dataDirectory }: ArbiterConfig, name: string): Promise<boolean> {
  const lock = openDirectory(dataDirectory);
  try {
    return await ArbiterService.forget({ disk: nodeDisk, directory: dataDirectory }, name);
  } finally {
    lock.close();
  }
}

/** Throws OBS_ARBITER_DIRECTORY_FOREIGN, OBS_ARBITER_DIRECTORY_LOCKED, OBS_SERVER_DIRECTORY_UNWRITABLE. */
function openDirectory(path: string): DirectoryLock {
  let lock: DirectoryLock | null;
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    const foreign = readdirSync(path).filter(name => !known.has(name.replace(/\.tmp$/, '')));
    if (foreign.length > 0) {
      const why = `it holds ${foreign.slice(0, 3).join(', ')}`;
      throw new ObError('OBS_ARBITER_DIRECTORY_FOREIGN', { path, why });
    }
    chmodSync(path, 0o700);
    lock = takeLock(join(path, lockName));
  } catch (error) {
    if (isObError(error)) throw error;
    throw new ObError(
      'OBS_SERVER_DIRECTORY_UNWRITABLE',
      { path, why: codeOf(error) ?? String(error) },
      error,
    );
  }
  if (lock === null) throw new ObError('OBS_ARBITER_DIRECTORY_LOCKED', { path });
  return lock;
}

async function readToken(directory: string): Promise<string> {
  const path = join(directory, 'http.token');
  const stored = await nodeDisk.readFile(path);
  if (stored !== undefined) return Buffer.from(stored).toString().trim();
  const token = randomBytes(tokenBytes).toString('hex');
  await nodeDisk.replaceFile(path, Buffer.from(token));
  return token;
}

async function closeAll(closers: (() => Promise<void> | void)[]): Promise<void> {
  for (let close = closers.pop(); close !== undefined; close = closers.pop()) await close();
}

function untilSignal(logger: Logger, closers: (() => Promise<void> | void)[]): Promise<number> {
  return new Promise(resolve => {
    const stop = (signal: string): void => {
      logger.info({ signal }, 'stopping');
      void closeAll(closers).then(() => resolve(0));
    };
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
  });
}

/** The end of the process: nothing is promised any more, and nothing is waited for. */
function fatal(logger: Logger, dataDirectory: string): (error: unknown) => void {
  return error => {
    const told = isObError(error)
      ? error
      : new ObError('OBS_BUG', {
          what: error instanceof Error ? (error.stack ?? error.message) : String(error),
        });
    logger.error({ ...told.toJSON(), dataDirectory }, 'the arbiter ends');
    process.exit(1);
  };
}

const packageVersion = (): string =>
  (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string })
    .version;
