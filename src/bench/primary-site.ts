/** A primary tenant in a server process of its own, with a sysbench table, for benchmarks. */
import type { ApiClient } from '../client/api-client.ts';
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
  const target: SysbenchTarget = {
    driver: 'mysql',
    port: site.sqlPort,
    user: `root@${benchTenant}`,
    password,
  };
  if (rows > 0)
    await sysbench(target, {
      script: 'oltp_update_non_index',
      command: 'prepare',
      threads: 1,
      seconds: 0,
      rows,
    });
  return { site, api: site.api, target };
}

/** A second server that follows the first one over TCP. */
export async function startBenchStandby(directory: string, primary: LocalSite): Promise<LocalSite> {
  const site = new LocalSite('bench-b', directory, process.env);
  await site.start();
  const source = `SERVICE=${primary.addresses.peerAddress} USER=root@${benchTenant} PASSWORD=${password}`;
  await site.api.call('standby-create', { name: benchTenant, source });
  return site;
}
