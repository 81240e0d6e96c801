/**
 * A stock OLTP load on the primary while a standby follows and is read: no client sees an error, every read of the standby
 * is of a whole prefix, and at the end both databases are the same, page by page.
 */
import { createConnection } from 'mysql2/promise';
import { expect, test } from 'vitest';
import { sysbench } from '../../src/bench/sysbench.ts';
import type { LocalSite } from '../../src/client/local-site.ts';
import { isPresent } from '../support/requirement.ts';
import {
  credentials,
  expectEqualDatabases,
  infoOf,
  password,
  until,
  withTwoSites,
} from '../support/two-sites.ts';

const seconds = Number(process.env['OBSTANDBY_TEST_SECONDS'] ?? 5);
const rows = Number(process.env['OBSTANDBY_TEST_ROWS'] ?? 10_000);
const threads = 16;

interface Reads {
  readonly count: number;
  /** reads that differ from the one before: the standby moved on between them */
  readonly changes: number;
}

/** Reads the whole table again and again. Each transaction deletes a row and puts it back: a whole prefix has them all. */
async function readUntil(site: LocalSite, isOver: () => boolean): Promise<Reads> {
  const connection = await createConnection({ host: '127.0.0.1', port: site.sqlPort, ...credentials });
  let count = 0;
  let changes = 0;
  let before = '';
  try {
    while (!isOver()) {
      const [found] = await connection.query('SELECT count(*) AS n, sum(k) AS k FROM sbtest1');
      const [row] = found as { n: number; k: string }[];
      expect(Number(row?.n)).toBe(rows);
      count += 1;
      if (row?.k !== before) changes += 1;
      before = row?.k ?? '';
    }
  } finally {
    connection.destroy();
  }
  return { count, changes };
}

test.skipIf(!isPresent('sysbench against a primary and its standby', ['sysbench']))(
  'sysbench oltp_read_write meets no error while a standby follows and is read, and both sites end equal',
  { timeout: 120_000 + 4_000 * seconds },
  async () => {
    await withTwoSites({}, async ({ a, b }) => {
      const target = { driver: 'mysql', port: a.sqlPort, user: credentials.user, password } as const;
      const load = { script: 'oltp_read_write', threads, seconds, rows };
      await sysbench(target, { ...load, command: 'prepare' });
      await until(
        'the standby has the table',
        async () => [(await infoOf(a)).log.endLsn, (await infoOf(b)).applied.lsn],
        ([end, applied]) => end === applied,
      );
      for (const prepared of [true, false]) {
        let isOver = false;
        const reads = readUntil(b, () => isOver);
        const result = await sysbench(target, { ...load, command: 'run', prepared }).finally(() => {
          isOver = true;
        });
        const read = await reads;
        console.log(
          `${prepared ? 'prepared' : 'text'}: ${result.transactionsPerSecond} transactions/s, p95 ${result.p95Ms} ms, ` +
            `${read.count} whole-table reads of the standby, ${read.changes} of them saw something new`,
        );
        expect(result.errors).toBe(0);
        expect(result.transactionsPerSecond).toBeGreaterThan(0);
        expect(read.changes).toBeGreaterThan(1);
        await expectEqualDatabases(a, b);
      }
      const info = await infoOf(b);
      expect(info.standby?.syncStatus).toBe('NORMAL');
    });
  },
);
