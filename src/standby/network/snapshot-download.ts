/**
 * The receiving side of a snapshot: pieces of the database file as they come, credit given back as they are taken.
 * What has come and was not taken is bounded by the credit.
 */
import { must } from '../../base/assert.ts';
import type { ObError } from '../../base/errors.ts';
import type { LogPosition, ProposalEra } from '../../base/log-access.ts';
import type { Lsn } from '../../base/scalars.ts';
import type { PeerMessageOf } from '../../codec/peer-message.ts';

export interface SnapshotPiece {
  /** byte offset in the database file */
  readonly position: number;
  readonly bytes: Uint8Array;
}

export interface SnapshotEnd {
  /** the copy is consistent once log up to here was applied to it */
  readonly minimumLsn: Lsn;
  readonly fileBytes: number;
}

export class SnapshotDownload {
  readonly #giveCredit: (bytes: number) => void;
  #begin: PeerMessageOf<'snapshot-begin'> | null = null;
  #pieces: SnapshotPiece[] = [];
  #end: SnapshotEnd | null = null;
  #failure: ObError | null = null;
  #wake: (() => void) | null = null;

  constructor(giveCredit: (bytes: number) => void) {
    this.#giveCredit = giveCredit;
  }

  /** The log continues the copy from here. */
  get start(): LogPosition {
    return must(this.#begin, 'a snapshot that has begun').start;
  }

  /** The source's eras, up to its end when the copy began. */
  get proposalHistory(): readonly ProposalEra[] {
    return must(this.#begin, 'a snapshot that has begun').proposalHistory;
  }

  get pageBytes(): number {
    return must(this.#begin, 'a snapshot that has begun').pageBytes;
  }

  /** The next piece, or undefined at the end. One caller at a time. Throws what ended the connection. */
  async next(): Promise<SnapshotPiece | undefined> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) {
        this.#giveCredit(piece.bytes.length);
        return piece;
      }
      if (this.#end !== null) return undefined;
      if (this.#failure !== null) throw this.#failure;
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }

  /** After `next` gave undefined. */
  finish(): SnapshotEnd {
    return must(this.#end, 'the end of a snapshot');
  }

  /** For the connection. */
  begin(message: PeerMessageOf<'snapshot-begin'>): void {
    this.#begin = message;
  }

  piece(message: PeerMessageOf<'snapshot-piece'>): void {
    this.#pieces.push(message);
    this.#wake?.();
  }

  end(message: PeerMessageOf<'snapshot-end'>): void {
    this.#end = message;
    this.#wake?.();
  }

  fail(error: ObError): void {
    this.#failure ??= error;
    this.#wake?.();
  }
}
