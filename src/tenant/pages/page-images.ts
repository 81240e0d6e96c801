/**
 * The images of the pages that a group of redo records touches, built by writing each record's ranges over the page's
 * last image. Bounded: when the memory is used up, the owner writes out what is there and goes on.
 *
 * A page cut off by a record is forgotten: should a later record bring it back, it brings it whole. What must never
 * happen is a range written over an image that is not the one the leader compared with.
 *
 * One memory per thread, shared by all tenants; a group is built and written in one synchronous call.
 */
import { assert } from '../../base/assert.ts';
import { pageImageBytesMax } from '../../base/limits.ts';
import { type DecodedRedo, type RedoVisitor, visitRedoPages } from '../../codec/redo.ts';
import { PageTable } from './page-table.ts';
import { type WordBuffer, wordBuffer } from '../../codec/word-buffer.ts';

export interface PageImageOwner {
  /** Reads the page's last image into `into[at, at + pageBytes)`; the page is in no slot. */
  readBase(pgno: number, into: Uint8Array, at: number): void;
  /** Writes out all slots, which are emptied afterwards. */
  spill(): void;
  /** The database shrinks to this many pages; the images above are gone already. */
  cut(databasePages: number): void;
}

const firstBytes = 262_144;
let memory: WordBuffer | undefined;
let inUse = false;

export class PageImages implements RedoVisitor {
  readonly #owner: PageImageOwner;
  readonly #pageBytes: number;
  /** bytes of a slot before its page: room for a frame header */
  readonly #headroom: number;
  readonly #slotBytes: number;
  readonly #slotsMax: number;
  /** slot + 1 of a page */
  readonly #slotOf = new PageTable();
  #pages: number[] = [];
  #slots = 0;
  #memory: WordBuffer;
  #page = 0;
  #pageAt = 0;
  /** size of the database after the records so far; the owner sets it before the first */
  databasePages = 0;

  constructor(owner: PageImageOwner, layout: { readonly pageBytes: number; readonly headroom: number }) {
    this.#owner = owner;
    this.#pageBytes = layout.pageBytes;
    this.#headroom = layout.headroom;
    this.#slotBytes = layout.pageBytes + layout.headroom;
    this.#slotsMax = Math.floor(pageImageBytesMax / this.#slotBytes);
    memory ??= wordBuffer(firstBytes);
    this.#memory = memory;
  }

  /** Pages held, in slot order: `pages[i]` is in slot i. */
  get pages(): readonly number[] {
    return this.#pages;
  }

  get memory(): WordBuffer {
    return this.#memory;
  }

  get slotBytes(): number {
    return this.#slotBytes;
  }

  /** Runs one group; the thread's memory is this group's until it returns. */
  group<T>(work: () => T): T {
    assert(!inUse, 'one group is applied at a time in a thread');
    inUse = true;
    memory ??= wordBuffer(firstBytes);
    this.#memory = memory;
    try {
      return work();
    } finally {
      this.empty();
      inUse = false;
    }
  }

  apply(redo: DecodedRedo): void {
    assert(redo.pageBytes === this.#pageBytes, 'the record has the page size of the database');
    visitRedoPages(redo, this);
    if (redo.databasePages < this.databasePages) this.#cut(redo.databasePages);
    this.databasePages = redo.databasePages;
  }

  /** The page's image is needed as it is, unchanged. */
  touch(pgno: number): void {
    this.beginPage(pgno);
  }

  empty(): void {
    for (const pgno of this.#pages) this.#slotOf.set(pgno, 0);
    this.#pages.length = 0;
    this.#slots = 0;
  }

  wholePage(pgno: number, body: Uint8Array, at: number): void {
    const slot = this.#slotOf.get(pgno);
    const imageAt = slot === 0 ? this.#newSlot(pgno) : this.#imageAt(slot - 1);
    this.#memory.bytes.set(body.subarray(at, at + this.#pageBytes), imageAt);
  }

  beginPage(pgno: number): void {
    this.#page = pgno;
    const slot = this.#slotOf.get(pgno);
    if (slot !== 0) {
      this.#pageAt = this.#imageAt(slot - 1);
      return;
    }
    this.#pageAt = this.#newSlot(pgno);
    this.#owner.readBase(pgno, this.#memory.bytes, this.#pageAt);
  }

  range(offset: number, length: number, body: Uint8Array, at: number): void {
    assert(this.#page !== 0 && offset + length <= this.#pageBytes, 'a range is inside its page');
    const { bytes } = this.#memory;
    let to = this.#pageAt + offset;
    if (length <= 48) {
      for (let from = at; from < at + length; from++) bytes[to++] = body[from] as number;
    } else {
      bytes.set(body.subarray(at, at + length), to);
    }
  }

  #imageAt(slot: number): number {
    return slot * this.#slotBytes + this.#headroom;
  }

  #newSlot(pgno: number): number {
    if (this.#slots === this.#slotsMax) {
      this.#owner.spill();
      this.empty();
    }
    const slot = this.#slots++;
    this.#pages.push(pgno);
    this.#slotOf.set(pgno, slot + 1);
    if (this.#slots * this.#slotBytes > this.#memory.bytes.length) this.#grow();
    return this.#imageAt(slot);
  }

  #grow(): void {
    const grown = wordBuffer(Math.min(this.#memory.bytes.length * 4, pageImageBytesMax));
    grown.bytes.set(this.#memory.bytes);
    memory = grown;
    this.#memory = grown;
  }

  /** Drops the images above the new size; the last slots move into the holes. */
  #cut(databasePages: number): void {
    const kept: number[] = [];
    for (let slot = 0; slot < this.#slots; slot++) {
      const pgno = this.#pages[slot] as number;
      if (pgno > databasePages) {
        this.#slotOf.set(pgno, 0);
        continue;
      }
      const to = kept.length;
      if (to !== slot) {
        const from = slot * this.#slotBytes;
        this.#memory.bytes.copyWithin(to * this.#slotBytes, from, from + this.#slotBytes);
        this.#slotOf.set(pgno, to + 1);
      }
      kept.push(pgno);
    }
    this.#pages = kept;
    this.#slots = kept.length;
    this.#owner.cut(databasePages);
  }
}
