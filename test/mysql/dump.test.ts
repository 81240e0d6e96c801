/** mysqldump of a tenant, restored by the mysql command line into the same tenant: the dump's own dialect comes back whole. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rootPassword } from '../support/front-end.ts';
import { isPresent } from '../support/requirement.ts';
import { startWholeFrontEnd, type WholeFrontEnd } from '../support/whole-front-end.ts';

const run = promisify(execFile);
const env = { ...process.env, MYSQL_PWD: rootPassword };
let server: WholeFrontEnd;
let folder: string;

beforeAll(async () => {
  server = await startWholeFrontEnd();
  folder = await mkdtemp(join(tmpdir(), 'obstandby-dump-'));
});

afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

const login = (): string[] => ['-h127.0.0.1', `-P${server.port}`, '-uroot@acme'];
const mysql = async (text: string): Promise<string> =>
  (await run('mysql', [...login(), '-N', '-B', 'acme', '-e', text], { env })).stdout;

async function restore(file: string): Promise<void> {
  const client = spawn('mysql', [...login(), 'acme'], { env, stdio: ['pipe', 'ignore', 'inherit'] });
  const exited = once(client, 'exit');
  await pipeline(createReadStream(file), client.stdin);
  expect(await exited).toEqual([0, null]);
}

const state =
  'SELECT id, v, hex(b) FROM p ORDER BY id; SELECT * FROM vv; SELECT * FROM q; SHOW CREATE TABLE p';

describe.skipIf(!isPresent('mysql command line', ['mysql', 'mysqldump']))('a dump', () => {
  test.each([[[]], [['--single-transaction', '--skip-lock-tables']]])(
    'made with %j restores to the same tables',
    async options => {
      await mysql(
        `DROP TABLE IF EXISTS q; DROP VIEW IF EXISTS vv; DROP TABLE IF EXISTS p;
         CREATE TABLE p (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(10) DEFAULT 'x', b BLOB,
           ts TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, KEY kv (v));
         INSERT INTO p (v, b) VALUES ('a', x'00ff275c0a'), ('it''s;', NULL), ('-- x', x'');
         CREATE VIEW vv AS SELECT id FROM p;
         CREATE TABLE q (id INT, p_id INT, CONSTRAINT f FOREIGN KEY (p_id) REFERENCES p (id));
         INSERT INTO q VALUES (1, 1)`,
      );
      const before = await mysql(state);
      const file = join(folder, `${options.length}.sql`);
      await run('mysqldump', [...login(), `-r${file}`, ...options, 'acme'], { env });
      await mysql('DROP TABLE q, p; DROP VIEW vv');
      await restore(file);
      await restore(file);
      expect(await mysql(state)).toBe(before);
    },
  );
});
