/**
 * A tenant's engine core in this thread, with its log as a list of groups in memory: what capture and apply cost
 * without threads, network and flushes. One update is one SQLite commit, one redo record, one group.
 */
import { join } from 'node:path';
import { must } from '../base/assert.ts';
import { groupBytesMax } from '../base/limits.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import { lsn, proposalId, scn } from '../base/scalars.ts';
import { EntryBody, GroupBuilder } from '../codec/group-builder.ts';
import type { Cell } from '../tenant/engine.ts';
import { engineLimitsDefault } from '../tenant/engine-limits.ts';
import { TenantCore } from '../tenant/tenant-core.ts';
import type { Statement } from '../tenant/worker-messages.ts';

export const benchTableRows = 100_000;
export const benchPageBytes = 4096;
const logStart: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };

/** The statements of sysbench's oltp_update_non_index and oltp_update_index. */
export const updates = {
  text: 'UPDATE sbtest1 SET c = ? WHERE id = ?',
  index: 'UPDATE sbtest1 SET k = k + 1 WHERE id = ?',
} as const;
export type Load = keyof typeof updates;

export const createTable = [
  'CREATE TABLE sbtest1(id INTEGER PRIMARY KEY, k INTEGER NOT NULL, c CHAR(120) NOT NULL, pad CHAR(60) NOT NULL)',
  'CREATE INDEX k_1 ON sbtest1(k)',
];
export const insertRow = 'INSERT INTO sbtest1 VALUES (?, ?, ?, ?)';

/** Repeatable load: the same seed gives the same rows and updates. */
export class BenchLoad {
  #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  below(bound: number): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#seed / 2 ** 32) * bound);
  }

  /** Digits in groups of eleven, as sysbench makes its texts. */
  text(length: number): string {
    let text = '';
    for (let index = 0; index < length; index++) {
      text += index % 12 === 11 ? '-' : String(this.below(10));
    }
    return text;
  }

  row(id: number): Cell[] {
    return [id, 1 + this.below(benchTableRows), this.text(120), this.text(60)];
  }

  parameters(load: Load): Cell[] {
    const id = 1 + this.below(benchTableRows);
    return load === 'text' ? [this.text(120), id] : [id];
  }
}

export class BenchTenant {
  readonly core: TenantCore;
  readonly path: string;
  readonly groups: Uint8Array[] = [];
  #position = logStart;
  #scn = 1;

  constructor(directory: string, mode: 'leader' | 'follower') {
    this.core = new TenantCore(directory, 'bench', 'bench');
    this.path = join(directory, 'db', 'tenant.db');
    this.core.start(mode, benchPageBytes);
  }

  get position(): LogPosition {
    return this.#position;
  }

  /** Runs one write, captures it, and puts it in a group of its own. Returns the group's bytes, 0 for no change. */
  write(sql: string, parameters: readonly Cell[]): number {
    const statement: Statement = { sql, parameters, rowsMax: 0, internal: false };
    const { runner } = this.core;
    const { outcomes } = runner.write([{ statement, kind: runner.guard(sql, false) }], true);
    const outcome = must(outcomes[0], 'an outcome');
    if (outcome.kind === 'failed') throw outcome.error;
    return this.#append();
  }

  /** The table, filled in one transaction. */
  fill(load: BenchLoad): void {
    for (const sql of createTable) this.write(sql, []);
    const { runner } = this.core;
    runner.beginWrite(1, true);
    for (let id = 1; id <= benchTableRows; id++) {
      runner.step(1, { sql: insertRow, parameters: load.row(id), rowsMax: 0, internal: false });
    }
    runner.commit(1);
    this.#append();
    this.copy();
  }

  /** Copies the WAL into the file; the flush that makes it durable is not part of it. */
  copy(): void {
    const end = { position: this.#position, committedLsn: this.#position.lsn };
    this.core.copy(this.core.mode === 'leader' ? end : null, 0);
  }

  /** Copies the WAL once it has grown, as a tenant does that changes this fast. */
  copyIfDue(): void {
    if (this.core.storage().walBytes > engineLimitsDefault.walBytesMax) this.copy();
  }

  /** Groups from number `from` on as chunks of about `bytes`. */
  chunks(from: number, start: LogPosition, bytes: number, positions: readonly LogPosition[]): LogChunk[] {
    const chunks: LogChunk[] = [];
    let at = start;
    for (let first = from; first < this.groups.length; ) {
      const parts: Uint8Array[] = [];
      let size = 0;
      let next = first;
      for (; next < this.groups.length && (size === 0 || size < bytes); next++) {
        const group = must(this.groups[next], 'a group');
        parts.push(group);
        size += group.length;
      }
      const end = must(positions[next - 1], 'the position behind a group');
      // not as a Buffer: what comes from another thread is none either
      chunks.push({ start: at, end, bytes: new Uint8Array(Buffer.concat(parts)) });
      at = end;
      first = next;
    }
    return chunks;
  }

  readonly positions: LogPosition[] = [];

  #append(): number {
    const captured = this.core.capture(1);
    if (captured === undefined) return 0;
    const body = new EntryBody(captured.commit.parts);
    const before = this.#position.lsn;
    let first = true;
    do {
      const builder = new GroupBuilder(this.#position, groupBytesMax, body.left + 64);
      const bytes = Math.min(builder.room, body.left);
      const part = { kind: 'redo' as const, first, last: bytes === body.left, scn: scn(this.#scn++) };
      builder.add(part, body, bytes);
      const group = builder.close({ proposalId: proposalId(1), committedEnd: lsn(0) });
      this.groups.push(group.bytes);
      this.positions.push(group.end);
      this.#position = group.end;
      first = false;
    } while (body.left > 0);
    return this.#position.lsn - before;
  }
}
