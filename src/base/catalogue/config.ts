/** Errors of the configuration file. */
import type { CatalogueRow } from '../errors.ts';

export const configErrors = {
  OBS_CONFIG_INVALID: {
    kind: 'invalid',
    message: 'the configuration has {count} problem(s): {problems}',
    hint: 'Correct them; config/server.sample.yaml explains each key.',
  },
} as const satisfies Record<string, CatalogueRow>;
