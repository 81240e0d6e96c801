/** The arbiter's process and the commands of the arbitration service, given what they are not for: each says what to do, and nothing changes. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { LocalArbiter } from '../../src/client/local-arbiter.ts';
import { LocalCluster } from '../../src/client/local-cluster.ts';
import { runProgram } from '../support/command.ts';
import { atEnd, endAll, temporaryDirectory } from '../support/lone-site.ts';
import { codeCacheVariables } from '../support/two-sites.ts';

let environment: NodeJS.ProcessEnv = process.env;
beforeAll(async () => {
  environment = { ...process.env, ...(await codeCacheVariables(temporaryDirectory())) };
});
afterEach(endAll);

const secretIn = (directory: string, name = 'cluster.secret'): string => {
  const file = join(directory, name);
  writeFileSync(file, `${name} `.repeat(8), { mode: 0o600 });
  return file;
};

function arbiterIn(
  directory: string,
  clusters = [{ name: 'rome', secretFile: secretIn(directory) }],
): LocalArbiter {
  const arbiter = new LocalArbiter(
    `arbiter-${Math.floor(Math.random() * 1e6)}`,
    directory,
    clusters,
    environment,
  );
  atEnd(() => arbiter.kill());
  return arbiter;
}

interface Told {
  readonly ok: boolean;
  readonly error?: { readonly code: string; readonly hint: string };
}
const run = (...words: string[]) => runProgram(words, environment);
const codeOf = (output: string): string | undefined =>
  (JSON.parse(output.trim().split('\n').at(-1) ?? '{}') as Told).error?.code;

test('the sample configuration is complete and valid; a wrong one is told key by key', async () => {
  const directory = temporaryDirectory();
  const sample = await run('arbiter', '--sample');
  const file = join(directory, 'arbiter.yaml');
  writeFileSync(file, sample.output);
  expect(await run('arbiter', '--config', file, '--check', '--json')).toMatchObject({ code: 0 });
  writeFileSync(file, 'dataDirectory: d\nclusters: [{ name: a b, secretFile: s }, { name: c }]\nport: 7\n');
  const wrong = await run('arbiter', '--config', file, '--check', '--json');
  expect(wrong.code).toBe(2);
  for (const path of ['clusters.0.name', 'clusters.1.secretFile', 'port: there is no such key'])
    expect(wrong.output).toContain(path);
  expect((await run('arbiter', '--json')).code).toBe(2);
});

test('it starts with an open secret file, a foreign or a used directory, or a damaged journal, not at all', async () => {
  const directory = temporaryDirectory();
  const secretFile = secretIn(directory);
  const arbiter = arbiterIn(directory, [{ name: 'rome', secretFile }]);
  await arbiter.start();
  const start = () => run('arbiter', '--config', arbiter.configFile, '--json');
  expect(codeOf((await start()).output)).toBe('OBS_ARBITER_DIRECTORY_LOCKED');
  await arbiter.kill();
  const journal = join(arbiter.dataDirectory, 'promises.journal');
  const whole = readFileSync(journal);
  // Both copies of the first batch are gone, and another follows.
  const again = Buffer.concat([Buffer.alloc(whole.length, 7), withSequence(whole, 2)]);
  writeFileSync(journal, again);
  const damaged = await start();
  expect(codeOf(damaged.output)).toBe('OBS_ARBITER_JOURNAL_DAMAGED');
  expect(damaged.output).toContain('arbiter replace');
  expect(readFileSync(journal).equals(again)).toBe(true);
  writeFileSync(journal, whole);
  chmodSync(secretFile, 0o644);
  expect(codeOf((await start()).output)).toBe('OBS_CLUSTER_SECRET_FILE');
  chmodSync(secretFile, 0o600);
  mkdirSync(join(arbiter.dataDirectory, 'holiday-pictures'));
  expect(codeOf((await start()).output)).toBe('OBS_ARBITER_DIRECTORY_FOREIGN');
});

/** The same batches under a later number: their checksums are made anew. */
function withSequence(journal: Buffer, sequence: number): Buffer {
  const copy = Buffer.from(journal);
  const length = copy.readUInt32LE(8) + 16;
  for (const at of [0, length]) {
    copy.writeUInt32LE(sequence, at + 4);
    copy.writeUInt32LE(
      crc32(copy.subarray(at + 16, at + length), crc32(copy.subarray(at, at + 12))),
      at + 12,
    );
  }
  return copy.subarray(0, 2 * length);
}

test('it tells operators what it does, for its token alone', async () => {
  const arbiter = arbiterIn(temporaryDirectory());
  await arbiter.start();
  expect(await arbiter.status()).toMatchObject({
    nodeId: arbiter.nodeId,
    clusters: [{ name: 'rome', clusterId: null, streams: 0 }],
  });
  expect(await arbiter.get('/metrics')).toMatch(/^obstandby_arbiter_streams\{cluster="rome"\} 0$/m);
  const config = readFileSync(join(arbiter.dataDirectory, 'arbiter.json'), 'utf8');
  const { httpAddress } = JSON.parse(config) as { httpAddress: string };
  expect((await fetch(`http://${httpAddress}/status`)).status).toBe(401);
  expect(await (await fetch(`http://${httpAddress}/health`)).json()).toMatchObject({ ok: true });
  await arbiter.stop();
});

test('commands: three full replicas, a second arbiter, one in use, one that is away, one of another cluster', {
  timeout: 300_000,
}, async () => {
  const directory = temporaryDirectory();
  const cluster = await LocalCluster.make('rome', directory, { servers: 3, environment });
  atEnd(() => cluster.kill());
  const { secretFile } = cluster;
  if (secretFile === null) throw new Error('a cluster of three has a secret');
  const arbiter = arbiterIn(directory, [{ name: 'rome', secretFile }]);
  const foreign = arbiterIn(directory, [{ name: 'oslo', secretFile: secretIn(directory, 'oslo.secret') }]);
  const stranger = arbiterIn(directory, [{ name: 'rome', secretFile: secretIn(directory, 'other.secret') }]);
  await Promise.all([cluster.start(), arbiter.start(), foreign.start(), stranger.start()]);
  const [first] = cluster.servers;
  const config = ['--config', first?.configFile ?? '', '--json'];
  const on = (...words: string[]) => run(...words, ...config);
  const told = async (...words: string[]): Promise<readonly [number | null, string | undefined]> => {
    const { code, output } = await on(...words);
    return [code, codeOf(output)];
  };
  const { address } = arbiter;
  expect(await told('cluster', 'arbiter', 'remove', address)).toEqual([1, 'OBS_ARBITRATION_NONE']);
  expect(await told('cluster', 'arbiter', 'add', foreign.address)).toEqual([
    1,
    'OBS_ARBITER_NO_SUCH_CLUSTER',
  ]);
  expect(await told('cluster', 'arbiter', 'add', stranger.address)).toEqual([
    1,
    'OBS_ARBITRATION_UNREACHABLE',
  ]);
  expect(await told('cluster', 'arbiter', 'add', '127.0.0.1:1')).toEqual([1, 'OBS_ARBITRATION_UNREACHABLE']);
  const [second] = cluster.servers.slice(1);
  const other = second === undefined ? '' : cluster.addressOf(second);
  expect(await told('cluster', 'arbiter', 'add', other)).toEqual([1, 'OBS_ARBITRATION_NOT_ARBITER']);
  expect(await told('tenant', 'create', 'early', '--arbitration')).toEqual([1, 'OBS_ARBITRATION_NONE']);
  expect(await told('cluster', 'arbiter', 'add', address)).toEqual([0, undefined]);
  expect(await told('cluster', 'arbiter', 'add', foreign.address)).toEqual([3, 'OBS_ARBITRATION_EXISTS']);
  expect(await told('tenant', 'create', 'three')).toEqual([0, undefined]);
  expect(await told('tenant', 'alter', 'three', '--arbitration', 'on')).toEqual([
    3,
    'OBS_ARBITRATION_REPLICA_COUNT',
  ]);
  const pair = ['--locality', 'F@zone1,F@zone2'];
  expect(await told('tenant', 'create', 'pair', ...pair, '--arbitration')).toEqual([0, undefined]);
  expect(await told('tenant', 'alter', 'pair', '--locality', 'F@zone1,F@zone2,F@zone3')).toEqual([
    3,
    'OBS_ARBITRATION_LOCALITY',
  ]);
  expect(await told('tenant', 'alter', 'pair', '--arbitration', 'perhaps')).toEqual([2, 'OBS_CLI_USAGE']);
  expect(await told('cluster', 'set', 'arbitration_timeout', '1s')).toEqual([1, 'OBS_PARAMETER_VALUE']);
  expect(await told('cluster', 'arbiter', 'remove', address)).toEqual([3, 'OBS_ARBITRATION_IN_USE']);
  const status = JSON.parse((await on('cluster', 'arbiter', 'status')).output) as {
    service: { address: string };
    servers: { status: string }[];
    tenants: { tenant: string; state: string }[];
  };
  expect(status.service.address).toBe(address);
  expect(status.servers.map(each => each.status)).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE']);
  expect(status.tenants.map(({ tenant, state }) => [tenant, state])).toEqual([
    ['sys', 'DISABLED'],
    ['three', 'DISABLED'],
    ['pair', 'ENABLED'],
  ]);
  // A replica moves while the arbiter serves: it goes and comes back by itself.
  expect(await told('tenant', 'alter', 'pair', '--locality', 'F@zone2,F@zone3')).toEqual([0, undefined]);
  await arbiter.kill();
  expect(await told('tenant', 'create', 'late', ...pair, '--arbitration')).toEqual([
    1,
    'OBS_ARBITRATION_UNREACHABLE',
  ]);
  expect(await told('tenant', 'alter', 'pair', '--arbitration', 'off')).toEqual([0, undefined]);
  // Removed while it is away: done, and what is left to do there is said.
  expect(await told('cluster', 'arbiter', 'remove', address)).toEqual([4, undefined]);
  const forget = () => run('arbiter', '--config', arbiter.configFile, '--forget', 'rome', '--json');
  expect(JSON.parse((await forget()).output)).toMatchObject({ ok: true, forgotten: true });
  expect(JSON.parse((await forget()).output)).toMatchObject({ ok: true, forgotten: false });
  expect(existsSync(arbiter.dataDirectory)).toBe(true);
});
