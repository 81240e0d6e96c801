/** Every command, in the order in which the help shows them. */
import type { Command } from 'commander';
import { addArbiter } from './commands/arbiter.ts';
import { addArchive } from './commands/archive.ts';
import { addBackup } from './commands/backup.ts';
import { addBench } from './commands/bench.ts';
import { addCluster } from './commands/cluster.ts';
import { addCompletion } from './commands/completion.ts';
import { addDemo } from './commands/demo.ts';
import { addDump } from './commands/dump.ts';
import { addRoleChanges } from './commands/role.ts';
import { addServer } from './commands/server.ts';
import { addStandby } from './commands/standby.ts';
import { addStatus } from './commands/status.ts';
import { addTenant } from './commands/tenant.ts';

export function addEveryCommand(program: Command): void {
  addServer(program);
  addArbiter(program);
  addStatus(program);
  addTenant(program);
  addCluster(program);
  addArchive(program);
  addStandby(program);
  addRoleChanges(program);
  addBackup(program);
  addDump(program);
  addDemo(program);
  addBench(program);
  addCompletion(program);
}
