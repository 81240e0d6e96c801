/** Time without acknowledged writes during a planned role change under 16 clients, and that nothing is lost. */
import { Ledger } from '../client/ledger.ts';
import { type Bench, type BenchContext, median } from './bench.ts';
import { benchTenant, startBenchPrimary, startBenchStandby } from './primary-site.ts';

const clients = 16;
const settleMs = 30_000;
const loadMs = 1000;

async function run(context: BenchContext): Promise<Record<string, number>> {
  const primary = await startBenchPrimary(context.directory, 0);
  const first = primary.site;
  const second = await startBenchStandby(context.directory, first);
  try {
    if (primary.target.driver !== 'mysql') throw new TypeError('the bench tenant speaks MySQL');
    const { user, password } = primary.target;
    const ledger = new Ledger([first, second], { user, password });
    await ledger.prepare(first.sqlPort);
    ledger.start(clients);
    const gapsMs: number[] = [];
    let standby = second;
    try {
      for (let round = 0; round < context.rounds * 2; round += 1) {
        await new Promise(resolve => setTimeout(resolve, loadMs));
        const startedMs = performance.now();
        await standby.api.call('switchover', { name: benchTenant });
        await ledger.nextAcknowledgement(settleMs);
        const gapMs = ledger.gapSince(startedMs)?.gapMs ?? Number.NaN;
        gapsMs.push(gapMs);
        context.note(`switchover to ${standby.name}: ${Math.round(gapMs)} ms without an acknowledged commit`);
        standby = standby === second ? first : second;
      }
    } finally {
      await ledger.stop();
    }
    const current = standby === second ? first : second;
    const kept = await ledger.rowsAt(current.sqlPort);
    return {
      gapMsMedian: median(gapsMs),
      gapMsMax: Math.max(...gapsMs),
      lostCommits: [...ledger.acknowledged].filter(n => !kept.has(n)).length,
      commits: ledger.acknowledged.size,
    };
  } finally {
    await Promise.all([first.stop(), second.stop()]);
  }
}

export const switchoverBench: Bench = {
  name: 'switchover',
  description: 'write gap of a switchover under 16 clients',
  goals: { gapMsMedian: { atMost: 500 }, lostCommits: { atMost: 0 } },
  run,
};
