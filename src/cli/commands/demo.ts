/** `obstandby demo`: everything once, on this machine, with a verdict. */
import { type Command, Option } from 'commander';
import { runLocal } from '../local.ts';
import type { Output } from '../output.ts';
import type { TransportKind } from '../demo/transport.ts';
import type { ArbitratedShape } from '../../client/arbitrated-cluster.ts';
import { exitCodes } from '../exit-codes.ts';

interface DemoCommandOptions {
  readonly archive?: TransportKind;
  readonly shape?: ArbitratedShape;
  readonly small?: boolean;
  readonly keep?: boolean;
  readonly json?: boolean;
}

async function playArbitration(shape: ArbitratedShape, output: Output): Promise<number> {
  const { runArbitrationDemo } = await import('../demo/arbitration.ts');
  const result = await runArbitrationDemo(shape, output);
  const { commits, lostCommits, followerKill, leaderKill, events } = result;
  const text = [
    ...events.map(
      ({ event, atMs, servers }) => `${String(atMs).padStart(7)} ms  ${event} ${servers.join(', ')}`,
    ),
    `${commits} acknowledged commits, ${lostCommits} lost`,
    `without writes: follower killed ${followerKill.gapMs} ms, leader killed ${leaderKill.gapMs} ms; back in ${followerKill.upgradeMs} and ${leaderKill.upgradeMs} ms`,
    result.ok ? 'VERDICT: as promised' : 'VERDICT: NOT as promised',
  ].join('\n');
  output.result(result, text);
  return result.ok ? exitCodes.done : exitCodes.failed;
}

export function addDemo(program: Command): void {
  program
    .command('demo')
    .addOption(
      new Option('--archive <kind>', 'ship through an archive instead of TCP').choices(['file', 's3']),
    )
    .addOption(
      new Option(
        '--shape <shape>',
        'one cluster with an arbiter instead: 2 or 4 full replicas, half of them killed and restored',
      ).choices(['2F1A', '4F1A']),
    )
    .option('--small', 'one server a site in place of three')
    .option('--keep', 'leave the sites running and print how to connect')
    .option('--json', 'end with one JSON line')
    .description(
      'two clusters, live writes, a killed leader, switchover and back, a killed site, a failover, a verdict',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  obstandby demo\n  obstandby demo --small\n  obstandby demo --shape 2F1A --json\n  obstandby demo --archive file --json\n  AWS_ENDPOINT_URL_S3=http://127.0.0.1:9000 AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… obstandby demo --archive s3',
    )
    .action(async (options: DemoCommandOptions) =>
      runLocal(options, async output => {
        if (options.shape !== undefined) return playArbitration(options.shape, output);
        const { runDemo } = await import('../demo/run.ts');
        const result = await runDemo(
          { transport: options.archive ?? 'tcp', small: options.small === true, keep: options.keep === true },
          output,
        );
        const { commits, lostCommits, leaderKill, switchover, failover, lag, sitesEqual } = result;
        const text = [
          `${commits} acknowledged commits, ${lostCommits} lost without being named, ${failover.certifiedLost} lost and certified`,
          `without writes: leader killed ${leaderKill.gapMs} ms, switchover ${switchover.gapMs} ms, failover ${failover.gapMs} ms; apply lag p50 ${lag.p50Ms} ms, p99 ${lag.p99Ms} ms`,
          `sites equal: ${sitesEqual}; certificate exact: ${failover.certificateExact}`,
          result.ok ? 'VERDICT: as promised' : 'VERDICT: NOT as promised',
        ].join('\n');
        output.result(result, text);
        return result.ok ? exitCodes.done : exitCodes.failed;
      }),
    );
}
