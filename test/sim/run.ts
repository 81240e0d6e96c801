/**
 * Runs log simulations from the command line:
 *
 *   npm run sim -- --seed 7            one seed, with the trace of what happens
 *   npm run sim -- --seeds 1..1000     or --hours 4 (from `--from`, default 1)
 *   npm run sim -- --mutants           re-proves that known mistakes are found
 *   npm run sim -- --explore           all states of a small group with an arbiter (`explore/main.ts`)
 *   npm run sim -- --variant tiny …    the same program with other limits (`variants.ts`)
 *
 * Worlds: `group` (one log stream on several nodes), `arbitration` (the same with two or four replicas and an arbiter) and
 * `sites` (a primary and a standby with a log of one member each); all, by turns, unless `--swarm` names one. `--until-failure` stops at the first failing seed; `--jobs 2` shares the
 * seeds among processes. A failing seed prints its replay line; the last line is a summary in JSON.
 */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LogStream } from '../../src/logstream/log-stream.ts';
import { GroupWorld } from './group/world.ts';
import { LogWorld } from './log-world.ts';
import { proveMutants } from './mutants.ts';
import { runVariant, type SwarmName } from './mutation.ts';
import { variants } from './variants.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    hours: { type: 'string' },
    from: { type: 'string', default: '1' },
    step: { type: 'string', default: '1' },
    swarm: { type: 'string' },
    jobs: { type: 'string', default: '1' },
    'until-failure': { type: 'boolean', default: false },
    mutants: { type: 'boolean', default: false },
    explore: { type: 'boolean', default: false },
    crashes: { type: 'string' },
    writes: { type: 'string' },
    states: { type: 'string' },
    changes: { type: 'string' },
    proposals: { type: 'string' },
    losses: { type: 'string' },
    partings: { type: 'string' },
    fine: { type: 'boolean', default: false },
    boot: { type: 'boolean', default: false },
    early: { type: 'boolean', default: false },
    unreduced: { type: 'boolean', default: false },
    exact: { type: 'boolean', default: false },
    only: { type: 'string' },
    variant: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
});

type Totals = Record<string, number>;

const swarms: readonly SwarmName[] = (() => {
  switch (values.swarm) {
    case undefined:
      return ['group', 'sites', 'arbitration'];
    case 'group':
    case 'sites':
    case 'arbitration':
      return [values.swarm];
    default:
      throw new Error(`--swarm is group, sites or arbitration, not ${values.swarm}`);
  }
})();
const jobs = Number(values.jobs);

if (values.mutants)
  process.exitCode = (await proveMutants({ only: values.only, swarms }, Math.max(2, jobs))) ? 0 : 1;
else if (values.explore) process.exitCode = await explore();
else if (values.variant !== undefined) await runOther(values.variant);
else if (jobs > 1) await share();
else await runSeeds();

/** In a process of its own: it sees the cores with their fields open. */
function explore(): Promise<number> {
  const options = (
    ['crashes', 'writes', 'states', 'changes', 'proposals', 'losses', 'partings'] as const
  ).flatMap(name => {
    const value = values[name];
    return value === undefined ? [] : [`--${name}`, value];
  });
  for (const name of ['fine', 'boot', 'early', 'unreduced', 'exact'] as const)
    if (values[name]) options.push(`--${name}`);
  return new Promise(resolve => {
    fork(join(import.meta.dirname, 'explore/main.ts'), options).on('exit', code => resolve(code ?? 1));
  });
}

/** Everything but the name of the variant is passed on. */
async function runOther(name: string): Promise<void> {
  const changes = variants[name];
  if (changes === undefined) throw new Error(`--variant is one of ${Object.keys(variants).join(', ')}`);
  const options = process.argv.slice(2);
  const at = options.findIndex(option => option.startsWith('--variant'));
  options.splice(at, options[at] === '--variant' ? 2 : 1);
  const { output, isRight } = await runVariant(changes, options);
  console.log(output.replaceAll('replay: npm run sim --', `replay: npm run sim -- --variant ${name}`));
  process.exitCode = isRight ? 0 : 1;
}

async function runSeeds(): Promise<void> {
  const [first, last] = range();
  const endsAt =
    values.hours === undefined ? Number.POSITIVE_INFINITY : Date.now() + Number(values.hours) * 3_600_000;
  if (values.seed === undefined && values.seeds === undefined && values.hours === undefined)
    throw new Error('say what to run: --seed N, --seeds A..B, --hours H or --mutants');
  const isTraced = values.trace || values.seed !== undefined;
  const startedAt = Date.now();
  const totals: Totals = { seeds: 0 };
  let violations = 0;
  let saidAt = Date.now();
  const say = (seed: number) =>
    console.log(
      JSON.stringify({ seed, violations, ...totals, seconds: Math.round((Date.now() - startedAt) / 1000) }),
    );
  let seed = first;
  run: for (; seed <= last && Date.now() < endsAt; seed += Number(values.step)) {
    for (const swarm of swarms) {
      try {
        add(totals, await runOne(swarm, seed, isTraced));
      } catch (error) {
        violations += 1;
        console.error(`seed ${seed} FAILED ${error instanceof Error ? error.message : String(error)}`);
        console.error(error);
        console.error(`replay: npm run sim -- --swarm ${swarm} --seed ${seed}`);
        if (values['until-failure']) break run;
      }
      totals['seeds'] = (totals['seeds'] ?? 0) + 1;
    }
    if (Date.now() - saidAt > 60_000) {
      say(seed);
      saidAt = Date.now();
    }
  }
  say(seed);
  process.exitCode = violations === 0 ? 0 : 1;
}

function range(): readonly [number, number] {
  if (values.seed !== undefined) return [Number(values.seed), Number(values.seed)];
  const [from, to] = (values.seeds ?? `${values.from}..${Number.MAX_SAFE_INTEGER}`).split('..').map(Number);
  return [from ?? 1, to ?? from ?? 1];
}

async function runOne(swarm: SwarmName, seed: number, isTraced: boolean): Promise<Totals> {
  if (swarm === 'sites') {
    if (isTraced) process.env['OBSTANDBY_SIM_TRACE'] = '1';
    const { hash: _, seed: __, ...counts } = await new LogWorld(seed, LogStream.open).run(seed);
    return counts;
  }
  const world = new GroupWorld(seed, isTraced ? line => console.log(line) : undefined, {}, swarm);
  const { hash: _, seed: __, ...counts } = await world.run();
  return counts;
}

function add(totals: Totals, counts: Totals): void {
  for (const [name, count] of Object.entries(counts)) totals[name] = (totals[name] ?? 0) + count;
}

/** Each process takes every n-th seed; the last line sums up. */
async function share(): Promise<void> {
  const [first, last] = range();
  const parts = Array.from({ length: jobs }, (_, index) => {
    const options = ['--step', String(jobs), '--swarm', values.swarm ?? ''].filter(
      (text, at, all) => text !== '' && all[at + 1] !== '',
    );
    if (values.hours !== undefined) options.push('--hours', values.hours, '--from', String(first + index));
    else options.push('--seeds', `${first + index}..${last}`);
    if (values['until-failure']) options.push('--until-failure');
    return new Promise<Totals>(resolve => {
      const child = fork(import.meta.filename, options, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
      let lastLine = '{}';
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        process.stdout.write(text);
        lastLine = text.trim().split('\n').at(-1) ?? lastLine;
      });
      child.on('exit', () => resolve(JSON.parse(lastLine) as Totals));
    });
  });
  const totals: Totals = {};
  for (const { seed: _, seconds, ...part } of await Promise.all(parts)) {
    add(totals, part);
    totals['seconds'] = Math.max(totals['seconds'] ?? 0, seconds ?? 0);
  }
  console.log(JSON.stringify(totals));
  process.exitCode = totals['violations'] === 0 ? 0 : 1;
}
