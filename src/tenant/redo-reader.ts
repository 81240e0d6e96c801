/**
 * From log to redo: takes chunks of committed groups, checks them, and gives the redo records they complete, in order.
 * Entries of other kinds change no page and are passed over. Bytes that are not what the log wrote are refused with
 * OBS_TENANT_REDO_CORRUPT, and then nothing of their chunk was taken: the same place may be read again. A whole record that makes no
 * sense is the end: whatever follows is refused as well, for redo that is passed over would be missing for ever (S2).
 */
import { ObError } from '../base/errors.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import type { Lsn } from '../base/scalars.ts';
import { isProblem } from '../codec/clog.ts';
import { EntryAssembler } from '../codec/entry-assembler.ts';
import { type DecodedRedo, decodeRedo } from '../codec/redo.ts';

export class RedoReader {
  readonly #path: string;
  readonly #assembler: EntryAssembler;
  #damage: ObError | null = null;

  /** `appliedLsn`: entries that end at or before it are in the database already. */
  constructor(path: string, start: LogPosition, appliedLsn: Lsn = start.lsn) {
    this.#path = path;
    this.#assembler = new EntryAssembler(start, appliedLsn);
  }

  get position(): LogPosition {
    return this.#assembler.position;
  }

  /** Where a new reader must start: before a record that is not complete. */
  get resume(): LogPosition {
    return this.#assembler.resume;
  }

  /** Records completed by the chunk, which must start at `position`. */
  take(chunk: LogChunk): DecodedRedo[] {
    if (this.#damage !== null) throw this.#damage;
    const applied = this.#assembler.position.lsn;
    if (chunk.start.lsn !== applied) {
      throw new ObError('OBS_TENANT_APPLY_ORDER', { start: chunk.start.lsn, applied });
    }
    const entries = this.#assembler.push(chunk.bytes);
    if (isProblem(entries)) throw this.#corrupt(entries.lsn, entries.what);
    const records: DecodedRedo[] = [];
    for (const entry of entries) {
      if (entry.kind !== 'redo') continue;
      const record = decodeRedo(entry.body);
      if (record.kind === 'problem') {
        // The chunk was taken.
        this.#damage = this.#corrupt(entry.endLsn, record.problem);
        throw this.#damage;
      }
      records.push(record);
    }
    return records;
  }

  #corrupt(lsn: Lsn, what: string): ObError {
    const detail = `at LSN ${lsn}: ${what}`;
    return new ObError('OBS_TENANT_REDO_CORRUPT', { path: this.#path, detail });
  }
}
