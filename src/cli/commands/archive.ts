/** `obstandby archive dest|start|stop|defer|enable|status`. */
import type { Command } from 'commander';
import type { TenantInfo } from '../../server/entry.ts';
import { type CommonOptions, runOnServer, withTarget } from '../command.ts';
import { bytesText } from '../output.ts';

export function addArchive(program: Command): void {
  const archive = program
    .command('archive')
    .description('ship the log of a tenant to a directory or an S3 bucket');

  withTarget(archive.command('dest'))
    .argument('<tenant>')
    .argument('<uri>', "file:///dir or s3://bucket/prefix; '' for none")
    .option('--binding <kind>', 'Optional: never hold writes back. Mandatory: never lose archive', 'Optional')
    .option('--piece-switch-interval <time>', 'length of a piece', '1d')
    .description('set LOG_ARCHIVE_DEST')
    .addHelpText(
      'after',
      '\nExample:\n  obstandby archive dest orders file:///mnt/archive/orders --config site-a.yaml',
    )
    .action(
      async (
        name: string,
        uri: string,
        options: CommonOptions & { binding: string; pieceSwitchInterval: string },
      ) =>
        runOnServer(options, async ({ api, output }) => {
          const dest =
            uri === ''
              ? ''
              : `LOCATION=${uri} BINDING=${options.binding} PIECE_SWITCH_INTERVAL=${options.pieceSwitchInterval}`;
          await api.call('archive-dest', { name, dest });
          output.result(
            { ok: true, tenant: name, dest },
            `archive destination of ${name} is set; obstandby archive start ${name}`,
          );
          return 0;
        }),
    );

  const simple = (command: string, verb: string, extra: object, description: string, done: string): void => {
    withTarget(archive.command(command))
      .argument('<tenant>')
      .description(description)
      .addHelpText('after', `\nExample:\n  obstandby archive ${command} orders --config site-a.yaml`)
      .action(async (name: string, options: CommonOptions) =>
        runOnServer(options, async ({ api, output }) => {
          await api.call(verb, { name, ...extra });
          output.result({ ok: true, tenant: name }, `${name}: ${done}`);
          return 0;
        }),
      );
  };
  simple('start', 'archive-start', {}, 'ARCHIVELOG', 'archiving');
  simple('stop', 'archive-stop', {}, 'NOARCHIVELOG', 'not archiving');
  simple('defer', 'archive-state', { state: 'DEFER' }, 'pause the round', 'archiving is deferred');
  simple('enable', 'archive-state', { state: 'ENABLE' }, 'go on with the round', 'archiving again');

  withTarget(archive.command('status'))
    .argument('<tenant>')
    .description('round, piece, how far')
    .addHelpText('after', '\nExample:\n  obstandby archive status orders --config site-a.yaml')
    .action(async (name: string, options: CommonOptions) =>
      runOnServer(options, async ({ api, output }) => {
        const info = await api.call<TenantInfo>('tenant-show', { name });
        const text =
          info.archive === null
            ? `${name} has no archive destination`
            : `${info.archive.dest}: ${info.archive.state}, round ${info.archive.roundId}, piece ${info.archive.pieceId}, ${bytesText(info.log.endLsn - info.archive.archivedLsn)} behind${info.archive.comment === '' ? '' : `; ${info.archive.comment}`}`;
        output.result(info.archive, text);
        return 0;
      }),
    );
}
