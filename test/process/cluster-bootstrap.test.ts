/** Servers that become a cluster, or are refused: what is wrong is said by name, and nothing is changed by it. */
import { chmodSync, cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { freePort } from '../../src/client/free-port.ts';
import { LocalSite } from '../../src/client/local-site.ts';
import { obstandby } from '../support/command.ts';
import { atEnd, endAll, failureOf, startSite, temporaryDirectory } from '../support/lone-site.ts';

afterEach(endAll);

interface Waiting {
  readonly site: LocalSite;
  readonly address: string;
}

const secretText = 'a secret of more than thirty-two bytes for tests';

/** A server with a cluster secret that was not started yet. */
async function member(
  parent: string,
  index: number,
  options: { readonly secret?: string; readonly settings?: Readonly<Record<string, object | string>> } = {},
): Promise<Waiting> {
  const secretFile = join(parent, `secret-${index}`);
  writeFileSync(secretFile, options.secret ?? secretText, { mode: 0o600 });
  const port = await freePort();
  const site = new LocalSite(`server-${index}`, parent, process.env, {
    clusterName: 'rome',
    zone: `zone${index}`,
    cluster: { port, secretFile },
    ...options.settings,
  });
  atEnd(() => site.kill());
  return { site, address: `127.0.0.1:${port}` };
}

async function waiting(count: number, parent = temporaryDirectory()): Promise<Waiting[]> {
  const members = await Promise.all(Array.from({ length: count }, (_, index) => member(parent, index + 1)));
  await Promise.all(members.map(({ site }) => site.start()));
  return members;
}

const addressesOf = (members: readonly Waiting[]): string[] => members.map(({ address }) => address);
const bootstrap = (site: LocalSite, servers: readonly string[]): Promise<{ clusterId: string }> =>
  site.api.call('cluster-bootstrap', { servers });
const at = (members: readonly Waiting[], index: number): Waiting => {
  const found = members[index];
  if (found === undefined) throw new Error(`no server ${index}`);
  return found;
};

test('servers wait, say so, become one cluster by one command, and refuse it the second time', async () => {
  const members = await waiting(3);
  const [first] = [at(members, 0).site];
  const health = await fetch(`http://${first.addresses.httpAddress}/health`);
  expect(await health.json()).toEqual({ ok: true, state: 'WAITING' });
  const status = await obstandby(first, 'status');
  expect(status).toMatchObject({
    exitCode: 4,
    body: {
      server: { state: 'WAITING' },
      tenants: [],
      nextSteps: [expect.stringContaining('cluster bootstrap')],
    },
  });
  expect(await failureOf(first.api.call('tenant-create', { name: 'shop' }))).toMatchObject({
    code: 'OBS_CLUSTER_NOT_BOOTSTRAPPED',
  });

  const list = addressesOf(members).join(',');
  const made = await obstandby(first, 'cluster', 'bootstrap', '--servers', list);
  expect(made).toMatchObject({ exitCode: 0, body: { ok: true, serves: true, missing: [] } });
  await Promise.all(members.map(({ site }) => site.serving()));
  const again = await obstandby(at(members, 1).site, 'cluster', 'bootstrap', '--servers', list);
  expect(again).toMatchObject({ exitCode: 3, body: { error: { code: 'OBS_CLUSTER_BOOTSTRAPPED' } } });

  const shown = await obstandby(at(members, 2).site, 'cluster', 'status');
  expect(shown.body).toMatchObject({
    clusterId: made.body['clusterId'],
    servers: addressesOf(members).map(address => ({ address, status: 'ACTIVE' })),
    tenants: [{ name: 'sys', locality: 'FULL{1}@zone1, FULL{1}@zone2, FULL{1}@zone3' }],
    problem: null,
    nextSteps: [],
  });
});

test('a bootstrap whose server was killed in the middle is ended by the same command', async () => {
  const members = await waiting(3);
  const list = addressesOf(members);
  const [coordinator, other] = [at(members, 0).site, at(members, 1).site];
  const running = bootstrap(coordinator, list).catch(() => {});
  await coordinator.kill();
  await running;
  await coordinator.start();
  // Whatever had happened: it is made, or it is made now.
  const outcome = await bootstrap(coordinator, list).catch((error: unknown) => error);
  if (outcome instanceof Error) expect(outcome).toMatchObject({ code: 'OBS_CLUSTER_BOOTSTRAPPED' });
  await Promise.all(members.map(({ site }) => site.serving()));
  const ids = await Promise.all([coordinator, other].map(async site => (await site.api.facts()).siteId));
  expect(new Set(ids).size).toBe(1);
});

test('a server with another secret, of another cluster, or that does not answer is named', async () => {
  const parent = temporaryDirectory();
  const members = await waiting(2, parent);
  const [first, second] = [at(members, 0), at(members, 1)];
  const stranger = await member(parent, 3, { secret: 'another secret of more than thirty-two bytes' });
  const silent = await member(parent, 4);
  await stranger.site.start();
  const refusal = (...others: Waiting[]): Promise<Error & Record<string, unknown>> =>
    failureOf(bootstrap(first.site, [first.address, ...addressesOf(others)]));

  const wrong = await refusal(second, stranger);
  expect(wrong).toMatchObject({ code: 'OBS_NODE_SECRET' });
  expect(wrong.message).toContain(stranger.address);
  const absent = await refusal(second, silent);
  expect(absent).toMatchObject({ code: 'OBS_CLUSTER_SERVER_UNREACHABLE' });
  expect(absent.message).toContain(silent.address);

  await bootstrap(second.site, [second.address]);
  await second.site.serving();
  const taken = await refusal(second);
  expect(taken).toMatchObject({ code: 'OBS_CLUSTER_SERVER_OTHER_CLUSTER' });
  expect(taken.message).toContain(second.address);
  // Nothing of it was kept: the first can still be made a cluster of its own.
  await bootstrap(first.site, [first.address]);
  await first.site.serving();
  const joining = await failureOf(second.site.api.call('cluster-add-server', { server: first.address }));
  expect(joining).toMatchObject({ code: 'OBS_CLUSTER_SERVER_OTHER_CLUSTER' });
});

test('a data directory of another server, and cluster files that cannot be read, keep a server from starting', async () => {
  const parent = temporaryDirectory();
  const members = await waiting(2, parent);
  const [one, two] = [at(members, 0).site, at(members, 1).site];
  await bootstrap(one, addressesOf(members));
  await Promise.all(members.map(({ site }) => site.serving()));
  await Promise.all([one.stop(), two.stop()]);

  const kept = `${two.dataDirectory}.kept`;
  renameSync(two.dataDirectory, kept);
  cpSync(one.dataDirectory, two.dataDirectory, { recursive: true });
  const foreign = await failureOf(two.start());
  expect(foreign).toMatchObject({ code: 'OBS_CLUSTER_DIRECTORY_OTHER_NODE' });
  expect(foreign.message).toContain(`it belongs to the server at ${at(members, 0).address}`);
  rmSync(two.dataDirectory, { recursive: true });
  renameSync(kept, two.dataDirectory);

  const file = join(two.dataDirectory, 'cluster.json');
  const text = readFileSync(file, 'utf8');
  cpSync(join(one.dataDirectory, 'cluster.json'), file);
  expect(await failureOf(two.start())).toMatchObject({ code: 'OBS_CLUSTER_DIRECTORY_OTHER_NODE' });
  writeFileSync(file, text.replace('"version":1', '"version":9'));
  expect(await failureOf(two.start())).toMatchObject({ code: 'OBS_SERVER_FORMAT_NEWER' });
  writeFileSync(file, text.slice(0, 40));
  expect(await failureOf(two.start())).toMatchObject({ code: 'OBS_CLUSTER_FILE_DAMAGED' });
  writeFileSync(file, text);

  const secret = join(parent, 'secret-2');
  chmodSync(secret, 0o644);
  expect(await failureOf(two.start())).toMatchObject({ code: 'OBS_CLUSTER_SECRET_FILE' });
  chmodSync(secret, 0o600);
  await Promise.all([one.start(), two.start()]);
  await vi.waitFor(async () => {
    const { servers } = await one.api.call<{ servers: unknown[] }>('cluster-status', {});
    expect(servers).toHaveLength(2);
  }, 30_000);
});

test('a server of its own takes a secret and then other servers', async () => {
  const alone = await startSite({ name: 'alone', tenants: ['shop'] });
  const refusal = await failureOf(alone.api.call('cluster-add-server', { server: '127.0.0.1:1' }));
  expect(refusal).toMatchObject({ code: 'OBS_CLUSTER_OF_ONE' });
  expect(await failureOf(alone.api.call('cluster-bootstrap', { servers: ['127.0.0.1:1'] }))).toMatchObject({
    code: 'OBS_CLUSTER_BOOTSTRAPPED',
  });
  await alone.stop();
  const { siteId } = JSON.parse(readFileSync(join(alone.dataDirectory, 'site.json'), 'utf8')) as {
    siteId: string;
  };

  const parent = temporaryDirectory();
  const grown = await member(parent, 1, { settings: { clusterName: 'alone', zone: 'zone1' } });
  cpSync(alone.dataDirectory, grown.site.dataDirectory, { recursive: true });
  await grown.site.start();
  expect((await grown.site.api.facts()).siteId).toBe(siteId);
  const second = await member(parent, 2, { settings: { clusterName: 'alone', zone: 'zone2' } });
  await second.site.start();
  await grown.site.api.call('cluster-add-server', { server: second.address });
  await second.site.serving();
  await second.site.api.call('tenant-alter', { name: 'shop', locality: 'F@zone1, F@zone2' });
  await second.site.api.call('tenant-alter', { name: 'sys', locality: 'F@zone1, F@zone2' });
  const info = await obstandby(second.site, 'status', 'shop');
  expect(info.body).toMatchObject({
    placement: { locality: 'FULL{1}@zone1, FULL{1}@zone2', previousLocality: null },
  });
});
