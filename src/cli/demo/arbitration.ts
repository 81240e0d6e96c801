/**
 * The demo of a cluster with an arbiter: live writes, the follower killed and restored, the leader killed and restored, and a verdict from
 * the clients' own ledger. About a minute.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ArbitratedCluster, type ArbitratedShape } from '../../client/arbitrated-cluster.ts';
import { Ledger } from '../../client/ledger.ts';
import type { LocalSite } from '../../client/local-site.ts';
import type { Output } from '../output.ts';

interface ArbitrationDemoEvent {
  readonly event: 'killed' | 'degraded' | 'restored' | 'upgraded';
  /** since the demo's clients began */
  readonly atMs: number;
  readonly servers: readonly string[];
}

export interface ArbitrationDemoResult {
  readonly ok: boolean;
  readonly shape: ArbitratedShape;
  readonly commits: number;
  readonly lostCommits: number;
  readonly followerKill: { readonly gapMs: number; readonly upgradeMs: number };
  readonly leaderKill: { readonly gapMs: number; readonly upgradeMs: number };
  readonly events: readonly ArbitrationDemoEvent[];
}

const tenant = 'shop';
const writers = 8;
const phaseMs = 2_000;
const settleMs = 30_000;
const pollMs = 50;
const gapMsMax = 8_000;

export async function runArbitrationDemo(
  shape: ArbitratedShape,
  output: Output,
): Promise<ArbitrationDemoResult> {
  const directory = mkdtempSync(join(tmpdir(), 'obstandby-demo-'));
  const made = await ArbitratedCluster.make('rome', directory, shape);
  const interrupted = (): void => {
    void made.kill().then(() => process.exit(130));
  };
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  try {
    return await play(made, output);
  } finally {
    process.off('SIGINT', interrupted);
    process.off('SIGTERM', interrupted);
    await made.kill();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function play(made: ArbitratedCluster, output: Output): Promise<ArbitrationDemoResult> {
  const { cluster, arbiter, shape } = made;
  const password = randomBytes(12).toString('hex');
  output.note(`${shape}: ${cluster.servers.length} servers and an arbiter, which votes and keeps no data`);
  await made.start();
  await made.createTenant(tenant, password);
  output.note(
    `  the arbiter was ready in ${Math.round(arbiter.startMs)} ms; tenant ${tenant} has ${made.locality}`,
  );
  const ledger = new Ledger(cluster.servers, { user: `root@${tenant}`, password });
  await ledger.prepare();
  ledger.start(writers);
  const events: ArbitrationDemoEvent[] = [];
  const startedMs = performance.now();
  const tell = (event: ArbitrationDemoEvent['event'], servers: readonly LocalSite[]): void => {
    events.push({
      event,
      atMs: Math.round(performance.now() - startedMs),
      servers: servers.map(({ name }) => name),
    });
  };
  try {
    await ledger.nextAcknowledgement(settleMs);
    await pause(phaseMs);
    const leader = await cluster.leaderOf(tenant);
    const others = cluster.servers.filter(server => !made.siteOf(leader).includes(server));
    output.note(`killing ${namesOf(others)}, which follow${others.length === 1 ? 's' : ''} (SIGKILL)`);
    const followerKill = await killAndRestore(made, ledger, output, others, tell);
    await pause(phaseMs);
    const led = made.siteOf(await cluster.leaderOf(tenant));
    output.note(`killing ${namesOf(led)} with the leader (SIGKILL)`);
    const leaderKill = await killAndRestore(made, ledger, output, led, tell);
    await ledger.nextAcknowledgement(settleMs);
    await ledger.stop();
    const lostCommits = ledger.missingFrom(await ledger.rows()).length;
    const isQuick = [followerKill, leaderKill].every(({ gapMs }) => gapMs < gapMsMax);
    return {
      ok: lostCommits === 0 && isQuick,
      shape,
      commits: ledger.acknowledged.size,
      lostCommits,
      followerKill,
      leaderKill,
      events,
    };
  } finally {
    await ledger.stop();
  }
}

async function killAndRestore(
  made: ArbitratedCluster,
  ledger: Ledger,
  output: Output,
  victims: readonly LocalSite[],
  tell: (event: ArbitrationDemoEvent['event'], servers: readonly LocalSite[]) => void,
): Promise<{ readonly gapMs: number; readonly upgradeMs: number }> {
  tell('killed', victims);
  const killedAtMs = performance.now();
  await Promise.all(victims.map(server => server.kill()));
  await degraded(made, victims.length);
  tell('degraded', victims);
  await ledger.nextAcknowledgement(settleMs);
  const gapMs = Math.round(ledger.gapSince(killedAtMs)?.gapMs ?? 0);
  output.note(`  degraded: what is left goes on alone; no commit was acknowledged for ${gapMs} ms`);
  await pause(phaseMs);
  await Promise.all(victims.map(server => server.start()));
  tell('restored', victims);
  const upgradeMs = Math.round(await made.upgraded(tenant));
  tell('upgraded', victims);
  output.note(`  upgraded: ${namesOf(victims)} counts again, ${upgradeMs} ms after the start`);
  return { gapMs, upgradeMs };
}

async function degraded(made: ArbitratedCluster, count: number): Promise<void> {
  const deadline = performance.now() + settleMs;
  for (;;) {
    const leader = await made.leading(tenant).catch(() => undefined);
    if (leader?.degraded.length === count) return;
    if (performance.now() > deadline) throw new Error('nothing was degraded');
    await pause(pollMs);
  }
}

const namesOf = (servers: readonly LocalSite[]): string => servers.map(({ name }) => name).join(' and ');
const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));
