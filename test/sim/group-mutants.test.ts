/** The mistakes of the consensus protocol that are found soonest; `npm run sim -- --mutants` tries them all. */
import { expect, test } from 'vitest';
import { arbitrationMutants } from './group/arbitration-mutants.ts';
import { groupMutants } from './group/mutants.ts';
import { tryMutant } from './mutation.ts';

const quick = groupMutants.filter(({ isQuick }) => isQuick === true);
const quickWithArbiter = arbitrationMutants.filter(({ isQuick }) => isQuick === true);

test('there are at least 20 mistakes to try, and 8 of arbitration', () => {
  expect(groupMutants.length).toBeGreaterThanOrEqual(20);
  expect(arbitrationMutants.length).toBeGreaterThanOrEqual(8);
  const all = [...groupMutants, ...arbitrationMutants];
  expect(new Set(all.map(({ mistake }) => mistake)).size).toBe(all.length);
});

test.for(quick)('the simulation notices that $mistake', { timeout: 300_000 }, async mutant => {
  const { seed, said, isCaught } = await tryMutant(mutant, 'group');
  expect({ seed, said, isCaught }).toMatchObject({ isCaught: true });
});

test.for(quickWithArbiter)(
  'the simulation with an arbiter notices that $mistake',
  { timeout: 300_000 },
  async mutant => {
    const { seed, said, isCaught } = await tryMutant(mutant, 'arbitration');
    expect({ seed, said, isCaught }).toMatchObject({ isCaught: true });
  },
);
