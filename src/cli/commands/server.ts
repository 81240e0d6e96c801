/** `obstandby server`: runs one server in the foreground until a signal or a fatal error. */
import type { Command } from 'commander';
import { ObError } from '../../base/errors.ts';
import { readConfig, sampleConfig, startServer } from '../../server/entry.ts';
import { runLocal } from '../local.ts';

interface ServerOptions {
  readonly config?: string;
  readonly check?: boolean;
  readonly sample?: boolean;
  readonly json?: boolean;
}

export function addServer(program: Command): void {
  program
    .command('server')
    .option('-c, --config <file>', 'the configuration (default: $OBSTANDBY_CONFIG)')
    .option('--check', 'only check the configuration')
    .option('--sample', 'print a sample configuration with every key')
    .option('--json', 'print one JSON line when ready')
    .description('run a server: primary and standby tenants, in the foreground')
    .addHelpText(
      'after',
      '\nExample:\n  obstandby server --sample > site-a.yaml\n  obstandby server --config site-a.yaml',
    )
    .action(async (options: ServerOptions) =>
      runLocal(options, async output => {
        if (options.sample === true) {
          process.stdout.write(sampleConfig());
          return 0;
        }
        const path = options.config ?? process.env['OBSTANDBY_CONFIG'];
        if (path === undefined)
          throw new ObError('OBS_CLI_USAGE', { what: 'name a configuration: --config FILE' });
        const config = readConfig(path);
        if (options.check === true) {
          output.result({ ok: true, config: path }, `${path} is valid`);
          return 0;
        }
        const server = await startServer({
          config,
          configPath: path,
          onWaiting: ({ httpAddress }) =>
            output.result(
              { ok: true, waiting: true, httpAddress, pid: process.pid },
              `waiting to become part of a cluster: API on ${httpAddress}`,
            ),
        });
        if (server === null) return 0;
        output.result(
          { ok: true, ready: true, ...server.addresses, pid: process.pid },
          `ready: SQL on ${server.addresses.sqlAddress}, peers on ${server.addresses.peerAddress}, API on ${server.addresses.httpAddress}`,
        );
        return server.ended;
      }),
    );
}
