/** `obstandby tenant create|drop|list|open|forget|checkpoint`. */
import type { Command } from 'commander';
import { type CommonOptions, passwordFrom, runOnServer, withTarget } from '../command.ts';
import { table } from '../output.ts';
import type { TenantInfo } from '../../server/entry.ts';

interface CreateOptions extends CommonOptions {
  readonly ifNotExists?: boolean;
  readonly pageBytes?: string;
  readonly passwordFile?: string;
}

export function addTenant(program: Command): void {
  const tenant = program.command('tenant').description('create, list and drop tenants');

  withTarget(tenant.command('create'))
    .argument('<name>')
    .option('--if-not-exists', 'succeed when it exists')
    .option('--page-bytes <n>', 'SQLite page size: a power of two from 512 to 65536')
    .option('--password-file <file>', "password of the tenant's root user (or $OBSTANDBY_PASSWORD)")
    .description('make a new, empty primary tenant')
    .addHelpText(
      'after',
      '\nExample:\n  OBSTANDBY_PASSWORD=s3cret obstandby tenant create orders --config site-a.yaml',
    )
    .action(async (name: string, options: CreateOptions) =>
      runOnServer(options, async ({ api, output }) => {
        const rootPassword = passwordFrom(options);
        await api.call('tenant-create', {
          name,
          ifNotExists: options.ifNotExists === true,
          ...(options.pageBytes === undefined ? {} : { pageBytes: Number(options.pageBytes) }),
          ...(rootPassword === undefined ? {} : { rootPassword }),
        });
        output.result({ ok: true, tenant: name }, `tenant ${name} is ready: mysql -u root@${name} …`);
        return 0;
      }),
    );

  withTarget(tenant.command('list'))
    .description('names and roles')
    .addHelpText('after', '\nExample:\n  obstandby tenant list --config site-a.yaml')
    .action(async (options: CommonOptions) =>
      runOnServer(options, async ({ api, output }) => {
        const tenants = await api.call<TenantInfo[]>('tenant-list', {});
        const rows = tenants.map(info => [String(info.tenantId), info.name, info.role, info.status]);
        output.result(tenants, table(['ID', 'TENANT', 'ROLE', 'STATUS'], rows));
        return 0;
      }),
    );

  withTarget(tenant.command('drop'))
    .argument('<name>')
    .option('--if-exists', 'succeed when it does not exist')
    .option('--force', 'also when it is primary with standbys')
    .description('remove a tenant and its data from this server')
    .addHelpText('after', '\nExample:\n  obstandby tenant drop orders --force --config site-a.yaml')
    .action(async (name: string, options: CommonOptions & { force?: boolean; ifExists?: boolean }) =>
      runOnServer(options, async ({ api, output }) => {
        await api.call('tenant-drop', {
          name,
          force: options.force === true,
          ifExists: options.ifExists === true,
        });
        output.result({ ok: true, tenant: name }, `tenant ${name} is gone from this server`);
        return 0;
      }),
    );

  withTarget(tenant.command('open'))
    .argument('<name>')
    .description(
      'open a tenant that did not open with the server; or end the restart check of a primary, on your word that no other site was promoted',
    )
    .addHelpText('after', '\nExample:\n  obstandby tenant open orders --config site-a.yaml')
    .action(async (name: string, options: CommonOptions) =>
      runOnServer(options, async ({ api, output }) => {
        await api.call('tenant-open', { name });
        output.result({ ok: true, tenant: name }, `tenant ${name} is open`);
        return 0;
      }),
    );

  withTarget(tenant.command('checkpoint'))
    .argument('<name>')
    .description('copy the WAL into the database file now')
    .addHelpText('after', '\nExample:\n  obstandby tenant checkpoint orders --config site-a.yaml')
    .action(async (name: string, options: CommonOptions) =>
      runOnServer(options, async ({ api, output }) => {
        const lsn = await api.call<number>('tenant-checkpoint', { name });
        output.result(
          { ok: true, tenant: name, checkpointLsn: lsn },
          `database file of ${name} is durable to LSN ${lsn}`,
        );
        return 0;
      }),
    );
}
