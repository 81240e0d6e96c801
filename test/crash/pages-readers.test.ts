/** Readers in threads and other processes, on a follower whose pages are injected under them. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { openBank, runBank } from '../support/page-bank.ts';
import type { ReaderKind, ReaderReport } from '../support/page-reader.ts';
import { seeded } from '../support/page-fuzz.ts';
import { createDatabase, difference, Follower, Leader, scratchDirectory } from '../support/page-replicas.ts';

const readerUrl = new URL('../support/page-reader.ts', import.meta.url);

const inThread = async (file: string, kind: ReaderKind, stopFile: string): Promise<ReaderReport> => {
  const worker = new Worker(readerUrl, { workerData: { file, kind, stopFile } });
  const [report] = (await once(worker, 'message')) as [ReaderReport];
  return report;
};

const inProcess = async (file: string, kind: ReaderKind, stopFile: string): Promise<ReaderReport> => {
  const child = spawn(process.execPath, [readerUrl.pathname, file, kind, stopFile], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  await once(child, 'close');
  return JSON.parse(text) as ReaderReport;
};

/** Debian's own SQLite, a much older one, where it is installed. */
const inShell = async (file: string, stopFile: string): Promise<ReaderReport> => {
  const report = { kind: 'churn' as const, looks: 0, held: 0, wrong: [] as string[] };
  const sql = 'SELECT sum(balance), count(*) FROM account; PRAGMA integrity_check';
  while (!fs.existsSync(stopFile)) {
    const text = await new Promise<string>(resolve => {
      execFile('sqlite3', ['-cmd', '.timeout 5000', '-readonly', file, sql], (error, stdout) => {
        resolve(error === null ? stdout : error.message);
      });
    });
    report.looks++;
    if (text !== '2000000|2000\nok\n') report.wrong.push(text);
  }
  return report;
};

test('readers in threads and processes only ever see whole prefixes, and open snapshots stay', async () => {
  const scratch = scratchDirectory('readers');
  try {
    createDatabase(`${scratch.path}/leader.db`);
    createDatabase(`${scratch.path}/follower.db`);
    const leader = new Leader(`${scratch.path}/leader.db`);
    const follower = new Follower(`${scratch.path}/follower.db`);
    follower.injector.apply(openBank(leader));
    const stopFile = `${scratch.path}/stop`;
    const readers = [
      inThread(follower.path, 'look', stopFile),
      inThread(follower.path, 'hold', stopFile),
      inThread(follower.path, 'churn', stopFile),
      inProcess(follower.path, 'look', stopFile),
      inProcess(follower.path, 'hold', stopFile),
    ];
    if (fs.existsSync('/usr/bin/sqlite3')) readers.push(inShell(follower.path, stopFile));
    const random = seeded(3);
    const seconds = Number(process.env['OBSTANDBY_SOAK_SECONDS'] ?? 8);
    const end = performance.now() + seconds * 1000;
    let restarts = 0;
    for (let round = 0; performance.now() < end; round++) {
      const records = runBank(leader, 400, round);
      for (let at = 0; at < records.length; ) {
        const count = 1 + random(8);
        follower.injector.apply(records.slice(at, at + count));
        at += count;
        if (random(60) === 0) {
          follower.writer.pragma('wal_checkpoint(PASSIVE)');
          if (follower.injector.restartLog()) restarts++;
        }
        if (random(5) === 0) await turn();
      }
      if (follower.injector.walBytes > 64_000_000) {
        follower.writer.pragma('busy_timeout = 3000');
        follower.writer.pragma('wal_checkpoint(TRUNCATE)');
        restarts++;
      }
    }
    fs.writeFileSync(stopFile, '');
    const reports = await Promise.all(readers);
    expect(reports.map(report => report.wrong)).toEqual(reports.map(() => []));
    for (const report of reports) expect(report.looks).toBeGreaterThan(0);
    expect(restarts).toBeGreaterThan(0);
    leader.checkpointFully();
    follower.checkpointFully();
    leader.close();
    follower.close();
    expect(difference(`${scratch.path}/leader.db`, `${scratch.path}/follower.db`)).toBe('');
  } finally {
    scratch.remove();
  }
});
