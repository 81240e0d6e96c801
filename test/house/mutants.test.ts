/** Mistakes that the simulations must find are put back into lines of the sources, which move: none may be left behind. */
import { expect, test } from 'vitest';
import { allMutants } from '../sim/mutants.ts';
import { staleChanges } from '../sim/mutation.ts';
import { variants } from '../sim/variants.ts';

test.each(allMutants.map(([swarm, { mistake, changes }]) => ({ swarm, mistake, changes })))(
  'of swarm $swarm, "$mistake" can be put back',
  ({ changes }) => {
    expect(staleChanges(changes)).toEqual([]);
  },
);

test.each(Object.entries(variants))('the limits of "%s" can be set', (_, changes) => {
  expect(staleChanges(changes)).toEqual([]);
});
