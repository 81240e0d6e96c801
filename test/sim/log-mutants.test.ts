/** Known mistakes put back into a copy of the sources: the simulation must find each of them. */
import { expect, test } from 'vitest';
import { logMutants } from './log-mutants.ts';
import { tryMutant } from './mutation.ts';

test.for(logMutants)('the simulation finds a log that $mistake', { timeout: 300_000 }, async mutant => {
  const { seed, said, isCaught } = await tryMutant(mutant, 'sites');
  expect({ seed, said, isCaught }).toMatchObject({ isCaught: true });
});
