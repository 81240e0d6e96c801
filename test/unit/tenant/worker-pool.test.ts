/** Threads: a worker that ends takes the process with it; a database that cannot be opened leaves nothing behind. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lsn, scn } from '../../../src/base/scalars.ts';
import { CheckpointMeta } from '../../../src/tenant/pages/checkpoint-meta.ts';
import { WorkerPool } from '../../../src/tenant/worker-pool.ts';
import { incarnation, outcomeOf, TenantSite } from '../../support/tenant-site.ts';

test('a worker that meets a broken invariant is fatal, once', async () => {
  const fatal: Error[] = [];
  const pool = new WorkerPool({ workers: 2, onFatal: error => fatal.push(error) });
  const channel = pool.attach(() => undefined);
  const directory = mkdtempSync(join(tmpdir(), 'obs-pool-'));
  await channel.ask('recover', { directory, tenantName: 'acme', incarnation });
  // a promotion of a database that is not open
  const failed = outcomeOf(channel.ask('promote', {}));
  expect(await failed).toBe('OBS_TENANT_NOT_OPEN');
  await channel.ask('start', { mode: 'leader', pageBytes: 4096 });
  channel.send('promote', {}, { settle: () => undefined });
  while (fatal.length === 0) await new Promise(resolve => setImmediate(resolve));
  expect(fatal.map(error => error.message)).toEqual([expect.stringContaining('a follower is promoted')]);
  await pool.close();
  rmSync(directory, { recursive: true });
});

test('a database ahead of its log, or of another tenant, is refused and can be tried again', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'obs-short-'));
  const site = await TenantSite.open({ directory });
  await site.engine.close();
  const meta = new CheckpointMeta(join(directory, 'db', 'checkpoint'), incarnation);
  meta.write({
    position: { lsn: lsn(1_000_000), scn: scn(1), checksum: 0 },
    pageBytes: 4096,
    databasePages: 1,
    incarnation,
  });
  meta.close();
  expect(await outcomeOf(site.openEngine())).toBe('OBS_TENANT_LOG_SHORT');
  rmSync(join(directory, 'db', 'checkpoint'));
  const foreign = new CheckpointMeta(join(directory, 'db', 'checkpoint'), 'f'.repeat(32));
  foreign.write({
    position: { lsn: lsn(0), scn: scn(0), checksum: 0 },
    pageBytes: 4096,
    databasePages: 1,
    incarnation: 'f'.repeat(32),
  });
  foreign.close();
  expect(await outcomeOf(site.openEngine())).toBe('OBS_TENANT_CHECKPOINT_CORRUPT');
  rmSync(join(directory, 'db', 'checkpoint'));
  await site.openEngine();
  expect(site.engine.state().mode).toBe('leader');
  await site.close();
  expect(site.fatal).toEqual([]);
  rmSync(directory, { recursive: true });
});
