/** `obstandby dump`: what is inside a file that obstandby wrote, whatever its format. */
import type { Command } from 'commander';
import { dumpFile } from '../../server/entry.ts';
import { runLocal } from '../local.ts';
import { exitCodes } from '../exit-codes.ts';

export function addDump(program: Command): void {
  program
    .command('dump')
    .argument('<file>', 'clog block, meta image, archive segment, manifest, checkpoint record')
    .option('--json', 'one JSON line a record')
    .option('--bodies', 'page changes too')
    .description('print a clog block, archive segment or manifest')
    .addHelpText('after', '\nExample:\n  obstandby dump data/tenants/1002/log/000000000000.clog')
    .action(async (file: string, options: { json?: boolean; bodies?: boolean }) =>
      runLocal(options, async () => {
        let sound = true;
        for await (const record of dumpFile(file, { bodies: options.bodies === true })) {
          console.log(options.json === true ? JSON.stringify(record.value) : record.text);
          sound &&= record.sound;
        }
        return sound ? exitCodes.done : exitCodes.failed;
      }),
    );
}
