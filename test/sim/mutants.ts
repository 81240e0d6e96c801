/** Every known mistake, put back one at a time: `npm run sim -- --mutants` proves that the simulations find each. */
import { arbitrationMutants } from './group/arbitration-mutants.ts';
import { groupMutants } from './group/mutants.ts';
import { logMutants } from './log-mutants.ts';
import { type Mutant, type MutantVerdict, type SwarmName, tryMutant } from './mutation.ts';

/** All of them, each with the simulation that is to find it. */
export const allMutants: readonly (readonly [SwarmName, Mutant])[] = [
  ...groupMutants.map(mutant => ['group', mutant] as const),
  ...arbitrationMutants.map(mutant => ['arbitration', mutant] as const),
  ...logMutants.map(mutant => ['sites', mutant] as const),
];

/**
 * Tries the mutants of these swarms, all or those whose mistake contains `only`, `jobs` at a time; prints a table. False if one survived,
 * or was found by something that should not be what notices it.
 */
export async function proveMutants(
  { only, swarms }: { readonly only: string | undefined; readonly swarms: readonly SwarmName[] },
  jobs: number,
): Promise<boolean> {
  const waiting = allMutants.filter(
    ([swarm, { mistake }]) => swarms.includes(swarm) && (only === undefined || mistake.includes(only)),
  );
  const verdicts: MutantVerdict[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [swarm, mutant] = next;
      const verdict = await tryMutant(mutant, swarm);
      verdicts.push(verdict);
      print(swarm, verdict);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  const survived = verdicts.filter(({ isCaught }) => !isCaught);
  console.log(
    JSON.stringify({
      mutants: verdicts.length,
      caught: verdicts.length - survived.length,
      survived: survived.length,
    }),
  );
  return survived.length === 0;
}

function print(swarm: SwarmName, { mutant, seed, said, isCaught, ms }: MutantVerdict): void {
  const from = mutant.fromSeed ?? 1;
  const seeds = seed === undefined ? '     -' : String(seed - from + 1).padStart(6);
  console.log(
    [
      isCaught ? 'caught  ' : 'SURVIVED',
      swarm.padEnd(11),
      `${seeds} seeds`,
      `${(ms / 1000).toFixed(1).padStart(6)} s`,
      mutant.mistake.padEnd(60),
      said.replace(/^seed \d+ FAILED /, '').slice(0, 100),
    ].join(' | '),
  );
}
