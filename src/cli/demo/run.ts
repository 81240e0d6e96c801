/**
 * The demo: two real sites on loopback, a real database, clients that keep writing; switchover and back, a killed
 * primary, a failover with its loss certificate, and a verdict from the clients' own ledger. Under a minute.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LossCertificate, TenantInfo } from '../../server/entry.ts';
import { certificateText } from '../commands/role.ts';
import type { Output } from '../output.ts';
import { loadChinook } from './chinook.ts';
import { LagWatch } from './lag-watch.ts';
import { Ledger } from '../../client/ledger.ts';
import { LocalSite } from '../../client/local-site.ts';
import { createTransport, type TransportKind } from './transport.ts';
import { databaseDigest, judge } from './verdict.ts';

export interface DemoOptions {
  readonly transport: TransportKind;
  readonly keep: boolean;
}

export interface DemoResult {
  readonly ok: boolean;
  readonly commits: number;
  readonly lostCommits: number;
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
const writers = 8;
const phaseMs = 3000;
/** Half the default: an archive demo should not wait long for its archive. */
const settings = { archive: { lagTargetMs: 500 } };
const settleMs = 30_000;

export async function runDemo(options: DemoOptions, output: Output): Promise<DemoResult> {
  const directory = mkdtempSync(join(tmpdir(), 'obstandby-demo-'));
  const sites = [
    new LocalSite('site-a', directory, process.env, settings),
    new LocalSite('site-b', directory, process.env, settings),
  ] as const;
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
  [a, b]: readonly [LocalSite, LocalSite],
): Promise<DemoResult> {
  const password = randomBytes(12).toString('hex');
  const credentials = { user: `root@${tenant}`, password };
  const progress = output.progress.bind(output);
  const transport = createTransport({ kind: options.transport, tenant, password, directory, progress });

  output.note(`two sites under ${directory}, joined by ${options.transport}`);
  await Promise.all([a.start(), b.start()]);
  await a.api.call('tenant-create', { name: tenant, rootPassword: password });
  const statements = await loadChinook(a.sqlPort, credentials);
  output.note(`Chinook loaded through the MySQL protocol (${statements} statements); making the standby`);
  await transport.preparePrimary(a);
  await transport.createStandby(b, a);

  const lag = new LagWatch(tenant, text => {
    if (process.stderr.isTTY && !output.json) process.stderr.write(`\r${text}\u001b[K`);
  });
  const ledger = new Ledger([a, b], credentials);
  await ledger.prepare(a.sqlPort);
  ledger.start(writers);
  lag.watch(b);
  try {
    await delay(phaseMs);

    const there = await changeRoles(ledger, lag, output, 'switchover to site-b', a, () =>
      transport.switchover(a, b),
    );
    await delay(phaseMs / 2);
    const back = await changeRoles(ledger, lag, output, 'switchover back to site-a', b, () =>
      transport.switchover(b, a),
    );
    await delay(phaseMs / 2);

    await ledger.pause();
    const sitesEqual = await compareSites(a, b);
    output.note(`page by page the two database files are ${sitesEqual ? 'equal' : 'DIFFERENT'}`);
    ledger.resume();
    await delay(phaseMs / 2);

    lag.watch(undefined);
    output.note('killing site-a (SIGKILL), then failover at site-b');
    const killedAtMs = performance.now();
    await a.kill();
    await b.api.call('failover', { name: tenant, maxLagMs: 30_000 }, progress);
    await ledger.nextAcknowledgement(settleMs);
    const failoverGapMs = ledger.gapSince(killedAtMs)?.gapMs ?? 0;
    await delay(phaseMs / 3);
    await ledger.stop();

    output.note('site-a comes back: it must find out that it is not the primary any more');
    await a.start();
    const certificate = await completedCertificate(a, b);
    const old = await ledger.rowsAt(a.sqlPort);
    const verdict = judge(ledger, await ledger.rowsAt(b.sqlPort), old, certificate);
    output.note(certificateText(certificate));
    const result: DemoResult = {
      ok: verdict.lostCommits === 0 && verdict.certificateExact && sitesEqual,
      commits: verdict.commits,
      lostCommits: verdict.lostCommits,
      switchover: { gapMs: Math.round(Math.max(there, back)) },
      failover: {
        gapMs: Math.round(failoverGapMs),
        certificateExact: verdict.certificateExact,
        certifiedLost: verdict.certifiedLost,
      },
      lag: lag.percentiles(),
      sitesEqual,
    };
    if (options.keep) output.note(connectText(a, b, password));
    return result;
  } finally {
    lag.stop();
    await ledger.stop();
  }
}

/** Runs a role change under load; the standby to watch afterwards is the site that was primary. */
async function changeRoles(
  ledger: Ledger,
  lag: LagWatch,
  output: Output,
  title: string,
  nextStandby: LocalSite,
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

/** True when both sites hold the same log and, after a checkpoint of each, the same database file. */
async function compareSites(primary: LocalSite, standby: LocalSite): Promise<boolean> {
  const deadline = performance.now() + settleMs;
  while (performance.now() < deadline) {
    const ends = await Promise.all(
      [primary, standby].map(site => site.api.call<number>('tenant-checkpoint', { name: tenant })),
    );
    const infos = await Promise.all(
      [primary, standby].map(site => site.api.call<TenantInfo>('tenant-show', { name: tenant })),
    );
    const applied = infos.map(info => info.applied.lsn);
    if (ends[0] === ends[1] && applied[0] === ends[0]) {
      const digests = await Promise.all([primary, standby].map(site => databaseDigest(site.dataDirectory)));
      if (digests[0] === digests[1]) return true;
    }
    await delay(50);
  }
  return false;
}

/** Waits until the old primary was fenced and its lost suffix counted. */
async function completedCertificate(old: LocalSite, current: LocalSite): Promise<LossCertificate | null> {
  const deadline = performance.now() + settleMs;
  for (;;) {
    for (const site of [current, old]) {
      const certificate = await site.api.call<LossCertificate | null>('certificate', { name: tenant });
      if (certificate !== null && certificate.lostTransactions !== null) return certificate;
    }
    if (performance.now() > deadline)
      return current.api.call<LossCertificate | null>('certificate', { name: tenant });
    await delay(50);
  }
}

function connectText(a: LocalSite, b: LocalSite, password: string): string {
  return [
    `site-b is primary, site-a is fenced; both keep running (pids ${a.pid}, ${b.pid}):`,
    `  mysql -h 127.0.0.1 -P ${b.sqlPort} -u root@${tenant} -p${password}`,
    `  obstandby status --config ${b.configFile}`,
    `  obstandby status --config ${a.configFile}`,
    `  stop them with: kill ${a.pid} ${b.pid}`,
  ].join('\n');
}

const delay = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));
