/**
 * Two real sites on loopback with one tenant between them: site a primary, site b its standby, over TCP or over an
 * archive directory alone. Everything is in a temporary directory and ends with the test, whatever happens.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createConnection } from 'mysql2/promise';
import { Ledger } from '../../src/client/ledger.ts';
import { LocalSite } from '../../src/client/local-site.ts';
import type { TenantInfo } from '../../src/server/entry.ts';

export const tenant = 'orders';
export const password = 'test-password';
export const credentials = { user: `root@${tenant}`, password };
const settleMs = 30_000;
const probeTimeoutMs = 5000;
/** Code that Node has compiled before: halves the time a server needs to start. */
let filled: Promise<void> | undefined;
const codeCache = fileURLToPath(new URL('../../node_modules/.cache/obstandby-test', import.meta.url));

type Transport = 'tcp' | 'archive';

export interface TwoSites {
  readonly directory: string;
  readonly a: LocalSite;
  readonly b: LocalSite;
  readonly ledger: Ledger;
  /** LOG_RESTORE_SOURCE text towards a site, or to the archive where that is what joins them */
  sourceTo(site: LocalSite): string;
  close(): Promise<void>;
}

export interface TwoSitesOptions {
  /** configuration sections of both sites */
  readonly settings?: Readonly<Record<string, object | string>>;
  readonly environmentOf?: (name: string) => NodeJS.ProcessEnv;
  /** without a standby, only site a has the tenant */
  readonly withoutStandby?: boolean;
  /** default: tcp */
  readonly transport?: Transport;
}

export async function startTwoSites(options: TwoSitesOptions = {}): Promise<TwoSites> {
  const directory = mkdtempSync(join(tmpdir(), 'obstandby-test-'));
  const site = (name: string): LocalSite =>
    new LocalSite(
      name,
      directory,
      { ...process.env, NODE_COMPILE_CACHE: codeCache, ...options.environmentOf?.(name) },
      options.settings ?? {},
    );
  await codeCacheVariables(directory);
  const a = site('site-a');
  const b = site('site-b');
  const archive = options.transport === 'archive' ? `LOCATION=file://${join(directory, 'archive')}` : null;
  const sourceTo = (to: LocalSite): string =>
    archive ?? `SERVICE=${to.addresses.peerAddress} USER=${credentials.user} PASSWORD=${password}`;
  const close = async (): Promise<void> => {
    await Promise.all([a.kill(), b.kill()]);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await Promise.all([a.start(), b.start()]);
    await a.api.call('tenant-create', { name: tenant, rootPassword: password });
    const ledger = new Ledger([a, b], credentials);
    await ledger.prepare(a.sqlPort);
    if (archive !== null) {
      await archiveTo(a, `${archive}?create=true`);
      await a.api.call('backup', { name: tenant });
    }
    if (options.withoutStandby !== true) {
      await b.api.call('standby-create', { name: tenant, source: sourceTo(a) });
      if (archive !== null) await archiveTo(b, archive);
    }
    return { directory, a, b, ledger, sourceTo, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function archiveTo(site: LocalSite, dest: string): Promise<void> {
  await site.api.call('archive-dest', { name: tenant, dest });
  await site.api.call('archive-start', { name: tenant });
}

/** For servers of tests: a server in `directory` fills the cache where there is none yet. */
export async function codeCacheVariables(directory: string): Promise<NodeJS.ProcessEnv> {
  filled ??= existsSync(codeCache) ? Promise.resolve() : fillCodeCache(directory);
  await filled;
  return { NODE_COMPILE_CACHE: codeCache };
}

/** The cache is written by a server that ends in peace, which the servers of these tests rarely do. */
async function fillCodeCache(directory: string): Promise<void> {
  const site = new LocalSite('warm-up', directory, { ...process.env, NODE_COMPILE_CACHE: codeCache });
  await site.start();
  await site.stop();
}

/** Runs the work with two sites and ends them after it. */
export async function withTwoSites(
  options: TwoSitesOptions,
  work: (sites: TwoSites) => Promise<void>,
): Promise<void> {
  const sites = await startTwoSites(options);
  try {
    await work(sites);
  } finally {
    // Writers first would wait for answers of sites that may hang.
    await sites.close();
    await sites.ledger.stop();
  }
}

/** Runs SQL as the tenant's root on a connection of its own. */
export async function query(site: LocalSite, sql: string): Promise<Record<string, unknown>[]> {
  const connection = await createConnection({
    host: '127.0.0.1',
    port: site.sqlPort,
    ...credentials,
    connectTimeout: probeTimeoutMs,
  });
  try {
    const [rows] = await connection.query({ sql, timeout: probeTimeoutMs });
    return rows as Record<string, unknown>[];
  } finally {
    connection.destroy();
  }
}

/** True when the site takes a write right now. */
export async function isWritable(site: LocalSite): Promise<boolean> {
  try {
    await query(site, 'CREATE TABLE IF NOT EXISTS probe (n INTEGER)');
    await query(site, 'INSERT INTO probe VALUES (1)');
    return true;
  } catch {
    return false;
  }
}

export const infoOf = (site: LocalSite): Promise<TenantInfo> =>
  site.api.call<TenantInfo>('tenant-show', { name: tenant });

/** Polls until the predicate holds; rejects with the last answer when it never does. */
export async function until<Value>(
  what: string,
  ask: () => Promise<Value>,
  holds: (value: Value) => boolean,
  withinMs = settleMs,
): Promise<Value> {
  const deadline = performance.now() + withinMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await ask();
      if (holds(value)) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error(
        `never came true within ${withinMs} ms: ${what}; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`,
      );
    }
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

/** The digest of a site's tenant database file after a checkpoint. */
function databaseDigest(site: LocalSite): string {
  const tenants = join(site.dataDirectory, 'tenants');
  const id = readdirSync(tenants).find(name => name !== '1') ?? '';
  return createHash('sha256')
    .update(readFileSync(join(tenants, id, 'db', 'tenant.db')))
    .digest('hex');
}

/**
 * Resolves when both sites have applied and checkpointed all that the first one's log held at the call, and their files are
 * equal. Nobody may write meanwhile; entries that only tell the time change no page, so the ends need not meet.
 */
export async function expectEqualDatabases(one: LocalSite, two: LocalSite): Promise<void> {
  const { endLsn } = (await infoOf(one)).log;
  await until(
    `both sites hold the same database up to LSN ${endLsn}, page by page`,
    async () => {
      const ends = await Promise.all(
        [one, two].map(site => site.api.call<number>('tenant-checkpoint', { name: tenant })),
      );
      const digests = [one, two].map(databaseDigest);
      return { ends, digests };
    },
    ({ ends, digests }) => ends.every(end => end >= endLsn) && digests[0] === digests[1],
  );
}
