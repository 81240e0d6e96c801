/**
 * Switchover scenarios for the exhaustive crash tests: run a form of switchover, stop a site at one chosen effect, start it
 * again, then finish in one of the ways an operator has.
 */
import type { RoleCommand } from '../../../src/role/commands.ts';
import { isUnfinished } from '../../../src/role/row.ts';
import { checkAll, checkAtRest } from './invariants/all.ts';
import { type Mutant, World } from './world.ts';

export type Form = 'one command' | 'two commands';
export type Recovery = 'same command' | 'resume' | 'rollback at B' | 'rollback at A' | 'B never returns';

export interface Scenario {
  readonly form: Form;
  readonly transport: 'network' | 'archive' | 'both';
  readonly mutant?: Mutant;
  readonly crash: { readonly site: string; readonly at: number; readonly when: 'before' | 'after' } | null;
  readonly recovery: Recovery;
}

export const freshCommand = (world: World, kind: RoleCommand['kind'], force = false): RoleCommand => {
  switch (kind) {
    case 'switchover':
      return { kind, operationId: world.newOperationId(), planOnly: false };
    case 'switchover-to-standby':
      return { kind, operationId: world.newOperationId(), verify: false };
    case 'switchover-to-primary':
      return { kind, verify: false };
    case 'activate':
      return { kind, operationId: world.newOperationId(), maxLagMs: null, force, verify: false };
    case 'set-recovery-until':
      return { kind, until: 'cancel' };
    case 'resume':
    case 'rollback':
    case 'leave-restore':
      return { kind };
  }
};

export function command(world: World, site: string, kind: RoleCommand['kind'], force = false): number {
  world.writeBudget = 60;
  const token = world.command(site, freshCommand(world, kind, force));
  world.wake();
  world.settle();
  return token;
}

function drive(world: World, form: Form): void {
  if (form === 'one command') {
    command(world, 'B', 'switchover');
    return;
  }
  command(world, 'A', 'switchover-to-standby');
  command(world, 'B', 'switchover-to-primary');
}

const unfinished = (world: World): boolean =>
  world.sites.some(site => isUnfinished(site.row) || site.row.sealed !== null) ||
  world.primaries().length !== 1;

/** Runs it, checking every invariant after every event. Returns the world at rest. */
export function runScenario(scenario: Scenario): World {
  const { form, crash, recovery, transport } = scenario;
  const world = new World({
    sites: 2,
    transport,
    check: checkAll,
    ...(scenario.mutant === undefined ? {} : { mutant: scenario.mutant }),
  });
  world.write();
  world.settle();
  world.write();
  const before = world.performed.get(crash?.site ?? 'A') ?? 0;
  if (crash !== null) world.crashPlan = { ...crash, at: before + crash.at };
  drive(world, form);
  world.crashPlan = null;
  world.write();
  if (recovery === 'B never returns') {
    if (world.site('B').up) world.crash('B');
    world.start('A');
    world.wake();
    world.settle();
    command(world, 'A', 'rollback');
    checkAll(world);
    world.write();
    world.start('B');
    world.wake();
    world.settle();
    finish(world, 'resume', form);
  } else {
    for (const site of world.sites) world.start(site.name);
    world.wake();
    world.settle();
    finish(world, recovery, form);
  }
  world.write();
  world.wake();
  world.settle();
  checkAtRest(world);
  return world;
}

/** At most a few rounds of the operator's way; what a rollback can not undo any more is resumed. */
function finish(world: World, recovery: Exclude<Recovery, 'B never returns'>, form: Form): void {
  for (let round = 0; round < 4 && unfinished(world); round += 1) {
    switch (recovery) {
      case 'same command':
        drive(world, form);
        break;
      case 'resume':
        for (const site of ['B', 'A']) command(world, site, 'resume');
        // Nothing left to resume, and still sealed: the second half was never begun.
        if (unfinished(world) && !world.sites.some(site => isUnfinished(site.row))) drive(world, form);
        break;
      case 'rollback at B':
        command(world, 'B', 'rollback');
        command(world, 'A', 'rollback');
        command(world, 'B', 'resume');
        command(world, 'A', 'resume');
        break;
      case 'rollback at A':
        command(world, 'A', 'rollback');
        command(world, 'B', 'rollback');
        command(world, 'A', 'resume');
        command(world, 'B', 'resume');
        break;
    }
    world.write();
  }
}
