/**
 * What keeps a server from starting: each is one line of the catalogue with what to do next, an exit code, and nothing
 * left running or changed.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import type { LocalSite } from '../../src/client/local-site.ts';
import {
  atEnd,
  createTenant,
  endAll,
  newSite,
  notesOf,
  startSite,
  temporaryDirectory,
  upTo,
  writeNotes,
} from '../support/lone-site.ts';

afterEach(endAll);

const program = fileURLToPath(new URL('../../bin/obstandby.js', import.meta.url));

interface Refusal {
  readonly exitCode: number;
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** Runs `obstandby server` on a configuration that it must refuse. */
async function refusalOf(configFile: string): Promise<Refusal> {
  const child = spawn(process.execPath, [program, 'server', '--config', configFile, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  atEnd(() => {
    child.kill('SIGKILL');
  });
  let text = '';
  child.stdout.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  const [exitCode] = (await once(child, 'close')) as [number];
  const answer = JSON.parse(text) as { ok: boolean; error: Omit<Refusal, 'exitCode'> };
  expect(answer.ok).toBe(false);
  expect(answer.error.hint.length).toBeGreaterThan(20);
  return { exitCode, ...answer.error };
}

/** Writes a configuration that differs from the site's in some keys. */
function changeConfig(site: LocalSite, changes: object): void {
  const config = parse(readFileSync(site.configFile, 'utf8')) as object;
  writeFileSync(site.configFile, stringify({ ...config, ...changes }));
}

test('an invalid configuration is refused with every problem at once, each with its path', async () => {
  const directory = temporaryDirectory();
  const path = join(directory, 'site.yaml');
  writeFileSync(
    path,
    stringify({
      dataDirectory: join(directory, 'data'),
      clusterName: 'no spaces allowed',
      sql: { port: 70_000, resultRowMax: 5 },
      log: { blockBytes: 1 },
      tenant: { pageBytes: 1000 },
      role: { restartFencing: 'sometimes' },
      flavour: 'new',
    }),
  );
  const { exitCode, code, message } = await refusalOf(path);
  expect({ exitCode, code }).toEqual({ exitCode: 2, code: 'OBS_CONFIG_INVALID' });
  for (const place of [
    'clusterName',
    'sql.port',
    'sql.resultRowMax: there is no such key',
    'log.blockBytes',
    'tenant.pageBytes',
    'role.restartFencing',
    'flavour: there is no such key',
  ]) {
    expect(message).toContain(place);
  }
  expect(message).toContain('has 7 problem(s)');
  expect(readdirSync(directory), 'nothing was made').toEqual(['site.yaml']);
});

test('a configuration that is missing, or no YAML, is refused', async () => {
  const directory = temporaryDirectory();
  const path = join(directory, 'site.yaml');
  writeFileSync(path, 'sql: {port: 1\n  - [');
  const [missing, wrong] = await Promise.all([refusalOf(`${path}.absent`), refusalOf(path)]);
  expect(missing).toMatchObject({ exitCode: 2, code: 'OBS_CONFIG_UNREADABLE' });
  expect(wrong).toMatchObject({ exitCode: 2, code: 'OBS_CONFIG_INVALID' });
});

test('certificates that are not there, or are none, are refused by key', async () => {
  const site = newSite();
  changeConfig(site, { sql: { port: 0, tlsCertFile: 'absent.pem', tlsKeyFile: 'absent.key' } });
  const absent = await refusalOf(site.configFile);
  expect(absent).toMatchObject({ exitCode: 2, code: 'OBS_CONFIG_INVALID' });
  expect(absent.message).toContain('sql.tlsCertFile');
  expect(absent.message).toContain('sql.tlsKeyFile');
  expect(absent.message).toContain('ENOENT');

  const parent = join(site.configFile, '..');
  for (const name of ['absent.pem', 'absent.key']) writeFileSync(join(parent, name), 'not PEM');
  const wrong = await refusalOf(site.configFile);
  expect(wrong).toMatchObject({ exitCode: 2, code: 'OBS_CONFIG_INVALID' });
  expect(wrong.message).toContain('sql.tlsCertFile');
});

test('a port that is taken is told by its door', async () => {
  const squatter = createServer();
  squatter.listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  atEnd(() => {
    squatter.close();
  });
  const address = squatter.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const refuse = async (door: string): Promise<void> => {
    const site = newSite();
    changeConfig(site, { [door]: { port } });
    const refusal = await refusalOf(site.configFile);
    expect(refusal).toMatchObject({ exitCode: 1, code: 'OBS_SERVER_CANNOT_LISTEN' });
    expect(refusal.message).toContain(`127.0.0.1:${port}`);
  };
  await Promise.all(['sql', 'peer', 'http'].map(refuse));
});

test('a data directory that cannot be made or written is refused', async () => {
  const site = newSite();
  const file = join(temporaryDirectory(), 'a-file');
  writeFileSync(file, '');
  changeConfig(site, { dataDirectory: join(file, 'data') });
  expect(await refusalOf(site.configFile)).toMatchObject({
    exitCode: 1,
    code: 'OBS_SERVER_DIRECTORY_UNWRITABLE',
    message: expect.stringContaining('ENOTDIR') as string,
  });

  const directory = join(temporaryDirectory(), 'data');
  mkdirSync(directory);
  if (makeReadOnly(directory)) {
    changeConfig(site, { dataDirectory: directory });
    expect(await refusalOf(site.configFile)).toMatchObject({
      exitCode: 1,
      code: 'OBS_SERVER_DIRECTORY_UNWRITABLE',
    });
  }
});

/** Modes do not bind root, mounts do. False where neither can be had. */
function makeReadOnly(directory: string): boolean {
  if (process.getuid?.() !== 0) {
    chmodSync(directory, 0o500);
    return true;
  }
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro,size=64k', 'tmpfs', directory], { stdio: 'ignore' });
  } catch {
    console.warn('SKIPPED: a read-only data directory needs the right to mount');
    return false;
  }
  atEnd(() => {
    execFileSync('umount', [directory]);
  });
  return true;
}

test('a directory with anything else in it is left alone', async () => {
  const site = newSite();
  mkdirSync(site.dataDirectory, { recursive: true });
  writeFileSync(join(site.dataDirectory, 'thesis.txt'), 'mine');
  const { mode } = statSync(site.dataDirectory);
  const refusal = await refusalOf(site.configFile);
  expect(refusal).toMatchObject({ exitCode: 1, code: 'OBS_SERVER_DIRECTORY_FOREIGN' });
  expect(refusal.message).toContain('thesis.txt');
  expect(readdirSync(site.dataDirectory)).toEqual(['thesis.txt']);
  expect(statSync(site.dataDirectory).mode, 'not even its mode is changed').toBe(mode);
});

test('a second server on a directory is refused, and the first serves on', async () => {
  const site = await startSite({ tenants: ['orders'] });
  await writeNotes(site, 'orders', 3);
  changeConfig(site, { sql: { port: 0 }, peer: { port: 0 }, http: { port: 0 } });
  const refusal = await refusalOf(site.configFile);
  expect(refusal).toMatchObject({ exitCode: 1, code: 'OBS_SERVER_DIRECTORY_LOCKED' });
  expect(refusal.message).toContain(`process ${site.pid}`);
  await writeNotes(site, 'orders', 1, 4);
  expect(await notesOf(site, 'orders')).toEqual(upTo(4));
  expect((await site.api.facts()).pid, 'its announcement is still there').toBe(site.pid);
});

test('a data directory of a newer format is refused and not changed', async () => {
  const site = await startSite();
  await createTenant(site, 'orders');
  await writeNotes(site, 'orders', 3);
  await site.stop();

  const file = join(site.dataDirectory, 'site.json');
  const known = readFileSync(file, 'utf8');
  writeFileSync(file, JSON.stringify({ ...(JSON.parse(known) as object), version: 3 }));
  const newer = await refusalOf(site.configFile);
  expect(newer).toMatchObject({ exitCode: 1, code: 'OBS_SERVER_FORMAT_NEWER' });
  expect(newer.message).toContain('site.json has format version 3');
  writeFileSync(file, '{"format":"somebody');
  expect(await refusalOf(site.configFile)).toMatchObject({ code: 'OBS_SERVER_DIRECTORY_FOREIGN' });
  writeFileSync(file, known);

  await site.start();
  expect(await notesOf(site, 'orders')).toEqual(upTo(3));
});
