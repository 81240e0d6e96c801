/** A primary tenant in server processes of its own, one or a cluster, with a sysbench table, for benchmarks. */
import type { ApiClient } from '../client/api-client.ts';
import { LocalCluster } from '../client/local-cluster.ts';
import { LocalSite } from '../client/local-site.ts';
import { type SysbenchTarget, sysbench } from './sysbench.ts';

export const benchTenant = 'bench';
const password = 'bench-password';
export const benchRows = 100_000;

export interface BenchSite {
  readonly site: LocalSite;
  readonly api: ApiClient;
  readonly target: SysbenchTarget;
}

/** Starts a server with one tenant and fills the table (`rows` 0: no table). */
export async function startBenchPrimary(directory: string, rows: number): Promise<BenchSite> {
  const site = new LocalSite('bench-a', directory, process.env);
  await site.start();
  await site.api.call('tenant-create', { name: benchTenant, rootPassword: password });
  const target = targetAt(site);
  await fillTable(target, rows);
  return { site, api: site.api, target };
}

export interface BenchCluster {
  readonly cluster: LocalCluster;
  readonly credentials: { readonly user: string; readonly password: string };
  /** where sysbench goes: the server that leads the tenant now */
  target(): Promise<SysbenchTarget>;
}

/** Starts a cluster with one tenant that has a full replica on each server, and fills the table (`rows` 0: no table). */
export async function startBenchCluster(
  directory: string,
  options: { readonly servers: number; readonly rows: number },
): Promise<BenchCluster> {
  const cluster = await LocalCluster.make('bench', directory, { servers: options.servers });
  await cluster.start();
  await cluster.call('tenant-create', { name: benchTenant, rootPassword: password });
  const target = async (): Promise<SysbenchTarget> => targetAt(await cluster.leaderOf(benchTenant));
  await fillTable(await target(), options.rows);
  return { cluster, credentials: { user: `root@${benchTenant}`, password }, target };
}

const targetAt = (site: LocalSite): SysbenchTarget => ({
  driver: 'mysql',
  port: site.sqlPort,
  user: `root@${benchTenant}`,
  password,
});

async function fillTable(target: SysbenchTarget, rows: number): Promise<void> {
  if (rows === 0) return;
  const prepare = { command: 'prepare', threads: 1, seconds: 0, rows } as const;
  await sysbench(target, { script: 'oltp_update_non_index', ...prepare });
}

/** A second server that follows the first one over TCP. */
export async function startBenchStandby(directory: string, primary: LocalSite): Promise<LocalSite> {
  const site = new LocalSite('bench-b', directory, process.env);
  await site.start();
  const source = `SERVICE=${primary.addresses.peerAddress} USER=root@${benchTenant} PASSWORD=${password}`;
  await site.api.call('standby-create', { name: benchTenant, source });
  return site;
}
