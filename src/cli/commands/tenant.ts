/** `obstandby tenant create|alter|jobs|transfer-leader|drop|list|open|checkpoint`. */
import type { Command } from 'commander';
import { type CommonOptions, passwordFrom, runOnServer, withTarget } from '../command.ts';
import { table } from '../output.ts';
import { ObError } from '../../base/errors.ts';
import type { TenantInfo, TenantJob } from '../../server/entry.ts';

interface CreateOptions extends CommonOptions {
  readonly ifNotExists?: boolean;
  readonly pageBytes?: string;
  readonly passwordFile?: string;
  readonly locality?: string;
  readonly primaryZone?: string;
  readonly arbitration?: boolean;
}

interface AlterOptions {
  readonly locality?: string;
  readonly primaryZone?: string;
  readonly arbitration?: string;
}

interface PlacementOptions {
  readonly locality?: string;
  readonly primaryZone?: string;
  readonly arbitration?: boolean;
}

const placementOf = ({ locality, primaryZone, arbitration }: PlacementOptions): PlacementOptions => ({
  ...(arbitration === undefined ? {} : { arbitration }),
  ...(locality === undefined ? {} : { locality }),
  ...(primaryZone === undefined ? {} : { primaryZone }),
});

export function addTenant(program: Command): void {
  const tenant = program.command('tenant').description('create, list and drop tenants');

  withTarget(tenant.command('create'))
    .argument('<name>')
    .option('--if-not-exists', 'succeed when it exists')
    .option('--page-bytes <n>', 'SQLite page size: a power of two from 512 to 65536')
    .option('--password-file <file>', "password of the tenant's root user (or $OBSTANDBY_PASSWORD)")
    .option(
      '--locality <text>',
      'its replicas, like F@zone1,F@zone2,R@zone3 (default: F in every zone, at most 3)',
    )
    .option('--primary-zone <text>', 'where its leader should be, like zone1;zone2,zone3')
    .option('--arbitration', 'use the arbitration service of the cluster: for exactly 2 or 4 F replicas')
    .description('make a new, empty primary tenant')
    .addHelpText(
      'after',
      "\nExamples:\n  OBSTANDBY_PASSWORD=s3cret obstandby tenant create orders --config site-a.yaml\n  obstandby tenant create orders --locality 'F@zone1,F@zone2,F@zone3' --primary-zone zone1 --config server-1.yaml",
    )
    .action(async (name: string, options: CreateOptions) =>
      runOnServer(options, async ({ api, output }) => {
        const rootPassword = passwordFrom(options);
        await api.call('tenant-create', {
          name,
          ifNotExists: options.ifNotExists === true,
          ...(options.pageBytes === undefined ? {} : { pageBytes: Number(options.pageBytes) }),
          ...(rootPassword === undefined ? {} : { rootPassword }),
          ...placementOf(options),
        });
        output.result({ ok: true, tenant: name }, `tenant ${name} is ready: mysql -u root@${name} …`);
        return 0;
      }),
    );

  withTarget(tenant.command('alter'))
    .argument('<name>')
    .option(
      '--locality <text>',
      'its replicas, like F@zone1,F@zone2,R@zone3; the old text again undoes a change',
    )
    .option('--primary-zone <text>', 'where its leader should be, like zone1;zone2,zone3')
    .option('--arbitration <on|off>', 'use the arbitration service of the cluster, or do so no more')
    .description(
      'change where the replicas and the leader of a tenant are, and whether an arbiter votes for it',
    )
    .addHelpText(
      'after',
      "\nExample:\n  obstandby tenant alter orders --locality 'F@zone1,F@zone2,F@zone3,R@zone4' --config server-1.yaml",
    )
    .action(async (name: string, options: CommonOptions & AlterOptions) =>
      runOnServer(options, async ({ api, output }) => {
        const { arbitration, ...place } = options;
        if (arbitration !== undefined && arbitration !== 'on' && arbitration !== 'off')
          throw new ObError('OBS_CLI_USAGE', { what: '--arbitration is on or off' });
        const placement = placementOf(
          arbitration === undefined ? place : { ...place, arbitration: arbitration === 'on' },
        );
        if (Object.keys(placement).length === 0)
          throw new ObError('OBS_CLI_USAGE', { what: 'give --locality, --primary-zone or --arbitration' });
        await api.call('tenant-alter', { name, ...placement }, step => output.progress(step));
        output.result({ ok: true, tenant: name }, `tenant ${name} is as it was to be`);
        return 0;
      }),
    );

  withTarget(tenant.command('jobs'))
    .description('changes of locality: what runs, how far it is, what was')
    .addHelpText('after', '\nExample:\n  obstandby tenant jobs --config server-1.yaml')
    .action(async (options: CommonOptions) =>
      runOnServer(options, async ({ api, output }) => {
        const jobs = await api.call<TenantJob[]>('tenant-jobs', {});
        const rows = jobs.map(job => [
          String(job.id),
          job.tenant,
          job.type,
          job.status,
          job.locality,
          job.detail,
        ]);
        output.result(jobs, table(['ID', 'TENANT', 'TYPE', 'STATUS', 'TO', 'DETAIL'], rows));
        return 0;
      }),
    );

  withTarget(tenant.command('transfer-leader'))
    .argument('<name>')
    .requiredOption('--to <host:port>', 'cluster address of the server that is to lead')
    .description('move the leader of a tenant to another of its full replicas')
    .addHelpText(
      'after',
      '\nExample:\n  obstandby tenant transfer-leader orders --to 10.0.0.2:2885 --config server-1.yaml',
    )
    .action(async (name: string, options: CommonOptions & { to: string }) =>
      runOnServer(options, async ({ api, output }) => {
        await api.call('tenant-transfer-leader', { name, server: options.to });
        output.result({ ok: true, tenant: name, leader: options.to }, `${options.to} leads ${name}`);
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
    .description('remove a tenant and its data from every server of this cluster')
    .addHelpText('after', '\nExample:\n  obstandby tenant drop orders --force --config site-a.yaml')
    .action(async (name: string, options: CommonOptions & { force?: boolean; ifExists?: boolean }) =>
      runOnServer(options, async ({ api, output }) => {
        await api.call('tenant-drop', {
          name,
          force: options.force === true,
          ifExists: options.ifExists === true,
        });
        output.result({ ok: true, tenant: name }, `tenant ${name} is gone`);
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
