import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { logStreamId, lsn, roleEpoch } from '../../../src/base/scalars.ts';
import { Archiver } from '../../../src/archive/archiver.ts';
import { openObjectStore } from '../../../src/archive/open-store.ts';
import { ArchiveReader } from '../../../src/archive/restore-reader.ts';
import { nodeClock } from '../../../src/platform/clock.ts';
import { silentLogger } from '../../../src/platform/logger.ts';
import type { ObjectStore } from '../../../src/platform/object-store.ts';
import { nodeRandom } from '../../../src/platform/random.ts';
import { MemoryClog } from '../../support/memory-clog.ts';

let directory: string;
let store: ObjectStore;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'obs-archive-'));
  store = await openObjectStore(`file://${directory}`, {
    clock: nodeClock,
    random: nodeRandom,
    variables: {},
    access: 'write',
  });
});

afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

const tenant = { name: 't', incarnation: 'c0ffee', stream: logStreamId(1001) };

const archiverOf = (log: MemoryClog, epoch = 1, siteId = 'north') =>
  new Archiver({
    log,
    store,
    tenant,
    epoch: roleEpoch(epoch),
    siteId,
    operationId: `operation-${epoch}`,
    openedAt: null,
    binding: 'Mandatory',
    pieceSwitchIntervalMs: 86_400_000,
    lagTargetMs: 20,
    clock: nodeClock,
    random: nodeRandom,
    logger: silentLogger,
    onFenced: () => {},
    onFatal: error => {
      throw error;
    },
  });

async function readAll(reader: ArchiveReader): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let at = (await reader.head()).begin?.lsn ?? lsn(0);
  for (;;) {
    const chunk = await reader.read(at, 1_000);
    if (chunk === undefined) break;
    parts.push(chunk.bytes);
    at = chunk.end.lsn;
  }
  return new Uint8Array(Buffer.concat(parts));
}

test('what was committed comes back from a directory byte for byte', async () => {
  const log = new MemoryClog();
  const archiver = archiverOf(log);
  archiver.start();
  for (let round = 0; round < 5; round += 1) {
    for (let n = 0; n < 20; n += 1)
      log.append('redo', Buffer.from(`change ${round}.${n}`), Date.now() * 1_000);
    log.append('keep-alive', new Uint8Array(0), Date.now() * 1_000);
    const end = log.commit();
    await archiver.flushTo(end.lsn, 5_000);
  }
  const reader = new ArchiveReader({ store, clock: nodeClock, identity: { incarnation: 'c0ffee' } });
  expect(Buffer.compare(await readAll(reader), log.bytes())).toBe(0);
  expect(archiver.status()).toMatchObject({ state: 'DOING', lagBytes: 0, comment: '' });
  expect(log.heldFrom()).toEqual([log.state().end.lsn]);
  await archiver.stop();
  expect((await reader.head()).rounds.map(({ status }) => status)).toEqual(['STOP']);
});
