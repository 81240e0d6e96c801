/** `obstandby status`: who is primary, who follows, how far behind, and what needs a person. */
import type { Command } from 'commander';
import type { ClusterInfo, TenantInfo } from '../../server/entry.ts';
import { nextSteps, serversText } from '../cluster-text.ts';
import { exitCodes } from '../exit-codes.ts';
import { type CommonOptions, runOnServer, withTarget } from '../command.ts';
import { bytesText, secondsText, table } from '../output.ts';

export function addStatus(program: Command): void {
  withTarget(program.command('status'))
    .argument('[tenant]', 'one tenant, in detail')
    .option('--wait <time>', 'first wait until the server answers, at most this long, like 30s')
    .description('tenants of a server: role, log positions, lag')
    .addHelpText(
      'after',
      '\nExamples:\n  obstandby status --config site-a.yaml\n  obstandby status orders --config site-a.yaml --json\n  obstandby status --wait 30s --config site-a.yaml',
    )
    .action(async (tenant: string | undefined, options: CommonOptions) =>
      runOnServer(options, async ({ api, output }) => {
        const server = await api.facts();
        output.nameSites(server);
        if (server.state === 'WAITING') {
          output.result({ server, tenants: [], nextSteps: [waitingStep] }, waitingText(server));
          return exitCodes.incomplete;
        }
        if (tenant !== undefined) {
          const info = await api.call<TenantInfo>('tenant-show', { name: tenant });
          output.result(info, detailText(info));
          return attention(info) === '' ? exitCodes.done : exitCodes.incomplete;
        }
        const tenants = await api.call<TenantInfo[]>('tenant-list', {});
        const cluster = await api.call<ClusterInfo>('cluster-status', {});
        output.result({ server, tenants, cluster }, overviewText(server, tenants, cluster));
        return 0;
      }),
    );
}

function overviewText(
  server: { clusterName: string; sqlAddress: string; pid: number },
  tenants: readonly TenantInfo[],
  cluster: ClusterInfo,
): string {
  const isShared = cluster.servers.length > 1;
  const rows = tenants.map(info => [
    info.name,
    info.role,
    info.switchoverStatus,
    String(info.roleEpoch),
    bytesText(info.log.endLsn),
    lagText(info),
    ...(isShared ? [info.placement?.leader ?? '-'] : []),
    attention(info),
  ]);
  const columns = [
    'TENANT',
    'ROLE',
    'STATUS',
    'EPOCH',
    'LOG',
    'LAG',
    ...(isShared ? ['LEADER'] : []),
    'ATTENTION',
  ];
  return [
    `${server.clusterName}: SQL on ${server.sqlAddress}, pid ${server.pid}`,
    ...(isShared ? [serversText(cluster), ''] : []),
    table(columns, rows),
    ...nextSteps(cluster),
    ...tenants.flatMap(info => (info.nextStep === null ? [] : [`${info.name}: ${info.nextStep}`])),
    ...(tenants.length === 0
      ? ['no tenants yet: obstandby tenant create NAME, or obstandby standby create NAME']
      : []),
  ].join('\n');
}

const waitingStep =
  'On one of the servers of the new cluster: obstandby cluster bootstrap --servers HOST:PORT,…; into a running one: obstandby cluster add-server HOST:PORT there.';

const waitingText = ({ clusterName, pid }: { clusterName: string; pid: number }): string =>
  `${clusterName}: waits to become part of a cluster, pid ${pid}\n${waitingStep}`;

/** What a person should look at; empty when nothing. */
function attention(info: TenantInfo): string {
  if (info.failure !== null) return `did not open: ${info.failure.message}`;
  if (info.writesRefused !== null) return info.writesRefused;
  if (info.switchoverStatus !== 'NORMAL') return 'a role change is unfinished';
  if (info.standby !== null && info.standby.syncStatus !== 'NORMAL')
    return `${info.standby.syncStatus}: ${info.standby.comment}`;
  if (info.archive !== null && !['DOING', 'STOP', 'PREPARE', 'BEGINNING'].includes(info.archive.state)) {
    return `archive ${info.archive.state}: ${info.archive.comment}`;
  }
  return '';
}

function lagText(info: TenantInfo): string {
  if (info.standby !== null) {
    const { apply } = info.standby.lag;
    return `${secondsText(apply.seconds)}, ${bytesText(apply.bytes)}`;
  }
  const behind = info.followers.map(follower => Math.max(0, info.log.endLsn - follower.ackedLsn));
  return behind.length === 0 ? '-' : `standbys ${behind.map(bytesText).join(' / ')} behind`;
}

function detailText(info: TenantInfo): string {
  const lines: [string, string][] = [
    ['tenant', `${info.name} (id ${info.tenantId}, incarnation ${info.incarnation})`],
    ['role', `${info.role}, ${info.switchoverStatus}, epoch ${info.roleEpoch}`],
    [
      'log',
      `LSN ${info.log.beginLsn} … ${info.log.endLsn}, SCN ${info.log.endScn}, ${info.log.accessMode}, proposal ${info.log.proposalId}`,
    ],
    ['database', `applied to LSN ${info.applied.lsn}, durable to LSN ${info.applied.checkpointLsn}`],
    ['SCN', `sync ${info.syncScn}, replayable ${info.replayableScn}, readable ${info.readableScn}`],
  ];
  if (info.placement !== null) {
    const { locality, previousLocality, primaryZone, leader } = info.placement;
    const from = previousLocality === null ? '' : `, on the way from ${previousLocality}`;
    lines.push(['replicas', `${locality}${from}; leader ${leader ?? 'none'}, primary zone ${primaryZone}`]);
  }
  if (info.standby !== null) {
    const { source, transport, syncStatus, comment, lag } = info.standby;
    lines.push([
      'source',
      `${source ?? 'none'} by ${transport ?? '-'}: ${syncStatus}${comment === '' ? '' : ` (${comment})`}`,
    ]);
    for (const stage of ['transport', 'flush', 'apply'] as const) {
      lines.push([`${stage} lag`, `${secondsText(lag[stage].seconds)}, ${bytesText(lag[stage].bytes)}`]);
    }
  }
  if (info.archive !== null) {
    const { dest, state, roundId, pieceId, archivedLsn, comment } = info.archive;
    lines.push([
      'archive',
      `${dest}: ${state}, round ${roundId}, piece ${pieceId}, to LSN ${archivedLsn}${comment === '' ? '' : ` (${comment})`}`,
    ]);
  }
  for (const follower of info.followers) {
    const state = follower.connected ? `acknowledged LSN ${follower.ackedLsn}` : 'not connected';
    lines.push(['follower', `${follower.site} at ${follower.address}: ${state}`]);
  }
  const what = attention(info);
  if (what !== '') lines.push(['ATTENTION', what]);
  if (info.nextStep !== null) lines.push(['NEXT', info.nextStep]);
  const width = Math.max(...lines.map(([name]) => name.length));
  return lines.map(([name, text]) => `${name.padEnd(width)}  ${text}`).join('\n');
}
