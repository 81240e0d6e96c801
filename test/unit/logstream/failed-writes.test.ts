/**
 * What is left of a write that failed: the page cache shows it and calls it clean, the platter does not have it. Whoever opens the
 * files again must not count it as durable before it is written once more.
 */
import { expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { flushBytesMax } from '../../../src/base/limits.ts';
import { logStreamId } from '../../../src/base/scalars.ts';
import { blockHeaderBytes } from '../../../src/codec/block-header.ts';
import { LogStream } from '../../../src/logstream/log-stream.ts';
import { MetaFile } from '../../../src/logstream/meta-file.ts';
import type { Disk } from '../../../src/platform/disk.ts';
import { redo } from '../../support/log-place.ts';
import { simClock } from '../../support/sim/clock.ts';
import { SimDisk } from '../../support/sim/disk.ts';
import { EventLoop } from '../../support/sim/event-loop.ts';
import { SimRandom } from '../../support/sim/random.ts';

const seeds = Array.from({ length: 24 }, (_, index) => index + 1);

function rig(seed: number, blockBytes = 65_536) {
  const loop = new EventLoop();
  const disk = new SimDisk(loop, new SimRandom(seed));
  const run = async <T>(call: Promise<T>): Promise<T> => {
    let isDone = false;
    const settle = () => {
      isDone = true;
    };
    call.then(settle, settle);
    do await new Promise(resolve => setImmediate(resolve));
    while (!isDone && (await loop.step()));
    must(isDone || undefined, 'the call ends');
    return call;
  };
  const fatal: unknown[] = [];
  const open = () =>
    run(
      LogStream.open({
        disk: disk.attach(),
        clock: simClock(loop),
        directory: 'log',
        stream: logStreamId(1001),
        incarnation: 'test',
        limits: { blockBytes, diskBytesMax: 64 * blockBytes },
        onFatal: error => fatal.push(error),
      }),
    );
  /** ends the process when its disk has failed it */
  const die = async () => {
    await new Promise(resolve => setImmediate(resolve));
    while (fatal.length === 0) must((await loop.step()) || undefined, 'an event');
    fatal.length = 0;
    disk.crash('process');
    disk.isFailing = false;
  };
  return { loop, disk, run, open, die };
}

test('the simulated disk reads back what it failed to write, and loses it with the power, synced or not', async () => {
  const { disk, run } = rig(1);
  const old = Buffer.alloc(8_192, 1);
  const file = await run(disk.attach().open('a', { create: true }));
  await run(file.writeDurable(0, [old]));
  disk.isFailing = true;
  await expect(run(file.writeDurable(0, [Buffer.alloc(8_192, 2)]))).rejects.toMatchObject({ code: 'EIO' });
  disk.isFailing = false;
  await run(file.sync());
  expect(Buffer.from(await run(file.read(0, 8_192)))).toEqual(Buffer.alloc(8_192, 2));
  expect(Buffer.from(must(disk.durableBytes('a'), 'a'))).not.toEqual(Buffer.alloc(8_192, 2));
  disk.crash('power');
  expect(must(disk.cachedBytes('a'), 'a')).toEqual(must(disk.durableBytes('a'), 'a'));
  // Of another kind of failure nothing is left.
  disk.keepsFailed = false;
  const before = must(disk.cachedBytes('a'), 'a').slice();
  const again = await run(disk.attach().open('a', { create: false }));
  disk.isFailing = true;
  await expect(run(again.writeDurable(0, [Buffer.alloc(8_192, 3)]))).rejects.toMatchObject({ code: 'EIO' });
  expect(must(disk.cachedBytes('a'), 'a')).toEqual(before);
});

test.for(seeds)('log that a start finds survives the power, seed %i', async seed => {
  const { disk, run, open, die } = rig(seed);
  const log = await open();
  await run(log.committed(log.append(redo('before '.repeat(50))).endLsn));
  disk.isFailing = true;
  log.append(redo('x'.repeat(200 * seed)));
  await die();
  const second = await open();
  const { end } = second.state();
  disk.crash('power');
  const third = await open();
  expect(third.state().end).toEqual(end);
});

test.for(seeds)(
  'so does log behind a failed write, and another that failed after it, seed %i',
  async seed => {
    const { disk, run, open, die } = rig(seed);
    for (let round = 0; round < 4; round++) {
      const log = await open();
      await run(log.committed(log.append(redo(`round ${round} `.repeat(300 * (seed % 9)))).endLsn));
      const { end } = log.state();
      disk.isFailing = true;
      log.append(redo('y'.repeat(5_000)));
      await die();
      // The start fails as well, at a place that the seed draws.
      disk.isFailing = true;
      await open().catch(() => {});
      disk.crash('process');
      disk.isFailing = false;
      const found = (await open()).state().end;
      expect(found.lsn).toBeGreaterThanOrEqual(end.lsn);
      disk.crash('power');
      expect((await open()).state().end).toEqual(found);
      disk.crash('process');
    }
  },
);

/** The disk of a process, how many bytes were written durably to blocks through it, and how many of them in writes of more than zeros. */
function counted(disk: Disk): {
  readonly disk: Disk;
  readonly bytes: () => number;
  readonly logBytes: () => number;
} {
  let sum = 0;
  let log = 0;
  return {
    bytes: () => sum,
    logBytes: () => log,
    disk: {
      ...disk,
      open: async (path, options) => {
        const file = await disk.open(path, options);
        return {
          ...file,
          writeDurable: async (position, parts) => {
            const written = path.endsWith('.clog') ? Buffer.concat(parts) : Buffer.alloc(0);
            sum += written.length;
            if (!written.equals(Buffer.alloc(written.length))) log += written.length;
            await file.writeDurable(position, parts);
          },
        };
      },
    },
  };
}

test('a start writes no more again than one durable write holds', async () => {
  const blockBytes = 4 * flushBytesMax;
  const { loop, disk, run, open } = rig(7, blockBytes);
  const log = await open();
  for (let at = 0; at < 2.5 * flushBytesMax; at += 500_000)
    await run(log.committed(log.append(redo(Buffer.alloc(500_000, 7))).endLsn));
  disk.crash('process');
  const { disk: watched, bytes } = counted(disk.attach());
  const options = { directory: 'log', stream: logStreamId(1001), incarnation: 'test', onFatal: () => {} };
  const limits = { blockBytes, diskBytesMax: 64 * blockBytes };
  await run(LogStream.open({ ...options, disk: watched, clock: simClock(loop), limits }));
  expect(bytes()).toBeGreaterThan(flushBytesMax);
  // The last groups, of which the first is cut by the bound, and zeros behind them.
  expect(bytes()).toBeLessThan(2.5 * flushBytesMax);
});

test('a start writes no log again that was durable before the meta image', async () => {
  const blockBytes = 65_536;
  const { loop, disk, run, open } = rig(8, blockBytes);
  const options = { directory: 'log', stream: logStreamId(1001), incarnation: 'test', onFatal: () => {} };
  const limits = { blockBytes, diskBytesMax: 64 * blockBytes };
  const start = async () => {
    disk.crash('process');
    const { disk: watched, logBytes } = counted(disk.attach());
    const log = await run(LogStream.open({ ...options, disk: watched, clock: simClock(loop), limits }));
    return { log, written: logBytes() };
  };
  const before = await open();
  await run(before.committed(before.append(redo('before '.repeat(3_000))).endLsn));
  await run(before.close());
  const { log, written } = await start();
  expect(written).toBe(0);
  // Killed, it may have failed: but only what came since the image, which leading anew wrote.
  const from = log.state().end.lsn;
  await run(log.committed(log.append(redo('since '.repeat(100))).endLsn));
  const to = log.state().end.lsn;
  expect((await start()).written).toBe(to - from);
});

test.for(seeds)(
  'a meta image that is found is in both copies, whatever failed before, seed %i',
  async seed => {
    const { disk, run, open } = rig(seed);
    await open();
    disk.crash('process');
    const first = new MetaFile(disk.attach(), 'log');
    const found = await run(first.read());
    if (found.kind !== 'found') throw new Error(found.kind);
    disk.isFailing = true;
    const image = { ...found.image, mendings: 3 };
    await expect(run(first.write(image))).rejects.toMatchObject({ code: 'EIO' });
    // The copy that is behind cannot be written either.
    for (let start = 0; start < 2; start++) {
      disk.crash('process');
      await run(new MetaFile(disk.attach(), 'log').read()).catch(() => {});
    }
    disk.crash('process');
    disk.isFailing = false;
    const told = await run(new MetaFile(disk.attach(), 'log').read());
    disk.crash('power');
    const platter = must(disk.durableBytes('log/meta'), 'meta');
    expect(platter.subarray(0, platter.length / 2)).toEqual(platter.subarray(platter.length / 2));
    expect(await run(new MetaFile(disk.attach(), 'log').read())).toEqual(told);
  },
);

test('a block whose header a failed write left in the page cache gets it again before its log', async () => {
  for (const seed of seeds) {
    const { disk, run, open } = rig(seed);
    const log = await open();
    await run(log.committed(log.append(redo('one')).endLsn));
    disk.crash('process');
    const path = must(
      disk.paths().find(name => name.endsWith('.clog')),
      'block',
    );
    const file = await run(disk.attach().open(path, { create: false }));
    const header = await run(file.read(0, blockHeaderBytes));
    await run(file.writeDurable(0, [new Uint8Array(blockHeaderBytes)]));
    disk.isFailing = true;
    await expect(run(file.writeDurable(0, [header]))).rejects.toMatchObject({ code: 'EIO' });
    disk.crash('process');
    disk.isFailing = false;
    const again = await open();
    await run(again.committed(again.append(redo('two')).endLsn));
    const { end } = again.state();
    disk.crash('power');
    expect((await open()).state().end).toEqual(end);
  }
});

test('a torn tail whose erasure failed is not behind the log again after the power failed', async () => {
  // Only where the log ends with its sector does the junk come right behind it, and there is no hole in it.
  const whole = 512;
  let size = 300;
  for (const seed of seeds) {
    const { disk, run, open } = rig(seed);
    const log = await open();
    await run(log.committed(log.append(redo('one')).endLsn));
    const end = blockHeaderBytes + log.state().end.lsn;
    disk.crash('process');
    const path = must(
      disk.paths().find(name => name.endsWith('.clog')),
      'block',
    );
    const file = await run(disk.attach().open(path, { create: false }));
    await run(file.writeDurable(end, [Buffer.alloc(9_000, 'torn')]));
    disk.isFailing = true;
    await expect(run(file.writeDurable(end, [new Uint8Array(9_000)]))).rejects.toMatchObject({ code: 'EIO' });
    disk.crash('process');
    disk.isFailing = false;
    const again = await open();
    await run(again.committed(again.append(redo('2'.repeat(size))).endLsn));
    const found = again.state().end;
    disk.crash('power');
    expect((await open()).state().end).toEqual(found);
    size = 300 + ((size - 300 + whole - (found.lsn % whole)) % whole);
  }
});
