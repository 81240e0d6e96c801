/**
 * What two replicas and an arbiter are worth: how long clients are without an acknowledged commit when the follower, and when the leader,
 * is killed under load; that nothing acknowledged is lost; how soon a replica that is back counts again; how fast it commits beside three
 * full replicas on the same machine. The same with four replicas and one data centre of two killed.
 */
import { join } from 'node:path';
import { must } from '../base/assert.ts';
import { ArbitratedCluster, type ArbitratedShape } from '../client/arbitrated-cluster.ts';
import { Ledger } from '../client/ledger.ts';
import { LocalCluster } from '../client/local-cluster.ts';
import type { LocalSite } from '../client/local-site.ts';
import { type Bench, type BenchContext, median, percentile } from './bench.ts';

const tenant = 'bench';
const password = 'bench-password';
const credentials = { user: `root@${tenant}`, password };
const writers = 8;
const kills = 20;
const smallKills = 3;
const siteKillsShare = 4;
const loadMs = 1_000;
const settleMs = 60_000;
const rateMs = 5_000;
const rateRounds = 5;
/** Replicas are taken back four times within 25 leases at most: kills that come faster would wait for that. */
const restMs = 4_000;

interface Killing {
  readonly gapsMs: number[];
  readonly upgradesMs: number[];
}

async function run(context: BenchContext): Promise<Record<string, number>> {
  const times = context.small ? smallKills : kills;
  const two = await start(context, '2F1A');
  let figures: Record<string, number>;
  try {
    const rates = await compare(context, two);
    const ledger = await begin(two);
    const follower = await killRepeatedly(context, two, ledger, times, 'follower');
    const leader = await killRepeatedly(context, two, ledger, times, 'leader');
    const lost = await end(ledger);
    figures = {
      followerKillP99Ms: percentile(follower.gapsMs, 0.99),
      followerKillP50Ms: median(follower.gapsMs),
      leaderKillP99Ms: percentile(leader.gapsMs, 0.99),
      leaderKillP50Ms: median(leader.gapsMs),
      kills: follower.gapsMs.length + leader.gapsMs.length,
      lostCommits: lost,
      commits: ledger.acknowledged.size,
      ratioTo3F: rates.ratio,
      commitsPerSecond2F1A: rates.two,
      commitsPerSecond3F: rates.three,
      upgradeMs: median([...follower.upgradesMs, ...leader.upgradesMs]),
      upgradeP99Ms: percentile([...follower.upgradesMs, ...leader.upgradesMs], 0.99),
      arbiterRssMiB: (await arbiterRss(two)) / 1_048_576,
    };
  } finally {
    await two.kill();
  }
  const four = await start(context, '4F1A');
  try {
    const ledger = await begin(four);
    const rounds = Math.max(smallKills, Math.floor(times / siteKillsShare));
    const site = await killRepeatedly(context, four, ledger, rounds, 'site');
    return {
      ...figures,
      siteKillP99Ms: percentile(site.gapsMs, 0.99),
      siteKills: site.gapsMs.length,
      siteLostCommits: await end(ledger),
      siteUpgradeMs: median(site.upgradesMs),
    };
  } finally {
    await four.kill();
  }
}

async function start(context: BenchContext, shape: ArbitratedShape): Promise<ArbitratedCluster> {
  const made = await ArbitratedCluster.make(shape.toLowerCase(), join(context.directory, shape), shape);
  try {
    await made.start();
    await made.createTenant(tenant, password);
    return made;
  } catch (error) {
    await made.kill();
    throw error;
  }
}

async function begin({ cluster }: ArbitratedCluster): Promise<Ledger> {
  const ledger = new Ledger(cluster.servers, credentials);
  await ledger.prepare();
  ledger.start(writers);
  await ledger.nextAcknowledgement(settleMs);
  return ledger;
}

/** Acknowledged rows that are not there. */
async function end(ledger: Ledger): Promise<number> {
  await ledger.nextAcknowledgement(settleMs);
  await ledger.stop();
  return ledger.missingFrom(await ledger.rows()).length;
}

async function killRepeatedly(
  context: BenchContext,
  made: ArbitratedCluster,
  ledger: Ledger,
  times: number,
  what: 'follower' | 'leader' | 'site',
): Promise<Killing> {
  const killing: Killing = { gapsMs: [], upgradesMs: [] };
  for (let kill = 0; kill < times; kill += 1) {
    await pause(kill === 0 ? loadMs : restMs);
    const victims = await victimsOf(made, what);
    const killedAtMs = performance.now();
    await Promise.all(victims.map(server => server.kill()));
    await ledger.nextAcknowledgement(settleMs);
    killing.gapsMs.push(ledger.gapSince(killedAtMs)?.gapMs ?? Number.NaN);
    await pause(loadMs);
    // From when it serves again: how long a process takes to start is another figure.
    await Promise.all(victims.map(server => server.start()));
    killing.upgradesMs.push(await made.upgraded(tenant));
    const [gap, upgrade] = [killing.gapsMs.at(-1) ?? 0, killing.upgradesMs.at(-1) ?? 0];
    context.note(
      `${made.shape}, ${what} ${kill + 1}: ${Math.round(gap)} ms without a commit; counted again after ${Math.round(upgrade)} ms`,
    );
  }
  return killing;
}

async function victimsOf(
  made: ArbitratedCluster,
  what: 'follower' | 'leader' | 'site',
): Promise<readonly LocalSite[]> {
  const leader = await made.cluster.leaderOf(tenant);
  if (what === 'leader') return [leader];
  // The data centre of the leader: what is left elects one, and goes on alone.
  if (what === 'site') return made.siteOf(leader);
  return [
    must(
      made.cluster.servers.find(server => server !== leader),
      'a follower',
    ),
  ];
}

/** Commits a second of the same load, in turns, on 2F1A and on three full replicas. */
async function compare(
  context: BenchContext,
  two: ArbitratedCluster,
): Promise<{ readonly two: number; readonly three: number; readonly ratio: number }> {
  const three = await LocalCluster.make('3f', join(context.directory, '3F'), { servers: 3 });
  try {
    await three.start();
    await three.call('tenant-create', { name: tenant, rootPassword: password });
    const ledgers = [new Ledger(two.cluster.servers, credentials), new Ledger(three.servers, credentials)];
    for (const ledger of ledgers) await ledger.prepare();
    const rates: [number[], number[]] = [[], []];
    for (let round = 0; round < rateRounds; round += 1)
      for (const [index, ledger] of ledgers.entries()) {
        ledger.start(writers);
        await ledger.nextAcknowledgement(settleMs);
        const [before, since] = [ledger.acknowledged.size, performance.now()];
        await pause(rateMs);
        const rate = ((ledger.acknowledged.size - before) * 1000) / (performance.now() - since);
        await ledger.stop();
        rates[index]?.push(rate);
      }
    const [own, peer] = [median(rates[0]), median(rates[1])];
    context.note(`2F1A ${Math.round(own)} commits/s, 3F ${Math.round(peer)} commits/s`);
    await two.cluster.call('tenant-checkpoint', { name: tenant });
    // Its table makes room for that of the kills.
    await dropLedger(two);
    return { two: own, three: peer, ratio: own / peer };
  } finally {
    await three.kill();
  }
}

async function dropLedger({ cluster }: ArbitratedCluster): Promise<void> {
  const { createConnection } = await import('mysql2/promise');
  const { sqlPort } = await cluster.leaderOf(tenant);
  const connection = await createConnection({
    host: '127.0.0.1',
    port: sqlPort,
    ...credentials,
    database: tenant,
  });
  try {
    await connection.query('DROP TABLE client_ledger');
  } finally {
    await connection.end();
  }
}

async function arbiterRss({ arbiter }: ArbitratedCluster): Promise<number> {
  const metrics = await arbiter.get('/metrics');
  return Number(/^obstandby_arbiter_memory_bytes (\d+)$/m.exec(metrics)?.[1] ?? Number.NaN);
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

export const arbitrationBench: Bench = {
  name: 'arbitration',
  description: '2F1A and 4F1A: gaps when a follower, the leader, a data centre is killed; commits beside 3F',
  goals: {
    followerKillP99Ms: { atMost: 8_000 },
    leaderKillP99Ms: { atMost: 8_000 },
    lostCommits: { atMost: 0 },
    siteKillP99Ms: { atMost: 8_000 },
    siteLostCommits: { atMost: 0 },
  },
  run,
};
