/**
 * Micro-benchmark of capture and apply, for profiling (`node --cpu-prof test/support/bench-pages.ts`). Prints medians of
 * interleaved rounds, in operations per millisecond of this thread's processor time: other work on the machine disturbs
 * that less than a clock. Ratios hold, absolute numbers do not.
 *
 *   node test/support/bench-pages.ts [capture|apply|raw] [rounds] [readers]
 */
import fs from 'node:fs';
import { crc32 } from 'node:zlib';
import { once } from 'node:events';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { must } from '../../src/base/assert.ts';
import type { DecodedRedo } from '../../src/codec/redo.ts';
import { RawRedo } from '../../src/tenant/pages/raw-redo.ts';
import {
  connect,
  createDatabase,
  Follower,
  Leader,
  OpenDatabase,
  scratchDirectory,
} from './page-replicas.ts';

const rows = 100_000;
const walBytesMax = 64 * 1_048_576;
const groupHeaderBytes = 40;
const entryHeaderBytes = 4;

let seed = 42;
const random = (below: number): number => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
};
const digits = (length: number): string => {
  let text = '';
  for (let index = 0; index < length; index++) text += index % 12 === 11 ? '-' : String(random(10));
  return text;
};
const texts = Array.from({ length: 2048 }, () => digits(120));
/** Processor time of this thread, in milliseconds. */
const threadMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};
const median = (values: readonly number[]): number =>
  must(values.toSorted((one, other) => one - other)[values.length >> 1], 'there are rounds');

function build(file: string): void {
  createDatabase(file);
  const connection = connect(file);
  connection.exec(
    'CREATE TABLE sbtest(id INTEGER PRIMARY KEY, k INTEGER NOT NULL, c TEXT NOT NULL, pad TEXT NOT NULL)',
  );
  const insert = connection.prepare('INSERT INTO sbtest VALUES (?, ?, ?, ?)');
  connection.transaction(() => {
    for (let id = 1; id <= rows; id++) insert.run(id, random(rows), digits(120), digits(60));
  })();
  connection.exec('CREATE INDEX k_1 ON sbtest(k)');
  connection.pragma('wal_checkpoint(TRUNCATE)');
  connection.close();
}

type Load = 'c' | 'k';
const statements: Record<Load, string> = {
  c: 'UPDATE sbtest SET c = ? WHERE id = ?',
  k: 'UPDATE sbtest SET k = k + ? WHERE id = ?',
};
const parameter = (load: Load): string | number => (load === 'c' ? must(texts[random(2048)], 'a text') : 1);

function capture(rounds: number, directory: string): void {
  const bareFile = path.join(directory, 'bare.db');
  const leaderFile = path.join(directory, 'leader.db');
  build(bareFile);
  build(leaderFile);
  const bare = new OpenDatabase(bareFile);
  const leader = new Leader(leaderFile);
  const updates = 8_000;
  for (const load of ['c', 'k'] as const) {
    const onBare = bare.writer.prepare(statements[load]);
    const onLeader = leader.writer.prepare(statements[load]);
    // the first change of a page is logged whole: not what is measured
    for (let id = 1; id <= rows; id += 5) onLeader.run(parameter(load), id);
    leader.capture.capture(1);
    const bareRates: number[] = [];
    const leaderRates: number[] = [];
    let bytes = 0;
    for (let round = 0; round < rounds; round++) {
      bare.checkpointFully();
      leader.writer.pragma('wal_checkpoint(RESTART)');
      let started = threadMs();
      for (let index = 0; index < updates; index++) onBare.run(parameter(load), 1 + random(rows));
      bareRates.push(updates / (threadMs() - started));
      bytes = 0;
      let sum = 0;
      started = threadMs();
      for (let index = 0; index < updates; index++) {
        onLeader.run(parameter(load), 1 + random(rows));
        const commit = leader.capture.capture(1);
        // an update to the text that is there already
        if (commit === undefined) continue;
        for (const part of commit.parts) sum = crc32(part, sum);
        bytes += commit.bytes;
      }
      leaderRates.push(updates / (threadMs() - started));
    }
    const perUpdate = bytes / updates + groupHeaderBytes + entryHeaderBytes;
    const ratios = leaderRates.map((rate, index) => rate / must(bareRates[index], 'a pair'));
    console.log(
      `capture update ${load}: ${median(leaderRates).toFixed(1)}k/s of ${median(bareRates).toFixed(1)}k/s bare,` +
        ` ratio ${median(ratios).toFixed(3)}, ${perUpdate.toFixed(1)} bytes/update`,
    );
  }
  bare.close();
  leader.close();
}

/** Records of a leader over a built database, and the rate at which it made them. */
function produce(file: string, load: Load, count: number): { records: DecodedRedo[]; rate: number } {
  const leader = new Leader(file);
  const update = leader.writer.prepare(statements[load]);
  for (let id = 1; id <= rows; id += 5) update.run(parameter(load), id);
  leader.take();
  const started = threadMs();
  for (let index = 0; index < count; index++) {
    update.run(parameter(load), 1 + random(rows));
    leader.take();
    if (index % 16_000 === 15_999) leader.writer.pragma('wal_checkpoint(PASSIVE)');
  }
  const rate = count / (threadMs() - started);
  leader.checkpointFully();
  leader.close();
  return { records: leader.records, rate };
}

/** Reads beside an apply; `stop` resolves when the readers have closed their connections. */
async function startReaders(file: string, count: number): Promise<() => Promise<void>> {
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const url = new URL('./point-reader.ts', import.meta.url);
  const workers = Array.from({ length: count }, () => new Worker(url, { workerData: { file, rows, stop } }));
  await Promise.all(workers.map(worker => once(worker, 'message')));
  return async () => {
    const ends = workers.map(worker => once(worker, 'exit'));
    Atomics.store(stop, 0, 1);
    await Promise.all(ends);
  };
}

async function apply(rounds: number, directory: string, readers: number): Promise<void> {
  for (const load of ['c', 'k'] as const) {
    const leaderFile = path.join(directory, `leader-${load}.db`);
    const baseFile = path.join(directory, `base-${load}.db`);
    build(leaderFile);
    fs.copyFileSync(leaderFile, baseFile);
    const { records, rate } = produce(leaderFile, load, 60_000);
    console.log(`apply ${load}: the leader made ${rate.toFixed(1)}k/s`);
    for (const group of [1, 16, 128, 1024, 6000]) {
      const rates: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const file = path.join(directory, `follower-${load}-${group}-${round}.db`);
        fs.copyFileSync(baseFile, file);
        const follower = new Follower(file);
        follower.injector.apply(records.slice(0, 1));
        follower.writer.pragma('wal_checkpoint(PASSIVE)');
        follower.injector.restartLog();
        const stop = await startReaders(file, readers);
        const started = threadMs();
        for (let from = 1; from < records.length; from += group) {
          follower.injector.apply(records.slice(from, from + group));
          if (follower.injector.walBytes > walBytesMax) {
            follower.writer.pragma('wal_checkpoint(PASSIVE)');
            follower.injector.restartLog();
          }
        }
        rates.push(records.length / (threadMs() - started));
        await stop();
        follower.close();
      }
      console.log(
        `  groups of ${group}: ${median(rates).toFixed(1)}k/s, ${(median(rates) / rate).toFixed(1)}x`,
      );
    }
  }
}

function raw(rounds: number, directory: string): void {
  for (const load of ['c', 'k'] as const) {
    const leaderFile = path.join(directory, `leader-${load}.db`);
    const baseFile = path.join(directory, `base-${load}.db`);
    build(leaderFile);
    fs.copyFileSync(leaderFile, baseFile);
    const { records } = produce(leaderFile, load, 60_000);
    const rates: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const file = path.join(directory, `raw-${load}-${round}.db`);
      fs.copyFileSync(baseFile, file);
      const redo = new RawRedo(file, { pageBytes: 4096, databasePages: fs.statSync(file).size / 4096 });
      const started = threadMs();
      redo.apply(records);
      redo.finish();
      rates.push(records.length / (threadMs() - started));
    }
    console.log(`raw redo ${load}: ${median(rates).toFixed(1)}k/s`);
  }
}

const [what = 'capture', rounds = '7', readers = '0'] = process.argv.slice(2);
const directory = scratchDirectory('bench');
try {
  if (what === 'capture') capture(Number(rounds), directory.path);
  else if (what === 'apply') await apply(Number(rounds), directory.path, Number(readers));
  else raw(Number(rounds), directory.path);
} finally {
  directory.remove();
}
