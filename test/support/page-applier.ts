/**
 * A follower to be killed: applies a file of records in random groups, copies and records checkpoints, until it dies.
 *   node page-applier.ts <directory> <seed>
 * Files: `records` (length u32, body), `follower.db`, `checkpoint`, `handed` (records that may be in the file, f64),
 * `image-<lsn>` (the database file as each durable checkpoint left it). In here the LSN is the number of records.
 */
import fs from 'node:fs';
import { decodeRedo, type DecodedRedo } from '../../src/codec/redo.ts';
import { lsn, scn } from '../../src/base/scalars.ts';
import { CheckpointMeta } from '../../src/tenant/pages/checkpoint-meta.ts';
import { Checkpointer } from '../../src/tenant/pages/checkpointer.ts';
import { seeded } from './page-fuzz.ts';
import { Follower } from './page-replicas.ts';

export const incarnation = 'crash-test';

export function writeRecords(file: string, records: readonly DecodedRedo[]): void {
  const parts: Uint8Array[] = [];
  for (const { body } of records) parts.push(new Uint8Array(Uint32Array.of(body.length).buffer), body);
  fs.writeFileSync(file, Buffer.concat(parts));
}

export function readRecords(file: string): DecodedRedo[] {
  const bytes = fs.readFileSync(file);
  const records: DecodedRedo[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    const redo = decodeRedo(bytes.subarray(at + 4, at + 4 + length));
    if (redo.kind === 'problem') throw new Error(redo.problem);
    records.push(redo);
    at += 4 + length;
  }
  return records;
}

function applyUntilKilled(directory: string, seed: number): void {
  const random = seeded(seed);
  const records = readRecords(`${directory}/records`);
  const follower = new Follower(`${directory}/follower.db`);
  const meta = new CheckpointMeta(`${directory}/checkpoint`, incarnation);
  const { files, guard, writer, injector } = follower;
  const checkpointer = new Checkpointer({ files, guard, worker: writer, meta, incarnation });
  const handed = fs.openSync(`${directory}/handed`, 'w');
  console.log('ready');
  for (let at = 0; at < records.length; ) {
    const count = 1 + random(12);
    const end = Math.min(records.length, at + count);
    fs.writeSync(handed, Float64Array.of(end), 0, 8, 0);
    injector.apply(records.slice(at, end));
    at = end;
    if (random(40) !== 0) continue;
    checkpointer.pin({ lsn: lsn(at), scn: scn(at), checksum: 0 }, lsn(at));
    if (checkpointer.copy().kind !== 'complete') throw new Error('there are no readers');
    injector.restartLog();
    if (random(3) !== 0) continue;
    // what a power failure right after the flush would leave at least
    const image = new Uint8Array(files.databaseBytes());
    files.readDatabase(image, 0, image.length, 0);
    fs.writeFileSync(`${directory}/image.tmp`, image);
    fs.renameSync(`${directory}/image.tmp`, `${directory}/image-${at}`);
    checkpointer.makeDurable();
  }
  console.log('done');
  setInterval(() => {}, 1000);
}

if (process.argv[1]?.endsWith('page-applier.ts') === true) {
  const [directory = '', seed = '1'] = process.argv.slice(2);
  applyUntilKilled(directory, Number(seed));
}
