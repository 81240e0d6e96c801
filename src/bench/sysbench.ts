/** Runs Debian's sysbench against a MySQL-protocol server or PostgreSQL, with the same script, table and threads. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ObError } from '../base/errors.ts';

const run = promisify(execFile);
const outputBytesMax = 16_777_216;

export type SysbenchTarget =
  | { readonly driver: 'mysql'; readonly port: number; readonly user: string; readonly password: string }
  | { readonly driver: 'pgsql'; readonly port: number };

export interface SysbenchRun {
  readonly script: string;
  readonly command: 'prepare' | 'run' | 'cleanup';
  readonly threads: number;
  readonly seconds: number;
  readonly rows: number;
  /** server-side prepared statements; off sends text */
  readonly prepared?: boolean;
  /** numbers of errors that it tries the transaction again after; a lost connection ends it, for it cannot make another one */
  readonly ignoredErrors?: readonly number[];
}

export interface SysbenchResult {
  readonly transactionsPerSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly errors: number;
}

/** Throws OBS_BENCH_PEER_MISSING without sysbench, OBS_BENCH_TOOL_FAILED when it reports an error. */
export async function sysbench(target: SysbenchTarget, options: SysbenchRun): Promise<SysbenchResult> {
  const connection =
    target.driver === 'mysql'
      ? [
          '--db-driver=mysql',
          '--mysql-host=127.0.0.1',
          `--mysql-port=${target.port}`,
          `--mysql-user=${target.user}`,
          `--mysql-password=${target.password}`,
          '--mysql-db=test',
          `--db-ps-mode=${options.prepared === false ? 'disable' : 'auto'}`,
          ...(options.ignoredErrors === undefined
            ? []
            : [`--mysql-ignore-errors=${options.ignoredErrors.join(',')}`]),
        ]
      : [
          '--db-driver=pgsql',
          '--pgsql-host=127.0.0.1',
          `--pgsql-port=${target.port}`,
          '--pgsql-user=bench',
          '--pgsql-db=bench',
        ];
  const flags = [
    options.script,
    ...connection,
    '--tables=1',
    `--table-size=${options.rows}`,
    `--threads=${options.threads}`,
    `--time=${options.seconds}`,
    '--rand-type=uniform',
    '--histogram=on',
    options.command,
  ];
  let output: string;
  try {
    output = (await run('sysbench', flags, { maxBuffer: outputBytesMax })).stdout;
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') {
      throw new ObError('OBS_BENCH_PEER_MISSING', { peer: 'sysbench', packages: 'sysbench' }, error);
    }
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    const what = `${stdout ?? ''}\n${stderr ?? ''}`
      .split('\n')
      .find(line => line.includes('FATAL') || line.includes('error'));
    throw new ObError('OBS_BENCH_TOOL_FAILED', { tool: 'sysbench', what: what ?? String(error) }, error);
  }
  const number = (pattern: RegExp): number => Number(pattern.exec(output)?.[1] ?? 0);
  return {
    transactionsPerSecond: number(/transactions:\s+\d+\s+\(([\d.]+) per sec/),
    p50Ms: percentileIn(output, 0.5),
    p95Ms: number(/95th percentile:\s+([\d.]+)/),
    errors: number(/ignored errors:\s+(\d+)/),
  };
}

/** From the histogram: lines of a latency in milliseconds, a bar, and a count. NaN without one. */
function percentileIn(output: string, share: number): number {
  const steps = [...output.matchAll(/^\s*([\d.]+) \|\**\s+(\d+)$/gm)].map(([, ms, count]) => ({
    ms: Number(ms),
    count: Number(count),
  }));
  const wanted = share * steps.reduce((sum, { count }) => sum + count, 0);
  let seen = 0;
  for (const { ms, count } of steps) {
    seen += count;
    if (seen >= wanted) return ms;
  }
  return Number.NaN;
}
