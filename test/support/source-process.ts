/**
 * A primary's log and log server in a process of its own, to be killed: commits entries one after the other and prints the
 * end LSN of each the moment a client would have its reply. Arguments: data directory.
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { openLog, serve, testTenant } from './peer-sites.ts';

const directory = process.argv[2] ?? '';
const log = await openLog({ directory: join(directory, 'log'), blockBytes: 1_048_576 });
const { address } = await serve(testTenant(log));
writeSync(1, `${JSON.stringify(address)}\n`);
for await (const _ of process.stdin) break;
for (let i = 0; ; i += 1) {
  const { endLsn } = log.append({ kind: 'redo', body: [Buffer.from(`row ${i}`.padEnd(150, '.'))] });
  await log.committed(endLsn);
  writeSync(1, `${endLsn}\n`);
}
