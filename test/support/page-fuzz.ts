/**
 * Random work on a leader, applied to a raw file and to an injected one; all three must end byte for byte equal. One
 * seed decides everything, the page size and the faults included.
 */
import fs from 'node:fs';
import path from 'node:path';
import { must } from '../../src/base/assert.ts';
import type { DecodedRedo } from '../../src/codec/redo.ts';
import { RawRedo } from '../../src/tenant/pages/raw-redo.ts';
import { rewindWal } from '../../src/tenant/pages/wal-rewind.ts';
import { createDatabase, difference, Follower, Leader } from './page-replicas.ts';

/** A small fast generator (mulberry32). */
export const seeded = (seed: number): ((below: number) => number) => {
  let state = seed | 0;
  return below => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
};

export interface FuzzReport {
  readonly records: number;
  /** empty if all three files are equal and sound */
  readonly findings: readonly string[];
}

const expected = /SQLITE_(ERROR|CONSTRAINT|BUSY|LOCKED)/;

class FuzzRun {
  readonly #random: (below: number) => number;
  readonly #leaderFile: string;
  readonly #followerFile: string;
  readonly #rawFile: string;
  #leader: Leader;
  #follower: Follower;
  readonly #records: DecodedRedo[] = [];
  #waiting: DecodedRedo[] = [];
  #tables = 0;
  readonly #pageBytes: number;

  constructor(directory: string, seed: number) {
    this.#random = seeded(seed);
    this.#leaderFile = path.join(directory, `fuzz-${seed}-leader.db`);
    this.#followerFile = path.join(directory, `fuzz-${seed}-follower.db`);
    this.#rawFile = path.join(directory, `fuzz-${seed}-raw.db`);
    this.#pageBytes = this.#pick([512, 1024, 4096, 4096, 8192, 65_536]);
    createDatabase(this.#leaderFile, { pageBytes: this.#pageBytes, autoVacuum: this.#random(3) });
    fs.copyFileSync(this.#leaderFile, this.#followerFile);
    fs.copyFileSync(this.#leaderFile, this.#rawFile);
    this.#leader = this.#openLeader();
    this.#follower = new Follower(this.#followerFile);
    this.#sql('CREATE TABLE a(id INTEGER PRIMARY KEY, k, v); CREATE INDEX ak ON a(k)');
    this.#sql('CREATE TABLE b(x PRIMARY KEY, y) WITHOUT ROWID');
    this.#take();
  }

  run(steps: number): FuzzReport {
    for (let step = 0; step < steps; step++) {
      const before = this.#leader.capture.position;
      try {
        this.#step();
      } catch (error) {
        if (!expected.test((error as NodeJS.ErrnoException).code ?? '')) throw error;
        if (this.#leader.writer.inTransaction) this.#leader.writer.exec('ROLLBACK');
      }
      if (this.#random(40) === 0 && this.#undo(before)) continue;
      this.#take();
    }
    return this.#compare();
  }

  /** Takes back what was committed since `mark` and not captured. */
  #undo(mark: Leader['capture']['position']): boolean {
    const { writer, files, capture } = this.#leader;
    if (!rewindWal(files, writer, mark)) return false;
    capture.rewound(mark);
    return true;
  }

  #take(): void {
    const redo = this.#leader.take(1);
    if (redo !== undefined) {
      this.#records.push(redo);
      this.#waiting.push(redo);
    }
    if (this.#random(3) === 0) this.#drain();
  }

  #drain(): void {
    while (this.#waiting.length > 0) {
      this.#follower.injector.apply(this.#waiting.splice(0, 1 + this.#random(6)));
    }
  }

  #step(): void {
    const choice = this.#random(100);
    if (choice < 50) this.#write();
    else if (choice < 82) {
      this.#sql('BEGIN');
      for (let left = this.#random(8); left >= 0; left--) this.#write();
      this.#sql(this.#random(4) === 0 ? 'ROLLBACK' : 'COMMIT');
    } else if (choice < 84) this.#sql('VACUUM');
    else if (choice < 87) this.#sql(`PRAGMA incremental_vacuum(${this.#random(50)})`);
    else if (choice < 90) {
      this.#leader.writer.pragma(`wal_checkpoint(${this.#pick(['PASSIVE', 'FULL', 'RESTART', 'TRUNCATE'])})`);
    } else if (choice < 91) {
      this.#leader.abandon();
      this.#leader = this.#openLeader();
    } else if (choice < 92) this.#leader.capture.reset();
    else if (choice < 95) {
      this.#follower.writer.pragma(`wal_checkpoint(${this.#pick(['PASSIVE', 'TRUNCATE'])})`);
      if (this.#random(2) === 0) this.#follower.injector.restartLog();
    } else if (choice < 96) {
      this.#follower.close();
      this.#follower = new Follower(this.#followerFile);
    } else this.#write();
  }

  #write(): void {
    const { writer } = this.#leader;
    const random = this.#random;
    switch (random(10)) {
      case 0:
      case 1:
        for (let left = random(30); left >= 0; left--) {
          writer
            .prepare('INSERT OR REPLACE INTO a VALUES (?, ?, ?)')
            .run(random(3000), random(500), this.#blob());
        }
        return;
      case 2:
        writer.prepare('UPDATE a SET k = k + 1 WHERE id BETWEEN ? AND ?').run(random(3000), random(3000));
        return;
      case 3: {
        const from = random(3000);
        writer.prepare('DELETE FROM a WHERE id BETWEEN ? AND ?').run(from, from + random(600));
        return;
      }
      case 4:
        for (let left = random(20); left >= 0; left--) {
          writer.prepare('INSERT OR REPLACE INTO b VALUES (?, ?)').run(`k${random(2000)}`, this.#blob());
        }
        return;
      case 5:
        writer.prepare('DELETE FROM b WHERE x > ?').run(`k${random(2000)}`);
        return;
      case 6:
        writer.exec(`CREATE TABLE t${this.#tables++} AS SELECT * FROM a LIMIT ${random(200)}`);
        return;
      case 7:
        if (this.#tables > 0) writer.exec(`DROP TABLE IF EXISTS t${random(this.#tables)}`);
        return;
      case 8:
        writer.exec('SAVEPOINT s');
        writer.prepare('DELETE FROM a WHERE k = ?').run(random(500));
        writer.exec(random(2) === 0 ? 'ROLLBACK TO s; RELEASE s' : 'RELEASE s');
        return;
      default:
        writer.prepare('UPDATE a SET v = ? WHERE k = ?').run(this.#blob(), random(500));
    }
  }

  #compare(): FuzzReport {
    this.#drain();
    const findings: string[] = [];
    for (const [name, database] of [
      ['leader', this.#leader],
      ['follower', this.#follower],
    ] as const) {
      const check = database.guard.pragma('integrity_check', { simple: true });
      if (check !== 'ok') findings.push(`${name}: ${String(check)}`);
      database.checkpointFully();
      database.close();
    }
    const redo = new RawRedo(this.#rawFile, {
      pageBytes: this.#pageBytes,
      databasePages: fs.statSync(this.#rawFile).size / this.#pageBytes,
    });
    for (let from = 0; from < this.#records.length; ) {
      const count = 1 + this.#random(50);
      redo.apply(this.#records.slice(from, from + count));
      from += count;
    }
    redo.finish();
    const raw = difference(this.#leaderFile, this.#rawFile);
    const injected = difference(this.#leaderFile, this.#followerFile);
    if (raw !== '') findings.push(`raw file: ${raw}`);
    if (injected !== '') findings.push(`injected file: ${injected}`);
    for (const file of [this.#leaderFile, this.#followerFile, this.#rawFile]) fs.rmSync(file);
    return { records: this.#records.length, findings };
  }

  #openLeader(): Leader {
    return new Leader(this.#leaderFile, { cachePages: this.#pick([5, 20, 2000]) });
  }

  #sql(text: string): void {
    this.#leader.writer.exec(text);
  }

  #blob(): Uint8Array {
    const bytes = this.#random(20) === 0 ? this.#pageBytes * 20 : this.#pageBytes / 2;
    return new Uint8Array(this.#random(Math.min(bytes, 100_000))).fill(this.#random(256));
  }

  #pick<T>(choices: readonly T[]): T {
    return must(choices[this.#random(choices.length)], 'a choice');
  }
}

/** One database from creation to comparison. Throws what the code under test throws. */
export const fuzzPages = (directory: string, seed: number, steps: number): FuzzReport =>
  new FuzzRun(directory, seed).run(steps);
