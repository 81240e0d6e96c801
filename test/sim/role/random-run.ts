/**
 * One random run: sites crash and return, links are cut, answers get lost, the archive dies, and commands are given on all
 * sites at the worst moments; then everything heals and an operator finishes what is left. One seed decides everything.
 */
import { must } from '../../../src/base/assert.ts';
import type { RoleCommand } from '../../../src/role/commands.ts';
import { isUnfinished } from '../../../src/role/row.ts';
import { checkAll, checkAtRest } from './invariants/all.ts';
import { freshCommand } from './scenario.ts';
import { type Mutant, World } from './world.ts';

export interface RandomRun {
  readonly seed: number;
  readonly failover: boolean;
  readonly mutant?: Mutant;
}

/** Small integer generator (mulberry32): the same on every machine. */
function integers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const planned: readonly RoleCommand['kind'][] = [
  'switchover',
  'switchover',
  'switchover-to-standby',
  'switchover-to-primary',
  'resume',
  'rollback',
];

/** Returns a fingerprint of the run. Throws on a broken invariant. */
export function runRandom(run: RandomRun): string {
  const random = integers(run.seed);
  const pick = <T>(values: readonly T[]): T =>
    must(values[Math.floor(random() * values.length)], 'picked value');
  // Swarm: each run has its own faults and strengths.
  const faults = {
    crash: random() < 0.7 ? random() * 0.04 : 0,
    cut: random() < 0.6 ? random() * 0.03 : 0,
    lostReply: random() < 0.5 ? random() * 0.3 : 0,
    media: random() < 0.4 ? random() * 0.02 : 0,
    command: 0.02 + random() * 0.1,
  };
  const world = new World({
    sites: 3,
    transport: pick(['network', 'network', 'both', 'archive']),
    random,
    check: checkAll,
    ...(run.mutant === undefined ? {} : { mutant: run.mutant }),
  });
  world.writeBudget = 1_000;
  world.loseReply = () => random() < faults.lostReply;
  for (let event = 0; event < 300; event += 1) {
    if (random() < faults.crash) world.crash(pick(world.sites).name);
    if (random() < 0.05) world.start(pick(world.sites).name);
    if (random() < faults.cut) world.cut.add(`${pick(world.sites).name}>${pick(world.sites).name}`);
    if (random() < 0.03) world.cut.clear();
    if (random() < faults.media) world.chain.up = false;
    if (random() < 0.03) world.chain.up = true;
    if (random() < faults.command) giveCommand(world, run.failover, pick);
    if (random() < 0.1) world.wake();
    world.event();
  }
  heal(world);
  checkAtRest(world);
  return JSON.stringify(world.sites.map(site => [site.row, site.end, site.log.length]));
}

function giveCommand(world: World, failover: boolean, pick: <T>(values: readonly T[]) => T): void {
  if (!failover) {
    world.command(pick(world.sites).name, freshCommand(world, pick(planned)));
    return;
  }
  // One site fails over, or two histories of one epoch could be what the operator asked for.
  const site = pick(['A', 'B', 'B']);
  const kinds =
    site === 'B' ? ([...planned, 'activate', 'activate'] as const) : (['resume', 'rollback'] as const);
  world.command(site, freshCommand(world, pick<RoleCommand['kind']>(kinds)));
}

/** Faults stop; an operator resumes, and rolls back what can not be resumed. */
function heal(world: World): void {
  world.writeBudget = 0;
  world.loseReply = null;
  world.cut.clear();
  world.chain.up = true;
  for (let round = 0; round < 8; round += 1) {
    for (const site of world.sites) world.start(site.name);
    world.wake();
    world.settle();
    if (atRest(world)) return;
    const kinds: readonly RoleCommand['kind'][] = round % 2 === 0 ? ['resume'] : ['rollback', 'resume'];
    for (const kind of kinds) {
      for (const site of world.sites) {
        if (kind === 'rollback' && !isUnfinished(site.row) && site.row.sealed === null) continue;
        world.command(site.name, freshCommand(world, kind));
        world.wake();
        world.settle();
      }
    }
  }
}

const atRest = (world: World): boolean =>
  world.primaries().length === 1 && world.sites.every(site => !isUnfinished(site.row));
