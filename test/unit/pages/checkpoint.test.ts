import fs from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import type { LogPosition } from '../../../src/base/log-access.ts';
import { lsn, scn } from '../../../src/base/scalars.ts';
import { Checkpointer } from '../../../src/tenant/pages/checkpointer.ts';
import { CheckpointMeta } from '../../../src/tenant/pages/checkpoint-meta.ts';
import { RawRedo } from '../../../src/tenant/pages/raw-redo.ts';
import { SnapshotSource } from '../../../src/tenant/pages/snapshot-source.ts';
import { rewindWal } from '../../../src/tenant/pages/wal-rewind.ts';
import { seeded } from '../../support/page-fuzz.ts';
import {
  connect,
  createDatabase,
  difference,
  Leader,
  redoRaw,
  scratchDirectory,
} from '../../support/page-replicas.ts';

let scratch: ReturnType<typeof scratchDirectory>;
let leader: Leader;
let meta: CheckpointMeta;
let checkpointer: Checkpointer;
const metaPath = () => `${scratch.path}/checkpoint`;
const incarnation = 'b2f1';

beforeEach(() => {
  scratch = scratchDirectory('checkpoint');
  createDatabase(`${scratch.path}/leader.db`);
  leader = new Leader(`${scratch.path}/leader.db`);
  meta = new CheckpointMeta(metaPath(), incarnation);
  checkpointer = new Checkpointer({
    files: leader.files,
    guard: leader.guard,
    worker: leader.writer,
    meta,
    incarnation,
  });
  leader.run('CREATE TABLE t(a INTEGER PRIMARY KEY, b)');
  leader.run('INSERT INTO t VALUES (1, 1)');
});
afterEach(() => scratch.remove());

/** In these tests the LSN is the number of records. */
const position = (): LogPosition => ({ lsn: lsn(leader.records.length), scn: scn(1), checksum: 7 });
const pin = () => checkpointer.pin(position(), position().lsn);
const insertMany = (count: number): string =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
   INSERT INTO t(b) SELECT hex(randomblob(200)) FROM n`;

/** The database file without its WAL: what a recovery starts from. */
function fileAlone(): ReturnType<typeof connect> {
  leader.abandon();
  fs.rmSync(`${leader.path}-wal`);
  fs.rmSync(`${leader.path}-shm`);
  return connect(leader.path);
}

test('after a checkpoint the file alone is the database at its position', () => {
  leader.run(insertMany(500));
  pin();
  expect(checkpointer.copy()).toEqual({ kind: 'complete' });
  expect(checkpointer.makeDurable().lsn).toBe(3);
  leader.run('UPDATE t SET b = 2');
  expect(meta.record).toMatchObject({ position: { lsn: 3 } });
  const alone = fileAlone();
  expect(alone.prepare('SELECT count(*), min(b) FROM t').raw().get()).toEqual([501, 1]);
  alone.close();
});

test('a pin is not copied once there were commits after it: their pages would be left out in their older state too', () => {
  leader.run(insertMany(50));
  pin();
  const mark = leader.capture.position;
  leader.writer.exec('UPDATE t SET b = 2');
  expect(checkpointer.copy()).toEqual({ kind: 'outdated' });
  expect(rewindWal(leader.files, leader.writer, mark)).toBe(true);
  leader.capture.rewound(mark);
  pin();
  expect(checkpointer.copy()).toEqual({ kind: 'complete' });
  expect(leader.guard.prepare('SELECT count(*), min(b) FROM t').raw().get()).toEqual([51, 1]);
  const alone = fileAlone();
  expect(alone.prepare('SELECT count(*), min(b) FROM t').raw().get()).toEqual([51, 1]);
  alone.close();
});

test('commits after a checkpoint that was held back can be taken back, and the older ones are whole', () => {
  const reader = connect(leader.path);
  reader.exec('BEGIN');
  reader.prepare('SELECT * FROM t').all();
  leader.run(insertMany(300));
  leader.run("UPDATE t SET b = 'committed'");
  pin();
  expect(checkpointer.copy().kind).toBe('held-back');
  checkpointer.release();
  const mark = leader.capture.position;
  leader.writer.exec("UPDATE t SET b = 'not committed'; DELETE FROM t WHERE a > 100; VACUUM");
  reader.exec('COMMIT');
  reader.close();
  expect(rewindWal(leader.files, leader.writer, mark)).toBe(true);
  expect(leader.guard.prepare('SELECT count(*), max(b) FROM t').raw().get()).toEqual([301, 'committed']);
  expect(leader.guard.pragma('integrity_check', { simple: true })).toBe('ok');
  leader.close();
});

test('a reader of older pages holds a checkpoint back, and it completes when the reader is done', () => {
  const reader = connect(leader.path);
  reader.exec('BEGIN');
  reader.prepare('SELECT * FROM t').all();
  leader.run('UPDATE t SET b = 2');
  pin();
  const outcome = checkpointer.copy();
  expect(outcome.kind).toBe('held-back');
  expect(checkpointer.pinnedLsn).toBe(3);
  reader.exec('COMMIT');
  reader.close();
  expect(checkpointer.copy().kind).toBe('complete');
  expect(checkpointer.pinnedLsn).toBeUndefined();
  leader.close();
});

test('a pin in a WAL that was copied already is complete, also after the WAL started over', () => {
  leader.checkpointFully();
  leader.run('UPDATE t SET b = 2');
  leader.writer.pragma('wal_checkpoint(PASSIVE)');
  pin();
  leader.run('UPDATE t SET b = 3');
  expect(leader.capture.position.frame).toBe(1);
  expect(checkpointer.copy()).toEqual({ kind: 'complete' });
  leader.close();
});

test('above its limit a WAL is emptied, waiting for readers at most as long as told', () => {
  const reader = connect(leader.path);
  reader.exec('BEGIN');
  reader.prepare('SELECT * FROM t').all();
  leader.run('UPDATE t SET b = 2');
  expect(checkpointer.copyAll(position(), 10).kind).toBe('held-back');
  reader.exec('COMMIT');
  reader.close();
  expect(checkpointer.copyAll(position(), 10)).toEqual({ kind: 'complete' });
  expect(fs.statSync(`${leader.path}-wal`).size).toBe(0);
  expect(leader.writer.pragma('busy_timeout', { simple: true })).toBe(0);
  leader.run('UPDATE t SET b = 3');
  leader.checkpointFully();
  leader.close();
  redoRaw(`${scratch.path}/raw.db`, leader.records, 0);
  expect(difference(leader.path, `${scratch.path}/raw.db`)).toBe('');
});

test('the record survives, the newer one counts, and one of another incarnation or a damaged one is refused', async () => {
  expect(meta.record).toBeUndefined();
  for (let round = 0; round < 3; round++) {
    leader.run(`UPDATE t SET b = ${round + 10}`);
    pin();
    checkpointer.copy();
    await checkpointer.makeDurableLater();
  }
  meta.close();
  leader.close();
  expect(new CheckpointMeta(metaPath(), incarnation).record).toEqual({
    position: { lsn: 5, scn: 1, checksum: 7 },
    databasePages: 2,
    pageBytes: 4096,
    incarnation,
  });
  expect(fs.statSync(metaPath()).mode & 0o777).toBe(0o600);
  expect(() => new CheckpointMeta(metaPath(), 'other')).toThrow('it is of incarnation b2f1, not other');
  fs.writeFileSync(metaPath(), new Uint8Array(8192));
  expect(() => new CheckpointMeta(metaPath(), incarnation)).toThrow(
    expect.objectContaining({ code: 'OBS_TENANT_CHECKPOINT_CORRUPT' }),
  );
});

test('a copy taken while writes, checkpoints and shrinks go on becomes the database by redo', () => {
  leader.run(insertMany(3000));
  pin();
  checkpointer.copy();
  checkpointer.makeDurable();
  const source = new SnapshotSource(leader.files, checkpointer, meta, 65_536);
  const copy = `${scratch.path}/copy.db`;
  const fd = fs.openSync(copy, 'wx', 0o600);
  const work = [
    'UPDATE t SET b = upper(b) || 1 WHERE a % 3 = 0',
    'DELETE FROM t WHERE a > 200; VACUUM',
    insertMany(1500),
    "UPDATE t SET b = 'x' WHERE a % 7 = 0",
  ];
  for (let piece = source.next(), step = 0; piece !== undefined; piece = source.next(), step++) {
    fs.writeSync(fd, piece.bytes, 0, piece.bytes.length, piece.position);
    const sql = work[step];
    if (sql === undefined) continue;
    leader.run(sql);
    pin();
    expect(checkpointer.copy().kind).toBe('complete');
  }
  fs.closeSync(fd);
  const { minimumLsn } = source.finish();
  expect(minimumLsn).toBeGreaterThan(source.start.position.lsn);
  const wanted = leader.guard.prepare('SELECT * FROM t').raw().all();
  const redo = new RawRedo(copy, { pageBytes: 4096, databasePages: source.start.databasePages });
  redo.apply(leader.records.slice(source.start.position.lsn, minimumLsn));
  redo.finish();
  const copied = connect(copy);
  expect(copied.pragma('integrity_check', { simple: true })).toBe('ok');
  expect(copied.prepare('SELECT * FROM t').raw().all()).toEqual(wanted);
  copied.close();
  leader.checkpointFully();
  leader.close();
  expect(difference(leader.path, copy)).toBe('');
});

test('redo over a file that is newer, or torn in any mixture of sectors, gives the same file', () => {
  leader.run(insertMany(1000));
  pin();
  checkpointer.copy();
  checkpointer.makeDurable();
  const start = must(meta.record, 'a checkpoint');
  const older = Buffer.alloc(start.databasePages * 4096);
  leader.files.readDatabase(older, 0, older.length, 0);
  for (const sql of [
    "UPDATE t SET b = 'y' WHERE a % 5 = 0",
    'DELETE FROM t WHERE a > 700; VACUUM',
    insertMany(900),
  ]) {
    leader.run(sql);
  }
  leader.checkpointFully();
  leader.close();
  const wanted = fs.readFileSync(leader.path);
  const tail = leader.records.slice(start.position.lsn);
  const random = seeded(11);
  for (let round = 0; round < 20; round++) {
    const torn = Buffer.alloc(random(2) === 0 ? wanted.length : Math.max(older.length, wanted.length));
    wanted.copy(torn);
    for (let at = 0; at < torn.length; at += 512) {
      if (random(2) === 0) continue;
      torn.fill(0, at, at + 512);
      torn.set(older.subarray(at, at + 512), at);
    }
    const file = `${scratch.path}/torn-${round}.db`;
    fs.writeFileSync(file, torn);
    redoRaw(file, tail, start.databasePages);
    expect(difference(leader.path, file)).toBe('');
  }
});

test('records flushed in the thread pool count from when they are durable, and the newest is found again', async () => {
  for (let round = 0; round < 3; round++) {
    leader.run('INSERT INTO t(b) VALUES (1)');
    const before = meta.record;
    const wanted = position();
    pin();
    expect(checkpointer.copy().kind).toBe('complete');
    const flushing = checkpointer.makeDurableLater();
    expect(meta.record).toEqual(before);
    expect(await flushing).toEqual(wanted);
    expect(meta.record?.position).toEqual(wanted);
    expect(new CheckpointMeta(metaPath(), incarnation).record).toEqual(meta.record);
  }
  leader.abandon();
});

test('a record that a failed write may have left in the page cache is written again before it counts', () => {
  pin();
  checkpointer.copy();
  checkpointer.makeDurable();
  const { record } = meta;
  expect(record).toBeDefined();
  meta.close();
  const write = vi.spyOn(fs, 'writeSync');
  const flush = vi.spyOn(fs, 'fdatasyncSync').mockImplementationOnce(() => {
    throw Object.assign(new Error('EIO: ordered by the test'), { code: 'EIO' });
  });
  try {
    expect(() => new CheckpointMeta(metaPath(), incarnation)).toThrow(
      expect.objectContaining({ code: 'OBS_TENANT_FILE_FAILED' }),
    );
    write.mockClear();
    flush.mockClear();
    const again = new CheckpointMeta(metaPath(), incarnation);
    expect(write.mock.invocationCallOrder).toHaveLength(1);
    expect(flush.mock.invocationCallOrder[0]).toBeGreaterThan(write.mock.invocationCallOrder[0] ?? Infinity);
    expect(again.record).toEqual(record);
    again.close();
  } finally {
    write.mockRestore();
    flush.mockRestore();
  }
});
