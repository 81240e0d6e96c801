/** `obstandby standby create|source|recover|forget`. */
import type { Command } from 'commander';
import { ObError } from '../../base/errors.ts';
import { siteIdOf } from '../site-names.ts';
import { type CommonOptions, passwordFrom, runOnServer, withTarget } from '../command.ts';

interface SourceOptions extends CommonOptions {
  readonly from?: string;
  readonly user?: string;
  readonly location?: string;
  readonly none?: boolean;
  readonly passwordFile?: string;
  readonly ifNotExists?: boolean;
  readonly locality?: string;
  readonly primaryZone?: string;
}

/** The LOG_RESTORE_SOURCE text for the options. The password never is an argument. */
function sourceText(options: SourceOptions): string {
  if (options.none === true) return '';
  const parts: string[] = [];
  if (options.from !== undefined) {
    if (options.user === undefined)
      throw new ObError('OBS_CLI_USAGE', { what: '--from needs --user user@tenant' });
    const password = passwordFrom(options) ?? '';
    parts.push(`SERVICE=${options.from}`, `USER=${options.user}`, `PASSWORD=${password}`);
  }
  if (options.location !== undefined) parts.push(`LOCATION=${options.location}`);
  if (parts.length === 0)
    throw new ObError('OBS_CLI_USAGE', {
      what: 'name a source: --from host:port --user u@t, or --location uri',
    });
  return parts.join(' ');
}

const withSource = (command: Command): Command =>
  command
    .option('--from <host:port>', 'peer address of the source, several separated by ";"')
    .option('--user <user@tenant>', 'user of the source tenant')
    .option('--password-file <file>', 'its password (or $OBSTANDBY_PASSWORD)')
    .option('--location <uri>', 'archive of the source: file:///dir or s3://bucket/prefix');

export function addStandby(program: Command): void {
  const standby = program.command('standby').description('standby tenants: create, re-point, pause, forget');

  withSource(withTarget(standby.command('create')))
    .argument('<name>', 'name of the standby tenant here')
    .option('--if-not-exists', 'succeed when it exists')
    .option(
      '--locality <text>',
      'its replicas, like F@zone1,F@zone2,F@zone3 (default: F in every zone, at most 3)',
    )
    .option('--primary-zone <text>', 'where its leader should be, like zone1;zone2,zone3')
    .description('make a standby: base copy, then follow the log')
    .addHelpText(
      'after',
      '\nExamples:\n  OBSTANDBY_PASSWORD=… obstandby standby create orders --from 10.0.0.1:2882 --user root@orders --config site-b.yaml\n  obstandby standby create orders --location file:///mnt/archive/orders --config site-b.yaml',
    )
    .action(async (name: string, options: SourceOptions) =>
      runOnServer(options, async ({ api, output }) => {
        const value = {
          name,
          source: sourceText(options),
          ifNotExists: options.ifNotExists === true,
          ...(options.locality === undefined ? {} : { locality: options.locality }),
          ...(options.primaryZone === undefined ? {} : { primaryZone: options.primaryZone }),
        };
        await api.call('standby-create', value, report => output.progress(report));
        output.result(
          { ok: true, tenant: name },
          `standby ${name} follows; obstandby status ${name} shows its lag`,
        );
        return 0;
      }),
    );

  withSource(withTarget(standby.command('source')))
    .argument('<name>')
    .option('--none', 'follow nobody')
    .description('set the log restore source')
    .addHelpText(
      'after',
      '\nExample:\n  OBSTANDBY_PASSWORD=… obstandby standby source orders --from 10.0.0.2:2882 --user root@orders --config site-b.yaml',
    )
    .action(async (name: string, options: SourceOptions) =>
      runOnServer(options, async ({ api, output }) => {
        await api.call('standby-source', { name, source: sourceText(options) });
        output.result({ ok: true, tenant: name }, `the source of ${name} is set`);
        return 0;
      }),
    );

  withTarget(standby.command('recover'))
    .argument('<name>')
    .option('--unlimited', 'follow for ever')
    .option('--until-scn <scn>', 'stop at this SCN')
    .option('--cancel', 'stop here')
    .description('how far the standby may go')
    .addHelpText('after', '\nExample:\n  obstandby standby recover orders --cancel --config site-b.yaml')
    .action(
      async (
        name: string,
        options: CommonOptions & { unlimited?: boolean; untilScn?: string; cancel?: boolean },
      ) =>
        runOnServer(options, async ({ api, output }) => {
          const chosen = [
            ...(options.unlimited === true ? ['unlimited' as const] : []),
            ...(options.cancel === true ? ['cancel' as const] : []),
            ...(options.untilScn === undefined ? [] : [Number(options.untilScn)]),
          ];
          const [until] = chosen;
          if (chosen.length !== 1 || until === undefined) {
            throw new ObError('OBS_CLI_USAGE', { what: 'choose one of --unlimited, --until-scn, --cancel' });
          }
          await api.call('standby-recover', { name, until });
          output.result({ ok: true, tenant: name, until }, `${name} recovers until ${until}`);
          return 0;
        }),
    );

  withTarget(standby.command('forget'))
    .argument('<tenant>', 'the tenant that the standby followed')
    .requiredOption('--site <id>', 'the standby’s site: its id, or its name where only one site has it')
    .description(
      'a standby site that will not come back: a restart of this tenant does not wait for its answer',
    )
    .addHelpText(
      'after',
      '\nExample:\n  obstandby standby forget orders --site site-b --config site-a.yaml\n  obstandby standby forget orders --site 8f6c1f0e-0000-4000-8000-000000000001 --config site-a.yaml',
    )
    .action(async (name: string, options: CommonOptions & { site: string }) =>
      runOnServer(options, async ({ api, output }) => {
        const site = siteIdOf(await api.facts(), options.site);
        await api.call('standby-forget', { name, site });
        output.result(
          { ok: true, tenant: name, site },
          `${name} does not wait for site ${options.site} any more`,
        );
        return 0;
      }),
    );
}
