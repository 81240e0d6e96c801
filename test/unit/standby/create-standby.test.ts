/** Making a standby from a hot copy: the copy, its checkpoint, and the log that makes it whole. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type Lsn, lsn, scn } from '../../../src/base/scalars.ts';
import type { LogStream } from '../../../src/logstream/log-stream.ts';
import { nodeClock } from '../../../src/platform/clock.ts';
import { nodeDisk } from '../../../src/platform/disk.ts';
import { silentLogger } from '../../../src/platform/logger.ts';
import { nodeRandom } from '../../../src/platform/random.ts';
import {
  type CopiedCheckpoint,
  type CreatedStandby,
  createStandby,
} from '../../../src/standby/create-standby.ts';
import type { SnapshotSource } from '../../../src/standby/network/peer-tenant.ts';
import {
  append,
  closeSites,
  connect,
  incarnation,
  networkTo,
  openLog,
  serve,
  temporaryDirectory,
  testTenant,
} from '../../support/peer-sites.ts';

afterEach(closeSites);

const pageBytes = 4_096;
const fileOf = (pages: number): Buffer =>
  Buffer.concat(Array.from({ length: pages }, (_, i) => Buffer.alloc(pageBytes, i + 1)));

/** A file in pieces; between pieces the primary commits more. */
function snapshotOf(
  primary: LogStream,
  file: Buffer,
  options: { pieceBytes: number; onPiece?: (index: number) => Promise<void>; sayFileBytes?: number },
): SnapshotSource & { closed: boolean } {
  const start = primary.state().end;
  let position = 0;
  let minimumLsn: Lsn | undefined;
  let index = 0;
  return {
    startLsn: start.lsn,
    startScn: start.scn,
    startChecksum: start.checksum,
    pageBytes,
    closed: false,
    async next() {
      await options.onPiece?.(index);
      index += 1;
      if (position === file.length) {
        minimumLsn = primary.state().end.lsn;
        return undefined;
      }
      const bytes = file.subarray(position, position + options.pieceBytes);
      const piece = { position, bytes };
      position += bytes.length;
      return piece;
    },
    finish: () => ({ minimumLsn: minimumLsn ?? lsn(0), fileBytes: options.sayFileBytes ?? file.length }),
    async close() {
      this.closed = true;
    },
  };
}

async function create(
  address: { host: string; port: number },
  directory: string,
): Promise<{ created: CreatedStandby; checkpoints: CopiedCheckpoint[]; progress: number[] }> {
  const checkpoints: CopiedCheckpoint[] = [];
  const progress: number[] = [];
  const connection = await connect(address, { incarnation: null });
  const created = await createStandby({
    connection,
    sources: { network: networkTo(address), archive: null },
    disk: nodeDisk,
    databasePath: join(directory, 'tenant.db'),
    writeCheckpoint: async checkpoint => {
      expect(existsSync(join(directory, 'tenant.db'))).toBe(false);
      checkpoints.push(checkpoint);
    },
    openLog: initial => openLog({ mode: 'RAW_WRITE', ...initial }),
    pullTimeoutMs: 10_000,
    clock: nodeClock,
    random: nodeRandom,
    logger: silentLogger,
    onProgress: ({ fileBytes }) => progress.push(fileBytes),
    onFatal: error => {
      throw error;
    },
  });
  return { created, checkpoints, progress };
}

test('a standby gets the file, its checkpoint, and log up to where the copy is whole, while the primary writes on', async () => {
  const primary = await openLog();
  for (let i = 0; i < 20; i += 1) await append(primary, `before ${i}`);
  const tenant = testTenant(primary);
  const file = fileOf(600);
  const source = snapshotOf(primary, file, {
    // Pieces over a message's size are sent in parts; credit runs out and is given back on the way.
    pieceBytes: 1_500_000,
    onPiece: async index => {
      await append(primary, `during ${index}`);
    },
  });
  tenant.snapshot = () => source;
  const start = primary.state().end;
  const { address } = await serve(tenant);
  const directory = temporaryDirectory();
  const { created, checkpoints, progress } = await create(address, directory);

  expect(readFileSync(join(directory, 'tenant.db')).equals(file)).toBe(true);
  expect(checkpoints).toEqual([{ ...start, databasePages: 600, pageBytes, incarnation }]);
  expect(created.minimumLsn).toBeGreaterThan(start.lsn);
  expect(created.log.state()).toMatchObject({ baseLsn: start.lsn, accessMode: 'RAW_WRITE' });
  expect(created.log.state().end.lsn).toBeGreaterThanOrEqual(created.minimumLsn);
  expect(created.log.state().proposalHistory).toEqual(primary.state().proposalHistory);
  expect(progress.at(-1)).toBe(file.length);
  expect(source.closed).toBe(true);
});

test('the primary keeps the log of the copy until the new standby pulls, and only what it needs after', async () => {
  // Over four fifths of its log disk the primary recycles what nobody holds: the copy's first block is among it.
  const primary = await openLog({ blockBytes: 16_384, diskBytesMax: 262_144 });
  for (let i = 0; i < 5; i += 1) await append(primary, 'x'.repeat(1_000));
  const tenant = testTenant(primary);
  let start = lsn(0);
  tenant.snapshot = () => {
    start = primary.state().end.lsn;
    return snapshotOf(primary, fileOf(4), {
      pieceBytes: 4_096,
      onPiece: async () => {
        for (let i = 0; i < 40; i += 1) await append(primary, 'y'.repeat(1_000));
        await primary.advanceBase(primary.state().end.lsn);
      },
    });
  };
  const { address, server } = await serve(tenant);
  const { created } = await create(address, temporaryDirectory());
  expect(created.start.lsn).toBe(start);
  expect(primary.state().beginLsn).toBe(0);
  server.forget(incarnation);
  await primary.advanceBase((await append(primary, 'z')).lsn);
  while (primary.state().beginLsn === 0) await new Promise(resolve => setImmediate(resolve));
  expect(created.log.state().end.lsn).toBeGreaterThanOrEqual(created.minimumLsn);
});

test('a copy that is not whole leaves no file under its name', async () => {
  const primary = await openLog();
  await append(primary, 'x');
  const tenant = testTenant(primary);
  tenant.snapshot = () => snapshotOf(primary, fileOf(4), { pieceBytes: 4_096, sayFileBytes: 5 * pageBytes });
  const { address } = await serve(tenant);
  const directory = temporaryDirectory();
  await expect(create(address, directory)).rejects.toMatchObject({ code: 'OBS_STANDBY_SNAPSHOT_BROKEN' });
  expect(existsSync(join(directory, 'tenant.db'))).toBe(false);
});

test('a source that dies in the middle of a copy, or cannot make one, is an error, and a later try begins anew', async () => {
  const primary = await openLog();
  await append(primary, 'x');
  const tenant = testTenant(primary);
  const { address } = await serve(tenant);
  const directory = temporaryDirectory();
  await expect(create(address, directory)).rejects.toMatchObject({ code: 'OBS_PEER_FAILED' });
  tenant.snapshot = () =>
    snapshotOf(primary, fileOf(4), {
      pieceBytes: 4_096,
      onPiece: async index => {
        if (index === 2) throw new Error('the disk of the source');
      },
    });
  await expect(create(address, directory)).rejects.toMatchObject({ code: 'OBS_PEER_FAILED' });
  expect(existsSync(join(directory, 'tenant.db'))).toBe(false);
  tenant.snapshot = () => snapshotOf(primary, fileOf(2), { pieceBytes: 4_096 });
  const { created } = await create(address, directory);
  expect(created.fileBytes).toBe(2 * pageBytes);
  expect(scn(created.start.scn)).toBe(primary.state().end.scn);
});
