/**
 * How fast a standby that has fallen behind applies redo while two readers read from it, against the rate at which one
 * leader made that redo in the same run; in the pieces its apply loop hands over, and in small ones. Both sides copy
 * their WAL into the file when it has grown; neither flushes.
 */
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { applyBytes } from '../base/limits.ts';
import { startThread } from '../platform/thread.ts';
import { type Bench, type BenchContext, median } from './bench.ts';
import { BenchLoad, BenchTenant, benchTableRows, type Load, updates } from './bench-tenant.ts';

const updatesPerRound = 50_000;
/** A piece of log that is handed over while the standby keeps up with a leader that is not slowed by it. */
const smallPieceBytes = 262_144;

async function run(context: BenchContext): Promise<Record<string, number>> {
  const leader = new BenchTenant(join(context.directory, 'leader'), 'leader');
  const follower = new BenchTenant(join(context.directory, 'follower'), 'follower');
  const load = new BenchLoad(7);
  leader.fill(load);
  const begun = hand(leader, follower, 0, applyBytes);
  const readers = [startReader(follower.path), startReader(follower.path)];
  try {
    const measured = { context, leader, follower };
    const text = measure(measured, 'text', applyBytes, begun);
    const index = measure(measured, 'index', applyBytes, leader.groups.length);
    const small = measure(measured, 'text', smallPieceBytes, leader.groups.length);
    return {
      multipleOfLeader: text.multiple,
      MBps: text.megabytesPerSecond,
      transactionsPerSecond: text.perSecond,
      leaderPerSecond: text.leaderPerSecond,
      indexMultipleOfLeader: index.multiple,
      smallPiecesMultipleOfLeader: small.multiple,
      readsDuringApply: (await Promise.all(readers.map(stopReader))).reduce((sum, reads) => sum + reads, 0),
    };
  } finally {
    await Promise.all(readers.map(reader => reader.terminate()));
    await leader.core.close();
    await follower.core.close();
  }
}

/** Applies the leader's groups from number `from` on, in pieces; returns how many groups there are. */
function hand(leader: BenchTenant, follower: BenchTenant, from: number, pieceBytes: number): number {
  const start = leader.positions[from - 1] ?? { ...leader.position, lsn: 0, scn: 0, checksum: 0 };
  for (const chunk of leader.chunks(from, start as typeof leader.position, pieceBytes, leader.positions)) {
    follower.core.apply(chunk);
    follower.copyIfDue();
  }
  return leader.groups.length;
}

interface Measured {
  readonly context: BenchContext;
  readonly leader: BenchTenant;
  readonly follower: BenchTenant;
}

function measure({ context, leader, follower }: Measured, load: Load, pieceBytes: number, already: number) {
  const source = new BenchLoad(13);
  let from = already;
  const made: number[] = [];
  const applied: number[] = [];
  const multiples: number[] = [];
  const megabytes: number[] = [];
  for (let round = -1; round < context.rounds; round++) {
    const parameters = Array.from({ length: updatesPerRound }, () => source.parameters(load));
    let bytes = 0;
    let started = performance.now();
    for (const values of parameters) {
      bytes += leader.write(updates[load], values);
      leader.copyIfDue();
    }
    const leaderRate = (updatesPerRound / (performance.now() - started)) * 1000;
    started = performance.now();
    from = hand(leader, follower, from, pieceBytes);
    const seconds = (performance.now() - started) / 1000;
    // the first round logs whole pages
    if (round < 0) continue;
    const rate = updatesPerRound / seconds;
    made.push(leaderRate);
    applied.push(rate);
    multiples.push(rate / leaderRate);
    megabytes.push(bytes / 1e6 / seconds);
    context.note(
      `${load}, pieces of ${pieceBytes >> 10} KiB, round ${round + 1}: made ${Math.round(leaderRate)}/s, applied ${Math.round(rate)}/s`,
    );
  }
  return {
    multiple: median(multiples),
    megabytesPerSecond: median(megabytes),
    perSecond: median(applied),
    leaderPerSecond: median(made),
  };
}

const startReader = (path: string): Worker =>
  startThread('./apply-reader', import.meta.url, { workerData: { path, rows: benchTableRows } });

const stopReader = (reader: Worker): Promise<number> =>
  new Promise((resolve, reject) => {
    reader.once('message', resolve);
    reader.once('error', reject);
    reader.postMessage('stop');
  });

export const applyBench: Bench = {
  name: 'apply',
  description: 'redo apply on a standby that is read from, against one leader',
  goals: { multipleOfLeader: { atLeast: 5 } },
  run,
};
