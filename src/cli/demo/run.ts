/**
 * The demo: two sites on loopback, a cluster of three servers each, a real database, clients that keep writing; a killed leader,
 * switchover and back, a whole site killed, a failover with its loss certificate, and a verdict from the clients' own ledger. About
 * a minute.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LossCertificate } from '../../server/entry.ts';
import { certificateText } from '../commands/role.ts';
import type { Output } from '../output.ts';
import { loadChinook } from './chinook.ts';
import { LagWatch } from './lag-watch.ts';
import { Ledger } from '../../client/ledger.ts';
import { LocalCluster } from '../../client/local-cluster.ts';
import { createTransport, type TransportKind } from './transport.ts';
import { databaseDigest, judge } from './verdict.ts';

export interface DemoOptions {
  readonly transport: TransportKind;
  /** one server a site */
  readonly small: boolean;
  readonly keep: boolean;
}

export interface DemoResult {
  readonly ok: boolean;
  readonly commits: number;
  readonly lostCommits: number;
  readonly leaderKill: { readonly gapMs: number };
  readonly switchover: { readonly gapMs: number };
  readonly failover: {
    readonly gapMs: number;
    readonly certificateExact: boolean;
    readonly certifiedLost: number;
  };
  readonly lag: { readonly p50Ms: number; readonly p99Ms: number };
  readonly sitesEqual: boolean;
}

const tenant = 'chinook';
const serversPerSite = 3;
const writers = 8;
const phaseMs = 3000;
/** Half the default: an archive demo should not wait long for its archive. */
const settings = { archive: { lagTargetMs: 500 } };
const settleMs = 30_000;
const pollMs = 50;

type Sites = readonly [LocalCluster, LocalCluster];

export async function runDemo(options: DemoOptions, output: Output): Promise<DemoResult> {
  const directory = mkdtempSync(join(tmpdir(), 'obstandby-demo-'));
  const servers = options.small ? 1 : serversPerSite;
  const make = (name: string): Promise<LocalCluster> =>
    LocalCluster.make(name, directory, { servers, settings });
  const sites: Sites = [await make('site-a'), await make('site-b')];
  const interrupted = (): void => {
    void Promise.all(sites.map(site => site.kill())).then(() => process.exit(130));
  };
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  let kept = false;
  try {
    const result = await play(options, output, directory, sites);
    kept = options.keep;
    return result;
  } finally {
    process.off('SIGINT', interrupted);
    process.off('SIGTERM', interrupted);
    if (kept) {
      for (const site of sites) site.detach();
    } else {
      await Promise.all(sites.map(site => site.stop()));
      rmSync(directory, { recursive: true, force: true });
    }
  }
}

async function play(
  options: DemoOptions,
  output: Output,
  directory: string,
  [a, b]: Sites,
): Promise<DemoResult> {
  const password = randomBytes(12).toString('hex');
  const credentials = { user: `root@${tenant}`, password };
  const progress = output.progress.bind(output);
  const transport = createTransport({ kind: options.transport, tenant, password, directory, progress });

  const size = options.small ? 'one server each' : `${a.servers.length} servers each`;
  output.note(`two sites of ${size} under ${directory}, joined by ${options.transport}`);
  await Promise.all([a.start(), b.start()]);
  const facts = await Promise.all(
    [a, b].flatMap(({ servers }) => servers.slice(0, 1).map(({ api }) => api.facts())),
  );
  output.nameSites({
    siteNames: Object.fromEntries(facts.map(({ siteId, clusterName }) => [siteId, clusterName])),
  });
  await a.call('tenant-create', { name: tenant, rootPassword: password });
  const leader = await a.leaderOf(tenant);
  const statements = await loadChinook(leader.sqlPort, credentials);
  output.note(`Chinook loaded through the MySQL protocol (${statements} statements); making the standby`);
  await transport.preparePrimary(a);
  await transport.createStandby(b, a);

  const lag = new LagWatch(tenant, text => {
    if (process.stderr.isTTY && !output.json) process.stderr.write(`\r${text}\u001b[K`);
  });
  const ledger = new Ledger([...a.servers, ...b.servers], credentials);
  await ledger.prepare();
  ledger.start(writers);
  lag.watch(b);
  try {
    await delay(phaseMs);
    const leaderKillGapMs = await killLeader(ledger, output, a);
    await delay(phaseMs / 2);

    const there = await changeRoles(ledger, lag, output, 'switchover to site-b', a, () =>
      transport.switchover(a, b),
    );
    await delay(phaseMs / 2);
    const back = await changeRoles(ledger, lag, output, 'switchover back to site-a', b, () =>
      transport.switchover(b, a),
    );
    await delay(phaseMs / 2);

    await ledger.pause();
    const replicas = [...a.servers, ...b.servers];
    const sitesEqual = await areEqual(replicas.map(server => server.dataDirectory));
    output.note(`page by page all ${replicas.length} databases are ${sitesEqual ? 'equal' : 'NOT equal'}`);
    ledger.resume();
    await delay(phaseMs / 2);

    lag.watch(undefined);
    output.note('killing all of site-a (SIGKILL), then failover at site-b');
    const killedAtMs = performance.now();
    await a.kill();
    await b.call('failover', { name: tenant, maxLagMs: 30_000 }, progress);
    await ledger.nextAcknowledgement(settleMs);
    const failoverGapMs = ledger.gapSince(killedAtMs)?.gapMs ?? 0;
    output.note(`  no commit was acknowledged for ${Math.round(failoverGapMs)} ms`);
    await delay(phaseMs / 3);
    await ledger.stop();

    output.note('site-a comes back: it must find out that it is not the primary any more');
    await a.start();
    const certificate = await completedCertificate(a, b);
    const old = await ledger.rowsAt((await a.leaderOf(tenant)).sqlPort);
    const verdict = judge(ledger, await ledger.rowsAt((await b.leaderOf(tenant)).sqlPort), old, certificate);
    output.note(certificateText(certificate));
    const result: DemoResult = {
      ok: verdict.lostCommits === 0 && verdict.certificateExact && sitesEqual,
      commits: verdict.commits,
      lostCommits: verdict.lostCommits,
      leaderKill: { gapMs: Math.round(leaderKillGapMs) },
      switchover: { gapMs: Math.round(Math.max(there, back)) },
      failover: {
        gapMs: Math.round(failoverGapMs),
        certificateExact: verdict.certificateExact,
        certifiedLost: verdict.certifiedLost,
      },
      lag: lag.percentiles(),
      sitesEqual,
    };
    if (options.keep) output.note(await connectText(a, b, password));
    return result;
  } finally {
    lag.stop();
    await ledger.stop();
  }
}

/** Kills the server that leads the tenant, under load; a server alone is started again, of several another one leads. */
async function killLeader(ledger: Ledger, output: Output, site: LocalCluster): Promise<number> {
  const leader = await site.leaderOf(tenant);
  output.note(`killing ${leader.name}, which leads the tenant (SIGKILL)`);
  const killedAtMs = performance.now();
  await leader.kill();
  if (site.servers.length === 1) await leader.start();
  await ledger.nextAcknowledgement(settleMs);
  const gapMs = ledger.gapSince(killedAtMs)?.gapMs ?? 0;
  const next = await site.leaderOf(tenant);
  output.note(`  ${next.name} leads; no commit was acknowledged for ${Math.round(gapMs)} ms`);
  if (!leader.isRunning) await leader.start();
  return gapMs;
}

/** Runs a role change under load; the standby to watch afterwards is the site that was primary. */
async function changeRoles(
  ledger: Ledger,
  lag: LagWatch,
  output: Output,
  title: string,
  nextStandby: LocalCluster,
  change: () => Promise<void>,
): Promise<number> {
  output.note(title);
  lag.watch(undefined);
  const startedMs = performance.now();
  await change();
  await ledger.nextAcknowledgement(settleMs);
  const gap = ledger.gapSince(startedMs);
  output.note(`  no commit was acknowledged for ${Math.round(gap?.gapMs ?? 0)} ms`);
  lag.watch(nextStandby);
  return gap?.gapMs ?? 0;
}

/** True when the databases in all data directories come to be the same, byte for byte. Nobody may write. */
async function areEqual(dataDirectories: readonly string[]): Promise<boolean> {
  const deadline = performance.now() + settleMs;
  while (performance.now() < deadline) {
    if (new Set(dataDirectories.map(databaseDigest)).size === 1) return true;
    await delay(pollMs);
  }
  return false;
}

/** Waits until the old primary was fenced and its lost suffix counted. */
async function completedCertificate(
  old: LocalCluster,
  current: LocalCluster,
): Promise<LossCertificate | null> {
  const deadline = performance.now() + settleMs;
  for (;;) {
    for (const site of [current, old]) {
      const certificate = await site
        .call<LossCertificate | null>('certificate', { name: tenant })
        // A cluster that was just started has no leader yet.
        .catch(() => null);
      if (certificate !== null && certificate.lostTransactions !== null) return certificate;
    }
    if (performance.now() > deadline)
      return current.call<LossCertificate | null>('certificate', { name: tenant });
    await delay(pollMs);
  }
}

async function connectText(a: LocalCluster, b: LocalCluster, password: string): Promise<string> {
  const pids = [...a.servers, ...b.servers].map(({ pid }) => pid).join(' ');
  const leader = await b.leaderOf(tenant);
  return [
    `${b.name} is primary, ${a.name} is fenced; both keep running:`,
    `  mysql -h 127.0.0.1 -P ${leader.sqlPort} -u root@${tenant} -p${password}`,
    ...[b, a].flatMap(site => site.servers.map(server => `  obstandby status --config ${server.configFile}`)),
    `  stop them with: kill ${pids}`,
  ].join('\n');
}

const delay = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));
