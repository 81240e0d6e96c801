/**
 * A tenant under load, to be killed. Each line on standard output is written after the engine has acknowledged what it
 * says: `t <client> <n>` for the n-th transaction of a client.
 */
import { writeSync } from 'node:fs';
import { run, TenantSite } from '../support/tenant-site.ts';

const [directory = '', firstText = '0'] = process.argv.slice(2);
const first = Number(firstText);
const clients = 8;
const site = await TenantSite.open({
  directory,
  engine: {
    limits: { checkpointWalBytes: 100_000, checkpointSpacingMs: 0 },
    onFatal: error => {
      writeSync(2, `fatal: ${error.stack}\n`);
      process.exit(70);
    },
  },
});
const setup = site.engine.openSession();
await run(setup, 'CREATE TABLE IF NOT EXISTS ledger(client INTEGER, n INTEGER, PRIMARY KEY (client, n))');
await run(setup, 'CREATE TABLE IF NOT EXISTS account(id INTEGER PRIMARY KEY, balance INTEGER, note TEXT)');
for (let id = 0; id < 16; id++) await run(setup, "INSERT OR IGNORE INTO account VALUES (?, 100, '')", id);
writeSync(1, 'ready\n');

const client = async (id: number) => {
  const session = site.engine.openSession();
  for (let n = first; ; n++) {
    if (n % 3 === 0) await run(session, 'INSERT INTO ledger VALUES (?, ?)', id, n);
    else {
      await session.begin('write');
      await run(session, 'INSERT INTO ledger VALUES (?, ?)', id, n);
      await run(
        session,
        'UPDATE account SET balance = balance - 1, note = ? WHERE id = ?',
        'x'.repeat(n % 900),
        id,
      );
      await run(session, 'UPDATE account SET balance = balance + 1 WHERE id = ?', 15 - id);
      await session.commit();
    }
    writeSync(1, `t ${id} ${n}\n`);
  }
};
await Promise.all(Array.from({ length: clients }, (_, id) => client(id)));
