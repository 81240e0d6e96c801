/**
 * The peer of the commit benchmark: a private PostgreSQL with its durable defaults (fsync and synchronous_commit on),
 * on loopback, in a directory of the run. Started from the binaries of Debian's packages, stopped by its own pid.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ObError } from '../base/errors.ts';

const binariesRoot = '/usr/lib/postgresql';
const startMs = 20_000;

export interface Postgres {
  readonly port: number;
  stop(): Promise<void>;
}

/** Throws OBS_BENCH_PEER_MISSING when PostgreSQL is not installed. */
export async function startPostgres(directory: string): Promise<Postgres> {
  const version = existsSync(binariesRoot) ? readdirSync(binariesRoot).sort().at(-1) : undefined;
  if (version === undefined)
    throw new ObError('OBS_BENCH_PEER_MISSING', { peer: 'PostgreSQL', packages: 'postgresql' });
  const binaries = join(binariesRoot, version, 'bin');
  const data = join(directory, 'postgres');
  mkdirSync(data, { recursive: true, mode: 0o700 });
  // PostgreSQL refuses to run as root; its package brings a user.
  const user = process.getuid?.() === 0 ? 'postgres' : undefined;
  const identity = user === undefined ? undefined : identityOf(user);
  if (identity !== undefined) {
    chownSync(data, identity.uid, identity.gid);
    allowPassing(directory);
  }
  const options = { ...identity, cwd: '/', stdio: 'ignore' as const };
  execFileSync(
    join(binaries, 'initdb'),
    ['-D', data, '-U', 'bench', '-A', 'trust', '-E', 'UTF8', '--locale=C'],
    options,
  );
  const port = await freePort();
  const child = spawn(
    join(binaries, 'postgres'),
    [
      '-D',
      data,
      '-p',
      String(port),
      '-h',
      '127.0.0.1',
      '-k',
      data,
      '-c',
      'max_connections=200',
      '-c',
      'shared_buffers=256MB',
    ],
    options,
  );
  await ready(join(binaries, 'pg_isready'), port, child);
  execFileSync(
    join(binaries, 'psql'),
    ['-h', '127.0.0.1', '-p', String(port), '-U', 'bench', '-d', 'postgres', '-c', 'CREATE DATABASE bench'],
    { stdio: 'ignore', cwd: '/' },
  );
  return {
    port,
    async stop() {
      if (child.exitCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGINT');
      await gone;
    },
  };
}

function identityOf(user: string): { uid: number; gid: number } {
  const id = (flag: string): number => Number(execFileSync('id', [flag, user], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/** The peer's user must be able to reach its directory inside ours. */
function allowPassing(directory: string): void {
  execFileSync('chmod', ['711', directory]);
}

async function ready(probe: string, port: number, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + startMs;
  for (;;) {
    try {
      execFileSync(probe, ['-h', '127.0.0.1', '-p', String(port), '-q'], { stdio: 'ignore', cwd: '/' });
      return;
    } catch (error) {
      if (child.exitCode !== null || performance.now() > deadline) {
        throw new ObError(
          'OBS_BENCH_PEER_MISSING',
          { peer: 'a PostgreSQL that starts', packages: 'postgresql' },
          error,
        );
      }
      await new Promise(resolve => setTimeout(resolve, 100));
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
