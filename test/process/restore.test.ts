/** Base backup and restore through a directory archive, on real servers: to the end, and to an SCN in between. */
import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { afterEach, expect, test } from 'vitest';
import type { LocalSite } from '../../src/client/local-site.ts';
import {
  credentials,
  infoOf,
  password,
  startTwoSites,
  tenant,
  type TwoSites,
  until,
} from '../support/two-sites.ts';

let sites: TwoSites | undefined;

afterEach(async () => {
  await sites?.close();
  sites = undefined;
});

async function query(site: LocalSite, sql: string, user = credentials.user): Promise<unknown> {
  const connection = await createConnection({ host: '127.0.0.1', port: site.sqlPort, user, password });
  try {
    const [rows] = await connection.query(sql);
    return rows;
  } finally {
    connection.destroy();
  }
}

test('a tenant is restored to the end of its archive, and to an SCN in between, beside its running primary', {
  timeout: 120_000,
}, async () => {
  sites = await startTwoSites({ withoutStandby: true, settings: { archive: { lagTargetMs: 100 } } });
  const { a, b, directory } = sites;
  const uri = `file://${join(directory, 'archive')}`;
  await a.api.call('archive-dest', { name: tenant, dest: `LOCATION=${uri}?create=true` });
  await a.api.call('archive-start', { name: tenant });
  await query(a, 'CREATE TABLE t (n INTEGER PRIMARY KEY)');
  await query(a, 'INSERT INTO t VALUES (1)');
  const backup = await a.api.call<{ minimumScn: number }>('backup', { name: tenant });
  await query(a, 'INSERT INTO t VALUES (2)');
  const between = (await infoOf(a)).log.endScn;
  await query(a, 'INSERT INTO t VALUES (3)');
  const written = (await infoOf(a)).log.endLsn;
  await until(
    'the archive has all of it',
    () => infoOf(a),
    info => (info.archive?.archivedLsn ?? 0) >= written,
  );

  await b.api.call('restore', { name: 'whole', from: uri });
  expect(await query(b, 'SELECT n FROM t ORDER BY n', 'root@whole')).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);

  await b.api.call('restore', { name: 'earlier', from: uri, untilScn: between });
  expect(await query(b, 'SELECT n FROM t ORDER BY n', 'root@earlier')).toEqual([{ n: 1 }, { n: 2 }]);
  await expect(query(b, 'INSERT INTO t VALUES (9)', 'root@earlier')).rejects.toMatchObject({ errno: 4688 });

  await expect(
    b.api.call('restore', { name: 'too-early', from: uri, untilScn: backup.minimumScn - 1_000_000 }),
  ).rejects.toMatchObject({ code: 'OBS_ARCHIVE_NOT_ENOUGH_LOG' });
  expect((await b.api.call<{ name: string }[]>('tenant-list', {})).map(info => info.name)).toEqual([
    'whole',
    'earlier',
  ]);

  // Opening the copy leaves the primary alone: it claims nothing in the archive it came from.
  await b.api.call('failover', { name: 'earlier', force: true });
  await query(b, 'INSERT INTO t VALUES (100)', 'root@earlier');
  await query(a, 'INSERT INTO t VALUES (4)');
  expect(await query(a, 'SELECT count(*) AS rows_ FROM t')).toEqual([{ rows_: 4 }]);
});
