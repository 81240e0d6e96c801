/** kill -9 of a process with a tenant under load: afterwards the database has exactly what was acknowledged. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { rows, TenantSite } from '../support/tenant-site.ts';

const rounds = Number(process.env['OBS_KILL_ROUNDS'] ?? 6);

/** Runs the child until it has acknowledged `count` transactions, kills it, and returns all it acknowledged. */
const killAfter = (directory: string, first: number, count: number): Promise<string[]> =>
  new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [new URL('./tenant-child.ts', import.meta.url).pathname, directory, String(first)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let output = '';
    let lines = 0;
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
      lines += data.toString().split('\n').length - 1;
      if (lines > count) child.kill('SIGKILL');
    });
    child.on('close', (status, signal) => {
      if (signal !== 'SIGKILL') reject(new Error(`the child ended by itself: ${status} ${signal}`));
      else
        resolve(
          output
            .split('\n')
            .slice(0, -1)
            .filter(line => line.startsWith('t ')),
        );
    });
  });

test('after kill -9 under load every acknowledged transaction is there, whole, and no other', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'obs-kill-'));
  const acknowledged = new Set<string>();
  try {
    for (let round = 0; round < rounds; round++) {
      const first = round * 1_000_000;
      const before = new Set(acknowledged);
      for (const line of await killAfter(directory, first, 150 + round * 237)) acknowledged.add(line);
      expect(acknowledged.size).toBeGreaterThan(before.size);
      const site = await TenantSite.open({ directory });
      const session = site.engine.openSession();
      expect(await rows(session, 'PRAGMA integrity_check')).toEqual([['ok']]);
      expect(await rows(session, 'SELECT sum(balance) FROM account')).toEqual([[1600]]);
      const found = (await rows(session, 'SELECT client, n FROM ledger')).map(
        ([client, n]) => `t ${String(client)} ${String(n)}`,
      );
      const present = new Set(found);
      expect([...acknowledged].filter(line => !present.has(line))).toEqual([]);
      // one transaction a client may have been kept without having been told
      const untold = found.filter(line => !acknowledged.has(line));
      expect(untold.length).toBeLessThanOrEqual(8);
      for (const line of untold) acknowledged.add(line);
      // transfers and ledger agree: each explicit transaction moved one from its account to the mirrored one
      const moved = await rows(
        session,
        `SELECT a.id FROM account a WHERE a.balance <> 100
           - (SELECT count(*) FROM ledger WHERE client = a.id AND n % 3 <> 0)
           + (SELECT count(*) FROM ledger WHERE client = 15 - a.id AND n % 3 <> 0)`,
      );
      expect(moved).toEqual([]);
      await session.close();
      await site.close();
      expect(site.fatal).toEqual([]);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
