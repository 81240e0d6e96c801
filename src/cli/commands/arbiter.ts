/** `obstandby arbiter`: runs one arbiter in the foreground until a signal or a fatal error. */
import { flushCompileCache } from 'node:module';
import type { Command } from 'commander';
import { ObError } from '../../base/errors.ts';
import {
  forgetCluster,
  readArbiterConfig,
  sampleArbiterConfig,
  startArbiter,
} from '../../server/arbiter-entry.ts';
import { runLocal } from '../local.ts';

interface ArbiterOptions {
  readonly config?: string;
  readonly check?: boolean;
  readonly sample?: boolean;
  readonly forget?: string;
  readonly json?: boolean;
}

export function addArbiter(program: Command): void {
  program
    .command('arbiter')
    .option('-c, --config <file>', 'the configuration (default: $OBSTANDBY_ARBITER_CONFIG)')
    .option('--check', 'only check the configuration')
    .option('--sample', 'print a sample configuration with every key')
    .option('--forget <cluster>', 'forget a cluster that is gone, then end; the arbiter must not run')
    .option('--json', 'print one JSON line when ready')
    .description(
      'run an arbiter: it votes for clusters whose tenants have 2 or 4 full replicas, and keeps no data',
    )
    .addHelpText(
      'after',
      '\nExample:\n  obstandby arbiter --sample > arbiter.yaml\n  obstandby arbiter --config arbiter.yaml\nthen, on a server: obstandby cluster arbiter add HOST:PORT --config server-1.yaml',
    )
    .action(async (options: ArbiterOptions) =>
      runLocal(options, async output => {
        if (options.sample === true) {
          process.stdout.write(sampleArbiterConfig());
          return 0;
        }
        const path = options.config ?? process.env['OBSTANDBY_ARBITER_CONFIG'];
        if (path === undefined)
          throw new ObError('OBS_CLI_USAGE', { what: 'name a configuration: --config FILE' });
        const config = readArbiterConfig(path);
        if (options.check === true) {
          output.result({ ok: true, config: path }, `${path} is valid`);
          return 0;
        }
        if (options.forget !== undefined) {
          const knew = await forgetCluster(config, options.forget);
          output.result(
            { ok: true, forgotten: knew },
            knew ? `${options.forget} is forgotten` : 'nothing to forget',
          );
          return 0;
        }
        const { address, httpAddress, nodeId, ended } = await startArbiter(config);
        output.result(
          { ok: true, ready: true, address, httpAddress, nodeId, pid: process.pid },
          `ready: servers on ${address}, status on ${httpAddress}`,
        );
        // It may be killed before it ends in peace, and is to be there as soon the next time.
        setImmediate(() => flushCompileCache());
        return ended;
      }),
    );
}
