/** Who a server is: its directory, its cluster file and its secret, and what does not belong together. */
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ErrorCode } from '../../src/base/catalogue.ts';
import { isObError } from '../../src/base/errors.ts';
import { noArbitration } from '../../src/cluster/root/arbitration.ts';
import { nodeId } from '../../src/base/scalars.ts';
import { drawClusterSecret, joinBox, readClusterSecret } from '../../src/cluster/root/cluster-secret.ts';
import { nodeDisk } from '../../src/platform/disk.ts';
import { nodeRandom } from '../../src/platform/random.ts';
import { clusterIdentity } from '../../src/server/cluster-identity.ts';
import { type DataDirectory, openDataDirectory } from '../../src/server/data-directory.ts';

let root: string;
const open: DataDirectory[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'obstandby-identity-'));
});
afterEach(() => {
  for (const directory of open.splice(0)) directory.release();
  rmSync(root, { recursive: true, force: true });
});

async function directoryAt(name: string): Promise<DataDirectory> {
  const directory = await openDataDirectory(join(root, name), nodeDisk, nodeRandom, 5);
  open.push(directory);
  return directory;
}

const close = (directory: DataDirectory): void => {
  open.splice(open.indexOf(directory), 1);
  directory.release();
};

const clusterId = '11111111-1111-4111-8111-111111111111';
const key = new Uint8Array(32).fill(9);

/** A directory that is part of a cluster of itself and one other server. */
async function memberAt(name: string, address: string): Promise<DataDirectory> {
  const directory = await directoryAt(name);
  const servers = [
    { nodeId: directory.nodeId, address, zone: 'z1', region: 'r' },
    { nodeId: nodeId('the-other'), address: '10.0.0.9:2885', zone: 'z2', region: 'r' },
  ];
  await directory.join(
    { clusterId, nodeId: directory.nodeId, servers, sysNodes: [directory.nodeId], firstSysNodes: [] },
    key,
  );
  return directory;
}

async function refusal(attempt: () => unknown): Promise<{ code: ErrorCode; message: string }> {
  try {
    await attempt();
  } catch (error) {
    if (isObError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('it was accepted');
}

const secretFile = (text: string, mode = 0o600): string => {
  const file = join(root, 'secret');
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
};
const door = (port: number, file: string | null) => ({
  zone: 'z1',
  cluster: {
    host: '10.0.0.1',
    port,
    advertise: null,
    secretFile: file,
    tlsCertFile: null,
    tlsKeyFile: null,
    tlsCaFile: null,
  },
});

test('a directory has a node id for ever, also one that was made before there were any', async () => {
  const first = await directoryAt('a');
  const { nodeId: node, siteId } = first;
  close(first);
  const file = join(root, 'a', 'site.json');
  const again = await directoryAt('a');
  expect([again.nodeId, again.siteId, again.cluster]).toEqual([node, siteId, null]);
  close(again);
  const { createdMs } = JSON.parse(readFileSync(file, 'utf8')) as { createdMs: number };
  writeFileSync(file, JSON.stringify({ format: 'obstandby-site', version: 1, siteId, createdMs }));
  const old = await directoryAt('a');
  expect(old.siteId).toBe(siteId);
  const given = old.nodeId;
  close(old);
  expect((await directoryAt('a')).nodeId).toBe(given);
});

test('a member is known by the id of its cluster and keeps its key', async () => {
  const member = await memberAt('a', '10.0.0.1:2885');
  const { nodeId: node } = member;
  close(member);
  const again = await directoryAt('a');
  expect(again).toMatchObject({ siteId: clusterId, nodeId: node, cluster: { clusterId, nodeId: node } });
  expect(Buffer.from(again.secretKey)).toEqual(Buffer.from(key));
  const servers = [{ nodeId: node, address: '10.0.0.1:2885', zone: 'z1', region: 'r' }];
  const arbitration = { ...noArbitration, arbiter: { nodeId: nodeId('z'), address: '10.0.1.1:2887' } };
  await again.remember(servers, [node, nodeId('new')], arbitration);
  close(again);
  expect((await directoryAt('a')).cluster).toMatchObject({ servers, sysNodes: [node, 'new'], arbitration });
});

test('what a directory holds of its own is told', async () => {
  const directory = await directoryAt('a');
  expect(await directory.contents()).toBeNull();
  mkdirSync(join(root, 'a', 'tenants', '1002'), { recursive: true });
  expect(await directory.contents()).toBe('the files of tenant 1002');
});

test('the cluster file of another server, a newer one and a damaged one are refused', async () => {
  close(await memberAt('a', '10.0.0.1:2885'));
  close(await directoryAt('b'));
  const file = join(root, 'a', 'cluster.json');
  copyFileSync(file, join(root, 'b', 'cluster.json'));
  const foreign = await refusal(() => directoryAt('b'));
  expect(foreign.code).toBe('OBS_CLUSTER_DIRECTORY_OTHER_NODE');
  expect(foreign.message).toContain('its cluster.json is that of node');
  writeFileSync(file, '{"format":"obstandby-cluster","version":7}');
  expect(await refusal(() => directoryAt('a'))).toMatchObject({
    code: 'OBS_SERVER_FORMAT_NEWER',
    message: expect.stringContaining('cluster.json has format version 7') as string,
  });
  writeFileSync(file, '{"format":"obstandby-cl');
  expect(await refusal(() => directoryAt('a'))).toMatchObject({ code: 'OBS_CLUSTER_FILE_DAMAGED' });
});

test('a directory under the address or the zone of another server is refused', async () => {
  const member = await memberAt('a', '10.0.0.1:2885');
  const file = secretFile(drawClusterSecret(nodeRandom));
  expect(clusterIdentity(door(2885, file), member)).toMatchObject({ address: '10.0.0.1:2885' });
  expect(await refusal(() => clusterIdentity(door(2999, file), member))).toMatchObject({
    code: 'OBS_CLUSTER_DIRECTORY_OTHER_NODE',
    message: expect.stringContaining(
      'it belongs to the server at 10.0.0.1:2885, this one is configured as 10.0.0.1:2999',
    ) as string,
  });
  const moved = { ...door(2885, file), zone: 'z5' };
  expect(await refusal(() => clusterIdentity(moved, member))).toMatchObject({
    code: 'OBS_CLUSTER_ZONE_MISMATCH',
  });
  expect(await refusal(() => clusterIdentity(door(2885, null), member))).toMatchObject({
    code: 'OBS_CLUSTER_DIRECTORY_OTHER_MODE',
  });
  expect(clusterIdentity(door(2885, null), await directoryAt('b'))).toBeNull();
});

test('a secret file must be there, private and long enough', async () => {
  const secret = drawClusterSecret(nodeRandom);
  expect(readClusterSecret(secretFile(`${secret}\n`))).toBe(secret);
  const why = async (file: string): Promise<string> => (await refusal(() => readClusterSecret(file))).message;
  expect(await why(join(root, 'nowhere'))).toContain('ENOENT');
  expect(await why(secretFile(secret, 0o640))).toContain('other users may open it (mode 0640, wanted 0600)');
  expect(await why(secretFile('short'))).toContain('it is shorter than 32 bytes');
  expect(await why(secretFile('x'.repeat(5000)))).toContain('it is longer than');
  expect(await why(root)).toContain('it is no file');
});

test('a key handed over opens with the same secret and for the same cluster alone', () => {
  const sealed = joinBox('secret one', clusterId, nodeRandom).seal('key', 'join');
  expect(joinBox('secret one', clusterId, nodeRandom).open(sealed, 'join')).toBe('key');
  expect(() => joinBox('secret two', clusterId, nodeRandom).open(sealed, 'join')).toThrow();
  expect(() => joinBox('secret one', 'other', nodeRandom).open(sealed, 'join')).toThrow();
});
