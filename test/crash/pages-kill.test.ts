/** An applier that is killed, or loses power, at any moment recovers to exactly what the log says. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { CheckpointMeta } from '../../src/tenant/pages/checkpoint-meta.ts';
import { incarnation, readRecords, writeRecords } from '../support/page-applier.ts';
import { openBank, runBank } from '../support/page-bank.ts';
import { seeded } from '../support/page-fuzz.ts';
import {
  connect,
  createDatabase,
  difference,
  Leader,
  redoRaw,
  scratchDirectory,
} from '../support/page-replicas.ts';

const applier = new URL('../support/page-applier.ts', import.meta.url).pathname;
const sectorBytes = 512;
const trials = Number(process.env['OBSTANDBY_KILL_TRIALS'] ?? 12);

let scratch: ReturnType<typeof scratchDirectory>;
beforeAll(() => {
  scratch = scratchDirectory('kill');
  createDatabase(`${scratch.path}/leader.db`);
  const leader = new Leader(`${scratch.path}/leader.db`);
  openBank(leader);
  runBank(leader, 6_000, 5);
  leader.close();
  writeRecords(`${scratch.path}/records`, leader.records);
});
afterAll(() => scratch.remove());

/** Runs an applier and kills it after so many milliseconds of work, or when it is done. */
async function runAndKill(directory: string, seed: number, workMs: number): Promise<void> {
  const child = spawn(process.execPath, [applier, directory, String(seed)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.stdout.on('data', (bytes: Buffer) => {
    if (bytes.includes('done')) child.kill('SIGKILL');
    else if (bytes.includes('ready')) setTimeout(() => child.kill('SIGKILL'), workMs);
  });
  await once(child, 'close');
  expect(child.signalCode).toBe('SIGKILL');
}

/** Every sector that changed since the last durable checkpoint is old or new; so is the length of the file. */
function losePower(file: string, image: Buffer, random: (below: number) => number): void {
  const current = fs.readFileSync(file);
  const length = random(2) === 0 ? current.length : Math.max(current.length, image.length);
  const torn = Buffer.alloc(length);
  for (let at = 0; at < length; at += sectorBytes) {
    const source = random(2) === 0 ? image : current;
    torn.set(source.subarray(at, Math.min(at + sectorBytes, length)), at);
  }
  fs.writeFileSync(file, torn);
}

for (const power of [false, true]) {
  test(`recovery after ${power ? 'a power failure' : 'a kill'} gives the file a clean replay gives`, async () => {
    for (let trial = 0; trial < trials; trial++) {
      const random = seeded(trial * 2 + (power ? 1 : 0));
      const directory = `${scratch.path}/trial-${power ? 'power' : 'kill'}-${trial}`;
      fs.mkdirSync(directory);
      createDatabase(`${directory}/follower.db`);
      fs.linkSync(`${scratch.path}/records`, `${directory}/records`);
      await runAndKill(directory, trial, 20 + random(600));
      const records = readRecords(`${directory}/records`);
      const handed = fs.readFileSync(`${directory}/handed`);
      const mark = handed.length < 8 ? 0 : handed.readDoubleLE(0);
      const end = Math.min(records.length, Math.max(1, mark) + random(50));
      const meta = new CheckpointMeta(`${directory}/checkpoint`, incarnation);
      const start = meta.record;
      meta.close();
      const file = `${directory}/follower.db`;
      // without a checkpoint nothing in the file counts: it is made from the log
      if (start === undefined) fs.rmSync(file);
      else if (power) losePower(file, fs.readFileSync(`${directory}/image-${start.position.lsn}`), random);
      if (end > (start?.position.lsn ?? 0)) {
        redoRaw(file, records.slice(start?.position.lsn ?? 0, end), start?.databasePages ?? 0);
      }
      const clean = `${directory}/clean.db`;
      redoRaw(clean, records.slice(0, end), 0);
      expect({ trial, start: start?.position.lsn, end, difference: difference(clean, file) }).toMatchObject({
        difference: '',
      });
      const recovered = connect(file);
      expect(must(recovered.pragma('integrity_check', { simple: true }), 'an answer')).toBe('ok');
      recovered.close();
      fs.rmSync(directory, { recursive: true });
    }
  });
}
