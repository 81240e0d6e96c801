/**
 * Runs log simulations from the command line: `npm run sim -- --seed 7`, `--seeds 1..1000`, `--hours 4` (from `--from`,
 * default 1), `--until-failure`. A failing seed prints its replay line; OBSTANDBY_SIM_TRACE=1 prints what happens.
 */
import { parseArgs } from 'node:util';
import { LogStream } from '../../src/logstream/log-stream.ts';
import { LogWorld, type RunResult } from './log-world.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    hours: { type: 'string' },
    from: { type: 'string', default: '1' },
    'until-failure': { type: 'boolean', default: false },
  },
});

const [first, last] = (() => {
  if (values.seed !== undefined) return [Number(values.seed), Number(values.seed)];
  const [from, to] = (values.seeds ?? `${values.from}..${Number.MAX_SAFE_INTEGER}`).split('..').map(Number);
  return [from ?? 1, to ?? from ?? 1];
})();
const endsAt =
  values.hours === undefined ? Number.POSITIVE_INFINITY : Date.now() + Number(values.hours) * 3_600_000;
if (values.seed === undefined && values.seeds === undefined && values.hours === undefined)
  throw new Error('say what to run: --seed N, --seeds A..B or --hours H');

const totals = {
  seeds: 0,
  steps: 0,
  acked: 0,
  crashes: 0,
  switchovers: 0,
  failovers: 0,
  rebuilds: 0,
  corruptions: 0,
};
let failures = 0;
for (let seed = first; seed <= last && Date.now() < endsAt; seed++) {
  try {
    add(await new LogWorld(seed, LogStream.open).run(seed));
  } catch (error) {
    failures += 1;
    console.error(`seed ${seed} FAILED`, error);
    console.error(`replay: npm run sim -- --seed ${seed}`);
    if (values['until-failure']) break;
  }
  if (totals.seeds % 1_000 === 0) console.log(JSON.stringify({ seed, failures, ...totals }));
}
console.log(JSON.stringify({ failures, ...totals }));
process.exitCode = failures === 0 ? 0 : 1;

function add(result: RunResult): void {
  totals.seeds += 1;
  totals.steps += result.steps;
  totals.acked += result.acked;
  totals.crashes += result.crashes;
  totals.switchovers += result.switchovers;
  totals.failovers += result.failovers;
  totals.rebuilds += result.rebuilds;
  totals.corruptions += result.corruptions;
}
