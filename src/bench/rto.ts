/**
 * How long clients are without a leader when theirs is killed, and that a cluster under full load elects none without need.
 *
 * The leader of the tenant is killed again and again under 16 clients: the gap is from the last acknowledged commit to the first one
 * of the new leader, and the clients' own ledger says whether anything acknowledged is missing. Then the machine is loaded fully for
 * minutes with nobody killed: every step of a proposal id, of the tenant's log or the sys tenant's, is an election nobody needed.
 */
import { isObError } from '../base/errors.ts';
import { Ledger } from '../client/ledger.ts';
import type { LocalCluster } from '../client/local-cluster.ts';
import type { LocalSite } from '../client/local-site.ts';
import { type Bench, type BenchContext, median, percentile } from './bench.ts';
import { type BenchCluster, benchRows, benchTenant, startBenchCluster } from './primary-site.ts';
import { sysbench } from './sysbench.ts';

const servers = 3;
const kills = 30;
const clients = 16;
/** between two kills */
const loadMs = 1000;
const settleMs = 60_000;
const pollMs = 50;
const quietMinutes = 10;
const fullLoadThreads = 64;
const fullLoadSeconds = 30;
const ledgerClientsUnderFullLoad = 2;
const watched = ['sys', benchTenant] as const;

async function run(context: BenchContext): Promise<Record<string, number>> {
  const bench = await startBenchCluster(context.directory, { servers, rows: benchRows });
  const { cluster } = bench;
  const ledger = new Ledger(cluster.servers, bench.credentials);
  try {
    await ledger.prepare();
    ledger.start(clients);
    const gapsMs: number[] = [];
    for (let kill = 0; kill < kills; kill += 1) {
      gapsMs.push(await killLeader(cluster, ledger));
      context.note(`kill ${kill + 1}: ${Math.round(gapsMs.at(-1) ?? 0)} ms without an acknowledged commit`);
    }
    await ledger.stop();

    const minutes = context.minutes ?? quietMinutes;
    ledger.start(ledgerClientsUnderFullLoad);
    const quiet = await loadFully(context, bench, minutes * 60_000);
    await ledger.stop();
    const kept = await ledger.rows();
    return {
      p99Ms: percentile(gapsMs, 0.99),
      p50Ms: median(gapsMs),
      maxMs: Math.max(...gapsMs),
      kills: gapsMs.length,
      lostCommits: ledger.missingFrom(kept).length,
      commits: ledger.acknowledged.size,
      spuriousElections: quiet.elections,
      fullLoadMinutes: minutes,
      fullLoadPerSecond: quiet.perSecond,
      fullLoadBroken: quiet.broken,
    };
  } finally {
    await ledger.stop();
    await cluster.stop();
  }
}

/** Kills the leader under load; resolves with the gap, once the killed server is back and has everything. */
async function killLeader(cluster: LocalCluster, ledger: Ledger): Promise<number> {
  await pause(loadMs);
  const leader = await cluster.leaderOf(benchTenant);
  const killedAtMs = performance.now();
  await leader.kill();
  await ledger.nextAcknowledgement(settleMs);
  const gapMs = ledger.gapSince(killedAtMs)?.gapMs ?? Number.NaN;
  await leader.start();
  await caughtUp(cluster, leader);
  return gapMs;
}

/** Resolves when the server's replicas have all that their leaders had at the call. */
async function caughtUp(cluster: LocalCluster, server: LocalSite): Promise<void> {
  for (const tenant of watched) {
    const wanted = Math.max(...[...(await cluster.replicasOf(tenant)).values()].map(({ endLsn }) => endLsn));
    const deadline = performance.now() + settleMs;
    for (;;) {
      const own = (await cluster.replicasOf(tenant)).get(server);
      if (own !== undefined && !own.isImpaired && own.endLsn >= wanted) break;
      if (performance.now() > deadline) throw new Error(`${server.name} does not catch up with ${tenant}`);
      await pause(pollMs);
    }
  }
}

interface QuietTime {
  readonly elections: number;
  readonly perSecond: number;
  /** runs of the load that met an error */
  readonly broken: number;
}

async function loadFully(context: BenchContext, bench: BenchCluster, ms: number): Promise<QuietTime> {
  const before = await proposals(bench.cluster);
  const rates: number[] = [];
  let broken = 0;
  const deadline = performance.now() + ms;
  while (performance.now() < deadline) {
    const seconds = Math.min(fullLoadSeconds, Math.ceil((deadline - performance.now()) / 1000));
    try {
      const load = { script: 'oltp_update_non_index', command: 'run', rows: benchRows } as const;
      const result = await sysbench(await bench.target(), { ...load, threads: fullLoadThreads, seconds });
      rates.push(result.transactionsPerSecond);
    } catch (error) {
      if (!isObError(error, 'OBS_BENCH_TOOL_FAILED')) throw error;
      broken += 1;
      context.note(error.message);
    }
  }
  return { elections: (await proposals(bench.cluster)) - before, perSecond: median(rates), broken };
}

/** Highest proposal ids of the logs, added up: each election takes one at least. */
async function proposals(cluster: LocalCluster): Promise<number> {
  let sum = 0;
  for (const tenant of watched) {
    const replicas = [...(await cluster.replicasOf(tenant)).values()];
    sum += Math.max(...replicas.map(({ proposalId }) => proposalId));
  }
  return sum;
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

export const rtoBench: Bench = {
  name: 'rto',
  description: 'gap in acknowledged commits when the leader is killed, and elections that nobody needed',
  goals: { p99Ms: { atMost: 2000 }, lostCommits: { atMost: 0 }, spuriousElections: { atMost: 0 } },
  run,
};
