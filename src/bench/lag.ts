/**
 * Apply lag of a standby while 16 sysbench threads commit on the primary: over TCP, and through a directory archive.
 * Lag is what the standby itself reports, sampled; its datum age is added, so that a silent source cannot look fresh.
 */
import { join } from 'node:path';
import { LocalSite } from '../client/local-site.ts';
import type { TenantInfo } from '../server/entry.ts';
import { type Bench, type BenchContext, median, percentile } from './bench.ts';
import { benchRows, benchTenant, startBenchPrimary, startBenchStandby } from './primary-site.ts';
import { sysbench } from './sysbench.ts';

const script = 'oltp_update_non_index';
const threads = 16;
const secondsPerRound = 4;
const sampleMs = 20;
/** The first samples of a round see the standby catch up with the load's start. */
const warmUpMs = 500;
/** A standby this close to the primary has caught up; an idle primary's SCN moves twice a second. */
const caughtUpLagMs = 3_000;
const catchUpMs = 60_000;

async function run(context: BenchContext): Promise<Record<string, number>> {
  const primary = await startBenchPrimary(context.directory, benchRows);
  try {
    const tcp = await startBenchStandby(context.directory, primary.site);
    let tcpRounds: LagRound[];
    try {
      tcpRounds = await rounds(context, 'tcp', primary.target, tcp);
    } finally {
      await tcp.stop();
    }
    const uri = `file://${join(context.directory, 'archive')}?create=true`;
    await primary.api.call('archive-dest', { name: benchTenant, dest: `LOCATION=${uri}` });
    await primary.api.call('archive-start', { name: benchTenant });
    await primary.api.call('backup', { name: benchTenant });
    const archived = new LocalSite('bench-c', context.directory, process.env);
    await archived.start();
    try {
      await archived.api.call('standby-create', { name: benchTenant, source: `LOCATION=${uri}` });
      const archiveRounds = await rounds(context, 'archive', primary.target, archived);
      return {
        tcpP99Ms: median(tcpRounds.map(round => round.p99Ms)),
        tcpP50Ms: median(tcpRounds.map(round => round.p50Ms)),
        tcpPerSecond: median(tcpRounds.map(round => round.perSecond)),
        archiveP99Ms: median(archiveRounds.map(round => round.p99Ms)),
        archiveP50Ms: median(archiveRounds.map(round => round.p50Ms)),
        archivePerSecond: median(archiveRounds.map(round => round.perSecond)),
      };
    } finally {
      await archived.stop();
    }
  } finally {
    await primary.site.stop();
  }
}

interface LagRound {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly perSecond: number;
}

async function rounds(
  context: BenchContext,
  transport: string,
  target: Parameters<typeof sysbench>[0],
  standby: LocalSite,
): Promise<LagRound[]> {
  const results: LagRound[] = [];
  await caughtUp(standby);
  for (let round = 0; round < context.rounds; round += 1) {
    const load = sysbench(target, {
      script,
      command: 'run',
      threads,
      seconds: secondsPerRound,
      rows: benchRows,
    });
    const samplesMs = await sampleLag(standby, secondsPerRound * 1000 - warmUpMs);
    const { transactionsPerSecond } = await load;
    const result = {
      p50Ms: percentile(samplesMs, 0.5),
      p99Ms: percentile(samplesMs, 0.99),
      perSecond: transactionsPerSecond,
    };
    context.note(
      `${transport}, round ${round + 1}: ${Math.round(result.perSecond)} commits/s, apply lag p50 ${result.p50Ms.toFixed(1)} ms, p99 ${result.p99Ms.toFixed(1)} ms`,
    );
    results.push(result);
  }
  return results;
}

/** A new standby has a table to catch up with first; the lag to be measured is that of one that follows. */
async function caughtUp({ api }: LocalSite): Promise<void> {
  const deadlineMs = performance.now() + catchUpMs;
  for (;;) {
    const { readableScn } = await api.call<TenantInfo>('tenant-show', { name: benchTenant });
    if (Date.now() - readableScn / 1000 < caughtUpLagMs || performance.now() > deadlineMs) return;
    await new Promise(resolve => setTimeout(resolve, sampleMs));
  }
}

async function sampleLag(standby: LocalSite, forMs: number): Promise<number[]> {
  const samplesMs: number[] = [];
  const { api } = standby;
  await new Promise(resolve => setTimeout(resolve, warmUpMs));
  const endMs = performance.now() + forMs - warmUpMs;
  while (performance.now() < endMs) {
    const info = await api.call<TenantInfo>('tenant-show', { name: benchTenant });
    const lag = info.standby?.lag;
    if (lag !== undefined && lag.datumTime !== null) {
      // What readers here see, against the wall clock: SCNs are the primary's wall clock on the same machine.
      samplesMs.push(Math.max(0, Date.now() - info.readableScn / 1000));
    }
    await new Promise(resolve => setTimeout(resolve, sampleMs));
  }
  return samplesMs;
}

export const lagBench: Bench = {
  name: 'lag',
  description: 'apply lag of a standby under commit load',
  goals: { tcpP99Ms: { atMost: 50 }, archiveP99Ms: { atMost: 2000 } },
  run,
};
