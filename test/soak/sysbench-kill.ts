/**
 * `npm run soak -- [--minutes 5] [--threads 16] [--every 20] [--seed N]`: sysbench oltp_read_write on a tenant with three full replicas
 * while a server of the cluster, drawn anew each time, is killed and started again. Beside it clients with a ledger. In the end every
 * acknowledged row must be there and no other, the table must have the rows it had, and all replicas must be equal, page by page.
 *
 * The last line is JSON: `{ok, minutes, kills, ...}`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { must } from '../../src/base/assert.ts';
import { isObError } from '../../src/base/errors.ts';
import { sysbench, type SysbenchTarget } from '../../src/bench/sysbench.ts';
import { Ledger } from '../../src/client/ledger.ts';
import { LocalCluster } from '../../src/client/local-cluster.ts';
import type { LocalSite } from '../../src/client/local-site.ts';
import { LeaderRelay } from '../support/leader-relay.ts';
import { SimRandom } from '../support/sim/random.ts';
import { databaseOf, expectEqualReplicas, queryAt } from '../support/test-cluster.ts';
import { credentials, password, tenant } from '../support/two-sites.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    threads: { type: 'string', default: '16' },
    every: { type: 'string', default: '20' },
    rows: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
  },
});
const minutes = Number(values.minutes);
const threads = Number(values.threads);
const everyMs = Number(values.every) * 1000;
const rows = Number(values.rows);
const ledgerClients = 4;
const soonMs = 60_000;
/** one run of sysbench */
const runSeconds = 5;
/** a deadlock, a commit nobody knows the outcome of, a server that does not lead: the connection stays */
const ignoredErrors = [1213, 1205, 1020, 4012, 4038];
/** how long a killed server is away */
const awayMs = 3000;

const directory = mkdtempSync(join(tmpdir(), 'obstandby-soak-'));
const random = new SimRandom(Number(values.seed));
const cluster = await LocalCluster.make('soak', directory, {});
const ledger = new Ledger(cluster.servers, credentials);
const relay = new LeaderRelay(cluster, tenant);
const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));
let ok = false;

try {
  await cluster.start();
  await cluster.call('tenant-create', { name: tenant, rootPassword: password });
  const target: SysbenchTarget = {
    driver: 'mysql',
    port: await relay.start(),
    user: credentials.user,
    password,
  };
  const load = { script: 'oltp_read_write', threads, rows } as const;
  await sysbench(target, { ...load, threads: 1, seconds: 0, command: 'prepare' });
  await ledger.prepare();
  ledger.start(ledgerClients);

  const startedMs = performance.now();
  const deadline = startedMs + minutes * 60_000;
  const kills = { leader: 0, follower: 0 };
  const gapsMs: number[] = [];
  const loads = { transactions: 0, errors: 0, restarts: 0 };
  const loading = keepLoading();
  while (performance.now() + everyMs < deadline) {
    await pause(everyMs);
    const leader = await cluster.leaderOf(tenant);
    const victim = must(cluster.servers[random.next() % cluster.servers.length], 'a server');
    kills[victim === leader ? 'leader' : 'follower'] += 1;
    const killedAtMs = performance.now();
    await victim.kill();
    await ledger.nextAcknowledgement(soonMs);
    const gapMs = ledger.gapSince(killedAtMs)?.gapMs ?? Number.NaN;
    if (victim === leader) gapsMs.push(gapMs);
    console.error(
      `${((killedAtMs - startedMs) / 1000).toFixed(0).padStart(4)} s: killed ${victim.name}${victim === leader ? ', the leader' : ''}; ${Math.round(gapMs)} ms without an acknowledged commit`,
    );
    await pause(awayMs);
    await victim.start();
  }
  await loading;
  await ledger.stop();

  const found = await ledger.rows();
  const missing = ledger.missingFrom(found).length;
  const invented = ledger.inventedIn(found).length;
  const [count] = await queryAt(await cluster.leaderOf(tenant), 'SELECT count(*) AS n FROM sbtest1');
  await expectEqualReplicas(cluster.servers);
  const integrity = cluster.servers.map(integrityOf);
  ok =
    missing === 0 &&
    invented === 0 &&
    Number(count?.['n']) === rows &&
    loads.transactions > 0 &&
    integrity.every(text => text === 'ok');
  const sorted = gapsMs.toSorted((one, other) => one - other);
  console.log(
    JSON.stringify({
      ok,
      minutes,
      kills,
      leaderGapMs: {
        median: Math.round(sorted[sorted.length >> 1] ?? 0),
        max: Math.round(sorted.at(-1) ?? 0),
      },
      sysbench: loads,
      acknowledged: ledger.acknowledged.size,
      unknown: ledger.unknown.size,
      missing,
      invented,
      tableRows: Number(count?.['n']),
      replicasEqual: true,
      integrity,
    }),
  );

  /** One run after another: one that a leader's death ends is followed by the next. */
  async function keepLoading(): Promise<void> {
    while (performance.now() < deadline) {
      const left = Math.round((deadline - performance.now()) / 1000);
      const seconds = Math.max(1, Math.min(runSeconds, left));
      try {
        const run = { ...load, seconds, command: 'run', prepared: false, ignoredErrors } as const;
        const result = await sysbench(target, run);
        loads.transactions += Math.round(result.transactionsPerSecond * seconds);
        loads.errors += result.errors;
      } catch (error) {
        if (!isObError(error, 'OBS_BENCH_TOOL_FAILED')) throw error;
        loads.restarts += 1;
        console.error(error.message);
        await pause(500);
      }
    }
  }
} finally {
  await relay.close();
  await cluster.kill();
  await ledger.stop();
  rmSync(directory, { recursive: true, force: true });
}
process.exit(ok ? 0 : 1);

function integrityOf(server: LocalSite): string {
  const database = databaseOf(server);
  try {
    return String(database.pragma('integrity_check', { simple: true }));
  } finally {
    database.close();
  }
}
