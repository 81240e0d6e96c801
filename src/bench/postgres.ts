/**
 * The peer of the commit benchmark: a private PostgreSQL with its durable defaults (fsync and synchronous_commit on), alone or with
 * streaming standbys of which any one must have flushed a commit before it is acknowledged (`ANY 1`). On loopback, in a directory of
 * the run; started from the binaries of Debian's packages, stopped by its own pid.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ObError } from '../base/errors.ts';
import { freePort } from '../client/free-port.ts';

const binariesRoot = '/usr/lib/postgresql';
const startMs = 20_000;
const pollMs = 100;

export interface Postgres {
  readonly port: number;
  stop(): Promise<void>;
}

interface Installation {
  readonly binary: (name: string) => string;
  /** the user of the package: PostgreSQL refuses to run as root */
  readonly identity: { readonly uid: number; readonly gid: number } | undefined;
}

interface Instance {
  readonly port: number;
  readonly child: ChildProcess;
}

/** Throws OBS_BENCH_PEER_MISSING when PostgreSQL is not installed, or does not start. */
export async function startPostgres(directory: string, standbys = 0): Promise<Postgres> {
  const installation = findInstallation();
  const { binary, identity } = installation;
  if (identity !== undefined) allowPassing(directory);
  const options = { ...identity, cwd: '/', stdio: 'ignore' as const };
  const primaryDirectory = makeDirectory(directory, 'postgres', identity);
  execFileSync(
    binary('initdb'),
    ['-D', primaryDirectory, '-U', 'bench', '-A', 'trust', '-E', 'UTF8', '--locale=C'],
    options,
  );
  const started: Instance[] = [];
  const stop = async (): Promise<void> => {
    for (const { child } of started.toReversed()) await end(child);
  };
  try {
    const primary = await run(installation, primaryDirectory);
    started.push(primary);
    const names = Array.from({ length: standbys }, (_, index) => `s${index + 1}`);
    for (const name of names) {
      const copy = makeDirectory(directory, `postgres-${name}`, identity);
      const source = `host=127.0.0.1 port=${primary.port} user=bench application_name=${name}`;
      execFileSync(
        binary('pg_basebackup'),
        ['-D', copy, '-d', source, '-R', '-X', 'stream', '-c', 'fast'],
        options,
      );
      started.push(await run(installation, copy));
    }
    const psql = (sql: string): string =>
      execFileSync(
        binary('psql'),
        ['-h', '127.0.0.1', '-p', String(primary.port), '-U', 'bench', '-d', 'postgres', '-Atc', sql],
        { encoding: 'utf8', cwd: '/' },
      ).trim();
    psql('CREATE DATABASE bench');
    if (standbys > 0) {
      psql(`ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (${names.join(', ')})'`);
      psql('SELECT pg_reload_conf()');
      await until(
        () =>
          psql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'") === String(standbys),
        primary.child,
      );
    }
    return { port: primary.port, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function findInstallation(): Installation {
  const version = existsSync(binariesRoot) ? readdirSync(binariesRoot).sort().at(-1) : undefined;
  if (version === undefined)
    throw new ObError('OBS_BENCH_PEER_MISSING', { peer: 'PostgreSQL', packages: 'postgresql' });
  const user = process.getuid?.() === 0 ? 'postgres' : undefined;
  return {
    binary: name => join(binariesRoot, version, 'bin', name),
    identity: user === undefined ? undefined : identityOf(user),
  };
}

function makeDirectory(parent: string, name: string, identity: Installation['identity']): string {
  const path = join(parent, name);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (identity !== undefined) chownSync(path, identity.uid, identity.gid);
  return path;
}

async function run({ binary, identity }: Installation, data: string): Promise<Instance> {
  const port = await freePort();
  const settings = ['max_connections=200', 'shared_buffers=256MB'];
  const child = spawn(
    binary('postgres'),
    ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', data, ...settings.flatMap(one => ['-c', one])],
    { ...identity, cwd: '/', stdio: 'ignore' },
  );
  await until(() => {
    execFileSync(binary('pg_isready'), ['-h', '127.0.0.1', '-p', String(port), '-q'], {
      stdio: 'ignore',
      cwd: '/',
    });
    return true;
  }, child);
  return { port, child };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGINT');
  await gone;
}

function identityOf(user: string): { uid: number; gid: number } {
  const id = (flag: string): number => Number(execFileSync('id', [flag, user], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/** The peer's user must be able to reach its directory inside ours. */
function allowPassing(directory: string): void {
  execFileSync('chmod', ['711', directory]);
}

/** Asks again until it holds; an error of asking is "not yet". Throws OBS_BENCH_PEER_MISSING when it never does. */
async function until(holds: () => boolean, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + startMs;
  for (;;) {
    let problem: unknown;
    try {
      if (holds()) return;
    } catch (error) {
      problem = error;
    }
    if (child.exitCode !== null || performance.now() > deadline) {
      throw new ObError(
        'OBS_BENCH_PEER_MISSING',
        { peer: 'a PostgreSQL that starts', packages: 'postgresql' },
        problem,
      );
    }
    await new Promise(resolve => setTimeout(resolve, pollMs));
  }
}
