/**
 * The redo body: the page changes of one SQLite commit, as byte ranges. What the clog, the archive and every standby
 * carry, byte for byte.
 *
 *   pageSizeExponent u8 · transactions · databasePages · pageCount
 *   per page:  pgno · rangeCount (0: the whole page follows) · per range: gap from the last range's end · length · bytes
 *
 * Numbers without a width are varints (varint.ts). Writing the ranges in order over the previous image gives
 * the new one, and writing them again changes nothing: redo is idempotent. No page above `databasePages` occurs.
 *
 * Foreign bytes never throw here: decoding walks the whole body once and returns a problem instead. It must never
 * return a record that would write outside a page or outside the database.
 */
import { assert } from '../base/assert.ts';
import { redoPartBytesMax } from '../base/limits.ts';
import { DeltaRanges } from './page-delta.ts';
import { type Cursor, readVarint, varintBytesMax, writeVarint } from './varint.ts';
import type { WordBuffer } from './word-buffer.ts';

const pageSizeExponentMin = 9;
const pageSizeExponentMax = 16;
/** SQLite's own limit, SQLITE_MAX_PAGE_COUNT */
const databasePagesMax = 0xff_ff_ff_fe;
/** exponent and three varints */
const headerBytesMax = 1 + 3 * varintBytesMax;

/** A validated redo body. The pages are still encoded; `visitRedoPages` walks them without copying. */
export interface DecodedRedo {
  readonly kind: 'redo';
  readonly pageBytes: number;
  /** commits of clients in this record; 0 for internal work */
  readonly transactions: number;
  /** size of the database after it */
  readonly databasePages: number;
  readonly pageCount: number;
  readonly body: Uint8Array;
  /** where the first page starts in `body` */
  readonly pagesAt: number;
}

export interface RedoProblem {
  readonly kind: 'problem';
  readonly problem: string;
}

/** One page of a record in plain form, for tests, dumps and small tools. */
export interface RedoPage {
  readonly pgno: number;
  /** one range from 0 to the page size is the whole page */
  readonly ranges: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
}

export interface RedoVisitor {
  /** `body[at, at + pageBytes)` is the new page */
  wholePage(pgno: number, body: Uint8Array, at: number): void;
  /** before the first range of a page that is not whole; a page without change has none */
  beginPage(pgno: number): void;
  /** `body[at, at + length)` replaces the bytes from `offset` in the page of the last `beginPage` */
  range(offset: number, length: number, body: Uint8Array, at: number): void;
}

const problem = (text: string): RedoProblem => ({ kind: 'problem', problem: text });

/** Validates a whole body. The result keeps a reference to `body`, which must not change while it is used. */
export function decodeRedo(body: Uint8Array): DecodedRedo | RedoProblem {
  const exponent = body[0];
  if (exponent === undefined) return problem('empty body');
  if (exponent < pageSizeExponentMin || exponent > pageSizeExponentMax) {
    return problem(`page size exponent ${exponent}`);
  }
  const pageBytes = 2 ** exponent;
  const cursor: Cursor = { bytes: body, offset: 1, end: body.length };
  const transactions = readVarint(cursor);
  const databasePages = readVarint(cursor);
  const pageCount = readVarint(cursor);
  if (transactions < 0 || databasePages < 0 || pageCount < 0) return problem('the header is cut');
  if (databasePages < 1 || databasePages > databasePagesMax) {
    return problem(`a database of ${databasePages} pages`);
  }
  const pagesAt = cursor.offset;
  for (let page = 0; page < pageCount; page++) {
    const pgno = readVarint(cursor);
    const ranges = readVarint(cursor);
    if (pgno < 0 || ranges < 0) return problem(`page ${page} of ${pageCount} is cut`);
    if (pgno < 1 || pgno > databasePages) return problem(`page ${pgno} of a database of ${databasePages}`);
    if (ranges === 0) cursor.offset += pageBytes;
    let end = 0;
    for (let range = 0; range < ranges; range++) {
      const gap = readVarint(cursor);
      const length = readVarint(cursor);
      if (gap < 0 || length < 0) return problem(`a range of page ${pgno} is cut`);
      if (length === 0) return problem(`an empty range in page ${pgno}`);
      end += gap + length;
      if (end > pageBytes) return problem(`a range of page ${pgno} ends at ${end}`);
      cursor.offset += length;
    }
    if (cursor.offset > body.length) return problem(`page ${pgno} is cut`);
  }
  if (cursor.offset !== body.length)
    return problem(`${body.length - cursor.offset} bytes after the last page`);
  return { kind: 'redo', pageBytes, transactions, databasePages, pageCount, body, pagesAt };
}

/** Calls the visitor for each page and range, in the order of the record. */
export function visitRedoPages(redo: DecodedRedo, visitor: RedoVisitor): void {
  const { body, pageBytes, pageCount } = redo;
  const cursor: Cursor = { bytes: body, offset: redo.pagesAt, end: body.length };
  for (let page = 0; page < pageCount; page++) {
    const pgno = readVarint(cursor);
    const ranges = readVarint(cursor);
    if (ranges === 0) {
      visitor.wholePage(pgno, body, cursor.offset);
      cursor.offset += pageBytes;
      continue;
    }
    visitor.beginPage(pgno);
    let offset = 0;
    for (let range = 0; range < ranges; range++) {
      offset += readVarint(cursor);
      const length = readVarint(cursor);
      visitor.range(offset, length, body, cursor.offset);
      cursor.offset += length;
      offset += length;
    }
  }
  assert(cursor.offset === body.length, 'a decoded redo body does not change');
}

/** The pages of a record in plain form. Range bytes are views of the body. */
export function redoPages(redo: DecodedRedo): RedoPage[] {
  const pages: RedoPage[] = [];
  let ranges: { offset: number; bytes: Uint8Array }[] = [];
  visitRedoPages(redo, {
    wholePage: (pgno, body, at) => {
      pages.push({ pgno, ranges: [{ offset: 0, bytes: body.subarray(at, at + redo.pageBytes) }] });
    },
    beginPage: pgno => {
      ranges = [];
      pages.push({ pgno, ranges });
    },
    range: (offset, length, body, at) => {
      ranges.push({ offset, bytes: body.subarray(at, at + length) });
    },
  });
  return pages;
}

/**
 * Builds redo bodies. One encoder serves all tenants of a thread: `begin`, the pages, `finish`; what it returns is
 * the caller's own, nothing of it is kept.
 */
export class RedoEncoder {
  readonly #ranges = new DeltaRanges();
  readonly #out = Buffer.allocUnsafeSlow(redoPartBytesMax);
  readonly #header = new Uint8Array(headerBytesMax);
  #at = 0;
  #pageBytes = 0;
  #exponent = 0;
  #pageCount = 0;
  #parts: Uint8Array<ArrayBuffer>[] = [];

  /** Starts a record; an unfinished one is dropped. */
  begin(pageBytes: number): void {
    const exponent = 31 - Math.clz32(pageBytes);
    assert(
      exponent >= pageSizeExponentMin && exponent <= pageSizeExponentMax && pageBytes === 2 ** exponent,
      'a page is 512 to 65536 bytes',
    );
    this.#pageBytes = pageBytes;
    this.#exponent = exponent;
    this.#pageCount = 0;
    this.#parts = [];
    this.#at = headerBytesMax;
  }

  /** A page that is logged as it is, `image[at, at + pageBytes)`. */
  wholePage(pgno: number, image: Uint8Array, at: number): void {
    this.#makeRoom();
    this.#varint(pgno);
    this.#out[this.#at++] = 0;
    this.#copy(image, at, this.#pageBytes);
    this.#pageCount++;
  }

  /**
   * A page whose previous image the log already has: logged as the ranges that changed, or whole if that is shorter.
   * `at` and `previousAt` are byte offsets of the images. Returns false, and logs nothing, if nothing changed.
   */
  changedPage(
    pgno: number,
    image: WordBuffer,
    at: number,
    previous: WordBuffer,
    previousAt: number,
  ): boolean {
    const ranges = this.#ranges;
    ranges.find(image, at >> 2, previous, previousAt >> 2, this.#pageBytes >> 2);
    const { count, bounds } = ranges;
    if (count === 0) return false;
    if (ranges.bytes + 2 * count >= this.#pageBytes) {
      this.wholePage(pgno, image.bytes, at);
      return true;
    }
    this.#makeRoom();
    this.#varint(pgno);
    this.#varint(count);
    let end = 0;
    for (let index = 0; index < count; index++) {
      const start = bounds[index * 2] as number;
      const stop = bounds[index * 2 + 1] as number;
      this.#varint(start - end);
      this.#varint(stop - start);
      this.#copy(image.bytes, at + start, stop - start);
      end = stop;
    }
    this.#pageCount++;
    return true;
  }

  /** The body in parts of at most `redoPartBytesMax`. A body of a few KiB is one part and shares its memory. */
  finish(transactions: number, databasePages: number): Uint8Array<ArrayBuffer>[] {
    assert(this.#exponent > 0, 'a record was begun');
    assert(databasePages >= 1 && databasePages <= databasePagesMax, 'a database has pages');
    const parts = this.#parts;
    const headerBytes = this.#encodeHeader(transactions, databasePages);
    const room = headerBytesMax - headerBytes;
    const first = parts[0];
    const target = first ?? this.#out;
    for (let index = 0; index < headerBytes; index++) target[room + index] = this.#header[index] as number;
    if (first === undefined) parts.push(bodyOf(this.#out, room, this.#at));
    else {
      parts[0] = first.subarray(room);
      if (this.#at > 0) parts.push(copyOf(this.#out, 0, this.#at));
    }
    this.#parts = [];
    this.#exponent = 0;
    return parts;
  }

  /** Encodes the header aside, where its length does not matter yet; returns it. */
  #encodeHeader(transactions: number, databasePages: number): number {
    const header = this.#header;
    header[0] = this.#exponent;
    let at = writeVarint(header, 1, transactions);
    at = writeVarint(header, at, databasePages);
    return writeVarint(header, at, this.#pageCount);
  }

  /** Room for one page in the worst case: its bytes, and ranges whose numbers take three bytes each. */
  #makeRoom(): void {
    if (this.#at + 4 * this.#pageBytes + 64 <= this.#out.length) return;
    this.#parts.push(copyOf(this.#out, 0, this.#at));
    this.#at = 0;
  }

  #varint(value: number): void {
    if (value < 0x80) this.#out[this.#at++] = value;
    else this.#at = writeVarint(this.#out, this.#at, value);
  }

  #copy(source: Uint8Array, from: number, length: number): void {
    const out = this.#out;
    let at = this.#at;
    if (length <= shortCopyBytes) {
      for (let index = from; index < from + length; index++) out[at++] = source[index] as number;
    } else {
      out.set(source.subarray(from, from + length), at);
    }
    this.#at += length;
  }
}

/** Below this a loop is quicker than a call of the engine's copy. */
const shortCopyBytes = 48;

const copyOf = (source: Uint8Array, from: number, to: number): Uint8Array<ArrayBuffer> => {
  const copy = new Uint8Array(to - from);
  copy.set(source.subarray(from, to));
  return copy;
};

/** Bodies up to this size share memory; that of a larger one is its own, and may be handed to another thread. */
const sharedBytesMax = 4_096;

/** The same for a whole body: of a little one in memory shared with others, which costs a tenth to allocate. */
const bodyOf = (source: Uint8Array, from: number, to: number): Uint8Array<ArrayBuffer> => {
  if (to - from > sharedBytesMax) return copyOf(source, from, to);
  const copy = Buffer.allocUnsafe(to - from);
  copy.set(source.subarray(from, to));
  return copy;
};

/** Encodes a record given in plain form; for tests and small tools. */
export function encodeRedo(record: {
  readonly pageBytes: number;
  readonly transactions: number;
  readonly databasePages: number;
  readonly pages: readonly RedoPage[];
}): Uint8Array {
  const out: number[] = [31 - Math.clz32(record.pageBytes)];
  const put = (value: number) => {
    const bytes = new Uint8Array(varintBytesMax);
    out.push(...bytes.subarray(0, writeVarint(bytes, 0, value)));
  };
  put(record.transactions);
  put(record.databasePages);
  put(record.pages.length);
  for (const page of record.pages) {
    const only = page.ranges.length === 1 ? page.ranges[0] : undefined;
    const whole = only !== undefined && only.offset === 0 && only.bytes.length === record.pageBytes;
    put(page.pgno);
    put(whole ? 0 : page.ranges.length);
    let end = 0;
    for (const range of page.ranges) {
      if (!whole) {
        put(range.offset - end);
        put(range.bytes.length);
      }
      for (const byte of range.bytes) out.push(byte);
      end = range.offset + range.bytes.length;
    }
  }
  return Uint8Array.from(out);
}
