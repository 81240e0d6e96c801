/**
 * Durable commits through the MySQL protocol against PostgreSQL's local commit, both driven by the same sysbench:
 * single-row updates at 1, 16 and 64 threads, rounds interleaved.
 */
import { type Bench, type BenchContext, median } from './bench.ts';
import { startPostgres } from './postgres.ts';
import { benchRows, startBenchPrimary } from './primary-site.ts';
import { type SysbenchTarget, sysbench } from './sysbench.ts';

const script = 'oltp_update_non_index';
const secondsPerRound = 3;
const threadCounts = [1, 16, 64] as const;

async function run(context: BenchContext): Promise<Record<string, number>> {
  const postgres = await startPostgres(context.directory);
  try {
    const ours = await startBenchPrimary(context.directory, benchRows);
    try {
      const peer: SysbenchTarget = { driver: 'pgsql', port: postgres.port };
      await sysbench(peer, { script, command: 'prepare', threads: 1, seconds: 0, rows: benchRows });
      const figures: Record<string, number> = {};
      for (const threads of threadCounts) {
        const rates = {
          ours: [] as number[],
          peer: [] as number[],
          ratio: [] as number[],
          p95Ms: [] as number[],
        };
        const load = { script, command: 'run' as const, threads, seconds: secondsPerRound, rows: benchRows };
        // One warm-up each, then pairs, each side first in turn.
        await sysbench(peer, { ...load, seconds: 1 });
        await sysbench(ours.target, { ...load, seconds: 1 });
        for (let round = 0; round < context.rounds; round += 1) {
          const first = round % 2 === 0 ? peer : ours.target;
          const second = round % 2 === 0 ? ours.target : peer;
          const one = await sysbench(first, load);
          const two = await sysbench(second, load);
          const [peerResult, ourResult] = round % 2 === 0 ? [one, two] : [two, one];
          rates.peer.push(peerResult.transactionsPerSecond);
          rates.ours.push(ourResult.transactionsPerSecond);
          rates.ratio.push(ourResult.transactionsPerSecond / peerResult.transactionsPerSecond);
          rates.p95Ms.push(ourResult.p95Ms);
          context.note(
            `${threads} threads, round ${round + 1}: ours ${Math.round(ourResult.transactionsPerSecond)}/s, PostgreSQL ${Math.round(peerResult.transactionsPerSecond)}/s`,
          );
        }
        figures[`ratioAt${threads}`] = median(rates.ratio);
        figures[`perSecondAt${threads}`] = median(rates.ours);
        figures[`peerPerSecondAt${threads}`] = median(rates.peer);
        figures[`p95MsAt${threads}`] = median(rates.p95Ms);
      }
      return figures;
    } finally {
      await ours.site.stop();
    }
  } finally {
    await postgres.stop();
  }
}

export const commitBench: Bench = {
  name: 'commit',
  description: 'durable commits through MySQL against PostgreSQL local commit',
  goals: { ratioAt16: { atLeast: 1 } },
  run,
};
