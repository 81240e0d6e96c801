/**
 * What capturing costs a leader: single-row updates through the engine core (statement, commit, capture, delta, clog
 * group; no flush) against the same updates on bare better-sqlite3 with synchronous=OFF. One SQLite commit an update on
 * both sides, rounds interleaved, each side first in turn.
 */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { type Bench, type BenchContext, median } from './bench.ts';
import {
  BenchLoad,
  BenchTenant,
  benchPageBytes,
  benchTableRows,
  createTable,
  insertRow,
  type Load,
  updates,
} from './bench-tenant.ts';

const updatesPerRound = 8_000;
/** Rounds before the first that counts, of both: a leader runs for hours, and the runtime is done compiling it in a second. */
const warmUpRounds = 6;

async function run(context: BenchContext): Promise<Record<string, number>> {
  const bare = openBare(join(context.directory, 'bare.db'));
  const tenant = new BenchTenant(join(context.directory, 'tenant'), 'leader');
  tenant.fill(new BenchLoad(7));
  try {
    const text = measure(context, bare, tenant, 'text');
    const index = measure(context, bare, tenant, 'index');
    return {
      ratio: text.ratio,
      bytesPerUpdate: text.bytesPerUpdate,
      perSecond: text.perSecond,
      barePerSecond: text.barePerSecond,
      indexRatio: index.ratio,
      indexBytesPerUpdate: index.bytesPerUpdate,
    };
  } finally {
    bare.close();
    await tenant.core.close();
  }
}

function measure(context: BenchContext, bare: Database.Database, tenant: BenchTenant, load: Load) {
  const sql = updates[load];
  const statement = bare.prepare(sql);
  const ours = new BenchLoad(11);
  const theirs = new BenchLoad(11);
  // the first change of a page in a leader's term is logged whole, once
  for (let id = 1; id <= benchTableRows; id += 5) {
    tenant.write(sql, load === 'text' ? [ours.text(120), id] : [id]);
  }
  let bytes = 0;
  const oursPerSecond = () => {
    tenant.copy();
    const parameters = Array.from({ length: updatesPerRound }, () => ours.parameters(load));
    bytes = 0;
    const started = performance.now();
    for (const values of parameters) bytes += tenant.write(sql, values);
    const perSecond = (updatesPerRound / (performance.now() - started)) * 1000;
    tenant.groups.length = 0;
    tenant.positions.length = 0;
    return perSecond;
  };
  const barePerSecond = () => {
    bare.pragma('wal_checkpoint(PASSIVE)');
    const parameters = Array.from({ length: updatesPerRound }, () => theirs.parameters(load));
    const started = performance.now();
    for (const values of parameters) statement.run(values);
    return (updatesPerRound / (performance.now() - started)) * 1000;
  };
  const rates = { ours: [] as number[], bare: [] as number[], ratio: [] as number[], bytes: [] as number[] };
  for (let round = 0; round < warmUpRounds; round++) {
    oursPerSecond();
    barePerSecond();
  }
  for (let round = 0; round < context.rounds; round++) {
    const oursFirst = round % 2 === 0;
    const one = oursFirst ? oursPerSecond() : barePerSecond();
    const two = oursFirst ? barePerSecond() : oursPerSecond();
    const [our, peer] = oursFirst ? [one, two] : [two, one];
    rates.ours.push(our);
    rates.bare.push(peer);
    rates.ratio.push(our / peer);
    rates.bytes.push(bytes / updatesPerRound);
    context.note(`${load}, round ${round + 1}: ours ${Math.round(our)}/s, bare ${Math.round(peer)}/s`);
  }
  return {
    ratio: median(rates.ratio),
    bytesPerUpdate: median(rates.bytes),
    perSecond: median(rates.ours),
    barePerSecond: median(rates.bare),
  };
}

function openBare(path: string): Database.Database {
  const bare = new Database(path);
  bare.pragma(`page_size = ${benchPageBytes}`);
  bare.pragma('journal_mode = WAL');
  bare.pragma('synchronous = OFF');
  bare.pragma('wal_autocheckpoint = 0');
  for (const sql of createTable) bare.exec(sql);
  const load = new BenchLoad(7);
  const insert = bare.prepare(insertRow);
  bare.transaction(() => {
    for (let id = 1; id <= benchTableRows; id++) insert.run(load.row(id));
  })();
  return bare;
}

export const captureBench: Bench = {
  name: 'capture',
  description: 'single-row updates with capture against bare SQLite',
  goals: { ratio: { atLeast: 0.65 }, bytesPerUpdate: { atMost: 177 } },
  run,
};
