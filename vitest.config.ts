import { defineConfig } from 'vitest/config';

/**
 * Three projects. `fast` is what `npm run check` runs on every change: pure code, one process, no outside server. `sim` runs
 * the simulations and their mutants. `real` starts servers, kills them, and talks to real clients and stores. `npm test` runs
 * them all.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: ['src/**/*.test.ts', 'test/{unit,house}/**/*.test.ts'],
          pool: 'forks',
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'sim',
          include: ['test/sim/**/*.test.ts'],
          pool: 'forks',
          testTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'real',
          include: ['test/{process,s3,mysql,crash}/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
