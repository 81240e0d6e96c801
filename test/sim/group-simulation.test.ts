/** One log stream on several nodes under faults: a seed decides everything, and every invariant holds. */
import { expect, test } from 'vitest';
import type { GroupResult } from './group/tally.ts';
import { GroupWorld } from './group/world.ts';
import keptSeeds from './kept-seeds.json' with { type: 'json' };

const run = (seed: number): Promise<GroupResult> =>
  new GroupWorld(seed).run().catch((error: unknown) => {
    throw new Error(`replay: npm run sim -- --swarm group --seed ${seed}`, { cause: error });
  });

/** Wall-clock milliseconds after which no further seed is begun; never below the number of seeds that is promised. */
const capMs = 60_000;
const seedsMin = 300;
const seedsMax = 1_000;

test('300 seeds and more keep every invariant, and the replicas become equal when the faults stop', {
  timeout: 600_000,
}, async () => {
  const totals: Record<string, number> = {};
  const endsAt = performance.now() + capMs;
  for (let seed = 1; seed <= seedsMax && (seed <= seedsMin || performance.now() < endsAt); seed++) {
    const { seed: _, hash: __, ...counts } = await run(seed);
    for (const [name, count] of Object.entries(counts)) totals[name] = (totals[name] ?? 0) + count;
  }
  // A simulation in which nothing happens proves nothing. Arbiters are in another one.
  const idle = Object.entries(totals).filter(([, count]) => count === 0);
  expect(idle.map(([name]) => name)).toEqual([
    'degrades',
    'degradedCommits',
    'upgrades',
    'arbiterCrashes',
    'stranded',
  ]);
});

test('seeds that failed once do not fail again', { timeout: 300_000 }, async () => {
  for (const seed of keptSeeds.group) await run(seed);
});

test('a seed decides everything: 20 seeds run twice are the same', { timeout: 300_000 }, async () => {
  for (let seed = 1_001; seed <= 1_020; seed++) expect(await run(seed)).toEqual(await run(seed));
});
