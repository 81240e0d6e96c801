/** `obstandby bench <name>`: ratios against a peer, measured in one run; the last line is JSON. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { ObError } from '../../base/errors.ts';
import { runLocal } from '../local.ts';
import { exitCodes } from '../exit-codes.ts';
import { table } from '../output.ts';

const roundsMin = 5;

interface BenchOptions {
  readonly rounds: string;
  readonly directory?: string;
  readonly small?: boolean;
  readonly minutes?: string;
  readonly json?: boolean;
}

export function addBench(program: Command): void {
  program
    .command('bench')
    .argument('[name]', 'which one; without it, a list')
    .option('--rounds <n>', 'rounds per figure', String(roundsMin))
    .option('--directory <dir>', 'measure the disk under this directory (default: the temporary directory)')
    .option('--small', 'one server where the figure is of a cluster of three by default')
    .option('--minutes <n>', 'how long the part of a bench runs that goes by the clock')
    .option('--json', 'only the JSON line on standard output')
    .description(
      'measure this machine: capture, commit, apply, lag, switchover, memory, rto, streams, arbitration',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  obstandby bench commit --json\n  obstandby bench commit --small\n  obstandby bench rto --minutes 1',
    )
    .action(async (name: string | undefined, options: BenchOptions) =>
      runLocal(options, async output => {
        const { benches } = await import('../../bench/registry.ts');
        const { runBench } = await import('../../bench/bench.ts');
        if (name === undefined) {
          const rows = benches.map(bench => [bench.name, bench.description, JSON.stringify(bench.goals)]);
          output.result(
            benches.map(({ name: bench, goals }) => ({ bench, goals })),
            table(['BENCH', 'WHAT', 'GOALS'], rows),
          );
          return exitCodes.done;
        }
        const bench = benches.find(candidate => candidate.name === name);
        if (bench === undefined) throw new ObError('OBS_CLI_USAGE', { what: `there is no bench '${name}'` });
        const directory = mkdtempSync(join(options.directory ?? tmpdir(), 'obstandby-bench-'));
        try {
          const rounds = Math.max(roundsMin, Number(options.rounds));
          const report = await runBench(bench, {
            note: text => console.error(text),
            rounds,
            directory,
            small: options.small === true,
            minutes: options.minutes === undefined ? null : Number(options.minutes),
          });
          console.log(JSON.stringify(report));
          return report.ok ? exitCodes.done : exitCodes.failed;
        } finally {
          rmSync(directory, { recursive: true, force: true });
        }
      }),
    );
}
