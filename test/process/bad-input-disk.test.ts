/**
 * A full disk under a real server: writes are refused by a row of the catalogue, or the server ends in order. What was
 * acknowledged before, during and after it is there, and with room again writes go on.
 *
 * The disk is a small file system in memory, which takes the right to mount.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Connection } from 'mysql2/promise';
import { afterEach, expect, test } from 'vitest';
import { catalogue } from '../../src/base/catalogue.ts';
import type { CatalogueRow } from '../../src/base/errors.ts';
import type { LocalSite } from '../../src/client/local-site.ts';
import { atEnd, connect, createTenant, endAll, newSite, notesOf } from '../support/lone-site.ts';
import { canMount, fillDisk, mountSmallDisk } from '../support/small-disk.ts';
import { until } from '../support/two-sites.ts';

afterEach(endAll);

const mounts = canMount();
const diskBytes = 24 * 1_048_576;
const knownNumbers = new Set(
  Object.values(catalogue as Readonly<Record<string, CatalogueRow>>).map(row => row.mysql?.number),
);

/** A site whose data directory is a disk of its own. */
async function siteOnSmallDisk(settings: Record<string, object>): Promise<LocalSite> {
  const site = newSite({ settings });
  mountSmallDisk(site.dataDirectory, diskBytes);
  atEnd(() => site.kill());
  // A disk has files of its own; these tests give it back with the mount.
  await site.start();
  await createTenant(site, 'orders');
  return site;
}

/** Takes every byte that is left; the result gives them back. */
const fill = (site: LocalSite): (() => void) => fillDisk(join(site.dataDirectory, 'tenants'));

/** Writes until one is refused; what was acknowledged is noted. */
class Writer {
  readonly acknowledged: number[] = [];
  readonly refusals: { errno: number | undefined; message: string }[] = [];
  #next = 1;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** False when it was refused. */
  async write(bytes: number): Promise<boolean> {
    const n = this.#next;
    this.#next += 1;
    try {
      await this.#connection.execute({
        sql: 'INSERT INTO note VALUES (?, ?)',
        values: [n, 'x'.repeat(bytes)],
        timeout: 20_000,
      });
      this.acknowledged.push(n);
      return true;
    } catch (error) {
      const { errno, message } = error as { errno?: number; message: string };
      this.refusals.push({ errno, message });
      return false;
    }
  }
}

async function writerAt(site: LocalSite): Promise<Writer> {
  const connection = await connect(site, 'orders');
  await connection.query('CREATE TABLE IF NOT EXISTS note (n INTEGER PRIMARY KEY, text TEXT NOT NULL)');
  return new Writer(connection);
}

/** The server is there and said what is wrong, or ended over an error that it named. */
function expectOrderly(site: LocalSite, writer: Writer): void {
  if (site.isRunning) {
    for (const { errno, message } of writer.refusals) {
      expect(knownNumbers, message).toContain(errno);
    }
    return;
  }
  const last = readFileSync(join(site.directory, 'server.log'), 'utf8').trim().split('\n').at(-1) ?? '';
  expect(JSON.parse(last)).toMatchObject({ msg: 'the server ends', kind: 'disk' });
}

/** With room again: every acknowledged row is there, none that was refused for certain, and writes go on. */
async function expectRecovered(site: LocalSite, writer: Writer, release: () => void): Promise<void> {
  release();
  if (!site.isRunning) await site.start();
  await until(
    'writes go on',
    async () => (await writerAt(site)).write(1),
    () => true,
  );
  const rows = new Set(await notesOf(site, 'orders'));
  expect(writer.acknowledged.filter(n => !rows.has(n))).toEqual([]);
  await site.kill();
  await site.start();
  const again = new Set(await notesOf(site, 'orders'));
  expect(writer.acknowledged.filter(n => !again.has(n))).toEqual([]);
}

test.runIf(mounts)('a disk that fills up under writes loses nothing that was acknowledged', async () => {
  const site = await siteOnSmallDisk({
    log: { blockBytes: 1_048_576, diskBytesMax: 268_435_456 },
    tenant: { checkpointWalBytes: 1_048_576, checkpointIntervalMs: 500 },
  });
  const writer = await writerAt(site);
  for (let row = 0; row < 50; row += 1) expect(await writer.write(2_000)).toBe(true);
  const release = fill(site);
  let refused = 0;
  for (let row = 0; row < 3_000 && refused < 20 && site.isRunning; row += 1) {
    if (!(await writer.write(20_000))) refused += 1;
  }
  expect(refused, 'the disk was full').toBeGreaterThan(0);
  expectOrderly(site, writer);
  await expectRecovered(site, writer, release);
});

test.runIf(mounts)('a server that starts on a full disk starts, or says that it is full', async () => {
  const site = await siteOnSmallDisk({ log: { blockBytes: 1_048_576, diskBytesMax: 268_435_456 } });
  const writer = await writerAt(site);
  for (let row = 0; row < 50; row += 1) expect(await writer.write(2_000)).toBe(true);
  await site.kill();
  const release = fill(site);
  const started = await site.start().then(
    () => 'started',
    (error: unknown) => error as Error,
  );
  if (typeof started === 'object') {
    expect(started).toMatchObject({ kind: 'disk', hint: expect.stringContaining('free space') as string });
    await site.stop();
  }
  await expectRecovered(site, writer, release);
});
