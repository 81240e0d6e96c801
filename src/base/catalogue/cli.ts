/** Errors of the command line. */
import type { CatalogueRow } from '../errors.ts';

export const cliErrors = {
  OBS_CLI_USAGE: { kind: 'invalid', message: '{what}', hint: 'Run the command with --help.' },
} as const satisfies Record<string, CatalogueRow>;
