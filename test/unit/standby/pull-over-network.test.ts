/** A standby that pulls over real sockets into a real log: S1, S6, S7, S8, and what it says of itself. */
import { afterEach, expect, test } from 'vitest';
import { Archiver } from '../../../src/archive/archiver.ts';
import { openObjectStore } from '../../../src/archive/open-store.ts';
import { ArchiveReader } from '../../../src/archive/restore-reader.ts';
import { ObError } from '../../../src/base/errors.ts';
import { logStreamId, monoMs, roleEpoch, scn } from '../../../src/base/scalars.ts';
import type { LogStream } from '../../../src/logstream/log-stream.ts';
import { type Clock, nodeClock } from '../../../src/platform/clock.ts';
import { silentLogger } from '../../../src/platform/logger.ts';
import { nodeRandom } from '../../../src/platform/random.ts';
import { StandbyArchiveSource } from '../../../src/standby/archive-source.ts';
import type { ArchiveSource, StandbyPuller } from '../../../src/standby/puller.ts';
import type { SourceEnd } from '../../../src/standby/sync-status.ts';
import {
  append,
  atEnd,
  closeSites,
  incarnation,
  logContent,
  networkTo,
  openLog,
  applyInto,
  pullerInto,
  serve,
  temporaryDirectory,
  TextEngine,
  testTenant,
} from '../../support/peer-sites.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

afterEach(closeSites);

const texts = (count: number, of = 'row'): string[] => Array.from({ length: count }, (_, i) => `${of} ${i}`);

async function appendAll(log: LogStream, all: readonly string[]): Promise<void> {
  for (const text of all) await append(log, text);
}

/** Resolves when the puller's status satisfies the check: looked at after every commit and a short tick between. */
async function until(puller: StandbyPuller, check: (status: ReturnType<StandbyPuller['status']>) => boolean) {
  const giveUpAt = performance.now() + 15_000;
  while (!check(puller.status())) {
    if (performance.now() > giveUpAt) throw new Error(`it stays at ${JSON.stringify(puller.status())}`);
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

/** The archive of a log that is still all there. */
const archiveOf = (log: LogStream, upTo = () => log.state().end): ArchiveSource & { reads: number } => ({
  name: 'archive of the test',
  reads: 0,
  async read(from, bytesMax) {
    this.reads += 1;
    if (from.lsn >= upTo().lsn) return undefined;
    const chunk = await log.read(from.lsn, bytesMax);
    return { chunk, archivedEnd: upTo(), epoch: roleEpoch(1) };
  },
  close: () => Promise.resolve(),
});

test('what the primary commits is written and applied at the standby, in order', async () => {
  const primary = await openLog();
  await append(primary, 'before');
  const { address, server } = await serve(testTenant(primary));
  const log = await openLog({ mode: 'RAW_WRITE' });
  const engine = new TextEngine();
  const puller = pullerInto(log, { network: networkTo(address), archive: null }, engine);
  puller.start();
  await appendAll(primary, texts(200));
  const { end } = primary.state();
  await puller.caughtUpTo(end.lsn, 10_000);

  expect(engine.texts).toEqual(['before', ...texts(200)]);
  expect(log.state().end).toEqual(end);
  const status = puller.status();
  expect(status).toMatchObject({ status: 'NORMAL', transport: 'network', sync: end });
  expect(status.lag).toMatchObject({
    transport: { bytes: 0, seconds: 0 },
    flush: { bytes: 0, seconds: 0 },
    apply: { bytes: 0, seconds: 0 },
  });
  expect(server.followers(incarnation)).toMatchObject([
    { site: 'rome-1', localTenant: 'shop', address: '127.0.0.1:4242', connected: true },
  ]);
});

test('the primary learns how far each follower is', async () => {
  const primary = await openLog();
  const { address, server } = await serve(testTenant(primary));
  const puller = pullerInto(
    await openLog({ mode: 'RAW_WRITE' }),
    { network: networkTo(address), archive: null },
    new TextEngine(),
  );
  puller.start();
  await append(primary, 'x');
  const { end } = primary.state();
  await until(puller, () => {
    const [follower] = server.followers(incarnation);
    return follower?.ackedLsn === end.lsn && follower.appliedLsn === end.lsn;
  });
  await puller.close();
  await until(puller, () => server.followers(incarnation)[0]?.connected === false);
  expect(server.followers(incarnation)).toMatchObject([{ ackedLsn: end.lsn, appliedScn: end.scn }]);
});

test('links cut at any moment leave a byte prefix, and the lag returns to zero', async () => {
  const primary = await openLog();
  const { address } = await serve(testTenant(primary));
  const proxy = await new TcpProxy(address).start();
  atEnd(() => proxy.close());
  const log = await openLog({ mode: 'RAW_WRITE' });
  const engine = new TextEngine();
  const puller = pullerInto(log, { network: networkTo(proxy.address), archive: null }, engine);
  puller.start();
  let seed = 42;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed % below;
  };
  const rows = texts(1_500);
  for (const [index, row] of rows.entries()) {
    await append(primary, row.padEnd(20 + random(400), '.'));
    if (random(60) === 0) proxy.cut();
    if (index % 250 === 249) {
      const here = await logContent(log);
      expect(here.equals((await logContent(primary)).subarray(0, here.length))).toBe(true);
    }
  }
  await puller.caughtUpTo(primary.state().end.lsn, 15_000);
  expect(proxy.accepted).toBeGreaterThan(3);
  expect(log.state().end).toEqual(primary.state().end);
  expect(engine.texts.map(text => text.replace(/\.*$/, ''))).toEqual(rows);
  expect(puller.status().lag.apply).toEqual({ bytes: 0, seconds: 0 });
});

test('bytes altered on the way never reach the log', async () => {
  const primary = await openLog();
  await appendAll(primary, texts(300));
  const { address } = await serve(testTenant(primary));
  const proxy = await new TcpProxy(address).start();
  atEnd(() => proxy.close());
  let altered = 0;
  proxy.alter = (bytes, direction) => {
    if (direction === 'to server' || bytes.length < 5_000 || altered >= 3) return bytes;
    altered += 1;
    const copy = Buffer.from(bytes);
    copy[4_000] = (copy[4_000] ?? 0) ^ 0x10;
    return copy;
  };
  const log = await openLog({ mode: 'RAW_WRITE' });
  const puller = pullerInto(log, { network: networkTo(proxy.address), archive: null }, null, {});
  puller.start();
  await until(puller, () => altered > 0 && puller.status().status !== 'NORMAL');
  expect(log.state().end.lsn).toBe(0);
  proxy.alter = bytes => bytes;
  await puller.caughtUpTo(primary.state().end.lsn, 15_000);
  expect((await logContent(log)).equals(await logContent(primary))).toBe(true);
  expect(log.state().end).toEqual(primary.state().end);
});

test('what is committed is handed to the socket before anybody who waits for the commit goes on', async () => {
  const primary = await openLog();
  const { address, server } = await serve(testTenant(primary));
  const log = await openLog({ mode: 'RAW_WRITE' });
  const puller = pullerInto(log, { network: networkTo(address), archive: null }, null);
  puller.start();
  await append(primary, 'first');
  await puller.caughtUpTo(primary.state().end.lsn, 10_000);
  const { endLsn } = primary.append({ kind: 'redo', body: [Buffer.from('acknowledged')] });
  await primary.committed(endLsn);
  // This turn is the one in which a reply would leave. The source is gone in it: only what it wrote before arrives.
  const stopped = server.stop();
  expect(log.state().end.lsn).toBeLessThan(endLsn);
  await until(puller, status => status.status === 'CHECK NETWORK');
  await stopped;
  await puller.stop();
  expect(log.state().end.lsn).toBe(endLsn);
});

test('recycled log comes from the archive, then the network goes on', async () => {
  const primary = await openLog({ blockBytes: 16_384, diskBytesMax: 65_536 });
  const library = await openLog({ mode: 'RAW_WRITE', blockBytes: 16_384 });
  const tenant = testTenant(primary);
  const { address } = await serve(tenant);
  const archiver = pullerInto(
    library,
    { network: networkTo(address, { site: 'archive' }), archive: null },
    null,
  );
  archiver.start();
  for (const row of texts(400)) {
    await append(primary, row.padEnd(200, '.'));
    if (row.endsWith('9')) {
      await archiver.caughtUpTo(primary.state().end.lsn, 10_000);
      await primary.advanceBase(primary.state().end.lsn);
    }
  }
  expect(primary.state().beginLsn).toBeGreaterThan(0);
  await archiver.close();

  const log = await openLog({ mode: 'RAW_WRITE', blockBytes: 16_384 });
  const alone = pullerInto(log, { network: networkTo(address), archive: null }, null);
  alone.start();
  await until(alone, status => status.status === 'SOURCE HAS A GAP');
  expect(alone.status().lag.transport.bytes).toBe(primary.state().end.lsn);
  await alone.close();

  const engine = new TextEngine();
  const archive = archiveOf(library);
  const puller = pullerInto(log, { network: networkTo(address), archive }, engine);
  puller.start();
  await puller.caughtUpTo(library.state().end.lsn, 10_000);
  await until(puller, status => status.transport === 'network');
  await append(primary, 'after');
  await puller.caughtUpTo(primary.state().end.lsn, 10_000);
  expect(archive.reads).toBeGreaterThan(0);
  expect(log.state().end).toEqual(primary.state().end);
  expect(engine.texts.length).toBe(401);
});

test('a source that is away is replaced by its archive until it is back', async () => {
  const primary = await openLog();
  await appendAll(primary, texts(50));
  const tenant = testTenant(primary);
  const first = await serve(tenant);
  await first.server.stop();
  const log = await openLog({ mode: 'RAW_WRITE' });
  const puller = pullerInto(
    log,
    { network: networkTo(first.address), archive: archiveOf(primary) },
    new TextEngine(),
  );
  puller.start();
  await until(puller, status => status.transport === 'archive');
  expect(puller.status()).toMatchObject({
    status: 'NORMAL',
    comment: expect.stringContaining('from the archive'),
  });
  await puller.caughtUpTo(primary.state().end.lsn, 10_000);
  await serve(tenant, { address: first.address });
  await until(puller, status => status.transport === 'network');
  await append(primary, 'again');
  await puller.caughtUpTo(primary.state().end.lsn, 10_000);
});

test('a real archive in a directory brings a standby up, and again to where the network goes on', async () => {
  const primary = await openLog();
  const store = (access: 'read' | 'write') =>
    openObjectStore(`file://${directory}`, { clock: nodeClock, random: nodeRandom, variables: {}, access });
  const directory = temporaryDirectory();
  const media = await store('write');
  const archiver = new Archiver({
    log: primary,
    store: media,
    tenant: { name: 'shop', incarnation, stream: logStreamId(1001) },
    epoch: roleEpoch(1),
    siteId: 'paris-1',
    operationId: 'bootstrap',
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
  archiver.start();
  await appendAll(primary, texts(300));
  await archiver.flushTo(primary.state().end.lsn, 10_000);
  const log = await openLog({ mode: 'RAW_WRITE' });
  const engine = new TextEngine();
  const readable = await store('read');
  const puller = pullerInto(
    log,
    {
      network: null,
      archive: new StandbyArchiveSource({
        reader: new ArchiveReader({ store: readable, clock: nodeClock, identity: { incarnation } }),
        store: readable,
        clock: nodeClock,
      }),
    },
    engine,
  );
  puller.start();
  await puller.caughtUpTo(primary.state().end.lsn, 10_000);
  expect(puller.status()).toMatchObject({ status: 'NORMAL', transport: 'archive' });
  await appendAll(primary, ['later']);
  const { address } = await serve(testTenant(primary));
  await puller.setSources({ network: networkTo(address), archive: null });
  await puller.caughtUpTo(primary.state().end.lsn, 10_000);
  expect(engine.texts).toEqual([...texts(300), 'later']);
  expect((await logContent(log)).equals(await logContent(primary))).toBe(true);
  await archiver.stop();
  await media.close();
});

test('a link that goes silent is noticed without a word from TCP, and made again', async () => {
  // Twenty times faster than the wall, so that seconds of silence pass in a moment.
  const clock: Clock = {
    now: () => monoMs(performance.now() * 20),
    wall: nodeClock.wall,
    after: (delayMs, callback) => nodeClock.after(delayMs / 20, callback),
  };
  const primary = await openLog();
  await append(primary, 'one');
  const { address, server } = await serve(testTenant(primary), { clock });
  const proxy = await new TcpProxy(address).start();
  atEnd(() => proxy.close());
  const log = await openLog({ mode: 'RAW_WRITE' });
  const shown: string[] = [];
  const puller = pullerInto(log, { network: networkTo(proxy.address, { clock }), archive: null }, null, {
    clock,
    logger: {
      ...silentLogger,
      warn: (context: object) => shown.push(String(Reflect.get(context, 'status'))),
    },
  });
  puller.start();
  await until(puller, status => status.sync.lsn === primary.state().end.lsn);
  proxy.stall();
  await append(primary, 'two');
  await until(puller, () => shown.includes('FETCH LOG TIMEOUT'));
  await until(puller, status => status.sync.lsn === primary.state().end.lsn);
  await until(puller, () => server.followers(incarnation)[0]?.connected === true);
  expect(proxy.accepted).toBeGreaterThan(1);
});

test('a forked source is refused over the network and from an archive, and nothing of it is written', async () => {
  const primary = await openLog();
  const other = await openLog();
  await appendAll(primary, ['same', 'mine']);
  await appendAll(other, ['same', 'theirs', 'more']);
  const log = await openLog({ mode: 'RAW_WRITE' });
  const { address } = await serve(testTenant(primary));
  const first = pullerInto(log, { network: networkTo(address), archive: null }, null);
  first.start();
  await first.caughtUpTo(primary.state().end.lsn, 10_000);
  await first.close();
  const { end } = log.state();

  const fork = await serve(testTenant(other));
  const network = pullerInto(log, { network: networkTo(fork.address), archive: null }, null);
  network.start();
  await until(network, status => status.status === 'STANDBY LOG NOT MATCH');
  await network.close();

  const archive = pullerInto(log, { network: null, archive: archiveOf(other) }, null);
  archive.start();
  await until(archive, status => status.status === 'STANDBY LOG NOT MATCH');
  expect(log.state().end).toEqual(end);
});

test('a standby that is ahead of its source says so and takes nothing', async () => {
  const primary = await openLog();
  await append(primary, 'one');
  const log = await openLog({ mode: 'RAW_WRITE' });
  const { address } = await serve(testTenant(primary));
  const puller = pullerInto(log, { network: networkTo(address), archive: null }, null);
  puller.start();
  await puller.caughtUpTo(primary.state().end.lsn, 10_000);
  await puller.close();
  const behind = await openLog();
  const { address: elsewhere } = await serve(testTenant(behind));
  const again = pullerInto(log, { network: networkTo(elsewhere), archive: null }, null);
  again.start();
  await until(again, status => status.status === 'STANDBY LOG NOT MATCH');
  expect(again.status().comment).toContain('only up to 0');
});

test('a source of an older role epoch is refused and told; a newer epoch is passed on', async () => {
  const primary = await openLog();
  await append(primary, 'one');
  const tenant = testTenant(primary);
  const { address } = await serve(tenant);
  const log = await openLog({ mode: 'RAW_WRITE' });
  const refused = pullerInto(log, { network: networkTo(address), archive: null }, null, {
    knownEpoch: roleEpoch(3),
  });
  refused.start();
  await until(refused, status => status.status === 'STANDBY LOG NOT MATCH');
  expect(tenant.epochsSeen[0]).toMatchObject({ epoch: 3 });
  expect(log.state().end.lsn).toBe(0);
  await refused.close();

  tenant.epoch = roleEpoch(4);
  const epochs: number[] = [];
  const puller = pullerInto(log, { network: networkTo(address), archive: null }, null, {
    onEpoch: epoch => epochs.push(epoch),
  });
  puller.start();
  await puller.caughtUpTo(primary.state().end.lsn, 10_000);
  expect(epochs).toEqual([4]);
});

test('recovery stops at its bound, refuses an earlier one, and goes on when told', async () => {
  const primary = await openLog();
  const ends = [];
  for (const text of texts(10)) ends.push(await append(primary, text));
  const bound = ends[4]?.scn ?? scn(0);
  const { address } = await serve(testTenant(primary));
  const log = await openLog({ mode: 'RAW_WRITE' });
  const engine = new TextEngine();
  const puller = pullerInto(log, { network: networkTo(address), archive: null }, engine, {
    recoveryUntil: bound,
  });
  puller.start();
  await until(puller, status => status.status === 'RESTORE SUSPEND');
  await puller.caughtUpTo(ends[4]?.lsn ?? log.state().end.lsn, 10_000);
  expect(log.state().end.scn).toBe(bound);
  expect(engine.texts).toEqual(texts(5));
  expect(() => puller.recoverUntil(scn(bound - 1))).toThrow(
    expect.objectContaining({ code: 'OBS_STANDBY_UNTIL_PASSED' }),
  );
  puller.recoverUntil(ends[7]?.scn ?? bound);
  await puller.caughtUpTo(ends[7]?.lsn ?? log.state().end.lsn, 10_000);
  expect(await puller.cancelRecovery()).toBe(ends[7]?.scn);
  expect(puller.status().status).toBe('RESTORE SUSPEND');
});

test('a delayed standby has the log at once and applies it later, or at once when told to', async () => {
  const primary = await openLog();
  await appendAll(primary, texts(3));
  const { address } = await serve(testTenant(primary));
  const log = await openLog({ mode: 'RAW_WRITE' });
  const engine = new TextEngine();
  const apply = applyInto(log, engine.apply);
  apply.setDelay(3_600_000);
  const puller = pullerInto(log, { network: networkTo(address), archive: null }, null, { apply });
  puller.start();
  await until(puller, status => status.sync.lsn === primary.state().end.lsn);
  expect(engine.texts).toEqual([]);
  expect(puller.status().lag.apply.bytes).toBe(primary.state().end.lsn);
  await expect(puller.caughtUpTo(primary.state().end.lsn, 10)).rejects.toMatchObject({
    code: 'OBS_STANDBY_NOT_CAUGHT_UP',
  });
  puller.dropDelay();
  await puller.caughtUpTo(primary.state().end.lsn, 10_000);
  expect(engine.texts).toEqual(texts(3));
});

test('the last known end of the source is kept, and outlives the source', async () => {
  const primary = await openLog();
  await append(primary, 'one');
  const { address, server } = await serve(testTenant(primary));
  const log = await openLog({ mode: 'RAW_WRITE' });
  const kept: SourceEnd[] = [];
  const puller = pullerInto(log, { network: networkTo(address), archive: null }, null, {
    onSourceEnd: end => kept.push(end),
  });
  puller.start();
  await append(primary, 'two');
  const { end } = primary.state();
  await puller.caughtUpTo(end.lsn, 10_000);
  await server.stop();
  await until(puller, status => status.status === 'CHECK NETWORK');
  expect(kept.at(-1)).toMatchObject({ lsn: end.lsn, scn: end.scn, epoch: 1 });
  expect(puller.status().lag.datumTime).toBe(kept.at(-1)?.wall);
});

test('a bandwidth limit slows the stream down and is shown', async () => {
  const primary = await openLog({ blockBytes: 1_048_576 });
  for (let i = 0; i < 300; i += 1) primary.append({ kind: 'redo', body: [Buffer.alloc(60_000, i)] });
  await append(primary, 'last');
  const { address } = await serve(testTenant(primary));
  const log = await openLog({ mode: 'RAW_WRITE', blockBytes: 1_048_576 });
  const puller = pullerInto(log, { network: networkTo(address), archive: null }, null, {
    bandwidthBytesPerSecond: 16_000_000,
  });
  puller.start();
  await until(puller, status => status.status === 'STANDBY IN THROTTLING');
  await puller.caughtUpTo(primary.state().end.lsn, 15_000);
});

test('an engine that fails stops the applying, not the log, and is shown', async () => {
  const primary = await openLog();
  await appendAll(primary, texts(2));
  const { address } = await serve(testTenant(primary));
  const log = await openLog({ mode: 'RAW_WRITE' });
  const apply = applyInto(log, () => Promise.reject(new Error('no such page')));
  const puller = pullerInto(log, { network: networkTo(address), archive: null }, null, { apply });
  puller.start();
  await until(puller, status => status.sync.lsn === primary.state().end.lsn);
  expect(puller.status()).toMatchObject({
    status: 'NOT AVAILABLE',
    comment: 'applying stopped: no such page',
  });
});

test('a site that may not follow gets no log, now or later, and is told why', async () => {
  const primary = await openLog();
  const tenant = testTenant(primary);
  tenant.peerRefusal = new ObError('OBS_SERVER_FOLLOWERS_FULL', { site: 'rome-1', count: 64 });
  const { address, server } = await serve(tenant);
  await append(primary, 'before');
  const log = await openLog({ mode: 'RAW_WRITE' });
  const puller = pullerInto(log, { network: networkTo(address), archive: null }, null);
  puller.start();
  await until(puller, ({ comment }) => comment.includes('64 sites'));
  expect(log.state().end.lsn).toBe(0);
  expect(server.followers(incarnation).filter(({ connected }) => connected)).toEqual([]);
  tenant.peerRefusal = null;
  await puller.caughtUpTo(primary.state().end.lsn, 10_000);
  expect(log.state().end).toEqual(primary.state().end);
});

test('a newer connection of the same standby takes the place of the one before', async () => {
  const primary = await openLog();
  const { address, server } = await serve(testTenant(primary));
  const stale = pullerInto(
    await openLog({ mode: 'RAW_WRITE' }),
    { network: networkTo(address), archive: null },
    null,
  );
  stale.start();
  await until(stale, status => status.status === 'NORMAL');
  await stale.stop();
  const puller = pullerInto(
    await openLog({ mode: 'RAW_WRITE' }),
    { network: networkTo(address), archive: null },
    null,
  );
  puller.start();
  await append(primary, 'x');
  await puller.caughtUpTo(primary.state().end.lsn, 10_000);
  expect(server.followers(incarnation).length).toBe(1);
});
