/** Random runs of three sites: crashes, cut links, lost answers, dead archives, commands everywhere; then an operator. */
import { expect, test } from 'vitest';
import { mutants } from './role/mutants.ts';
import { runRandom } from './role/random-run.ts';
import { type Form, type Recovery, runScenario } from './role/scenario.ts';
import { InvariantBroken } from './role/invariants/all.ts';
import type { Mutant } from './role/world.ts';

/** Seconds on an idle machine; other tests share it. */
const patient = { timeout: 180_000 };

const seeds = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => from + index);

function runSeed(seed: number, failover: boolean, mutant?: Mutant): string {
  try {
    return runRandom({ seed, failover, ...(mutant === undefined ? {} : { mutant }) });
  } catch (error) {
    if (!(error instanceof InvariantBroken))
      throw new Error(`seed ${seed}, failover ${failover}`, { cause: error });
    throw new InvariantBroken(`seed ${seed}, failover ${failover}: ${error.message}`);
  }
}

test('three sites keep the role invariants through 300 runs of switchovers under faults', patient, () => {
  for (const seed of seeds(1, 300)) runSeed(seed, false);
});

test('three sites keep the role invariants through 300 runs with failovers under faults', patient, () => {
  for (const seed of seeds(1, 300)) runSeed(seed, true);
});

test('a seed decides everything: run twice it ends the same', () => {
  for (const seed of seeds(5_000, 20)) {
    expect(runSeed(seed, seed % 2 === 0)).toBe(runSeed(seed, seed % 2 === 0));
  }
});

/** The first way in which a broken role manager is noticed, or null. */
function caught(mutant: Mutant): string | null {
  const attempts = [
    ...crashScenarios(mutant),
    ...seeds(1, 400).flatMap(seed => [() => runSeed(seed, false, mutant), () => runSeed(seed, true, mutant)]),
  ];
  for (const attempt of attempts) {
    try {
      attempt();
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
  return null;
}

function crashScenarios(mutant: Mutant): (() => unknown)[] {
  const recoveries: readonly Recovery[] = ['resume', 'rollback at A', 'B never returns'];
  const forms: readonly Form[] = ['one command', 'two commands'];
  return (['network', 'archive', 'both'] as const).flatMap(transport =>
    forms.flatMap(form =>
      recoveries.flatMap(recovery =>
        ['A', 'B'].flatMap(site =>
          seeds(1, 40).map(at => () => {
            if (form === 'one command' && transport === 'archive') return;
            runScenario({ form, transport, recovery, mutant, crash: { site, at, when: 'after' } });
          }),
        ),
      ),
    ),
  );
}

for (const [bug, mutant] of Object.entries(mutants)) {
  test(`the simulation notices when ${bug}`, patient, () => {
    expect(caught(mutant)).toMatch(/W[1-6]|invariant broken/);
  });
}
