/**
 * Builds one group: entries go in while it is open, the header is written when it closes. The group's LSN and every
 * entry's end are fixed as they are added; max SCN, committed end and checksums are known at the close.
 */
import { assert, must } from '../base/assert.ts';
import type { EntryKind, LogPosition } from '../base/log-access.ts';
import { type Lsn, lsn, type ProposalId, type Scn } from '../base/scalars.ts';
import { chain } from './checksum.ts';
import { encodeGroupHeader, groupHeaderBytes } from './clog.ts';
import { entryHeadBytesMax, writeEntryHead } from './clog-entry.ts';

/** A body handed in as fragments, taken out piece by piece. */
export class EntryBody {
  readonly #fragments: readonly Uint8Array[];
  #fragment = 0;
  #offset = 0;
  #left: number;

  constructor(fragments: readonly Uint8Array[]) {
    this.#fragments = fragments;
    this.#left = fragments.reduce((sum, fragment) => sum + fragment.length, 0);
  }

  /** Bytes not taken yet. */
  get left(): number {
    return this.#left;
  }

  /** Copies the next `count` bytes to `target` at `offset`. */
  copyTo(target: Uint8Array, offset: number, count: number): void {
    assert(count <= this.#left, 'a body has the bytes that are taken from it');
    let at = offset;
    const end = offset + count;
    while (at < end) {
      const fragment = must(this.#fragments[this.#fragment], 'body fragment');
      const piece = Math.min(end - at, fragment.length - this.#offset);
      target.set(
        piece === fragment.length ? fragment : fragment.subarray(this.#offset, this.#offset + piece),
        at,
      );
      at += piece;
      this.#offset += piece;
      if (this.#offset === fragment.length) {
        this.#fragment += 1;
        this.#offset = 0;
      }
    }
    this.#left -= count;
  }
}

export interface ClosedGroup {
  readonly start: LogPosition;
  readonly end: LogPosition;
  readonly proposalId: ProposalId;
  readonly bytes: Uint8Array;
}

/** A group's first buffer. */
const bufferBytesMin = 256;
/** A buffer over this that is less than half used is not kept. */
const generousBytesMin = 4_096;

export class GroupBuilder {
  readonly #start: LogPosition;
  readonly #bytesMax: number;
  #buffer: Uint8Array;
  #used = groupHeaderBytes;
  #maxScn: Scn;

  /**
   * @param start end of the group before
   * @param bytesMax the group's largest size, header included
   * @param bytesHint expected size, header included
   */
  constructor(start: LogPosition, bytesMax: number, bytesHint: number) {
    assert(bytesMax >= groupHeaderBytes + entryHeadBytesMax, 'a group has room for an entry');
    this.#start = start;
    this.#bytesMax = bytesMax;
    // Little groups share memory: one of its own would cost more than filling it.
    const memory = Buffer.allocUnsafe(Math.min(bytesMax, Math.max(bytesHint, bufferBytesMin)));
    this.#buffer = new Uint8Array(memory.buffer, memory.byteOffset, memory.length);
    this.#maxScn = start.scn;
  }

  /** Body bytes the next entry may have. */
  get room(): number {
    return Math.max(0, this.#bytesMax - this.#used - entryHeadBytesMax);
  }

  get isEmpty(): boolean {
    return this.#used === groupHeaderBytes;
  }

  /** Header included. */
  get bytes(): number {
    return this.#used;
  }

  get endLsn(): Lsn {
    return lsn(this.#start.lsn + this.#used);
  }

  get maxScn(): Scn {
    return this.#maxScn;
  }

  /** Adds one part; its SCN must be above the last one's. Returns the LSN behind it. */
  add(
    part: { readonly kind: EntryKind; readonly first: boolean; readonly last: boolean; readonly scn: Scn },
    body: EntryBody,
    bodyBytes: number,
  ): Lsn {
    assert(bodyBytes <= this.room, 'an entry fits its group');
    assert(part.scn > this.#maxScn, 'SCNs advance along the log');
    const scnStep = this.isEmpty ? 0 : part.scn - this.#maxScn;
    this.#reserve(entryHeadBytesMax + bodyBytes);
    const head = { kind: part.kind, first: part.first, last: part.last, bodyBytes, scnStep };
    const bodyAt = writeEntryHead(this.#buffer, this.#used, head);
    body.copyTo(this.#buffer, bodyAt, bodyBytes);
    this.#used = bodyAt + bodyBytes;
    this.#maxScn = part.scn;
    return this.endLsn;
  }

  /** Writes the header; nothing may be added afterwards. */
  close(owner: { readonly proposalId: ProposalId; readonly committedEnd: Lsn }): ClosedGroup {
    assert(!this.isEmpty, 'a group has an entry');
    const used = this.#buffer.subarray(0, this.#used);
    const generous = this.#buffer.length > Math.max(generousBytesMin, this.#used * 2);
    const bytes = generous ? new Uint8Array(used) : used;
    const checksum = chain(this.#start.checksum, bytes.subarray(groupHeaderBytes));
    encodeGroupHeader(bytes, this.#start.lsn, {
      padding: false,
      rawWrite: false,
      payloadBytes: this.#used - groupHeaderBytes,
      proposalId: owner.proposalId,
      committedEnd: owner.committedEnd,
      maxScn: this.#maxScn,
      checksum,
    });
    return {
      start: this.#start,
      end: { lsn: this.endLsn, scn: this.#maxScn, checksum },
      proposalId: owner.proposalId,
      bytes,
    };
  }

  #reserve(more: number): void {
    const need = this.#used + more;
    if (need <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(need, Math.min(this.#bytesMax, this.#buffer.length * 2)));
    grown.set(this.#buffer.subarray(0, this.#used));
    this.#buffer = grown;
  }
}
