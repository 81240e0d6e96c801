/** `obstandby demo`: everything once, on this machine, with a verdict. */
import { type Command, Option } from 'commander';
import { runLocal } from '../command.ts';
import type { TransportKind } from '../demo/transport.ts';
import { exitCodes } from '../exit-codes.ts';

export function addDemo(program: Command): void {
  program
    .command('demo')
    .addOption(
      new Option('--archive <kind>', 'ship through an archive instead of TCP').choices(['file', 's3']),
    )
    .option('--keep', 'leave the sites running and print how to connect')
    .option('--json', 'end with one JSON line')
    .description('two sites, live writes, switchover and back, a killed primary, a failover, a verdict')
    .addHelpText(
      'after',
      '\nExamples:\n  obstandby demo\n  obstandby demo --archive file --json\n  AWS_ENDPOINT_URL_S3=http://127.0.0.1:9000 AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… obstandby demo --archive s3',
    )
    .action(async (options: { archive?: TransportKind; keep?: boolean; json?: boolean }) =>
      runLocal(options, async output => {
        const { runDemo } = await import('../demo/run.ts');
        const result = await runDemo(
          { transport: options.archive ?? 'tcp', keep: options.keep === true },
          output,
        );
        const { commits, lostCommits, switchover, failover, lag, sitesEqual } = result;
        const text = [
          `${commits} acknowledged commits, ${lostCommits} lost without being named, ${failover.certifiedLost} lost and certified`,
          `switchover: ${switchover.gapMs} ms without writes; failover: ${failover.gapMs} ms; apply lag p50 ${lag.p50Ms} ms, p99 ${lag.p99Ms} ms`,
          `sites equal: ${sitesEqual}; certificate exact: ${failover.certificateExact}`,
          result.ok ? 'VERDICT: as promised' : 'VERDICT: NOT as promised',
        ].join('\n');
        output.result(result, text);
        return result.ok ? exitCodes.done : exitCodes.failed;
      }),
    );
}
