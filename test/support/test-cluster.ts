/**
 * A real cluster of three servers on loopback with one tenant that has a full replica on each, clients that keep writing and a book of
 * what they were told. Everything is in a temporary directory and ends with the test, whatever happens.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { createConnection } from 'mysql2/promise';
import { expect } from 'vitest';
import { ArbitratedCluster, type ArbitratedShape } from '../../src/client/arbitrated-cluster.ts';
import { Ledger } from '../../src/client/ledger.ts';
import { LocalCluster, type LocalClusterOptions } from '../../src/client/local-cluster.ts';
import type { LocalSite } from '../../src/client/local-site.ts';
import { RegisterClients } from './history/register-clients.ts';
import { endAll } from './lone-site.ts';
import { NodeRelays } from './node-relays.ts';
import { codeCacheVariables, credentials, password, tenant, until } from './two-sites.ts';

const probeTimeoutMs = 5000;
const shownLines = 25;
const shownColumns = 400;
const writers = 6;
const registerClients = 6;

export interface TestCluster {
  readonly cluster: LocalCluster;
  readonly relays: NodeRelays;
  readonly ledger: Ledger;
  readonly registers: RegisterClients;
  /** of a cluster with an arbiter */
  readonly arbitrated: ArbitratedCluster | null;
}

export interface TestClusterOptions extends LocalClusterOptions {
  /** before anything is started */
  readonly prepare?: (servers: readonly LocalSite[]) => void;
  /** with an arbiter: 2 or 4 servers, each with a full replica */
  readonly shape?: ArbitratedShape;
}

/** Runs the work with a cluster whose clients have begun, and ends everything after it. */
export async function withCluster(
  options: TestClusterOptions,
  work: (test: TestCluster) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'obstandby-cluster-'));
  const relays = new NodeRelays();
  const environment = { ...process.env, ...(await codeCacheVariables(directory)), ...options.environment };
  const made = {
    advertise: (server: string, port: number) => relays.advertise(server, port),
    ...options,
    environment,
  };
  const { shape } = options;
  const arbitrated =
    shape === undefined ? null : await ArbitratedCluster.make('rome', directory, shape, made);
  const cluster = arbitrated?.cluster ?? (await LocalCluster.make('rome', directory, made));
  const ledger = new Ledger(cluster.servers, credentials);
  const registers = new RegisterClients(cluster.servers, credentials);
  try {
    options.prepare?.(cluster.servers);
    if (arbitrated === null) {
      await cluster.start();
      await cluster.call('tenant-create', { name: tenant, rootPassword: password });
    } else {
      await arbitrated.start();
      await arbitrated.createTenant(tenant, password);
    }
    await ledger.prepare();
    await registers.prepare((await cluster.leaderOf(tenant)).sqlPort);
    ledger.start(writers);
    registers.start(registerClients);
    await ledger.nextAcknowledgement(30_000);
    await work({ cluster, relays, ledger, registers, arbitrated });
  } catch (error) {
    for (const server of cluster.servers) console.log(lastLinesOf(server));
    throw error;
  } finally {
    relays.heal();
    // Writers first would wait for answers of servers that may hang.
    await cluster.kill();
    await arbitrated?.arbiter.kill();
    await Promise.all([ledger.stop(), registers.stop()]);
    await relays.close();
    await endAll();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What a server said last, for whoever reads why a test failed. */
function lastLinesOf({ name, directory }: LocalSite): string {
  const lines = readFileSync(join(directory, 'server.log'), 'utf8').trimEnd().split('\n');
  return [`--- ${name}`, ...lines.slice(-shownLines).map(line => line.slice(0, shownColumns))].join('\n');
}

/**
 * What every disturbed cluster is held to in the end, all its servers running and connected: every acknowledged row is there, no row that
 * was refused, each register's history is linearizable, and all replicas hold the same database, page by page.
 */
export async function expectNothingLost(test: TestCluster): Promise<void> {
  const { cluster, ledger, registers } = test;
  await ledger.nextAcknowledgement(60_000);
  await Promise.all([ledger.stop(), registers.stop()]);
  const rows = await ledger.rows();
  expect(ledger.missingFrom(rows), 'acknowledged rows that are not there').toEqual([]);
  expect(ledger.inventedIn(rows), 'rows that nobody sent, or that were refused').toEqual([]);
  expect(registers.suspects(), 'registers whose history is not linearizable').toEqual([]);
  console.log(
    `${ledger.acknowledged.size} acknowledged rows, ${ledger.unknown.size} unknown; ${registers.operations} operations on registers`,
  );
  await expectEqualReplicas(cluster.servers);
}

export const expectEqualReplicas = async (servers: readonly LocalSite[]): Promise<void> => {
  await until(
    'all replicas hold the same database, page by page',
    () => Promise.resolve(servers.map(databaseDigest)),
    digests => new Set(digests).size === 1,
    60_000,
  );
};

/** The tenant's database file, which belongs to the server: read only. */
export function databaseOf(server: LocalSite): Database.Database {
  const tenants = join(server.dataDirectory, 'tenants');
  const id = readdirSync(tenants).find(name => name !== '1') ?? '';
  return new Database(join(tenants, id, 'db', 'tenant.db'), { readonly: true });
}

/** Of all its pages, as whoever opens it sees them now. */
function databaseDigest(server: LocalSite): string {
  const database = databaseOf(server);
  try {
    return createHash('sha256').update(database.serialize()).digest('hex');
  } finally {
    database.close();
  }
}

/** Runs statements as the tenant's root on one connection to one server; resolves with the rows of the last one. */
export async function queryAt(
  server: LocalSite,
  ...statements: readonly string[]
): Promise<Record<string, unknown>[]> {
  const connection = await createConnection({
    host: '127.0.0.1',
    port: server.sqlPort,
    ...credentials,
    connectTimeout: probeTimeoutMs,
  });
  try {
    let last: unknown = [];
    for (const sql of statements) [last] = await connection.query({ sql, timeout: probeTimeoutMs });
    return last as Record<string, unknown>[];
  } finally {
    connection.destroy();
  }
}

/** The servers of a cluster other than this one. */
export const othersThan = (cluster: LocalCluster, server: LocalSite): LocalSite[] =>
  cluster.servers.filter(other => other !== server);

/** Resolves with the leader of the tenant once it is another server than this one. */
export const anotherLeader = (cluster: LocalCluster, not: LocalSite): Promise<LocalSite> =>
  until(
    `another server than ${not.name} leads`,
    () => cluster.leaderOf(tenant),
    leader => leader !== not,
    60_000,
  );
