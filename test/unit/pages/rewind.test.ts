import { afterEach, beforeEach, expect, test } from 'vitest';
import { rewindWal } from '../../../src/tenant/pages/wal-rewind.ts';
import { WalInjector } from '../../../src/tenant/pages/wal-injector.ts';
import {
  createDatabase,
  difference,
  Follower,
  Leader,
  redoRaw,
  scratchDirectory,
} from '../../support/page-replicas.ts';

let scratch: ReturnType<typeof scratchDirectory>;
let leader: Leader;
beforeEach(() => {
  scratch = scratchDirectory('rewind');
  createDatabase(`${scratch.path}/leader.db`);
  leader = new Leader(`${scratch.path}/leader.db`);
  leader.run('CREATE TABLE t(a INTEGER PRIMARY KEY, b)');
  leader.run('INSERT INTO t VALUES (1, 1)');
});
afterEach(() => scratch.remove());

const value = (): unknown => leader.guard.prepare('SELECT b FROM t WHERE a = 1').pluck().get();
const insertMany = (count: number): string =>
  `WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
   INSERT INTO t SELECT i, hex(randomblob(200)) FROM n`;

test('commits after the mark are gone for every connection, also from its cache', () => {
  const mark = leader.capture.position;
  leader.writer.exec('UPDATE t SET b = 2');
  leader.writer.exec(insertMany(4000));
  expect(value()).toBe(2);
  expect(rewindWal(leader.files, leader.writer, mark)).toBe(true);
  expect(value()).toBe(1);
  expect(leader.writer.prepare('SELECT count(*) FROM t').pluck().get()).toBe(1);
  expect(leader.guard.pragma('integrity_check', { simple: true })).toBe('ok');
  leader.close();
});

test('what is written after a rewind is captured right, pages of the undone commits included', () => {
  for (let round = 0; round < 5; round++) {
    const mark = leader.capture.position;
    leader.writer.exec(`UPDATE t SET b = 'undone ${round}' WHERE a = 1`);
    leader.writer.exec(insertMany(2000));
    leader.capture.capture(1);
    expect(rewindWal(leader.files, leader.writer, mark)).toBe(true);
    leader.capture.rewound(mark);
    leader.run(`UPDATE t SET b = 'kept ${round}' WHERE a = 1`);
  }
  leader.checkpointFully();
  leader.close();
  redoRaw(`${scratch.path}/raw.db`, leader.records, 0);
  expect(difference(`${scratch.path}/leader.db`, `${scratch.path}/raw.db`)).toBe('');
});

test('a rewind over several index regions leaves no remnant that a later commit could bring back', () => {
  const mark = leader.capture.position;
  leader.writer.exec('CREATE TABLE big(h)');
  for (let round = 0; round < 16; round++) {
    leader.writer.exec('DELETE FROM big');
    leader.writer.exec(insertMany(5000).replace('INTO t SELECT i,', 'INTO big SELECT'));
  }
  expect(leader.capture.capture(1)?.frameEnd.frame).toBeGreaterThan(2 * 4096);
  expect(rewindWal(leader.files, leader.writer, mark)).toBe(true);
  leader.capture.rewound(mark);
  leader.run(insertMany(9000));
  expect(leader.guard.pragma('integrity_check', { simple: true })).toBe('ok');
  leader.checkpointFully();
  leader.close();
  redoRaw(`${scratch.path}/raw.db`, leader.records, 0);
  expect(difference(`${scratch.path}/leader.db`, `${scratch.path}/raw.db`)).toBe('');
});

test('a rewound WAL that is recovered after a crash does not bring the undone commits back', () => {
  const mark = leader.capture.position;
  leader.writer.exec('UPDATE t SET b = 2');
  expect(rewindWal(leader.files, leader.writer, mark)).toBe(true);
  leader.abandon();
  const again = new Follower(`${scratch.path}/leader.db`);
  expect(again.guard.prepare('SELECT b FROM t').pluck().get()).toBe(1);
  again.close();
});

test('the start of a new generation of the WAL can be gone back to', () => {
  leader.checkpointFully();
  leader.writer.exec('UPDATE t SET b = 2');
  const commit = leader.capture.capture(1);
  expect(commit?.frameStart.frame).toBe(0);
  if (commit === undefined) return;
  expect(rewindWal(leader.files, leader.writer, commit.frameStart)).toBe(true);
  leader.capture.rewound(commit.frameStart);
  expect(value()).toBe(1);
  leader.run('UPDATE t SET b = 3');
  expect(value()).toBe(3);
  leader.checkpointFully();
  leader.close();
  redoRaw(`${scratch.path}/raw.db`, leader.records, 0);
  expect(difference(`${scratch.path}/leader.db`, `${scratch.path}/raw.db`)).toBe('');
});

test('a mark of an older generation is refused and nothing changes', () => {
  const mark = leader.capture.position;
  leader.checkpointFully();
  leader.run('UPDATE t SET b = 2');
  expect(rewindWal(leader.files, leader.writer, mark)).toBe(false);
  expect(value()).toBe(2);
  leader.close();
});

test('frames that reached the database file are never taken back: that is a broken invariant', () => {
  const mark = leader.capture.position;
  leader.run('UPDATE t SET b = 2');
  leader.writer.pragma('wal_checkpoint(PASSIVE)');
  expect(() => rewindWal(leader.files, leader.writer, mark)).toThrow('no frame after the committed one');
  expect(value()).toBe(2);
  leader.close();
});

test('a demoted leader follows, and a promoted follower leads, without opening anything again', () => {
  const mark = leader.capture.position;
  createDatabase(`${scratch.path}/other.db`);
  const other = new Follower(`${scratch.path}/other.db`);
  other.injector.apply(leader.records);
  leader.writer.exec('UPDATE t SET b = 666');
  expect(rewindWal(leader.files, leader.writer, mark)).toBe(true);
  const promoted = new Leader(`${scratch.path}/other.db`);
  const demoted = new WalInjector(leader.files, leader.writer);
  for (let round = 0; round < 20; round++) {
    const redo = promoted.run(`UPDATE t SET b = ${round}; INSERT INTO t(b) VALUES (${round})`);
    if (redo !== undefined) demoted.apply([redo]);
  }
  expect(value()).toBe(19);
  expect(leader.guard.prepare('SELECT count(*) FROM t').pluck().get()).toBe(21);
  promoted.checkpointFully();
  leader.checkpointFully();
  leader.close();
  promoted.close();
  other.close();
  expect(difference(`${scratch.path}/leader.db`, `${scratch.path}/other.db`)).toBe('');
});
