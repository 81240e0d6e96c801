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
    hint: 'Start it: obstandby server --config FILE. If it is just starting: obstandby status --wait 30s.',
  },
  OBS_SITE_ENDED: {
    kind: 'unavailable',
    message: 'the server of site {site} ended with code {code}',
    hint: 'Read {log}.',
  },
  OBS_SITE_NO_PORT: {
    kind: 'unavailable',
    message: 'no free port was found between {first} and {last}',
    hint: 'Stop some of the servers that listen there.',
  },
  OBS_BENCH_PEER_MISSING: {
    kind: 'invalid',
    message: 'the benchmark needs {peer}',
    hint: 'Install it (Debian: apt-get install {packages}) and run the benchmark again.',
  },
  OBS_BENCH_TOOL_FAILED: {
    kind: 'invalid',
    message: '{tool} failed: {what}',
    hint: 'Run it by hand against the same server to see more.',
  },
} as const satisfies Record<string, CatalogueRow>;
