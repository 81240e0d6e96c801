import { defineConfig } from 'vitest/config';

/**
 * Two projects. `fast` is what `npm run check` runs on every change: pure code, one process, no outside server.
 * `real` starts servers, kills them, and talks to real clients and stores; `npm test` runs both.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: ['src/**/*.test.ts', 'test/{unit,sim,house}/**/*.test.ts'],
          pool: 'forks',
          testTimeout: 30_000,
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
