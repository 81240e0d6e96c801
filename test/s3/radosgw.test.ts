/** The archive on a real S3 server: Ceph's gateway, started here, or the one S3_ENDPOINT names. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Archiver } from '../../src/archive/archiver.ts';
import { EpochFence } from '../../src/archive/epoch-fence.ts';
import { openObjectStore } from '../../src/archive/open-store.ts';
import { ArchiveReader } from '../../src/archive/restore-reader.ts';
import { verifyArchive } from '../../src/archive/verify.ts';
import { logStreamId, lsn, roleEpoch } from '../../src/base/scalars.ts';
import { nodeClock } from '../../src/platform/clock.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import type { ObjectStore } from '../../src/platform/object-store.ts';
import { nodeRandom } from '../../src/platform/random.ts';
import { MemoryClog } from '../support/memory-clog.ts';
import { isPresent } from '../support/requirement.ts';
import {
  s3ServerPrograms,
  type S3ServerSettings,
  startS3Server,
  stopS3Server,
} from '../support/s3-server.ts';
import { conformsAsObjectStore } from '../support/store-conformance.ts';

const given = process.env['S3_ENDPOINT'];
const runs = given !== undefined || isPresent('the archive on a real S3 server', s3ServerPrograms);

describe.runIf(runs)('on a real S3 server', () => {
  let directory: string;
  let settings: S3ServerSettings;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'obs-s3-'));
    settings =
      given === undefined
        ? await startS3Server(directory, 9_410)
        : {
            endpoint: given,
            accessKeyId: process.env['AWS_ACCESS_KEY_ID'] ?? '',
            secretAccessKey: process.env['AWS_SECRET_ACCESS_KEY'] ?? '',
          };
  });
  afterAll(async () => {
    await stopS3Server(directory, true);
    await rm(directory, { recursive: true, force: true });
  });

  const open = (bucket: string, prefix: string): Promise<ObjectStore> =>
    openObjectStore(`s3://${bucket}/${prefix}?endpoint=${settings.endpoint}&create=true`, {
      clock: nodeClock,
      random: nodeRandom,
      variables: {
        AWS_ACCESS_KEY_ID: settings.accessKeyId,
        AWS_SECRET_ACCESS_KEY: settings.secretAccessKey,
      },
      access: 'write',
    });

  conformsAsObjectStore('a real S3 bucket', () => open('conformance', 'some/where'));

  test('a versioned bucket is refused', async () => {
    await (await open('versioned', 'a')).close();
    const client = new S3Client({
      endpoint: settings.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: settings.accessKeyId, secretAccessKey: settings.secretAccessKey },
    });
    const versioning = { Bucket: 'versioned', VersioningConfiguration: { Status: 'Enabled' as const } };
    await client.send(new PutBucketVersioningCommand(versioning));
    client.destroy();
    await expect(open('versioned', 'a')).rejects.toMatchObject({ code: 'OBS_ARCHIVE_BUCKET_VERSIONED' });
  });

  test('wrong keys are refused at once', async () => {
    const variables = { AWS_ACCESS_KEY_ID: settings.accessKeyId, AWS_SECRET_ACCESS_KEY: 'wrong' };
    const location = `s3://conformance/a?endpoint=${settings.endpoint}`;
    await expect(
      openObjectStore(location, { clock: nodeClock, random: nodeRandom, variables, access: 'write' }),
    ).rejects.toMatchObject({ code: 'OBS_ARCHIVE_DENIED' });
  });

  test('log is archived, read back, claimed by another site and continued without a gap', async () => {
    const store = await open('archive', nodeRandom.uuid());
    const tenant = { name: 't', incarnation: nodeRandom.uuid(), stream: logStreamId(1001) };
    let fenced = 0;
    const archiverOf = (log: MemoryClog, epoch: number, siteId: string) =>
      new Archiver({
        log,
        store,
        tenant,
        epoch: roleEpoch(epoch),
        siteId,
        operationId: siteId,
        openedAt: null,
        binding: 'Mandatory',
        pieceSwitchIntervalMs: 86_400_000,
        lagTargetMs: 20,
        clock: nodeClock,
        random: nodeRandom,
        logger: silentLogger,
        onFenced: () => {
          fenced += 1;
        },
        onFatal: error => {
          throw error;
        },
      });
    const north = new MemoryClog();
    const old = archiverOf(north, 1, 'north');
    old.start();
    for (let turn = 0; turn < 5; turn += 1) {
      north.append('redo', nodeRandom.bytes(20_000), Date.now() * 1_000);
      await old.flushTo(north.commit().lsn, 20_000);
    }
    const south = north.copyUpTo(north.state().end.lsn, 2);
    const fence = new EpochFence({ store, tenant, siteId: 'south', clock: nodeClock, random: nodeRandom });
    const claims = ['a', 'b', 'c', 'd'].map(operationId =>
      fence.claimEpoch({ epoch: roleEpoch(2), operationId }),
    );
    const kinds = (await Promise.all(claims)).map(({ kind }) => kind);
    expect(kinds.filter(kind => kind === 'claimed').length).toBe(1);
    north.append('redo', nodeRandom.bytes(100), Date.now() * 1_000);
    await expect(old.flushTo(north.commit().lsn, 20_000)).rejects.toMatchObject({
      code: 'OBS_ARCHIVE_FENCED',
    });
    expect(fenced).toBe(1);
    const next = archiverOf(south, 2, 'south');
    next.start();
    south.append('redo', nodeRandom.bytes(100), Date.now() * 1_000);
    await next.flushTo(south.commit().lsn, 20_000);
    next.close();
    const reader = new ArchiveReader({ store, clock: nodeClock });
    const parts: Uint8Array[] = [];
    for (let at = lsn(0); ; ) {
      const chunk = await reader.read(at, 50_000);
      if (chunk === undefined) break;
      parts.push(chunk.bytes);
      at = chunk.end.lsn;
    }
    expect(Buffer.compare(Buffer.concat(parts), south.bytes())).toBe(0);
    expect(await verifyArchive(store, tenant)).toMatchObject({ problems: [], holes: [] });
    await store.close();
  });
});
