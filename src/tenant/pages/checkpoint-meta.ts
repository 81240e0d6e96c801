/**
 * The durable checkpoint record beside a tenant's database (format: codec/checkpoint-record.ts).
 *
 * A record may be written only after the database file was made durable up to its LSN, and log may be recycled only up
 * to a record that this has written (L7). A record that is found was perhaps left in the page cache by a write that failed, and
 * is written again before it counts.
 */
import fs from 'node:fs';
import { dirname } from 'node:path';
import { assert } from '../../base/assert.ts';
import { ObError } from '../../base/errors.ts';
import {
  type CheckpointRecord,
  checkpointSlotPosition,
  decodeCheckpointFile,
  encodeCheckpointFile,
  encodeCheckpointSlot,
} from '../../codec/checkpoint-record.ts';
import { fileFailed } from './database-files.ts';
import { syncDirectory } from './recovery-guard.ts';

export class CheckpointMeta {
  readonly #path: string;
  #fd: number | undefined;
  #record: CheckpointRecord | undefined;
  #sequence = -1;

  /**
   * Opens the record at `path`; there need not be one yet. Throws OBS_TENANT_CHECKPOINT_CORRUPT if it is damaged or
   * belongs to another incarnation.
   */
  constructor(path: string, incarnation: string) {
    this.#path = path;
    let bytes: Uint8Array;
    try {
      bytes = fs.readFileSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw fileFailed('read', path, error);
    }
    const stored = decodeCheckpointFile(bytes);
    if (stored.kind === 'problem') throw this.#corrupt(stored.problem);
    if (stored.record.incarnation !== incarnation) {
      throw this.#corrupt(`it is of incarnation ${stored.record.incarnation}, not ${incarnation}`);
    }
    this.#record = stored.record;
    this.#sequence = stored.sequence;
    this.#fd = this.#openFile();
    try {
      // The other slot is whole meanwhile: it was durable before this one was begun.
      this.#putSlot(this.#fd, stored.record, stored.sequence);
      fs.fdatasyncSync(this.#fd);
    } catch (error) {
      throw fileFailed('write', path, error);
    }
  }

  /** The newest durable record; undefined for a database that was never checkpointed. */
  get record(): CheckpointRecord | undefined {
    return this.#record;
  }

  /** Durable when it returns. The LSN never goes back. */
  write(record: CheckpointRecord): void {
    this.#mustAdvance(record);
    const sequence = this.#sequence + 1;
    try {
      if (this.#fd === undefined) this.#create(record);
      else {
        this.#putSlot(this.#fd, record, sequence);
        fs.fdatasyncSync(this.#fd);
      }
    } catch (error) {
      throw fileFailed('write', this.#path, error);
    }
    this.#record = record;
    this.#sequence = sequence;
  }

  /**
   * The same with the flush in the thread pool, so that the other tenants of the thread go on. One at a time; `record`
   * is the old one until it resolves.
   */
  async writeLater(record: CheckpointRecord): Promise<void> {
    const fd = this.#fd;
    if (fd === undefined) {
      this.write(record);
      return;
    }
    this.#mustAdvance(record);
    const sequence = this.#sequence + 1;
    try {
      this.#putSlot(fd, record, sequence);
      await new Promise<void>((resolve, reject) => {
        fs.fdatasync(fd, error => (error === null ? resolve() : reject(error)));
      });
    } catch (error) {
      throw fileFailed('write', this.#path, error);
    }
    assert(this.#sequence === sequence - 1, 'one record is written at a time');
    this.#record = record;
    this.#sequence = sequence;
  }

  #putSlot(fd: number, record: CheckpointRecord, sequence: number): void {
    const slot = encodeCheckpointSlot(record, sequence);
    const put = fs.writeSync(fd, slot, 0, slot.length, checkpointSlotPosition(sequence));
    if (put !== slot.length) throw new Error(`only ${put} of ${slot.length} bytes were written`);
  }

  #mustAdvance(record: CheckpointRecord): void {
    assert(
      this.#record === undefined || record.position.lsn >= this.#record.position.lsn,
      'a checkpoint does not go back',
    );
  }

  close(): void {
    if (this.#fd !== undefined) fs.closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** The first record: the file appears whole or not at all. */
  #create(record: CheckpointRecord): void {
    const temporary = `${this.#path}.tmp`;
    const fd = fs.openSync(temporary, 'w', 0o600);
    try {
      fs.writeFileSync(fd, encodeCheckpointFile(record));
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(temporary, this.#path);
    syncDirectory(dirname(this.#path));
    this.#fd = this.#openFile();
  }

  #openFile(): number {
    try {
      return fs.openSync(this.#path, 'r+');
    } catch (error) {
      throw fileFailed('open', this.#path, error);
    }
  }

  #corrupt(detail: string): ObError {
    return new ObError('OBS_TENANT_CHECKPOINT_CORRUPT', { path: this.#path, detail });
  }
}
