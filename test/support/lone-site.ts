/**
 * One real server process for tests of what it refuses: its tenants made over the API, its clients over MySQL's
 * protocol. Everything is in a temporary directory and ends with the test.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { LocalSite } from '../../src/client/local-site.ts';
import type { TenantInfo } from '../../src/server/entry.ts';

export const password = 'test-password';

export interface LoneSiteOptions {
  readonly name?: string;
  /** configuration sections, as the schema spells them */
  readonly settings?: Readonly<Record<string, object | string>>;
  readonly environment?: NodeJS.ProcessEnv;
  readonly tenants?: readonly string[];
}

const cleanups: (() => Promise<void> | void)[] = [];

/** For afterEach and afterAll: ends everything that was made, newest first. */
export async function endAll(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

export const atEnd = (cleanup: () => Promise<void> | void): void => {
  cleanups.push(cleanup);
};

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'obstandby-bad-'));
  atEnd(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A site that was not started yet, in a directory of its own. */
export function newSite(options: LoneSiteOptions = {}, parent = temporaryDirectory()): LocalSite {
  const environment = { ...process.env, ...options.environment };
  const site = new LocalSite(options.name ?? 'site', parent, environment, options.settings ?? {});
  atEnd(() => site.kill());
  return site;
}

/** A site that serves, with its tenants. */
export async function startSite(options: LoneSiteOptions = {}): Promise<LocalSite> {
  const site = newSite(options);
  await site.start();
  for (const name of options.tenants ?? []) await createTenant(site, name);
  return site;
}

export const createTenant = (site: LocalSite, name: string): Promise<unknown> =>
  site.api.call('tenant-create', { name, rootPassword: password });

export const infoOf = (site: LocalSite, name: string): Promise<TenantInfo> =>
  site.api.call<TenantInfo>('tenant-show', { name });

export async function connect(
  site: LocalSite,
  tenant: string,
  credentials: { user?: string; password?: string } = {},
): Promise<Connection> {
  const connection = await createConnection({
    host: '127.0.0.1',
    port: site.sqlPort,
    user: `${credentials.user ?? 'root'}@${tenant}`,
    password: credentials.password ?? password,
    connectTimeout: 10_000,
  });
  // A server that is killed cuts it: the statement that waits is told, and nobody else needs to be.
  connection.on('error', () => {});
  atEnd(() => connection.destroy());
  return connection;
}

/** Makes a table of notes and fills it; resolves when all are acknowledged. */
export async function writeNotes(site: LocalSite, tenant: string, count: number, from = 1): Promise<void> {
  const connection = await connect(site, tenant);
  await connection.query('CREATE TABLE IF NOT EXISTS note (n INTEGER PRIMARY KEY, text TEXT NOT NULL)');
  for (let n = from; n < from + count; n += 1) {
    await connection.execute('INSERT INTO note VALUES (?, ?)', [n, `note ${n}`]);
  }
  await connection.end();
}

export async function notesOf(site: LocalSite, tenant: string): Promise<number[]> {
  const connection = await connect(site, tenant);
  const [rows] = await connection.query<RowDataPacket[]>('SELECT n FROM note ORDER BY n');
  await connection.end();
  return rows.map(row => Number(row['n']));
}

/** Numbers from 1 to `count`. */
export const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

/** The directory of the tenant that was made as the `index`-th, from 0. */
export function tenantDirectory(site: LocalSite, index = 0): string {
  const tenants = join(site.dataDirectory, 'tenants');
  const ids = readdirSync(tenants)
    .filter(name => name !== '1')
    .sort((one, other) => Number(one) - Number(other));
  return join(tenants, ids[index] ?? 'none');
}

/** What a promise rejects with; throws when it resolves. */
export async function failureOf(attempt: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  try {
    await attempt;
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error('it was accepted');
}
