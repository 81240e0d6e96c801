/** An arbiter over real connections: many clusters behind one door, each known by its name and its secret, none without being adopted. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isObError } from '../../../src/base/errors.ts';
import { monoMs, type NodeId, nodeId, proposalId, scn } from '../../../src/base/scalars.ts';
import { firstRecord } from '../../../src/codec/config-record.ts';
import type { PalfMessage } from '../../../src/codec/palf-message.ts';
import { decodePalfMessage, encodePalfMessage } from '../../../src/codec/palf-message-codec.ts';
import { ArbiterService } from '../../../src/logstream/arbiter/arbiter-service.ts';
import { nodeClock } from '../../../src/platform/clock.ts';
import { type Disk, nodeDisk } from '../../../src/platform/disk.ts';
import { silentLogger } from '../../../src/platform/logger.ts';
import { type NetAddress, nodeNet } from '../../../src/platform/net.ts';
import { nodeRandom } from '../../../src/platform/random.ts';
import { afterwards, key, startNode, stopNodes, type TestNode, until } from '../../support/nodes.ts';

const secrets = {
  rome: 'the secret of rome, which is long enough',
  oslo: 'the secret of oslo, which is long too',
};
const leaseMs = 300;
let directory = '';
const fatal: unknown[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'obstandby-arbiter-'));
  fatal.length = 0;
});
afterEach(async () => {
  await stopNodes();
  rmSync(directory, { recursive: true, force: true });
  expect(fatal).toEqual([]);
});

interface Running {
  readonly service: ArbiterService;
  readonly address: NetAddress;
  stop(): Promise<void>;
}

async function startArbiter(port = 0, disk: Disk = nodeDisk): Promise<Running> {
  const service = await ArbiterService.open({
    disk,
    net: nodeNet,
    clock: nodeClock,
    random: nodeRandom,
    logger: silentLogger,
    directory,
    listen: { host: '127.0.0.1', port },
    tls: null,
    clusters: Object.entries(secrets).map(([name, secret]) => ({ name, secret })),
    version: '1',
    onFatal: error => fatal.push(error),
  });
  const address = await service.start();
  let stopped: Promise<void> | null = null;
  const stop = (): Promise<void> => (stopped ??= service.stop());
  afterwards(stop);
  return { service, address, stop };
}

type Name = keyof typeof secrets;
const idOf = (name: Name): string => `${name}-id`;
const server = (id: string, name: Name, options = {}): Promise<TestNode> =>
  startNode(id, { clusterName: name, cluster: () => idOf(name), secret: secrets[name], ...options });

const ask = (from: TestNode, { address }: Running, op: string, body: object = {}): Promise<unknown> =>
  from.links.requestAt(address, op, body, { timeoutMs: 5_000 });
const adopt = (from: TestNode, arbiter: Running, name: Name): Promise<unknown> =>
  ask(from, arbiter, 'arbiter.adopt', { clusterId: idOf(name), leaseMs });

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return 'none';
  } catch (error) {
    if (isObError(error)) return error.code;
    throw error;
  }
};

/** Tells the server where the arbiter is, and waits for the link. */
async function link(from: TestNode, { service, address }: Running): Promise<void> {
  from.links.setNodes([{ id: service.nodeId, address }]);
  await until(() => from.links.connected(service.nodeId));
}

/** Sends messages of one stream, and collects the answers. */
function voter(from: TestNode, arbiter: () => NodeId, stream = 1_001, tenant = 1_005) {
  const answers: PalfMessage[] = [];
  const off = from.links.onMessages(key(stream, tenant), (_, payload) => {
    const message = decodePalfMessage(payload);
    if (message.kind !== 'problem') answers.push(message);
  });
  afterwards(off);
  return {
    answers,
    off,
    say: (message: PalfMessage) =>
      from.links.send(arbiter(), key(stream, tenant), encodePalfMessage(message)),
  };
}

const prepare = (proposal: number): PalfMessage => ({
  kind: 'prepare',
  leaseMs,
  proposal: proposalId(proposal),
  sentAt: monoMs(1),
  version: { proposalId: proposalId(0), sequence: 1 },
  released: proposalId(0),
});

const record = (members: readonly string[], arbiter: NodeId) =>
  firstRecord({
    members: members.map(nodeId),
    learners: [],
    arbiter,
    accessMode: 'APPEND',
    referenceScn: scn(1),
  });

test('two clusters behind one door: each with its secret, neither hears of the other', async () => {
  const arbiter = await startArbiter();
  const rome = await server('rome-1', 'rome');
  const oslo = await server('oslo-1', 'oslo');
  expect(await ask(rome, arbiter, 'arbiter.describe')).toMatchObject({
    format: 'obstandby-arbiter',
    clusterName: 'rome',
    clusterId: null,
    nodeId: arbiter.service.nodeId,
  });
  await adopt(rome, arbiter, 'rome');
  await adopt(oslo, arbiter, 'oslo');
  await link(rome, arbiter);
  await link(oslo, arbiter);
  const asked = [rome, oslo].map(node => voter(node, () => arbiter.service.nodeId));
  // The same tenant and stream, in two clusters: two votes.
  for (const { say } of asked) say(prepare(3));
  await until(() => asked.every(({ answers }) => answers.length === 1));
  expect(asked.map(({ answers }) => answers[0]?.kind)).toEqual(['promise', 'promise']);
  expect(arbiter.service.status().clusters).toMatchObject([
    { name: 'rome', clusterId: 'rome-id', streams: 1, connectedServers: 1, messages: 1 },
    { name: 'oslo', clusterId: 'oslo-id', streams: 1, connectedServers: 1, messages: 1 },
  ]);
});

test('who has not the secret, says no name or an unknown one, or is another cluster of the name, is refused', async () => {
  const arbiter = await startArbiter();
  const rome = await server('rome-1', 'rome');
  await adopt(rome, arbiter, 'rome');
  const describe = async (options: object): Promise<string> => {
    const stranger = await server(`stranger-${Math.random()}`, 'rome', options);
    return codeOf(ask(stranger, arbiter, 'arbiter.describe'));
  };
  expect(await describe({ secret: secrets.oslo })).toBe('OBS_NODE_SECRET');
  expect(await describe({ clusterName: 'kyoto' })).toBe('OBS_ARBITER_NO_SUCH_CLUSTER');
  expect(await describe({ clusterName: undefined })).toBe('OBS_ARBITER_NO_SUCH_CLUSTER');
  expect(await describe({ cluster: () => 'another rome' })).toBe('OBS_NODE_OTHER_CLUSTER');
  expect(await codeOf(ask(rome, arbiter, 'arbiter.adopt', { clusterId: 'x', leaseMs }))).toBe(
    'OBS_ARBITER_OTHER_CLUSTER',
  );
  expect(await codeOf(ask(rome, arbiter, 'arbiter.adopt', { clusterId: 'rome-id', leaseMs: 0 }))).toBe(
    'OBS_NODE_BAD_REQUEST',
  );
});

test('two clusters of one name that adopt it at once: one of them has it', async () => {
  const arbiter = await startArbiter();
  const ids = ['one', 'two'];
  const servers = await Promise.all(
    ids.map((id, index) => server(`rome-${index}`, 'rome', { cluster: () => id })),
  );
  const outcomes = await Promise.all(
    servers.map((each, index) =>
      codeOf(ask(each, arbiter, 'arbiter.adopt', { clusterId: ids[index], leaseMs })),
    ),
  );
  const won = outcomes.indexOf('none');
  expect(won).toBeGreaterThanOrEqual(0);
  expect(outcomes[1 - won]).toMatch(/^OBS_(ARBITER|NODE)_OTHER_CLUSTER$/);
  expect(arbiter.service.status().clusters[0]?.clusterId).toBe(ids[won]);
});

test('before it is adopted it lets itself be asked, and votes in nothing', async () => {
  const arbiter = await startArbiter();
  const rome = await server('rome-1', 'rome');
  rome.links.setNodes([{ id: arbiter.service.nodeId, address: arbiter.address }]);
  await until(() => rome.links.status().nodes[0]?.problem?.code === 'OBS_NODE_OTHER_CLUSTER');
  expect(rome.links.connected(arbiter.service.nodeId)).toBe(false);
  await adopt(rome, arbiter, 'rome');
  await until(() => rome.links.connected(arbiter.service.nodeId));
});

test('what it promised holds over a restart: a lower proposal gets nothing, and nobody a vote within a lease', async () => {
  const first = await startArbiter();
  const self = first.service.nodeId;
  const rome = await server('rome-1', 'rome');
  await adopt(rome, first, 'rome');
  await link(rome, first);
  const one = voter(rome, () => self);
  const config = record(['rome-1', 'rome-2'], self);
  one.say({
    kind: 'config',
    proposal: proposalId(7),
    record: config,
    start: { lsn: 0 as never, scn: scn(0), checksum: 0 },
    barrier: 0 as never,
  });
  await until(() => one.answers.some(({ kind }) => kind === 'config-ack'));
  one.off();
  await first.stop();

  const second = await startArbiter(first.address.port);
  expect(second.service.nodeId).toBe(self);
  expect(second.service.status().clusters[0]).toMatchObject({ clusterId: 'rome-id', streams: 1, leaseMs });
  await until(() => rome.links.connected(self));
  const restartedAt = nodeClock.now();
  const two = voter(rome, () => self);
  await until(
    () => two.answers.some(({ kind }) => kind === 'reject'),
    () => two.say(prepare(6)),
  );
  expect(nodeClock.now() - restartedAt).toBeGreaterThan(leaseMs / 2);
  expect(two.answers.every(({ kind }) => kind === 'reject')).toBe(true);
  expect(two.answers[0]).toMatchObject({ promised: 7 });
  const page = (await ask(rome, second, 'arbiter.streams', { after: 0 })) as { streams: unknown[] };
  expect(page.streams).toMatchObject([
    {
      key: { tenantId: 1005, stream: 1001 },
      image: { promised: 7, config: { members: ['rome-1', 'rome-2'] } },
    },
  ]);
});

test('a tenant that is gone is forgotten, and a cluster that lets it go altogether', async () => {
  const arbiter = await startArbiter();
  const rome = await server('rome-1', 'rome');
  await adopt(rome, arbiter, 'rome');
  await link(rome, arbiter);
  const voters = [1_006, 1_007].map(tenant => voter(rome, () => arbiter.service.nodeId, 1_001, tenant));
  for (const { say } of voters) say(prepare(3));
  await until(() => voters.every(({ answers }) => answers.length === 1));
  await ask(rome, arbiter, 'arbiter.forget', { tenants: [1_006] });
  expect(arbiter.service.status().clusters[0]?.streams).toBe(1);
  await ask(rome, arbiter, 'arbiter.release', { clusterId: 'rome-id' });
  expect(arbiter.service.status().clusters[0]).toMatchObject({ clusterId: null, streams: 0 });
  await arbiter.stop();
  const again = await startArbiter();
  expect(again.service.status().clusters[0]).toMatchObject({ clusterId: null, streams: 0 });
});

/** The real disk, on which durable writes wait for the gate, if there is one. */
function gatedDisk() {
  const gated = {
    gate: undefined as Promise<void> | undefined,
    waiting: 0,
    disk: {
      ...nodeDisk,
      open: async (...given: Parameters<Disk['open']>) => {
        const file = await nodeDisk.open(...given);
        return {
          path: file.path,
          writeDurable: async (position: number, parts: readonly Uint8Array[]): Promise<void> => {
            gated.waiting += 1;
            await gated.gate;
            gated.waiting -= 1;
            await file.writeDurable(position, parts);
          },
          read: (position: number, length: number) => file.read(position, length),
          write: (position: number, bytes: Uint8Array) => file.write(position, bytes),
          sync: () => file.sync(),
          truncate: (length: number) => file.truncate(length),
          size: () => file.size(),
          close: () => file.close(),
        };
      },
    } satisfies Disk,
  };
  return gated;
}

test.for(['forget', 'release'])('a stream stays forgotten that was being noted then (%s)', async how => {
  const gated = gatedDisk();
  const arbiter = await startArbiter(0, gated.disk);
  const rome = await server('rome-1', 'rome');
  await adopt(rome, arbiter, 'rome');
  await link(rome, arbiter);
  const { say, answers } = voter(rome, () => arbiter.service.nodeId);
  const notedBytes = ({ service }: Running): number => service.status().journal.liveBytes;
  const before = notedBytes(arbiter);
  const gate = Promise.withResolvers<void>();
  gated.gate = gate.promise;
  say(prepare(3));
  await until(() => gated.waiting === 1);
  // It waits for the first to be durable.
  say(prepare(4));
  await until(() => arbiter.service.status().clusters[0]?.messages === 2);
  const gone =
    how === 'forget'
      ? ask(rome, arbiter, 'arbiter.forget', { tenants: [1_005] })
      : ask(rome, arbiter, 'arbiter.release', { clusterId: 'rome-id' });
  await until(() => arbiter.service.status().clusters[0]?.streams === 0);
  gated.gate = undefined;
  gate.resolve();
  await gone;
  await arbiter.stop();
  const again = await startArbiter();
  expect(again.service.status().clusters[0]?.streams).toBe(0);
  if (how === 'forget') expect(notedBytes(again)).toBe(before);
  else expect(notedBytes(again)).toBeLessThan(before);
  expect(answers).toEqual([]);
});

test('one that lost its journal is another node: nobody takes it for the one that promised', async () => {
  const first = await startArbiter();
  const rome = await server('rome-1', 'rome');
  await adopt(rome, first, 'rome');
  await link(rome, first);
  await first.stop();
  rmSync(join(directory, 'promises.journal'));
  const wiped = await startArbiter(first.address.port);
  expect(wiped.service.nodeId).not.toBe(first.service.nodeId);
  await until(() => {
    const code = rome.links.status().nodes[0]?.problem?.code;
    return code === 'OBS_NODE_OTHER_ID' || code === 'OBS_NODE_OTHER_CLUSTER';
  });
  expect(rome.links.connected(first.service.nodeId)).toBe(false);
});

test('a thousand streams cost it about a KiB each on disk, and one write for what comes together', async () => {
  const arbiter = await startArbiter();
  const rome = await server('rome-1', 'rome');
  await adopt(rome, arbiter, 'rome');
  await link(rome, arbiter);
  const count = 1_000;
  const self = arbiter.service.nodeId;
  let acks = 0;
  for (let tenant = 1; tenant <= count; tenant += 1)
    afterwards(
      rome.links.onMessages(key(1_001, 2_000 + tenant), () => {
        acks += 1;
      }),
    );
  const writes = arbiter.service.status().journal.writes;
  const config = record(
    ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'],
    self,
  );
  for (let tenant = 1; tenant <= count; tenant += 1)
    rome.links.send(
      self,
      key(1_001, 2_000 + tenant),
      encodePalfMessage({
        kind: 'config',
        proposal: proposalId(7),
        record: config,
        start: { lsn: 0 as never, scn: scn(0), checksum: 0 },
        barrier: 0 as never,
      }),
    );
  await until(() => acks === count);
  const { journal, clusters } = arbiter.service.status();
  expect(clusters[0]?.streams).toBe(count);
  expect(journal.liveBytes / count).toBeLessThan(1_024);
  expect(journal.writes - writes).toBeLessThan(count / 10);
});

test('forgetting a cluster on a disk that fails says so', async () => {
  const arbiter = await startArbiter();
  const rome = await server('rome-1', 'rome');
  await adopt(rome, arbiter, 'rome');
  await arbiter.stop();
  const failing = {
    ...nodeDisk,
    open: async (...given: Parameters<typeof nodeDisk.open>) => {
      const file = await nodeDisk.open(...given);
      let writes = 0;
      const writeDurable = (position: number, parts: readonly Uint8Array[]): Promise<void> =>
        (writes += 1) > 2
          ? Promise.reject(Object.assign(new Error('no'), { code: 'EIO' }))
          : file.writeDurable(position, parts);
      return {
        path: file.path,
        writeDurable,
        read: (position: number, length: number) => file.read(position, length),
        write: (position: number, bytes: Uint8Array) => file.write(position, bytes),
        sync: () => file.sync(),
        truncate: (length: number) => file.truncate(length),
        size: () => file.size(),
        close: () => file.close(),
      };
    },
  };
  expect(await codeOf(ArbiterService.forget({ disk: failing, directory }, 'rome'))).toBe(
    'OBS_ARBITER_DISK_FAILED',
  );
});
