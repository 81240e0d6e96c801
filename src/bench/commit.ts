/**
 * Durable commits through the MySQL protocol, every one on a majority of three full replicas, against PostgreSQL with two quorum
 * standbys: single-row updates by the same sysbench at 1, 4, 16 and 64 clients, rounds interleaved. The small one is a server alone
 * against PostgreSQL's local commit.
 */
import { isObError } from '../base/errors.ts';
import { type Bench, type BenchContext, median } from './bench.ts';
import { startPostgres } from './postgres.ts';
import { type BenchCluster, benchRows, startBenchCluster } from './primary-site.ts';
import { type SysbenchResult, type SysbenchRun, type SysbenchTarget, sysbench } from './sysbench.ts';

const script = 'oltp_update_non_index';
const secondsPerRound = 3;
/** Before the first round that counts, of both: servers run for months, and the runtime is done compiling in seconds. */
const warmUpSeconds = 6;
const clientCounts = [1, 4, 16, 64] as const;
const replicas = 3;
const attempts = 3;

interface Pair {
  readonly ours: SysbenchResult;
  readonly peer: SysbenchResult;
}

async function run(context: BenchContext): Promise<Record<string, number>> {
  const servers = context.small ? 1 : replicas;
  const postgres = await startPostgres(context.directory, servers - 1);
  try {
    const bench = await startBenchCluster(context.directory, { servers, rows: benchRows });
    try {
      const peer: SysbenchTarget = { driver: 'pgsql', port: postgres.port };
      await sysbench(peer, { script, command: 'prepare', threads: 1, seconds: 0, rows: benchRows });
      const figures: Record<string, number> = {};
      for (const clients of clientCounts) {
        const pairs = await measurePairs(context, { ours: bench, peer }, clients);
        const all = (figure: (pair: Pair) => number): number => median(pairs.map(figure));
        figures[`ratioAt${clients}`] = all(
          ({ ours, peer: its }) => ours.transactionsPerSecond / its.transactionsPerSecond,
        );
        figures[`perSecondAt${clients}`] = all(({ ours }) => ours.transactionsPerSecond);
        figures[`peerPerSecondAt${clients}`] = all(({ peer: its }) => its.transactionsPerSecond);
        figures[`p50Ms${clients}Client${clients === 1 ? '' : 's'}`] = all(({ ours }) => ours.p50Ms);
        figures[`p95MsAt${clients}`] = all(({ ours }) => ours.p95Ms);
      }
      return { servers, ...figures };
    } finally {
      await bench.cluster.stop();
    }
  } finally {
    await postgres.stop();
  }
}

/** One warm-up each, then pairs, each side first in turn. */
async function measurePairs(
  context: BenchContext,
  { ours, peer }: { readonly ours: BenchCluster; readonly peer: SysbenchTarget },
  clients: number,
): Promise<Pair[]> {
  const load = {
    script,
    command: 'run' as const,
    threads: clients,
    seconds: secondsPerRound,
    rows: benchRows,
  };
  const loadPeer = (seconds: number): Promise<SysbenchResult> => sysbench(peer, { ...load, seconds });
  const loadOurs = (seconds: number): Promise<SysbenchResult> =>
    atLeader(context, ours, { ...load, seconds });
  await loadPeer(warmUpSeconds);
  await loadOurs(warmUpSeconds);
  const pairs: Pair[] = [];
  for (let round = 0; round < context.rounds; round += 1) {
    const isPeerFirst = round % 2 === 0;
    const [first, second] = isPeerFirst ? [loadPeer, loadOurs] : [loadOurs, loadPeer];
    const one = await first(secondsPerRound);
    const two = await second(secondsPerRound);
    const pair = isPeerFirst ? { peer: one, ours: two } : { ours: one, peer: two };
    pairs.push(pair);
    context.note(
      `${clients} clients, round ${round + 1}: ours ${Math.round(pair.ours.transactionsPerSecond)}/s, PostgreSQL ${Math.round(pair.peer.transactionsPerSecond)}/s`,
    );
  }
  return pairs;
}

/** A machine that is overloaded by others may change the leader in the middle of a run: that run is measured again. */
async function atLeader(
  context: BenchContext,
  ours: BenchCluster,
  load: SysbenchRun,
): Promise<SysbenchResult> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await sysbench(await ours.target(), load);
    } catch (error) {
      if (!isObError(error, 'OBS_BENCH_TOOL_FAILED') || attempt === attempts) throw error;
      context.note(`again: ${error.message}`);
    }
  }
}

export const commitBench: Bench = {
  name: 'commit',
  description: 'durable commits on three replicas through MySQL against PostgreSQL with two quorum standbys',
  goals: { ratioAt16: { atLeast: 0.5 } },
  smallGoals: { ratioAt16: { atLeast: 1 } },
  run,
};
