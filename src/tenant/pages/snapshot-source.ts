/**
 * A hot copy of the database file, read through the descriptor that is open anyway while writes and checkpoints go on.
 * The bytes are fuzzy: they become a database when the log is redone over them, from the durable checkpoint at the start
 * to at least the newest LSN that was handed to the file while it was read.
 *
 * The log from `start` on must be held (L7) until the copy has been redone.
 */
import { must } from '../../base/assert.ts';
import { snapshotPieceBytesMax } from '../../base/limits.ts';
import type { Lsn } from '../../base/scalars.ts';
import type { CheckpointRecord } from '../../codec/checkpoint-record.ts';
import type { CheckpointMeta } from './checkpoint-meta.ts';
import type { Checkpointer } from './checkpointer.ts';
import type { DatabaseFiles } from './database-files.ts';

export class SnapshotSource {
  /** where the redo of the copy starts */
  readonly start: CheckpointRecord;
  readonly #files: DatabaseFiles;
  readonly #checkpointer: Checkpointer;
  readonly #pieceBytes: number;
  #position = 0;
  #minimumLsn: Lsn | undefined;

  /** The database must have been checkpointed once. `pieceBytes`: of one `next`, at most `snapshotPieceBytesMax`. */
  constructor(
    files: DatabaseFiles,
    checkpointer: Checkpointer,
    meta: CheckpointMeta,
    pieceBytes: number = snapshotPieceBytesMax,
  ) {
    this.#files = files;
    this.#checkpointer = checkpointer;
    this.#pieceBytes = pieceBytes;
    this.start = must(meta.record, 'a snapshot starts at a checkpoint');
  }

  /** The next piece, with memory of its own; undefined at the end of the file. */
  next(): { readonly position: number; readonly bytes: Uint8Array<ArrayBuffer> } | undefined {
    if (this.#minimumLsn !== undefined) return undefined;
    const bytes = new Uint8Array(this.#pieceBytes);
    const position = this.#position;
    const got = this.#files.readDatabase(bytes, 0, bytes.length, position);
    if (got === 0) {
      this.#minimumLsn = this.#checkpointer.handedLsn;
      return undefined;
    }
    this.#position += got;
    return { position, bytes: got === bytes.length ? bytes : bytes.slice(0, got) };
  }

  /** After `next` returned undefined: how far the log must be redone at least, and the length of the copy. */
  finish(): { readonly minimumLsn: Lsn; readonly fileBytes: number } {
    return {
      minimumLsn: must(this.#minimumLsn, 'the end of the file was reached'),
      fileBytes: this.#position,
    };
  }
}
