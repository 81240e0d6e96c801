/** Debian's mariadb client and sysbench against the whole front-end: dialect, sessions, engine, log. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rootPassword } from '../support/front-end.ts';
import { isPresent } from '../support/requirement.ts';
import { startWholeFrontEnd, type WholeFrontEnd } from '../support/whole-front-end.ts';

const run = promisify(execFile);
let server: WholeFrontEnd;

beforeAll(async () => {
  server = await startWholeFrontEnd();
});

afterAll(async () => {
  await server.stop();
  expect(server.fatal).toEqual([]);
  expect(server.site.fatal).toEqual([]);
});

describe.skipIf(!isPresent('mysql command line', ['mysql', 'mysqldump']))('the mysql command line', () => {
  const connection = (user = 'root@acme#c1') => ['-h127.0.0.1', `-P${server.port}`, `-u${user}`];
  const environment = { ...process.env, MYSQL_PWD: rootPassword };
  const mysql = async (text: string, user?: string) => {
    const { stdout } = await run('mysql', [...connection(user), '-N', '-B', 'acme', '-e', text], {
      env: environment,
    });
    return stdout;
  };

  test('tables are made, filled, listed and described', async () => {
    await mysql(
      'CREATE TABLE item (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20) NOT NULL DEFAULT "x", KEY by_v (v)) ENGINE=InnoDB',
    );
    await mysql("INSERT INTO item (v) VALUES ('a'), (DEFAULT), ('it''s')");
    expect(await mysql('SELECT * FROM item ORDER BY id')).toBe("1\ta\n2\tx\n3\tit's\n");
    expect(await mysql('SHOW TABLES')).toContain('item');
    expect(await mysql('DESCRIBE item')).toContain('auto_increment');
    expect(await mysql('SELECT DATABASE(), USER()')).toContain('root@127.0.0.1');
  });

  test('an error ends the text with its number', async () => {
    await expect(mysql('SELECT * FROM nowhere')).rejects.toThrow('ERROR 1146 (42S02)');
    await expect(mysql('SELEC 1')).rejects.toThrow('ERROR 1064 (42000)');
  });

  test('users come in with what they were granted', async () => {
    await mysql("CREATE USER reader IDENTIFIED BY 'root secret'; GRANT SELECT ON *.* TO reader");
    expect(await mysql('SELECT count(*) FROM item', 'reader@acme')).toBe('3\n');
    await expect(mysql('DELETE FROM item', 'reader@acme')).rejects.toThrow('ERROR 1227 (42000)');
    await expect(mysql('SELECT 1', 'nobody@acme')).rejects.toThrow('ERROR 1045 (28000)');
    expect(await mysql('SHOW GRANTS', 'reader@acme')).toContain('GRANT SELECT');
  });
});

describe.skipIf(!isPresent('sysbench', ['sysbench']))('sysbench', () => {
  const sysbench = async (script: string, action: string, ...more: string[]) => {
    const connection = ['--db-driver=mysql', '--mysql-host=127.0.0.1', `--mysql-port=${server.port}`];
    const login = ['--mysql-user=root@acme', `--mysql-password=${rootPassword}`, '--mysql-db=acme'];
    const work = ['--table-size=1000', '--threads=4', '--time=0', '--events=200'];
    const { stdout } = await run('sysbench', [script, ...connection, ...login, ...work, ...more, action]);
    return stdout;
  };
  const scripts = [
    'oltp_point_select',
    'oltp_update_index',
    'oltp_update_non_index',
    'oltp_insert',
    'oltp_delete',
    'oltp_read_only',
    'oltp_write_only',
    'oltp_read_write',
  ];

  beforeAll(() => sysbench('oltp_read_write', 'prepare', '--threads=1'));

  test.each(
    scripts.flatMap(
      script =>
        [
          [script, 'auto'],
          [script, 'disable'],
        ] as const,
    ),
  )('%s runs without an error, prepared statements %s', async (script, mode) => {
    const output = await sysbench(script, 'run', `--db-ps-mode=${mode}`);
    expect(output).toMatch(/transactions:\s+200 /);
    expect(output).toMatch(/ignored errors:\s+0 /);
  });

  test('cleanup drops its table', async () => {
    expect(await sysbench('oltp_read_write', 'cleanup')).toContain('Dropping table');
  });
});
