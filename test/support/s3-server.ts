/**
 * A real S3 server for tests: a private Ceph (monitor, one object store in memory, RADOS gateway) on loopback, with all
 * its files in one directory, run by the user who asks.
 *
 *     node test/support/s3-server.ts up DIR [--port 9000] [--install]   prints `export` lines; again: the same lines
 *     node test/support/s3-server.ts down DIR [--purge]                 ends it by its process ids
 *
 * `--install` lets it install the Debian packages it needs (as root or by sudo), without starting their services.
 */
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const s3ServerPrograms = [
  'ceph-mon',
  'ceph-osd',
  'radosgw',
  'monmaptool',
  'ceph',
  'radosgw-admin',
] as const;
const packages = ['ceph-mon', 'ceph-osd', 'radosgw', 'ceph-base', 'ceph-common'];
const daemons = ['radosgw', 'ceph-osd', 'ceph-mon'] as const;
type Daemon = (typeof daemons)[number];
const memoryBytes = 2 * 1024 ** 3;

export interface S3ServerSettings {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

interface Deployment extends S3ServerSettings {
  readonly port: number;
  readonly clusterId: string;
  readonly osdId: string;
}

/** Starts the server in `directory`, or finds it running there. */
export async function startS3Server(directory: string, port: number): Promise<S3ServerSettings> {
  const home = resolve(directory);
  mkdirSync(join(home, 'log'), { recursive: true, mode: 0o700 });
  const settingsPath = join(home, 'settings.json');
  const known = existsSync(settingsPath)
    ? (JSON.parse(readFileSync(settingsPath, 'utf8')) as Deployment)
    : undefined;
  if (known !== undefined && daemons.every(daemon => pidOf(home, daemon) !== undefined)) return known;
  await stopS3Server(home, false);
  // what was in memory is gone: everything but the keys begins anew
  for (const part of ['mon', 'osd', 'keyring', 'monmap'])
    rmSync(join(home, part), { recursive: true, force: true });
  const deployment: Deployment = {
    port,
    endpoint: `http://127.0.0.1:${port}`,
    accessKeyId: known?.accessKeyId ?? `test${randomBytes(8).toString('hex')}`,
    secretAccessKey: known?.secretAccessKey ?? randomUUID(),
    clusterId: randomUUID(),
    osdId: randomUUID(),
  };
  writeFileSync(settingsPath, JSON.stringify(deployment), { mode: 0o600 });
  try {
    await deploy(home, deployment);
  } catch (error) {
    await stopS3Server(home, false);
    throw error;
  }
  return deployment;
}

/** Ends the processes that were started in `directory`, by their ids, after checking that they still are those. */
export async function stopS3Server(directory: string, purge: boolean): Promise<void> {
  const home = resolve(directory);
  for (const daemon of daemons) {
    const pid = pidOf(home, daemon);
    if (pid === undefined) continue;
    process.kill(pid, 'SIGTERM');
    for (let waited = 0; waited < 50 && pidOf(home, daemon) !== undefined; waited += 1) await sleep(100);
    if (pidOf(home, daemon) !== undefined) process.kill(pid, 'SIGKILL');
    unlinkSync(pidPath(home, daemon));
  }
  if (purge) rmSync(home, { recursive: true, force: true });
}

/** Installs what is missing; the packages' own services stay off. */
function installS3Server(): void {
  const prefix = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  const run = (...command: string[]) => {
    const [program = '', ...parameters] = [...prefix, ...command];
    execFileSync(program, parameters, { stdio: ['ignore', 2, 2] });
  };
  const policy = '/usr/sbin/policy-rc.d';
  const isOurs = !existsSync(policy);
  if (isOurs) run('sh', '-c', `printf '#!/bin/sh\\nexit 101\\n' > ${policy} && chmod 755 ${policy}`);
  const install = [
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    'apt-get',
    'install',
    '-y',
    '--no-install-recommends',
  ];
  try {
    try {
      run(...install, ...packages);
    } catch {
      // the lists may be old or absent
      run('apt-get', 'update');
      run(...install, ...packages);
    }
  } finally {
    if (isOurs) run('rm', '-f', policy);
  }
}

async function deploy(home: string, deployment: Deployment): Promise<void> {
  const config = join(home, 'ceph.conf');
  const keyring = join(home, 'keyring');
  const monmap = join(home, 'monmap');
  const { port, clusterId, osdId } = deployment;
  for (const part of ['mon', 'osd']) mkdirSync(join(home, part), { mode: 0o700 });
  writeFileSync(config, configuration(home, deployment));
  const monitor = `[v2:127.0.0.1:${port + 1},v1:127.0.0.1:${port + 2}]`;
  run(home, 'monmaptool', '--create', '--clobber', '--fsid', clusterId, '--addv', 'a', monitor, monmap);
  writeFileSync(keyring, '', { mode: 0o600 });
  run(home, 'ceph-authtool', keyring, '--gen-key', '-n', 'mon.', '--cap', 'mon', 'allow *');
  const everything = ['mon', 'osd', 'mgr'].flatMap(part => ['--cap', part, 'allow *']);
  for (const name of ['client.admin', 'client.rgw'])
    run(home, 'ceph-authtool', keyring, '--gen-key', '-n', name, ...everything);
  const osdRights = ['--cap', 'mon', 'allow profile osd', '--cap', 'osd', 'allow *'];
  run(home, 'ceph-authtool', keyring, '--gen-key', '-n', 'osd.0', ...osdRights);
  run(home, 'ceph-mon', '-c', config, '--mkfs', '-i', 'a', '--monmap', monmap, '--keyring', keyring);
  start(home, 'ceph-mon', ['-c', config, '-i', 'a', '-f']);
  await until(
    home,
    'ceph-mon',
    () => run(home, 'ceph', '-c', config, '--connect-timeout', '2', 'mon', 'stat') !== '',
  );
  run(home, 'ceph', '-c', config, 'osd', 'new', osdId);
  run(home, 'ceph-osd', '-c', config, '-i', '0', '--mkfs', '--osd-uuid', osdId);
  start(home, 'ceph-osd', ['-c', config, '-i', '0', '-f']);
  await until(home, 'ceph-osd', () => run(home, 'ceph', '-c', config, 'osd', 'stat').includes(' 1 up'));
  start(home, 'radosgw', ['-c', config, '-n', 'client.rgw', '-f']);
  const user = ['user', 'create', '--uid=test', '--display-name=test'];
  const keys = [`--access-key=${deployment.accessKeyId}`, `--secret-key=${deployment.secretAccessKey}`];
  run(home, 'radosgw-admin', '-c', config, ...user, ...keys);
  await until(home, 'radosgw', async () => (await fetch(deployment.endpoint)).status > 0);
}

function configuration(home: string, { port, clusterId }: Deployment): string {
  return `[global]
fsid = ${clusterId}
mon host = [v2:127.0.0.1:${port + 1},v1:127.0.0.1:${port + 2}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
keyring = ${home}/keyring
run dir = ${home}
admin socket =
pid file =
log file = ${home}/log/$name.log
crash dir = ${home}/log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 2000
osd enable op tracker = false
ms crc data = false
debug ms = 0/0
debug osd = 0/0
debug rgw = 0/0
debug mon = 0/0
debug paxos = 0/0
[mon]
mon data = ${home}/mon
mon cluster log file = ${home}/log/cluster.log
mon data avail crit = 1
paxos propose interval = 0.05
paxos min wait = 0.01
mon osd full ratio = .99
[osd]
osd data = ${home}/osd
osd objectstore = memstore
memstore device bytes = ${memoryBytes}
osd class load list = *
osd class default list = *
osd memory target = 939524096
[client]
rgw data = ${home}/rgw
rgw frontends = beast endpoint=127.0.0.1:${port} tcp_nodelay=1
rgw dynamic resharding = false
rgw thread pool size = 64
`;
}

function start(home: string, daemon: Daemon, parameters: readonly string[]): void {
  const log = openSync(join(home, 'log', `${daemon}.out`), 'a', 0o600);
  const child = spawn(daemon, parameters, { detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  child.unref();
  if (child.pid === undefined) throw new Error(`${daemon} did not start`);
  writeFileSync(pidPath(home, daemon), String(child.pid));
}

const pidPath = (home: string, daemon: Daemon): string => join(home, `${daemon}.pid`);

/** The process of that name that was started for this directory, if it lives. */
function pidOf(home: string, daemon: Daemon): number | undefined {
  try {
    const pid = Number(readFileSync(pidPath(home, daemon), 'utf8'));
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return command[0]?.endsWith(daemon) === true && command.includes(join(home, 'ceph.conf'))
      ? pid
      : undefined;
  } catch {
    return undefined;
  }
}

function run(home: string, program: string, ...parameters: string[]): string {
  const log = openSync(join(home, 'log', 'setup.out'), 'a', 0o600);
  try {
    return execFileSync(program, parameters, {
      stdio: ['ignore', 'pipe', log],
      encoding: 'utf8',
      timeout: 60_000,
    });
  } finally {
    closeSync(log);
  }
}

async function until(home: string, daemon: Daemon, isReady: () => boolean | Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    try {
      if (await isReady()) return;
    } catch {
      // not yet
    }
    if (pidOf(home, daemon) === undefined) break;
    await sleep(100);
  }
  const log = readFileSync(join(home, 'log', `${daemon}.out`), 'utf8');
  throw new Error(`${daemon} does not answer: ${log.slice(-2_000)}`);
}

async function main([verb, directory, ...flags]: readonly string[]): Promise<number> {
  if (directory === undefined || (verb !== 'up' && verb !== 'down')) {
    console.error('usage: s3-server.ts up DIR [--port N] [--install] | down DIR [--purge]');
    return 2;
  }
  if (verb === 'down') {
    await stopS3Server(directory, flags.includes('--purge'));
    return 0;
  }
  if (flags.includes('--install')) installS3Server();
  const port = flags.includes('--port') ? Number(flags[flags.indexOf('--port') + 1]) : 9_000;
  const { endpoint, accessKeyId, secretAccessKey } = await startS3Server(directory, port);
  console.log(`export S3_ENDPOINT=${endpoint}
export AWS_ENDPOINT_URL_S3=${endpoint}
export AWS_ACCESS_KEY_ID=${accessKeyId}
export AWS_SECRET_ACCESS_KEY=${secretAccessKey}
export AWS_REGION=us-east-1`);
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main(process.argv.slice(2));
