import { expect, test } from 'vitest';
import { LogStream } from '../../src/logstream/log-stream.ts';
import { LogWorld, type RunResult } from './log-world.ts';

const run = (seed: number): Promise<RunResult> =>
  new LogWorld(seed, LogStream.open).run(seed).catch((error: unknown) => {
    throw new Error(`replay: npm run sim -- --seed ${seed}`, { cause: error });
  });

test('300 seeds keep every invariant, and the sites become equal when the faults stop', {
  timeout: 600_000,
}, async () => {
  const totals = { crashes: 0, switchovers: 0, failovers: 0, rebuilds: 0, corruptions: 0 };
  for (let seed = 1; seed <= 300; seed++) {
    const result = await run(seed);
    totals.crashes += result.crashes;
    totals.switchovers += result.switchovers;
    totals.failovers += result.failovers;
    totals.rebuilds += result.rebuilds;
    totals.corruptions += result.corruptions;
  }
  // A simulation in which nothing happens proves nothing.
  expect(Object.entries(totals).filter(([, count]) => count === 0)).toEqual([]);
});

test('a seed decides everything: 20 seeds run twice are the same', { timeout: 120_000 }, async () => {
  for (let seed = 1_001; seed <= 1_020; seed++) expect(await run(seed)).toEqual(await run(seed));
});
