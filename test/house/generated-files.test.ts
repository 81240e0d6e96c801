/** Files that are generated from code must equal what the code generates. `UPDATE=1 vitest run test/house` rewrites them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { sampleArbiterConfig } from '../../src/server/arbiter-config.ts';
import { sampleConfig } from '../../src/server/config.ts';

const root = new URL('../../', import.meta.url);

test.each([
  ['config/server.sample.yaml', sampleConfig],
  ['config/arbiter.sample.yaml', sampleArbiterConfig],
])('%s is the one that the schema generates', (path, sample) => {
  const file = new URL(path, root);
  if (process.env['UPDATE'] === '1') writeFileSync(file, sample());
  expect(readFileSync(file, 'utf8')).toBe(sample());
});
