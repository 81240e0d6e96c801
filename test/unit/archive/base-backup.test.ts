import { expect, test } from 'vitest';
import {
  listBaseBackups,
  planRestore,
  readBackupFile,
  readBaseBackup,
  requirePlan,
  type SnapshotSource,
  writeBaseBackup,
} from '../../../src/archive/base-backup.ts';
import { must } from '../../../src/base/assert.ts';
import { type Lsn, scn } from '../../../src/base/scalars.ts';
import { ArchiveWorld, tenant } from '../../sim/archive-scenario.ts';
import { MemoryClog } from '../../support/memory-clog.ts';

const snapshotOf = (
  log: MemoryClog,
  file: Uint8Array,
  startIndex: number,
  minimumIndex: number,
): SnapshotSource => {
  const start = must(log.positions()[startIndex], 'a position');
  let at = 0;
  return {
    startLsn: start.lsn,
    startScn: start.scn,
    startChecksum: start.checksum,
    pageBytes: 4_096,
    next: () => {
      if (at >= file.length) return Promise.resolve(undefined);
      const piece = { position: at, bytes: file.subarray(at, at + 3_000) };
      at += piece.bytes.length;
      return Promise.resolve(piece);
    },
    finish: () => ({
      minimumLsn: must(log.positions()[minimumIndex], 'a position').lsn,
      fileBytes: file.length,
    }),
  };
};

async function withBackups(seed: number) {
  const world = new ArchiveWorld(seed);
  const log = new MemoryClog();
  const store = world.store('a');
  const archiver = world.archiver(log, store);
  archiver.start();
  world.write(log, 30);
  const file = world.random.bytes(20_000);
  const flushed: Lsn[] = [];
  const take = (startIndex: number, minimumIndex: number) =>
    world.time.until(
      writeBaseBackup({
        store,
        tenant,
        siteId: 'north',
        blockBytes: 16_777_216,
        snapshot: snapshotOf(log, file, startIndex, minimumIndex),
        log,
        flushTo: async to => {
          flushed.push(to);
          await archiver.flushTo(to, 10_000);
        },
        clock: world.time,
        random: world.random,
      }),
    );
  return { world, log, store, file, flushed, take, first: await take(5, 8), second: await take(15, 20) };
}

async function collect(parts: AsyncIterable<{ readonly bytes: Uint8Array }>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const { bytes } of parts) all.push(bytes);
  return new Uint8Array(Buffer.concat(all));
}

test('a backup comes back byte for byte, with the log it needs already archived', async () => {
  const { world, log, store, file, flushed, first, second } = await withBackups(1);
  expect(flushed).toEqual([first.minimum.lsn, second.minimum.lsn]);
  expect(await world.time.until(listBaseBackups(store, tenant.incarnation))).toEqual([first, second]);
  const record = await world.time.until(readBaseBackup(store, tenant.incarnation, second.backupId));
  expect(await world.time.until(collect(readBackupFile(store, record)))).toEqual(file);
  const positions = log.positions();
  expect([record.start, record.minimum]).toEqual([positions[15], positions[20]]);
  const { end } = await world.time.until(world.reader().head());
  expect(must(end, 'an end').lsn).toBeGreaterThanOrEqual(record.minimum.lsn);
});

test('a backup whose record was not put is none, and an altered or missing piece is refused', async () => {
  const { world, store, second } = await withBackups(2);
  const piece = must(second.pieces[0], 'a piece');
  const sound = must(world.medium.objects.get(piece.key), 'an object');
  world.medium.objects.set(
    piece.key,
    sound.map((byte, at) => (at === 9 ? byte ^ 1 : byte)),
  );
  await expect(world.time.until(collect(readBackupFile(store, second)))).rejects.toMatchObject({
    code: 'OBS_ARCHIVE_CORRUPT',
  });
  world.medium.objects.delete(piece.key);
  await expect(world.time.until(collect(readBackupFile(store, second)))).rejects.toMatchObject({
    code: 'OBS_ARCHIVE_OBJECT_MISSING',
  });
  const record = must(
    [...world.medium.objects.keys()].find(key => key.endsWith(`${second.backupId}/record`)),
    'a record',
  );
  world.medium.objects.delete(record);
  expect((await world.time.until(listBaseBackups(store, tenant.incarnation))).length).toBe(1);
  await expect(
    world.time.until(readBaseBackup(store, tenant.incarnation, second.backupId)),
  ).rejects.toMatchObject({ code: 'OBS_ARCHIVE_BACKUP_MISSING' });
});

test('a restore starts from the newest backup that reaches its target', async () => {
  const { world, log, first, second } = await withBackups(3);
  const head = await world.time.until(world.reader().head());
  const plan = (until: number | null) =>
    planRestore([first, second], head, until === null ? null : scn(until));
  expect(plan(null)).toEqual({ kind: 'plan', backup: second });
  expect(plan(second.minimum.scn)).toEqual({ kind: 'plan', backup: second });
  expect(plan(second.minimum.scn - 1)).toEqual({ kind: 'plan', backup: first });
  const end = must(head.end, 'an end').scn;
  expect(plan(first.minimum.scn - 1)).toEqual({ kind: 'impossible', from: first.minimum.scn, to: end });
  expect(plan(end + 1)).toMatchObject({ kind: 'impossible' });
  expect(planRestore([], head, null)).toMatchObject({ kind: 'impossible', from: null });
  // log before the second backup is gone
  const begin = must(log.positions()[12], 'a position');
  expect(planRestore([first, second], { begin, end: head.end }, first.minimum.scn)).toMatchObject({
    kind: 'impossible',
    from: second.minimum.scn,
  });
  expect(() => requirePlan('here', [], head, null)).toThrow(
    expect.objectContaining({ code: 'OBS_ARCHIVE_NOT_ENOUGH_LOG' }),
  );
});
