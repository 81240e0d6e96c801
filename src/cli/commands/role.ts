/** `obstandby switchover|failover|resume|rollback`: role changes, each step shown, each interruptible. */
import type { Command } from 'commander';
import type { LossCertificate, StepReport, SwitchoverOutcome } from '../../server/entry.ts';
import { type CommonOptions, durationMs, runOnServer, withTarget } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { stepText } from '../output.ts';

export function addRoleChanges(program: Command): void {
  withTarget(program.command('switchover'))
    .argument('<tenant>')
    .option('--plan', 'only check and list the steps')
    .option('--to-standby', 'first half only, on the primary (archive transport)')
    .option('--to-primary', 'second half only, on the standby (archive transport)')
    .description('planned role change, nothing lost; run it at the standby’s site')
    .addHelpText(
      'after',
      '\nExamples:\n  obstandby switchover orders --plan --config site-b.yaml\n  obstandby switchover orders --config site-b.yaml\n\nOver an archive alone, in this order:\n  obstandby switchover orders --to-standby --config site-a.yaml\n  obstandby switchover orders --to-primary --config site-b.yaml',
    )
    .action(
      async (
        name: string,
        options: CommonOptions & { plan?: boolean; toStandby?: boolean; toPrimary?: boolean },
      ) =>
        runOnServer(options, async ({ api, output }) => {
          output.nameSites(await api.facts());
          const show = (report: StepReport): void => output.progress(report);
          if (options.toStandby === true || options.toPrimary === true) {
            const verb = options.toStandby === true ? 'switchover-to-standby' : 'switchover-to-primary';
            const steps = await api.call<StepReport[]>(verb, { name, verify: options.plan === true }, show);
            output.result({ ok: true, tenant: name, steps }, stepsText(steps));
            return incompleteSteps(steps) ? exitCodes.incomplete : exitCodes.done;
          }
          const outcome = await api.call<SwitchoverOutcome>(
            'switchover',
            { name, planOnly: options.plan === true },
            show,
          );
          const text =
            options.plan === true
              ? stepsText(outcome.steps)
              : `${name} is primary here, epoch ${outcome.newEpoch}; sealed at LSN ${outcome.sealedLsn}`;
          output.result({ ok: true, tenant: name, ...outcome }, text);
          return incompleteSteps(outcome.steps) ? exitCodes.incomplete : exitCodes.done;
        }),
    );

  withTarget(program.command('failover'))
    .argument('<tenant>')
    .option('--max-lag <time>', 'refuse when more could be lost, like 2s')
    .option('--force', 'also when the primary answers or the lag is unknown or too large')
    .option('--plan', 'only check')
    .option('--certificate', 'print the loss certificate of the last failover')
    .description('unplanned role change: promote this standby; what is lost is certified')
    .addHelpText('after', '\nExample:\n  obstandby failover orders --max-lag 2s --config site-b.yaml')
    .action(
      async (
        name: string,
        options: CommonOptions & { maxLag?: string; force?: boolean; plan?: boolean; certificate?: boolean },
      ) =>
        runOnServer(options, async ({ api, output }) => {
          output.nameSites(await api.facts());
          const certificate =
            options.certificate === true
              ? await api.call<LossCertificate | null>('certificate', { name })
              : await api.call<LossCertificate | null>(
                  'failover',
                  {
                    name,
                    maxLagMs: options.maxLag === undefined ? null : durationMs(options.maxLag),
                    force: options.force === true,
                    verify: options.plan === true,
                  },
                  report => output.progress(report),
                );
          output.result({ ok: true, tenant: name, certificate }, certificateText(certificate));
          return exitCodes.done;
        }),
    );

  for (const verb of ['resume', 'rollback'] as const) {
    withTarget(program.command(verb))
      .argument('<tenant>')
      .description(
        verb === 'resume'
          ? 'finish an interrupted role change'
          : 'undo a switchover that has not opened the new primary',
      )
      .addHelpText('after', `\nExample:\n  obstandby ${verb} orders --config site-b.yaml`)
      .action(async (name: string, options: CommonOptions) =>
        runOnServer(options, async ({ api, output }) => {
          output.nameSites(await api.facts());
          const steps = await api.call<StepReport[]>(verb, { name }, report => output.progress(report));
          output.result(
            { ok: true, tenant: name, steps },
            steps.length === 0 ? 'nothing to do' : stepsText(steps),
          );
          return incompleteSteps(steps) ? exitCodes.incomplete : exitCodes.done;
        }),
      );
  }
}

const incompleteSteps = (steps: readonly StepReport[]): boolean =>
  steps.some(step => step.state === 'failed');

const stepsText = (steps: readonly StepReport[]): string =>
  steps.map(step => `  ${step.state.padEnd(8)} ${step.site}: ${stepText(step)}`).join('\n');

export function certificateText(certificate: LossCertificate | null): string {
  if (certificate === null) return 'no failover happened here';
  const { tenant, oldEpoch, newEpoch, cutLsn, cutScn, lostTransactions, lostLsnEnd, lostScnEnd } =
    certificate;
  const known =
    lostTransactions === null
      ? `not counted yet: it is when the old primary returns (last known end: LSN ${certificate.knownEndLsn ?? '?'}, heard ${timeText(certificate.lastContact)})`
      : lostTransactions === 0
        ? 'nothing'
        : `${lostTransactions} transactions: LSN ${cutLsn}…${lostLsnEnd}, SCN ${cutScn}…${lostScnEnd}`;
  return [
    `LOSS CERTIFICATE of tenant ${tenant}, epoch ${oldEpoch} → ${newEpoch}${certificate.forced ? ' (forced)' : ''}`,
    `  kept: everything to LSN ${cutLsn}, SCN ${cutScn} (${timeText(cutScn)})`,
    `  lost: ${known}`,
  ].join('\n');
}

const timeText = (micros: number | null): string =>
  micros === null ? 'never' : new Date(micros / 1000).toISOString();
