/** The same log stream with limits so small that rare paths are the rule. */
import { expect, test } from 'vitest';
import { runVariant } from './mutation.ts';
import { variants } from './variants.ts';

test.for(Object.keys(variants))(
  'seeds keep every invariant with the limits of "%s"',
  {
    timeout: 300_000,
  },
  async name => {
    const { output, isRight } = await runVariant(variants[name] ?? [], [
      '--swarm',
      'group',
      '--seeds',
      '1..40',
    ]);
    expect(isRight, output).toBe(true);
  },
);
