/** Files that are generated from code must equal what the code generates. `UPDATE=1 vitest run test/house` rewrites them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { sampleConfig } from '../../src/server/config.ts';

const root = new URL('../../', import.meta.url);

test('the sample configuration is the one the schema generates', () => {
  const file = new URL('config/server.sample.yaml', root);
  if (process.env['UPDATE'] === '1') writeFileSync(file, sampleConfig());
  expect(readFileSync(file, 'utf8')).toBe(sampleConfig());
});
