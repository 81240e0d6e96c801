/** `obstandby backup|restore`. */
import type { Command } from 'commander';
import { type CommonOptions, runOnServer, withTarget } from '../command.ts';

export function addBackup(program: Command): void {
  withTarget(program.command('backup'))
    .argument('<tenant>')
    .option('--to <uri>', "where (default: the tenant's archive destination)")
    .description('base backup of a running tenant')
    .addHelpText('after', '\nExample:\n  obstandby backup orders --config site-a.yaml')
    .action(async (name: string, options: CommonOptions & { to?: string }) =>
      runOnServer(options, async ({ api, output }) => {
        const value = { name, ...(options.to === undefined ? {} : { dest: options.to }) };
        const backup = await api.call<{ backupId: string; startLsn: number; minimumScn: number }>(
          'backup',
          value,
          report => output.progress(report),
        );
        output.result(
          { ok: true, tenant: name, ...backup },
          `backup ${backup.backupId}: restorable from SCN ${backup.minimumScn}`,
        );
        return 0;
      }),
    );

  withTarget(program.command('restore'))
    .argument('<tenant>', 'name of the restored tenant here')
    .requiredOption('--from <uri>', 'archive with a base backup: file:///dir or s3://bucket/prefix')
    .option('--until-scn <scn>', 'stop at this SCN (default: the end of the archive)')
    .description('make a standby tenant from base backup and log; failover --force opens it for writes')
    .addHelpText(
      'after',
      '\nExample:\n  obstandby restore orders_copy --from file:///mnt/archive/orders --config site-b.yaml',
    )
    .action(async (name: string, options: CommonOptions & { from: string; untilScn?: string }) =>
      runOnServer(options, async ({ api, output }) => {
        const value = {
          name,
          from: options.from,
          ...(options.untilScn === undefined ? {} : { untilScn: Number(options.untilScn) }),
        };
        await api.call('restore', value, report => output.progress(report));
        output.result({ ok: true, tenant: name }, `tenant ${name} is restored, as a standby`);
        return 0;
      }),
    );
}
