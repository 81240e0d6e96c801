/**
 * Two real sites on loopback with one tenant between them: site a primary, site b its standby over TCP. Everything is
 * in a temporary directory and ends with the test, whatever happens.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ledger } from '../../src/client/ledger.ts';
import { LocalSite } from '../../src/client/local-site.ts';
import type { TenantInfo } from '../../src/server/entry.ts';

export const tenant = 'orders';
export const password = 'test-password';
export const credentials = { user: `root@${tenant}`, password };
const settleMs = 30_000;

export interface TwoSites {
  readonly directory: string;
  readonly a: LocalSite;
  readonly b: LocalSite;
  readonly ledger: Ledger;
  /** LOG_RESTORE_SOURCE text towards a site */
  sourceTo(site: LocalSite): string;
  close(): Promise<void>;
}

export interface TwoSitesOptions {
  /** configuration sections of both sites */
  readonly settings?: Readonly<Record<string, object | string>>;
  readonly environmentOf?: (name: string) => NodeJS.ProcessEnv;
  /** without a standby, only site a has the tenant */
  readonly withoutStandby?: boolean;
}

export async function startTwoSites(options: TwoSitesOptions = {}): Promise<TwoSites> {
  const directory = mkdtempSync(join(tmpdir(), 'obstandby-test-'));
  const site = (name: string): LocalSite =>
    new LocalSite(
      name,
      directory,
      { ...process.env, ...options.environmentOf?.(name) },
      options.settings ?? {},
    );
  const a = site('site-a');
  const b = site('site-b');
  const sourceTo = (to: LocalSite): string =>
    `SERVICE=${to.addresses.peerAddress} USER=${credentials.user} PASSWORD=${password}`;
  const close = async (): Promise<void> => {
    await Promise.all([a.kill(), b.kill()]);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await Promise.all([a.start(), b.start()]);
    await a.api.call('tenant-create', { name: tenant, rootPassword: password });
    const ledger = new Ledger([a, b], credentials);
    await ledger.prepare(a.sqlPort);
    if (options.withoutStandby !== true) {
      await b.api.call('standby-create', { name: tenant, source: sourceTo(a) });
    }
    return { directory, a, b, ledger, sourceTo, close };
  } catch (error) {
    await close();
    throw error;
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
export function databaseDigest(site: LocalSite): string {
  const tenants = join(site.dataDirectory, 'tenants');
  const id = readdirSync(tenants).find(name => name !== '1') ?? '';
  return createHash('sha256')
    .update(readFileSync(join(tenants, id, 'db', 'tenant.db')))
    .digest('hex');
}

/** Resolves when both sites have the same log applied and checkpointed; rejects unless their files are equal then. */
export async function expectEqualDatabases(one: LocalSite, two: LocalSite): Promise<void> {
  await until(
    'both sites hold the same database, page by page',
    async () => {
      const ends = await Promise.all(
        [one, two].map(site => site.api.call<number>('tenant-checkpoint', { name: tenant })),
      );
      const digests = [one, two].map(databaseDigest);
      return { ends, digests };
    },
    ({ ends, digests }) => ends[0] === ends[1] && digests[0] === digests[1],
  );
}
