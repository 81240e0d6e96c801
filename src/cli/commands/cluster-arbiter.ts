/** `obstandby cluster arbiter add|replace|remove|status`: the arbitration service of a cluster. */
import type { Command } from 'commander';
import type { ArbiterOutcome, ArbitrationInfo, ServerEventInfo } from '../../server/entry.ts';
import { type CommonOptions, runOnServer, withTarget } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { table } from '../output.ts';

const eventsShown = 10;

export function addArbiterOf(cluster: Command): void {
  const arbiter = cluster
    .command('arbiter')
    .description('the arbiter that votes for tenants with 2 or 4 full replicas');

  withTarget(arbiter.command('add'))
    .argument('<host:port>', 'address of a process started with: obstandby arbiter')
    .description('make an arbiter the arbitration service of this cluster; the sys tenant uses it at once')
    .addHelpText('after', '\nExample:\n  obstandby cluster arbiter add 10.0.9.1:2887 --config server-1.yaml')
    .action(async (server: string, options: CommonOptions) =>
      runOnServer(options, async ({ api, output }) => {
        await api.call('cluster-arbiter-add', { server }, step => output.progress(step));
        output.result(
          { ok: true, arbiter: server },
          `${server} is the arbitration service: obstandby tenant alter TENANT --arbitration on`,
        );
        return exitCodes.done;
      }),
    );

  withTarget(arbiter.command('replace'))
    .argument('<old>', 'address of the arbiter that is to go')
    .argument('<new>', 'address of the one that takes its place; the same for one that lost its directory')
    .description('put another arbiter in the place of the one there is, for every tenant that uses it')
    .addHelpText(
      'after',
      '\nExample:\n  obstandby cluster arbiter replace 10.0.9.1:2887 10.0.9.2:2887 --config server-1.yaml',
    )
    .action(async (old: string, server: string, options: CommonOptions) =>
      runOnServer(options, async ({ api, output }) => {
        const { left } = await api.call<ArbiterOutcome>('cluster-arbiter-replace', { old, server }, step =>
          output.progress(step),
        );
        output.result({ ok: true, arbiter: server, left }, left ?? `${server} is the arbitration service`);
        return left === null ? exitCodes.done : exitCodes.incomplete;
      }),
    );

  withTarget(arbiter.command('remove'))
    .argument('<host:port>')
    .description('end the arbitration service; refused while a user tenant uses it')
    .addHelpText(
      'after',
      '\nExample:\n  obstandby cluster arbiter remove 10.0.9.1:2887 --config server-1.yaml',
    )
    .action(async (server: string, options: CommonOptions) =>
      runOnServer(options, async ({ api, output }) => {
        const { left } = await api.call<ArbiterOutcome>('cluster-arbiter-remove', { server }, step =>
          output.progress(step),
        );
        output.result({ ok: true, left }, left ?? 'the cluster has no arbitration service any more');
        return left === null ? exitCodes.done : exitCodes.incomplete;
      }),
    );

  withTarget(arbiter.command('status'))
    .description('the arbiter, how the servers hear it, who uses it, what was degraded')
    .addHelpText('after', '\nExample:\n  obstandby cluster arbiter status --config server-1.yaml')
    .action(async (options: CommonOptions) =>
      runOnServer(options, async ({ api, output }) => {
        const info = await api.call<ArbitrationInfo>('cluster-arbiter-status', {});
        const events = await api.call<ServerEventInfo[]>('cluster-events', {});
        output.result({ ...info, events }, statusText(info, events));
        return exitCodes.done;
      }),
    );
}

function statusText(info: ArbitrationInfo, events: readonly ServerEventInfo[]): string {
  const { service, problem, policy, tenants, servers, streams } = info;
  if (service === null) return 'no arbitration service: obstandby cluster arbiter add HOST:PORT';
  const heard = servers.filter(({ status }) => status === 'ACTIVE').length;
  const rows = tenants.map(({ tenantId, tenant, state, timeoutMs, detail }) => {
    const known = streams.find(stream => stream.tenantId === tenantId);
    const degraded = known?.degraded.length ?? 0;
    return [tenant, state, `${timeoutMs / 1000} s`, degraded === 0 ? '' : `${degraded} degraded`, detail];
  });
  const lines = events.slice(-eventsShown).map(({ time, event, address, tenantId, detail }) => {
    const tenant = tenants.find(each => each.tenantId === tenantId)?.tenant ?? String(tenantId);
    const at = new Date(time / 1000).toISOString();
    return `${at}  ${event} of ${String(detail['replica'] ?? '?')} in ${tenant}, by ${address}`;
  });
  return [
    `arbiter ${service.address}, heard by ${heard} of ${servers.length} servers; ${policy}`,
    ...(problem === null ? [] : [`  → ${problem}`]),
    '',
    table(['TENANT', 'ARBITRATION', 'TIMEOUT', '', ''], rows),
    ...(lines.length === 0 ? [] : ['', ...lines]),
  ].join('\n');
}
