/** Whatever a leader commits, a file redone from the log and a file injected with it end byte for byte like its own. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { framePosition } from '../../../src/tenant/pages/wal-format.ts';
import { rewindWal } from '../../../src/tenant/pages/wal-rewind.ts';
import { fuzzPages } from '../../support/page-fuzz.ts';
import {
  createDatabase,
  difference,
  Follower,
  Leader,
  redoRaw,
  scratchDirectory,
} from '../../support/page-replicas.ts';

let scratch: ReturnType<typeof scratchDirectory>;
beforeEach(() => {
  scratch = scratchDirectory('pages');
});
afterEach(() => scratch.remove());

const file = (name: string): string => `${scratch.path}/${name}.db`;
const numbers = (count: number): string =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;

interface Setting {
  readonly pageBytes?: number;
  readonly autoVacuum?: number;
  readonly cachePages?: number;
}

/** Runs the steps on a leader, applies each to a follower at once, and compares all files at the end. */
function replicate(setting: Setting, steps: readonly (string | ((leader: Leader) => void))[]): Leader {
  createDatabase(file('leader'), setting);
  createDatabase(file('follower'), setting);
  const leader = new Leader(file('leader'), setting);
  const follower = new Follower(file('follower'));
  for (const step of steps) {
    if (typeof step === 'string') leader.writer.exec(step);
    else step(leader);
    const redo = leader.take();
    if (redo !== undefined) follower.injector.apply([redo]);
  }
  expect(follower.guard.pragma('integrity_check', { simple: true })).toBe('ok');
  leader.checkpointFully();
  follower.checkpointFully();
  leader.close();
  follower.close();
  redoRaw(file('raw'), leader.records, 0);
  expect(difference(file('leader'), file('follower'))).toBe('');
  expect(difference(file('leader'), file('raw'))).toBe('');
  return leader;
}

const schema = [
  'CREATE TABLE t(a INTEGER PRIMARY KEY, b, c); CREATE INDEX tb ON t(b)',
  `${numbers(2000)} INSERT INTO t SELECT i, i * 7, hex(randomblob(40)) FROM n`,
];

test('data definition is replicated, triggers, views and renames included', () => {
  replicate({}, [
    ...schema,
    'ALTER TABLE t ADD COLUMN d DEFAULT 5',
    'ALTER TABLE t RENAME COLUMN c TO e',
    'CREATE TABLE w(x PRIMARY KEY, y) WITHOUT ROWID; INSERT INTO w SELECT a, b FROM t LIMIT 300',
    'CREATE TRIGGER g AFTER UPDATE ON t BEGIN DELETE FROM w WHERE x = new.a; END',
    'CREATE VIEW v AS SELECT a, b FROM t',
    'UPDATE t SET b = b + 1 WHERE a < 200',
    'ALTER TABLE t DROP COLUMN d',
    'ALTER TABLE t RENAME TO u',
    'REINDEX; ANALYZE; PRAGMA user_version = 7',
    'PRAGMA secure_delete = ON; DELETE FROM u WHERE a % 2 = 0',
    'DROP TABLE w',
  ]);
});

for (const autoVacuum of [0, 1, 2]) {
  test(`a database that shrinks and grows again is replicated (auto_vacuum ${autoVacuum})`, () => {
    replicate({ autoVacuum }, [
      ...schema,
      'DELETE FROM t WHERE a > 100',
      'PRAGMA incremental_vacuum(20)',
      'VACUUM',
      `${numbers(3000)} INSERT INTO t(b, c) SELECT i, hex(randomblob(30)) FROM n`,
      'DELETE FROM t WHERE a BETWEEN 500 AND 2500',
      'VACUUM',
      'UPDATE t SET c = upper(c)',
    ]);
  });
}

for (const pageBytes of [512, 1024, 2048, 8192, 16_384, 32_768, 65_536]) {
  test(`pages of ${pageBytes} bytes are replicated`, () => {
    replicate({ pageBytes }, [
      ...schema,
      'UPDATE t SET b = b + 1 WHERE a % 3 = 0',
      'DELETE FROM t WHERE a BETWEEN 100 AND 1500',
      'INSERT INTO t(b, c) VALUES (1, zeroblob(200000))',
      'VACUUM',
    ]);
  });
}

test('values on overflow pages and full-text tables are replicated', () => {
  replicate({}, [
    'CREATE TABLE blobs(id INTEGER PRIMARY KEY, d BLOB)',
    'INSERT INTO blobs VALUES (1, randomblob(3000000))',
    'UPDATE blobs SET d = randomblob(3000000)',
    'INSERT INTO blobs VALUES (2, randomblob(100000)); DELETE FROM blobs WHERE id = 1',
    'CREATE VIRTUAL TABLE f USING fts5(body)',
    `${numbers(500)} INSERT INTO f SELECT 'word' || i || ' and ' || (i * 31 % 17) FROM n`,
    "INSERT INTO f(f) VALUES ('optimize')",
    'CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); INSERT INTO r VALUES (1, 0, 5), (2, 3, 9)',
  ]);
});

test('transactions that spill into the WAL before they commit or roll back are replicated', () => {
  const leader = replicate({ cachePages: 5 }, [
    ...schema,
    "BEGIN; UPDATE t SET c = hex(randomblob(40)); UPDATE t SET c = c || 'x'; COMMIT",
    'BEGIN; UPDATE t SET b = -b; ROLLBACK',
    'BEGIN; SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; UPDATE t SET b = b + 1 WHERE a < 50; COMMIT',
    `BEGIN; ${numbers(4000)} INSERT INTO t(b) SELECT i FROM n; DELETE FROM t WHERE a > 1500; COMMIT`,
  ]);
  expect(leader.records.length).toBe(5);
});

test('several commits between two captures are one record', () => {
  const leader = replicate({}, [
    ...schema,
    "BEGIN; UPDATE t SET c = 'p' WHERE a = 1; COMMIT; BEGIN; UPDATE t SET c = 'q' WHERE a = 1; COMMIT",
    `DELETE FROM t WHERE a > 20; VACUUM; ${numbers(2500)} INSERT INTO t(b) SELECT i FROM n`,
  ]);
  expect(leader.records.length).toBe(4);
});

test('one commit, two, a large one and none between two captures: each capture has what there is', () => {
  const small = (at: number) => (): string => `UPDATE t SET c = hex(randomblob(9)) WHERE a = ${at}`;
  const large = `UPDATE t SET c = hex(randomblob(40)) WHERE a % 100 = 0`;
  const kinds = [
    [small(1)],
    [small(2), small(1_500)],
    [],
    [() => large],
    [() => large, small(3)],
    [() => 'UPDATE t SET c = c WHERE a = 1'],
  ];
  const leader = replicate({}, [
    ...schema,
    ...Array.from({ length: 300 }, (_, round) => {
      // by a step that is prime to their number: each comes behind each
      const kind = must(kinds[(round * 5 + Math.floor(round / 7)) % kinds.length], 'a kind');
      return ({ writer }: Leader) => {
        for (const sql of kind) writer.exec(sql());
      };
    }),
  ]);
  expect(leader.records.length).toBeGreaterThan(200);
});

test('frames that a failed commit left in the WAL are taken for no commit', () => {
  replicate({}, [
    ...schema,
    "UPDATE t SET c = 'before' WHERE a = 1",
    leader => {
      const { files, writer, capture } = leader;
      const { frame } = capture.position;
      const bytes = new Uint8Array(files.frameBytes);
      expect(files.readWal(bytes, 0, bytes.length, framePosition(frame, bytes.length))).toBe(bytes.length);
      // as a commit leaves it that cannot make its frames known
      files.writeWal(bytes, 0, bytes.length, framePosition(frame + 1, bytes.length));
      capture.commitFailed();
      expect(leader.take()).toBe(undefined);
      writer.exec("UPDATE t SET c = 'never' WHERE a = -1");
      expect(leader.take()).toBe(undefined);
    },
    "UPDATE t SET c = 'after' WHERE a = 2",
    "UPDATE t SET c = 'after' WHERE a = 1",
  ]);
});

test('a commit that was captured and that SQLite did not count is noticed', () => {
  createDatabase(file('leader'));
  const leader = new Leader(file('leader'));
  for (const sql of schema) leader.run(sql);
  const { files, writer, capture } = leader;
  leader.run("UPDATE t SET c = 'before' WHERE a = 1");
  const mark = capture.position;
  leader.run("UPDATE t SET c = 'here' WHERE a = 1");
  expect(rewindWal(files, writer, mark)).toBe(true);
  expect(() => {
    for (let at = 1; at < 200; at++) leader.run(`UPDATE t SET c = 'x' WHERE a = ${at}`);
  }).toThrow(expect.objectContaining({ code: 'OBS_TENANT_CAPTURE_LOST' }));
  leader.close();
});

test('a leader that restarts, or whose WAL restarts, goes on where it was', () => {
  replicate({}, [
    ...schema,
    leader => leader.checkpointFully(),
    'UPDATE t SET b = 1 WHERE a = 5',
    leader => {
      leader.writer.pragma('wal_checkpoint(PASSIVE)');
      leader.writer.exec('UPDATE t SET b = 2 WHERE a = 5');
    },
    'UPDATE t SET b = 3 WHERE a IN (5, 1500)',
    leader => leader.capture.reset(),
    'UPDATE t SET b = 4 WHERE a IN (5, 1500)',
  ]);
});

test('a transaction of 60 MB is captured and injected in bounded pieces', () => {
  replicate({}, [
    'CREATE TABLE big(id INTEGER PRIMARY KEY, d BLOB)',
    `${numbers(600)} INSERT INTO big SELECT i, randomblob(100000) FROM n`,
    'UPDATE big SET d = zeroblob(10) || substr(d, 11) WHERE id % 2 = 0',
  ]);
}, 60_000);

test('a statement that changes nothing leaves no record, and one that rewrites equal bytes an empty one', () => {
  createDatabase(file('leader'));
  const leader = new Leader(file('leader'));
  leader.run("CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t VALUES (1, 'aaaa')");
  expect(leader.run("UPDATE t SET b = 'bbbb' WHERE a = 9")).toBeUndefined();
  expect(leader.run('SELECT 1')).toBeUndefined();
  expect(leader.run("BEGIN; UPDATE t SET b = 'bbbb'; UPDATE t SET b = 'aaaa'; COMMIT")?.pageCount).toBe(0);
  leader.close();
});

test('a single-row update costs its bytes and a few more', () => {
  createDatabase(file('leader'));
  const leader = new Leader(file('leader'));
  for (const step of schema) leader.run(step);
  leader.run('UPDATE t SET c = hex(randomblob(40)) WHERE a = 700');
  const redo = leader.run('UPDATE t SET c = hex(randomblob(40)) WHERE a = 700');
  expect(redo?.pageCount).toBe(1);
  expect(redo?.body.length).toBeLessThan(80 + 14);
  leader.close();
});

test('a commit that escaped, because somebody else restarted the WAL, is noticed', () => {
  createDatabase(file('leader'));
  const leader = new Leader(file('leader'));
  leader.run('CREATE TABLE t(a)');
  leader.writer.exec('INSERT INTO t VALUES (1)');
  leader.writer.pragma('wal_checkpoint(TRUNCATE)');
  leader.writer.exec('INSERT INTO t VALUES (2)');
  expect(() => leader.take()).toThrow(
    expect.objectContaining({ code: 'OBS_TENANT_CAPTURE_LOST', kind: 'bug' }),
  );
  leader.close();
});

test('random databases end equal on all three sides', { timeout: 600_000 }, () => {
  const seconds = Number(process.env['OBSTANDBY_FUZZ_SECONDS'] ?? 4);
  const firstSeed = Number(process.env['OBSTANDBY_FUZZ_SEED'] ?? 1);
  const end = performance.now() + seconds * 1000;
  for (let seed = firstSeed; seed === firstSeed || performance.now() < end; seed++) {
    const report = fuzzPages(scratch.path, seed, 40 + (seed % 4) * 40);
    expect({ seed, findings: report.findings }).toEqual({ seed, findings: [] });
  }
});
