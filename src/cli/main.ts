/** The command line. Each command is a file in `commands/`; `every-command.ts` lists them. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
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

// An arbiter is small and is there at once: it does not wait for what the other commands load.
if (process.argv[2] === 'arbiter') (await import('./commands/arbiter.ts')).addArbiter(program);
else (await import('./every-command.ts')).addEveryCommand(program);

// commander ends the process by itself only where we cannot set the code first
const everyCommand = (command: Command): Command[] => [command, ...command.commands.flatMap(everyCommand)];
for (const command of everyCommand(program)) command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
}
