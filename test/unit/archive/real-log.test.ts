/** A log on disk goes into a directory archive and comes out of it into another log on disk. */
import { afterEach, expect, test } from 'vitest';
import { Archiver } from '../../../src/archive/archiver.ts';
import { openObjectStore } from '../../../src/archive/open-store.ts';
import { ArchiveReader } from '../../../src/archive/restore-reader.ts';
import { must } from '../../../src/base/assert.ts';
import { recycleAtShare } from '../../../src/base/limits.ts';
import type { LogPosition } from '../../../src/base/log-access.ts';
import { logStreamId, roleEpoch } from '../../../src/base/scalars.ts';
import { nodeClock } from '../../../src/platform/clock.ts';
import { silentLogger } from '../../../src/platform/logger.ts';
import { nodeRandom } from '../../../src/platform/random.ts';
import { append, atEnd, closeSites, openLog, temporaryDirectory } from '../../support/peer-sites.ts';

afterEach(closeSites);

test('blocks, padding and split entries arrive in a standby log byte for byte, while the primary recycles', async () => {
  const store = await openObjectStore(`file://${temporaryDirectory()}`, {
    clock: nodeClock,
    random: nodeRandom,
    variables: {},
    access: 'write',
  });
  atEnd(() => store.close());
  // An entry of 200 000 bytes must fit between where recycling begins and where more is refused.
  const diskBytesMax = 1_572_864;
  const primary = await openLog({ diskBytesMax });
  const archiver = new Archiver({
    log: primary,
    store,
    tenant: { name: 't', incarnation: 'real-log', stream: logStreamId(1001) },
    epoch: roleEpoch(1),
    siteId: 'north',
    operationId: 'bootstrap',
    openedAt: null,
    binding: 'Mandatory',
    pieceSwitchIntervalMs: 50,
    lagTargetMs: 10,
    clock: nodeClock,
    random: nodeRandom,
    logger: silentLogger,
    onFenced: () => {},
    onFatal: error => {
      throw error;
    },
  });
  archiver.start();
  atEnd(() => archiver.close());
  const standby = await openLog({ mode: 'RAW_WRITE' });
  const reader = new ArchiveReader({ store, clock: nodeClock });
  let at: LogPosition = standby.state().end;
  for (let turn = 0; turn < 50; turn += 1) {
    // from a part of a block to several blocks of 64 KiB; together more than the log may keep
    const text = 'x'.repeat(turn % 10 === 9 ? 200_000 : 10_000 + Math.floor(nodeRandom.fraction() * 10_000));
    const end = await append(primary, text);
    await archiver.flushTo(end.lsn, 10_000);
    await primary.advanceBase(end.lsn);
    // Blocks go in the background.
    await expect
      .poll(() => end.lsn - primary.state().beginLsn, { timeout: 10_000 })
      .toBeLessThanOrEqual(recycleAtShare * diskBytesMax);
    for (;;) {
      const chunk = await reader.read(at, 30_000);
      if (chunk === undefined) break;
      at = await standby.rawWrite(chunk);
    }
  }
  expect(primary.state().beginLsn).toBeGreaterThan(0);
  expect(at).toEqual(primary.state().end);
  expect(must((await reader.head()).end, 'an end')).toEqual(primary.state().end);
  expect(archiver.status()).toMatchObject({ state: 'DOING', lagBytes: 0, comment: '' });
});
