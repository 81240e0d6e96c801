import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { RawRedo } from '../../../src/tenant/pages/raw-redo.ts';
import {
  dropSideFiles,
  foreignHolders,
  refuseForeignHolders,
} from '../../../src/tenant/pages/recovery-guard.ts';
import { provePages } from '../../../src/tenant/pages/self-test.ts';
import { createDatabase, Leader, scratchDirectory } from '../../support/page-replicas.ts';

let scratch: ReturnType<typeof scratchDirectory>;
beforeEach(() => {
  scratch = scratchDirectory('recovery');
});
afterEach(() => scratch.remove());

test('a process that has the database open is named, and gone when it ends', async () => {
  const file = `${scratch.path}/held.db`;
  createDatabase(file);
  expect(foreignHolders(file)).toEqual([]);
  const code = `const D = require('better-sqlite3'); const d = new D(${JSON.stringify(file)});
    d.prepare('SELECT count(*) FROM sqlite_schema').get(); console.log('open'); setInterval(() => {}, 1000)`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(must(child.stdout, 'its output'), 'data');
    expect(foreignHolders(file)).toEqual([child.pid]);
    expect(() => refuseForeignHolders(file)).toThrow(
      expect.objectContaining({
        code: 'OBS_TENANT_FILE_IN_USE',
        details: { path: file, pids: String(child.pid) },
      }),
    );
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  refuseForeignHolders(file);
});

test('the locks of this process itself do not count, nor does a file that is not there', () => {
  createDatabase(`${scratch.path}/own.db`);
  const leader = new Leader(`${scratch.path}/own.db`);
  expect(foreignHolders(leader.path)).toEqual([]);
  leader.close();
  expect(foreignHolders(`${scratch.path}/absent.db`)).toEqual([]);
});

test('side files are dropped, and a missing one is no error', () => {
  const file = `${scratch.path}/side.db`;
  createDatabase(file);
  for (const suffix of ['-wal', '-shm', '-journal']) fs.writeFileSync(`${file}${suffix}`, 'stale');
  dropSideFiles(file);
  dropSideFiles(file);
  expect(fs.readdirSync(scratch.path)).toEqual(['side.db']);
});

test('a database made from the log alone is readable by its owner only', () => {
  createDatabase(`${scratch.path}/leader.db`);
  const leader = new Leader(`${scratch.path}/leader.db`);
  leader.run('CREATE TABLE t(a); INSERT INTO t VALUES (1)');
  const file = `${scratch.path}/made.db`;
  const redo = new RawRedo(file, { pageBytes: 4096, databasePages: 0 });
  redo.apply(leader.records);
  expect(redo.finish()).toEqual({ databasePages: 2 });
  expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  leader.close();
});

test('this machine passes the page self-test, which leaves nothing behind', () => {
  provePages(scratch.path);
  expect(fs.readdirSync(scratch.path)).toEqual([]);
});

test('a directory that cannot hold a database fails the self-test by name', () => {
  expect(() => provePages('/proc')).toThrow(expect.objectContaining({ code: 'OBS_TENANT_PLATFORM' }));
});
