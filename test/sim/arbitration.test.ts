/** One log stream with an arbiter under faults: two or four replicas, degraded and upgraded, and every invariant holds. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { explorerMutants } from './explore/mutants.ts';
import type { GroupResult } from './group/tally.ts';
import { GroupWorld } from './group/world.ts';
import { runVariant } from './mutation.ts';
import keptSeeds from './kept-seeds.json' with { type: 'json' };

const run = (seed: number): Promise<GroupResult> =>
  new GroupWorld(seed, undefined, {}, 'arbitration').run().catch((error: unknown) => {
    throw new Error(`replay: npm run sim -- --swarm arbitration --seed ${seed}`, { cause: error });
  });

test('100 seeds keep every invariant, and all are upgraded when the faults stop', {
  timeout: 600_000,
}, async () => {
  const totals: Record<string, number> = {};
  for (let seed = 1; seed <= 100; seed++) {
    const { seed: _, hash: __, ...counts } = await run(seed);
    for (const [name, count] of Object.entries(counts)) totals[name] = (totals[name] ?? 0) + count;
  }
  const { stranded, ...happened } = totals;
  expect(stranded, 'runs without a leader at their end, which must be rare').toBeLessThan(3);
  // A simulation in which nothing happens proves nothing.
  expect(Object.entries(happened).filter(([, count]) => count === 0)).toEqual([]);
  expect(totals['degrades']).toBeGreaterThan(40);
  expect(totals['degradedCommits']).toBeGreaterThan(500);
});

test('seeds that failed once do not fail again', { timeout: 300_000 }, async () => {
  for (const seed of keptSeeds.arbitration) await run(seed);
});

test('a seed decides everything: 5 seeds run twice are the same', { timeout: 300_000 }, async () => {
  for (let seed = 1_001; seed <= 1_005; seed++) expect(await run(seed)).toEqual(await run(seed));
});

interface Explored {
  readonly states: number;
  readonly degraded: number;
  readonly upgraded: number;
  readonly written: number;
  readonly rests: { readonly count: number; readonly print: string };
  readonly terminal: { readonly count: number; readonly print: string };
  readonly isComplete: boolean;
  readonly problem?: string;
}

const verdictOf = (output: string): Explored =>
  JSON.parse(output.trim().split('\n').at(-1) ?? '') as Explored;

/** In a process of its own: it sees the cores with their fields open. */
async function explore(options: readonly string[]): Promise<Explored & { readonly code: number }> {
  const explorer = fork(join(import.meta.dirname, 'explore/main.ts'), options, { silent: true });
  let output = '';
  explorer.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const code = await new Promise<number | null>(resolve => explorer.on('close', resolve));
  return { ...verdictOf(output), code: code ?? -1 };
}

test('every state of two replicas and an arbiter with one death is right', { timeout: 300_000 }, async () => {
  const verdict = await explore(['--boot', '--crashes', '1', '--proposals', '3']);
  expect(verdict).toMatchObject({ code: 0, isComplete: true });
  expect(verdict.states).toBeGreaterThan(100_000);
  for (const kind of ['degraded', 'upgraded', 'written'] as const)
    expect(verdict[kind], kind).toBeGreaterThan(5_000);
});

test('states that are told apart, and every order of what commutes, end where the reduced ones do', {
  timeout: 300_000,
}, async () => {
  const [reduced, inAnyOrder, exact] = [
    await explore(['--boot', '--crashes', '0']),
    await explore(['--boot', '--crashes', '0', '--unreduced']),
    await explore(['--boot', '--crashes', '0', '--unreduced', '--exact']),
  ];
  for (const verdict of [reduced, inAnyOrder, exact])
    expect(verdict).toMatchObject({
      code: 0,
      isComplete: true,
      rests: reduced.rests,
      terminal: reduced.terminal,
    });
  expect(inAnyOrder.states).toBeGreaterThan(reduced.states);
  expect(exact.states).toBeGreaterThan(10 * inAnyOrder.states);
  expect(reduced.terminal.count).toBeGreaterThan(50);
});

test('states that were not all are not called so', { timeout: 60_000 }, async () => {
  expect(await explore(['--states', '1000'])).toMatchObject({ code: 1, isComplete: false });
});

test.for(explorerMutants)('the explorer notices that $mistake', { timeout: 120_000 }, async mutant => {
  const { output, isRight } = await runVariant(mutant.changes, ['--explore', ...mutant.options]);
  expect(isRight).toBe(false);
  expect(verdictOf(output).problem).toMatch(mutant.caughtBy);
});
