/** Errors of the command line. */
import type { CatalogueRow } from '../errors.ts';

export const cliErrors = {
  OBS_CLI_USAGE: { kind: 'invalid', message: '{what}', hint: 'Run the command with --help.' },
  OBS_CLI_NO_SERVER: {
    kind: 'invalid',
    message: 'no server was named',
    hint: 'Give --config FILE or --data DIR of a local server, or --server URL with OBSTANDBY_TOKEN in the environment; OBSTANDBY_CONFIG sets a default.',
  },
  OBS_CLI_NOT_RUNNING: {
    kind: 'unavailable',
    message: 'no server runs on data directory {path}',
    hint: 'Start it: obstandby server --config FILE.',
  },
  OBS_DEMO_SITE_ENDED: {
    kind: 'unavailable',
    message: 'the server of site {site} ended with code {code}',
    hint: 'Read {log}.',
  },
} as const satisfies Record<string, CatalogueRow>;
