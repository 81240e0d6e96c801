/**
 * `npm run sim -- --explore`: all states, of the kind that `explorer` knows, of two replicas and an arbiter that can come of a leader that
 * all know, with one write, a degrade, an upgrade and two deaths. `--boot` begins with the start of all processes instead; `--crashes`, `--writes`,
 * `--losses`, `--partings`, `--changes`, `--proposals` and `--states` set other bounds, `--fine` lets messages arrive while a write is under way, `--early`
 * lets a process come back while messages are under way. To compare with: `--unreduced` tries everything in every order, `--exact` tells
 * apart what behaves alike.
 *
 * The last line is the verdict in JSON, with the bounds it holds for; before it is the way to what is broken. The process
 * fails if an invariant broke, or if the states were not all.
 */
import './open-fields.ts';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    crashes: { type: 'string', default: '2' },
    writes: { type: 'string', default: '1' },
    losses: { type: 'string', default: '0' },
    partings: { type: 'string', default: '0' },
    changes: { type: 'string', default: '1' },
    proposals: { type: 'string', default: '4' },
    fine: { type: 'boolean', default: false },
    boot: { type: 'boolean', default: false },
    early: { type: 'boolean', default: false },
    unreduced: { type: 'boolean', default: false },
    exact: { type: 'boolean', default: false },
    states: { type: 'string', default: '60000000' },
  },
});
const { Explorer } = await import('./explorer.ts');
const startedAt = performance.now();
const { path, ...verdict } = new Explorer({
  crashes: Number(values.crashes),
  writes: Number(values.writes),
  losses: Number(values.losses),
  partings: Number(values.partings),
  changes: Number(values.changes),
  proposals: Number(values.proposals),
  isCoarse: !values.fine,
  isSettled: !values.boot,
  startsAtRest: !values.early,
  isReduced: !values.unreduced && !values.early && values.partings === '0',
  isExact: values.exact,
  statesMax: Number(values.states),
}).run((states, tried, depth) => console.error(`${states} states, ${tried} tried, depth ${depth}`));
for (const name of path) console.log(`  ${name}`);
console.log(JSON.stringify({ ...verdict, seconds: Math.round((performance.now() - startedAt) / 1_000) }));
process.exitCode = verdict.isComplete ? 0 : 1;
