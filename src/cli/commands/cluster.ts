/** `obstandby cluster secret|bootstrap|status|servers|add-server|remove-server|stop-server|start-server`. */
import type { Command } from 'commander';
import { ObError } from '../../base/errors.ts';
import type { ApiClient } from '../../client/api-client.ts';
import { type BootstrapReport, type ClusterInfo, clusterSecret } from '../../server/entry.ts';
import { clusterText, nextSteps, serversText } from '../cluster-text.ts';
import { type CommonOptions, durationMs, runOnServer, withTarget } from '../command.ts';
import { runLocal } from '../local.ts';
import { exitCodes } from '../exit-codes.ts';
import { addArbiterOf } from './cluster-arbiter.ts';

const pollMs = 100;

export function addCluster(program: Command): void {
  const cluster = program
    .command('cluster')
    .description('several servers as one: make it, its servers, who leads what');

  cluster
    .command('secret')
    .option('--json', 'print one JSON line')
    .description('draw a cluster secret, for cluster.secretFile of every server')
    .addHelpText('after', '\nExample:\n  (umask 077; obstandby cluster secret > cluster.secret)')
    .action(async (options: { json?: boolean }) =>
      runLocal(options, output => {
        const secret = clusterSecret();
        output.result({ ok: true, secret }, secret);
        return Promise.resolve(exitCodes.done);
      }),
    );

  withTarget(cluster.command('bootstrap'))
    .requiredOption('--servers <list>', 'cluster addresses of all servers, this one included: host:port,…')
    .option('--wait <time>', 'how long to wait until the cluster serves', '60s')
    .description('make one cluster of servers that wait for it; run it again after an interruption')
    .addHelpText(
      'after',
      '\nExample:\n  obstandby cluster bootstrap --servers 10.0.0.1:2885,10.0.0.2:2885,10.0.0.3:2885 --config server-1.yaml',
    )
    .action(async (options: CommonOptions & { servers: string; wait: string }) => {
      const { wait, ...target } = options;
      await runOnServer(target, async ({ api, output }) => {
        const servers = options.servers.split(',').map(address => address.trim());
        const report = await api.call<BootstrapReport>('cluster-bootstrap', { servers }, step =>
          output.progress(step),
        );
        const serves = await untilServes(api, durationMs(wait));
        const missing =
          report.missing.length === 0 ? '' : `; ${report.missing.join(', ')} will be part of it when there`;
        const text = serves
          ? `cluster ${report.clusterId} of ${servers.length} servers serves${missing}`
          : `cluster ${report.clusterId} is made, and does not serve yet${missing}: obstandby cluster status`;
        output.result({ ok: true, serves, ...report }, text);
        return serves && report.missing.length === 0 ? exitCodes.done : exitCodes.incomplete;
      });
    });

  withTarget(cluster.command('status'))
    .option('--wait <time>', 'first wait until the server answers, at most this long, like 30s')
    .description('servers, leaders, how far replicas are behind, and what to do next')
    .addHelpText('after', '\nExample:\n  obstandby cluster status --config server-1.yaml')
    .action(async (options: CommonOptions) =>
      runOnServer(options, async ({ api, output }) => {
        const info = await api.call<ClusterInfo>('cluster-status', {});
        output.result({ ...info, nextSteps: nextSteps(info) }, clusterText(info));
        return exitCodes.done;
      }),
    );

  withTarget(cluster.command('servers'))
    .description('the servers of the cluster')
    .addHelpText('after', '\nExample:\n  obstandby cluster servers --config server-1.yaml')
    .action(async (options: CommonOptions) =>
      runOnServer(options, async ({ api, output }) => {
        const info = await api.call<ClusterInfo>('cluster-status', {});
        output.result(info.servers, serversText(info));
        return exitCodes.done;
      }),
    );

  withTarget(cluster.command('add-server'))
    .argument('<host:port>', 'its cluster address; it runs and waits')
    .option('--zone <zone>', 'its zone, as its configuration says it')
    .description('make a waiting server part of this cluster')
    .addHelpText('after', '\nExample:\n  obstandby cluster add-server 10.0.0.4:2885 --config server-1.yaml')
    .action(async (server: string, options: CommonOptions & { zone?: string }) =>
      runOnServer(options, async ({ api, output }) => {
        const value = { server, ...(options.zone === undefined ? {} : { zone: options.zone }) };
        await api.call('cluster-add-server', value, step => output.progress(step));
        output.result({ ok: true, server }, `server ${server} is part of the cluster`);
        return exitCodes.done;
      }),
    );

  addArbiterOf(cluster);
  addSet(cluster);

  const orders = {
    'remove-server': {
      description: 'move the replicas of a server to others of its zone, then forget it',
      done: (server: string) => `server ${server} is no longer part of the cluster`,
    },
    'stop-server': {
      description: 'move all leaders away from a server, for maintenance; its replicas go on',
      done: (server: string) => `server ${server} leads nothing any more`,
    },
    'start-server': {
      description: 'let a stopped server lead again; keep one that is being removed',
      done: (server: string) => `server ${server} may lead`,
    },
  } as const;
  for (const [name, { description, done }] of Object.entries(orders)) {
    withTarget(cluster.command(name))
      .argument('<host:port>', 'its cluster address')
      .description(description)
      .addHelpText('after', `\nExample:\n  obstandby cluster ${name} 10.0.0.3:2885 --config server-1.yaml`)
      .action(async (server: string, options: CommonOptions) =>
        runOnServer(options, async ({ api, output }) => {
          await api.call(`cluster-${name}`, { server }, step => output.progress(step));
          output.result({ ok: true, server }, done(server));
          return exitCodes.done;
        }),
      );
  }
}

/** What an operator can turn, beside the configuration of each server. */
function addSet(cluster: Command): void {
  withTarget(cluster.command('set'))
    .argument('<parameter>', 'arbitration_timeout or arbitration_degradation_policy')
    .argument('<value>')
    .option('--tenant <name>', 'of this tenant alone; without it, of all')
    .description('set a parameter of the cluster or of its tenants')
    .addHelpText(
      'after',
      '\nExamples:\n  obstandby cluster set arbitration_timeout 30d --config server-1.yaml\n  obstandby cluster set arbitration_degradation_policy CLUSTER_POLICY --config server-1.yaml',
    )
    .action(async (parameter: string, value: string, options: CommonOptions & { tenant?: string }) =>
      runOnServer(options, async ({ api, output }) => {
        const tenant = options.tenant === undefined ? {} : { tenant: options.tenant };
        await api.call('cluster-set', { parameter, value, ...tenant });
        output.result({ ok: true, parameter, value, ...tenant }, `${parameter} is ${value}`);
        return exitCodes.done;
      }),
    );
}

/** The server that was asked opens what it has; the root service is there when a majority of its replicas is. */
async function untilServes(api: ApiClient, waitMs: number): Promise<boolean> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    try {
      const { problem, servers } = await api.call<ClusterInfo>('cluster-status', {});
      if (problem === null && servers.every(({ status }) => status === 'ACTIVE')) return true;
    } catch (error) {
      if (!(error instanceof ObError) || error.kind !== 'unavailable') throw error;
    }
    if (performance.now() > deadline) return false;
    await new Promise(resolve => setTimeout(resolve, pollMs));
  }
}
