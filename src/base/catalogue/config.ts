/** Errors of the configuration file. */
import type { CatalogueRow } from '../errors.ts';

export const configErrors = {
  OBS_CONFIG_INVALID: {
    kind: 'invalid',
    message: 'the configuration has {count} problem(s): {problems}',
    hint: 'Correct them all; config/server.sample.yaml explains each key.',
  },
  OBS_CONFIG_UNREADABLE: {
    kind: 'invalid',
    message: 'cannot read the configuration {path}: {why}',
    hint: 'Check the path and its permissions; config/server.sample.yaml is a complete example.',
  },
} as const satisfies Record<string, CatalogueRow>;
