import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openObjectStore } from '../../../src/archive/open-store.ts';
import { nodeClock } from '../../../src/platform/clock.ts';
import type { ObjectStore } from '../../../src/platform/object-store.ts';
import { nodeRandom } from '../../../src/platform/random.ts';
import { type FakeBehaviour, type FakeFault, FakeS3 } from '../../support/fake-s3.ts';
import { conformsAsObjectStore } from '../../support/store-conformance.ts';

const open = (endpoint: string, more = '', timing = { requestMs: 2_000, operationMs: 4_000 }) =>
  openObjectStore(
    `s3://bucket/prefix?endpoint=${endpoint}&access_id=test-key&access_key=test-secret${more}`,
    {
      clock: nodeClock,
      random: nodeRandom,
      variables: {},
      access: 'write',
      timing,
    },
  );

let servers: FakeS3[] = [];
const start = async (behaviour: FakeBehaviour = {}): Promise<{ server: FakeS3; endpoint: string }> => {
  const server = new FakeS3(behaviour);
  servers.push(server);
  return { server, endpoint: await server.listen() };
};
afterEach(async () => {
  await Promise.all(servers.map(server => server.close()));
  servers = [];
});

conformsAsObjectStore('S3 in this process', async () => {
  const server = new FakeS3();
  const store = await open(await server.listen(), '&create=true');
  return Object.assign(store, {
    close: async () => {
      store.close = () => Promise.resolve();
      await server.close();
    },
  });
});

describe('with faults', () => {
  let server: FakeS3;
  let store: ObjectStore;
  beforeEach(async () => {
    const started = await start();
    server = started.server;
    store = await open(started.endpoint, '&create=true', { requestMs: 300, operationMs: 900 });
  });
  afterEach(() => store.close());

  const faultOnce = (method: string, fault: FakeFault) => {
    let isDone = false;
    server.faultFor = request => {
      if (isDone || request.method !== method) return undefined;
      isDone = true;
      return fault;
    };
  };
  const first = new Uint8Array([1, 2, 3]);
  const other = new Uint8Array([9]);

  test.each(['errorBefore', 'errorAfter', 'cutAfter', 'silent', 'conflict'] as const)(
    'a conditional write that meets %s is created, once',
    async fault => {
      faultOnce('PUT', fault);
      expect(await store.putIfAbsent('key', first)).toBe('created');
      expect(await store.putIfAbsent('key', other)).toBe('exists');
      expect(await store.get('key')).toEqual(first);
    },
  );

  test.each(['errorBefore', 'errorAfter', 'cutAfter', 'silent', 'conflict'] as const)(
    'a conditional write of other bytes that meets %s is told that the key exists',
    async fault => {
      await store.putIfAbsent('key', first);
      faultOnce('PUT', fault);
      expect(await store.putIfAbsent('key', other)).toBe('exists');
      expect(await store.get('key')).toEqual(first);
    },
  );

  test.each(['errorBefore', 'silent', 'cutBody'] as const)(
    'a read that meets %s is read again',
    async fault => {
      await store.put('key', nodeRandom.bytes(100_000));
      faultOnce('GET', fault);
      expect((await store.get('key'))?.length).toBe(100_000);
    },
  );

  test('a conditional write to a store that never answers is unknown after the deadline', async () => {
    server.faultFor = () => 'silent';
    await expect(store.putIfAbsent('key', first)).rejects.toMatchObject({
      code: 'OBS_ARCHIVE_OUTCOME_UNKNOWN',
      kind: 'unknown',
    });
  });

  test('other requests to a store that only fails are unavailable after the deadline', async () => {
    server.faultFor = () => 'errorBefore';
    await expect(store.get('key')).rejects.toMatchObject({ code: 'OBS_ARCHIVE_UNAVAILABLE' });
  });

  test('a refusal is told at once, and without secrets', async () => {
    server.faultFor = () => 'denied';
    const before = server.requests.length;
    const error: unknown = await store.put('key', first).catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: 'OBS_ARCHIVE_DENIED' });
    expect(server.requests.length).toBe(before + 1);
    expect(JSON.stringify(error)).not.toContain('test-secret');
    expect(store.name).not.toContain('test-');
  });

  test('a stale listing hides keys and nothing else', async () => {
    await store.put('key', first);
    server.faultFor = () => 'staleList';
    expect(await store.list('')).toEqual([]);
    expect(await store.get('key')).toEqual(first);
  });
});

test('a store that ignores write conditions is refused by name', async () => {
  const { endpoint } = await start({ ignoresConditions: true });
  await expect(open(endpoint, '&create=true')).rejects.toMatchObject({
    code: 'OBS_ARCHIVE_NO_CONDITIONAL_WRITES',
    details: { dest: `s3://bucket/prefix?endpoint=${endpoint}` },
  });
});

test('a store without conditional writes is refused', async () => {
  const { endpoint } = await start({ refusesConditions: true });
  await expect(open(endpoint, '&create=true')).rejects.toMatchObject({
    code: 'OBS_ARCHIVE_NO_CONDITIONAL_WRITES',
  });
});

test('a versioned bucket is refused, also when the store does not say so but returns version ids', async () => {
  const { endpoint, server } = await start({ versioned: true });
  await expect(open(endpoint, '&create=true')).rejects.toMatchObject({
    code: 'OBS_ARCHIVE_BUCKET_VERSIONED',
  });
  server.faultFor = ({ method, key }) => (method === 'GET' && key === '' ? 'denied' : undefined);
  await expect(open(endpoint)).rejects.toMatchObject({ code: 'OBS_ARCHIVE_BUCKET_VERSIONED' });
});

test('a missing bucket is refused unless it may be created', async () => {
  const { endpoint } = await start();
  await expect(open(endpoint)).rejects.toMatchObject({ code: 'OBS_ARCHIVE_NO_DESTINATION' });
  await (await open(endpoint, '&create=true')).close();
});
