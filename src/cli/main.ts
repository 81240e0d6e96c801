/** The command line. Each command is a file in `commands/`; this one only lists them. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addArchive } from './commands/archive.ts';
import { addBackup } from './commands/backup.ts';
import { addBench } from './commands/bench.ts';
import { addCompletion } from './commands/completion.ts';
import { addDemo } from './commands/demo.ts';
import { addDump } from './commands/dump.ts';
import { addRoleChanges } from './commands/role.ts';
import { addServer } from './commands/server.ts';
import { addStandby } from './commands/standby.ts';
import { addStatus } from './commands/status.ts';
import { addTenant } from './commands/tenant.ts';
import { exitCodes } from './exit-codes.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('obstandby')
  .description('Physical standby replication for SQLite tenants')
  .version(version)
  .showHelpAfterError()
  .addHelpText(
    'after',
    '\nExit codes: 0 done · 1 failed, nothing changed · 2 usage · 3 refused by a guard · 4 done but incomplete · 5 outcome unknown, run resume',
  );

addServer(program);
addStatus(program);
addTenant(program);
addArchive(program);
addStandby(program);
addRoleChanges(program);
addBackup(program);
addDump(program);
addDemo(program);
addBench(program);
addCompletion(program);

// commander ends the process by itself only where we cannot set the code first
const everyCommand = (command: Command): Command[] => [command, ...command.commands.flatMap(everyCommand)];
for (const command of everyCommand(program)) command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
}
