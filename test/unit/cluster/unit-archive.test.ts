/** The archive of a tenant whose destination comes and goes, and whose leadership does. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { logStreamId, roleEpoch } from '../../../src/base/scalars.ts';
import type { StoredArchiveDest } from '../../../src/cluster/sys-store.ts';
import { UnitArchive } from '../../../src/cluster/unit-archive.ts';
import type { UnitHost } from '../../../src/cluster/unit-host.ts';
import { silentLogger } from '../../../src/platform/logger.ts';
import { nodeRandom } from '../../../src/platform/random.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { MemoryClog } from '../../support/memory-clog.ts';

const opening = { epoch: roleEpoch(1), operationId: 'birth', cut: null };
let root: string;
let clock: ManualClock;
let timers: number;
let log: MemoryClog;
let archive: UnitArchive;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'obstandby-archive-'));
  clock = new ManualClock();
  timers = 0;
  log = new MemoryClog();
  const counted = Object.assign(clock, {
    after: (ms: number, run: () => void) => {
      const isRetry = ms === 5_000;
      if (isRetry) timers += 1;
      const timer = ManualClock.prototype.after.call(clock, ms, () => {
        if (isRetry) timers -= 1;
        run();
      });
      return {
        cancel: () => {
          if (isRetry) timers -= 1;
          timer.cancel();
        },
      };
    },
  });
  const host = {
    siteId: 'site',
    clock: counted,
    random: nodeRandom,
    variables: {},
    logger: silentLogger,
    settings: { archiveLagTargetMs: 50 },
    onFatal: (error: unknown) => {
      throw error;
    },
  } as unknown as UnitHost;
  archive = new UnitArchive({
    host,
    tenant: { name: 'shop', incarnation: 'i', stream: logStreamId(1001) },
    log,
    dest: destination(),
    sourceLocation: () => null,
    onFenced: () => {},
  });
});

afterEach(async () => {
  await archive.close();
  rmSync(root, { recursive: true, force: true });
});

const destination = (): StoredArchiveDest => ({
  location: `file://${join(root, 'archive')}`,
  binding: 'Optional',
  pieceSwitchIntervalMs: 86_400_000,
  lagTargetMs: null,
  enabled: true,
  deferred: false,
});

test('a destination that cannot be used is tried again while the tenant serves, by one timer', async () => {
  await archive.serve(opening);
  for (let count = 0; count < 3; count += 1) await archive.setDest(destination());
  expect(archive.problem).toContain('OBS_ARCHIVE_');
  expect(timers).toBe(1);
  mkdirSync(join(root, 'archive'));
  clock.advance(5_000);
  await archive.setDest(destination());
  expect(archive.status()).not.toBe(null);
});

test('who leads no more does not begin to archive when the destination is back', async () => {
  await archive.serve(opening);
  expect(timers).toBe(1);
  await archive.close();
  mkdirSync(join(root, 'archive'));
  clock.advance(5_000);
  await archive.setDest(destination());
  await archive.serve(opening);
  expect(archive.status()).toBe(null);
  expect(log.heldFrom()).toEqual([]);
  expect(readdirSync(join(root, 'archive'))).toEqual([]);
  await expect(archive.head()).rejects.toMatchObject({ code: 'OBS_ROLE_STOPPED' });
});
