import { once } from 'node:events';
import fs from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ObError } from '../../../src/base/errors.ts';
import { must } from '../../../src/base/assert.ts';
import { type DecodedRedo, decodeRedo, encodeRedo } from '../../../src/codec/redo.ts';
import type { DatabaseFiles } from '../../../src/tenant/pages/database-files.ts';
import { WalInjector } from '../../../src/tenant/pages/wal-injector.ts';
import { takeWriteLock } from '../../../src/tenant/pages/write-lock.ts';
import {
  connect,
  createDatabase,
  difference,
  Follower,
  Leader,
  scratchDirectory,
} from '../../support/page-replicas.ts';

let scratch: ReturnType<typeof scratchDirectory>;
let leader: Leader;
let follower: Follower;
beforeEach(() => {
  scratch = scratchDirectory('inject');
  createDatabase(`${scratch.path}/leader.db`);
  createDatabase(`${scratch.path}/follower.db`);
  leader = new Leader(`${scratch.path}/leader.db`);
  follower = new Follower(`${scratch.path}/follower.db`);
  leader.run('CREATE TABLE t(a INTEGER PRIMARY KEY, b)');
  leader.run('INSERT INTO t VALUES (1, 1)');
});
afterEach(() => scratch.remove());

const insertMany = (count: number): string =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
   INSERT INTO t(b) SELECT hex(randomblob(300)) FROM n`;

function expectEqualFiles(): void {
  leader.checkpointFully();
  follower.checkpointFully();
  leader.close();
  follower.close();
  expect(difference(`${scratch.path}/leader.db`, `${scratch.path}/follower.db`)).toBe('');
}

test('an open read transaction keeps its snapshot, and does not keep apply waiting', () => {
  follower.injector.apply(leader.records);
  const reader = connect(follower.path);
  const read = reader.prepare('SELECT b FROM t').pluck();
  reader.exec('BEGIN');
  expect(read.get()).toBe(1);
  for (let round = 2; round < 50; round++) {
    follower.injector.apply([must(leader.run(`UPDATE t SET b = ${round}`), 'a record')]);
    expect(read.get()).toBe(1);
    expect(follower.guard.prepare('SELECT b FROM t').pluck().get()).toBe(round);
  }
  reader.exec('COMMIT');
  expect(read.get()).toBe(49);
  reader.close();
  expectEqualFiles();
});

test('a group of records becomes visible as one, with one frame for a page they share', () => {
  follower.injector.apply(leader.records);
  const before = follower.injector.position.frame;
  const records: DecodedRedo[] = [];
  for (let round = 0; round < 100; round++)
    records.push(must(leader.run(`UPDATE t SET b = ${round + 5}`), 'a record'));
  follower.injector.apply(records);
  expect(follower.injector.position.frame).toBe(before + 1);
  expect(follower.guard.prepare('SELECT b FROM t').pluck().get()).toBe(104);
  expectEqualFiles();
});

test('a group with more pages than fit in memory is written in pieces and still one commit', () => {
  follower.injector.apply(leader.records);
  const reader = connect(follower.path);
  reader.exec('BEGIN');
  expect(reader.prepare('SELECT count(*) FROM t').pluck().get()).toBe(1);
  const records = [
    insertMany(40_000),
    'UPDATE t SET b = upper(b) || 1',
    'DELETE FROM t WHERE a > 30000; VACUUM',
  ].map(sql => must(leader.run(sql), 'a record'));
  follower.injector.apply(records);
  expect(follower.injector.position.frame).toBeGreaterThan(8_300);
  expect(reader.prepare('SELECT count(*) FROM t').pluck().get()).toBe(1);
  reader.exec('COMMIT');
  expect(reader.prepare('SELECT count(*) FROM t').pluck().get()).toBe(30_000);
  expect(reader.pragma('integrity_check', { simple: true })).toBe('ok');
  reader.close();
  expectEqualFiles();
}, 60_000);

test('a copied WAL starts over and page 1 stays the log’s', () => {
  follower.injector.apply(leader.records);
  for (let round = 0; round < 5; round++) {
    follower.writer.pragma('wal_checkpoint(PASSIVE)');
    expect(follower.injector.restartLog()).toBe(true);
    expect(follower.injector.position.frame).toBe(2);
    follower.injector.apply([must(leader.run(`UPDATE t SET b = ${round}`), 'a record')]);
  }
  expectEqualFiles();
});

test('a WAL that a reader still uses does not start over, and nothing is lost by the attempt', () => {
  follower.injector.apply(leader.records);
  const reader = connect(follower.path);
  reader.exec('BEGIN');
  reader.prepare('SELECT * FROM t').all();
  follower.writer.pragma('wal_checkpoint(PASSIVE)');
  expect(follower.injector.restartLog()).toBe(false);
  follower.injector.apply([must(leader.run('UPDATE t SET b = 2'), 'a record')]);
  expect(reader.prepare('SELECT b FROM t').pluck().get()).toBe(1);
  reader.exec('COMMIT');
  reader.close();
  follower.writer.pragma('wal_checkpoint(PASSIVE)');
  expect(follower.injector.restartLog()).toBe(true);
  expectEqualFiles();
});

test('a write lock that somebody takes for a moment is waited for', async () => {
  follower.injector.apply(leader.records);
  const script = `const { workerData, parentPort } = require('node:worker_threads');
    const { createRequire } = require('node:module');
    const Database = createRequire(workerData.from)('better-sqlite3');
    const connection = new Database(workerData.path);
    connection.exec('BEGIN IMMEDIATE');
    parentPort.postMessage('held');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
    connection.exec('COMMIT');
    connection.close()`;
  const holder = new Worker(script, {
    eval: true,
    workerData: { path: follower.path, from: import.meta.url },
  });
  await once(holder, 'message');
  follower.injector.apply([must(leader.run('UPDATE t SET b = 2'), 'a record')]);
  expect(follower.guard.prepare('SELECT b FROM t').pluck().get()).toBe(2);
  await once(holder, 'exit');
  expectEqualFiles();
});

test('a write lock that stays taken is refused by name', () => {
  const holder = connect(follower.path);
  holder.exec('BEGIN IMMEDIATE');
  const begin = follower.writer.prepare('BEGIN IMMEDIATE');
  expect(() => takeWriteLock(begin, follower.path, 5)).toThrow(
    expect.objectContaining({ code: 'OBS_TENANT_FILE_IN_USE' }),
  );
  holder.exec('COMMIT');
  holder.close();
  takeWriteLock(begin, follower.path, 5);
  follower.writer.exec('COMMIT');
});

/** The files of a database, where the n-th write from now on fails half-way. */
function failing(files: DatabaseFiles, failAt: number): DatabaseFiles {
  let writes = 0;
  const guarded =
    (write: DatabaseFiles['writeWal']): DatabaseFiles['writeWal'] =>
    (from, at, length, position) => {
      writes++;
      if (writes === failAt) {
        write.call(files, from, at, Math.floor(length / 16) * 8, position);
        throw new ObError('OBS_TENANT_FILE_FAILED', {
          operation: 'write',
          path: files.path,
          detail: 'ENOSPC',
        });
      }
      write.call(files, from, at, length, position);
    };
  return new Proxy(files, {
    get(target, name) {
      if (name === 'writeWal') return guarded(target.writeWal);
      if (name === 'writeShm') return guarded(target.writeShm);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

test('a write that fails anywhere before the header leaves nothing visible, and a later apply is right', () => {
  follower.injector.apply(leader.records);
  const big = must(leader.run(insertMany(30_000)), 'a record');
  const small = must(leader.run('UPDATE t SET b = 7 WHERE a = 1'), 'a record');
  // frames (in two pieces), three index regions, of the first of which only a part is new
  for (let failAt = 1; failAt <= 5; failAt++) {
    const broken = new WalInjector(failing(follower.files, failAt), follower.writer);
    expect(() => broken.apply([big, small])).toThrow(expect.objectContaining({ kind: 'disk' }));
    expect(follower.writer.inTransaction).toBe(false);
    expect(follower.guard.prepare('SELECT count(*), b FROM t').raw().get()).toEqual([1, 1]);
  }
  follower.injector.apply([big, small]);
  expect(follower.guard.prepare('SELECT b FROM t WHERE a = 1').pluck().get()).toBe(7);
  expect(follower.guard.pragma('integrity_check', { simple: true })).toBe('ok');
  expectEqualFiles();
});

test('index entries that a dead writer left behind the last commit never come to life', () => {
  follower.injector.apply(leader.records);
  const shm = `${follower.path}-shm`;
  const frame = follower.injector.position.frame;
  // entries of page 1 for the next frames, in page numbers and slots, as a killed writer would leave them
  const entries = Uint32Array.of(1, 1, 1);
  const slots = Uint16Array.of(frame + 1, frame + 2, frame + 3);
  follower.files.writeShm(new Uint8Array(entries.buffer), 0, 12, 136 + frame * 4);
  follower.files.writeShm(new Uint8Array(slots.buffer), 0, 6, 16_384 + 400 * 2);
  const again = new WalInjector(follower.files, follower.writer);
  again.apply([
    must(leader.run('UPDATE t SET b = 2'), 'a record'),
    must(leader.run(insertMany(5000)), 'a record'),
  ]);
  const left = new Uint8Array(6);
  follower.files.readShm(left, 0, 6, 16_384 + 400 * 2);
  expect([...new Uint16Array(left.buffer)].filter(slot => slot > again.position.frame)).toEqual([]);
  expect(fs.existsSync(shm)).toBe(true);
  expect(follower.guard.pragma('integrity_check', { simple: true })).toBe('ok');
  expectEqualFiles();
});

test('a record that changes a page this database has no image of is refused and nothing is visible', () => {
  follower.injector.apply(leader.records);
  const redo = decodeRedo(
    encodeRedo({
      pageBytes: 4096,
      transactions: 1,
      databasePages: 90,
      pages: [
        { pgno: 1, ranges: [{ offset: 24, bytes: Uint8Array.of(9, 9, 9, 9) }] },
        { pgno: 80, ranges: [{ offset: 5, bytes: Uint8Array.of(1) }] },
      ],
    }),
  );
  if (redo.kind === 'problem') throw new Error(redo.problem);
  const before = follower.injector.position;
  expect(() => follower.injector.apply([redo])).toThrow(
    expect.objectContaining({ code: 'OBS_TENANT_REDO_CORRUPT' }),
  );
  follower.injector.apply([must(leader.run('UPDATE t SET b = 2'), 'a record')]);
  expect(follower.injector.position.frame).toBe(before.frame + 1);
  expectEqualFiles();
});

test('a wal-index of another version, page size or checksum is refused', () => {
  follower.injector.apply(leader.records);
  const intact = new Uint8Array(96);
  follower.files.readShm(intact, 0, 96, 0);
  const tampered = (change: (words: Uint32Array) => void) => {
    const bytes = intact.slice();
    const words = new Uint32Array(bytes.buffer);
    change(words);
    words.copyWithin(12, 0, 12);
    follower.files.writeShm(bytes, 0, 96, 0);
    expect(() => new WalInjector(follower.files, follower.writer)).toThrow(
      expect.objectContaining({ code: 'OBS_TENANT_WAL_INDEX' }),
    );
    follower.files.writeShm(intact, 0, 96, 0);
  };
  tampered(words => words.fill(3_007_001, 0, 1));
  tampered(words => words.fill(0, 3, 4));
  tampered(words => words.fill(77, 4, 5));
  const bytes = intact.slice();
  bytes[20] = 99;
  follower.files.writeShm(bytes, 0, 48, 0);
  expect(() => new WalInjector(follower.files, follower.writer)).toThrow('stay different');
  follower.files.writeShm(intact, 0, 96, 0);
  expectEqualFiles();
});
