/**
 * Capture on the leader: after each COMMIT, the frames it appended to the WAL become one redo body.
 *
 * A page this leader has logged before is logged as the bytes that differ from its previous image, which is read again
 * from its previous frame or the database file if the cache has lost it; any other page is logged whole. Frames of pages above the
 * commit's size (spilled, then cut off by the same transaction) are neither logged nor ever a base of a difference.
 *
 * What must never happen is a commit that is not captured: a difference to an image the log does not have would
 * corrupt every standby. SQLite counts its commits in the wal-index; the count must have grown by exactly the commit
 * frames seen, else capture throws OBS_TENANT_CAPTURE_LOST and this replica must stop leading.
 *
 * Reading the wal-index costs as much as reading the frames, so it is left out where the frames prove by themselves what was
 * committed: nothing of this generation of the WAL lay behind the last commit (looked at, not assumed: rollbacks, failed
 * commits and rewinds leave such frames), and now a commit lies there and again nothing behind it. The count is compared
 * all the same after some of these, and whenever anything else is found.
 */
import { assert } from '../../base/assert.ts';
import { ObError } from '../../base/errors.ts';
import { pageReadBytesMax, provenFramesMax, uncountedCapturesMax } from '../../base/limits.ts';
import type { DatabaseFiles } from './database-files.ts';
import { PageTable } from './page-table.ts';
import { threadScratch } from './scratch.ts';
import { frameHeaderBytes, framePosition, readUint32BigEndian, type WalMark } from './wal-format.ts';
import { WalIndexHeader } from './wal-index-header.ts';

export interface CapturedCommit {
  /** the redo body; parts of at most `redoPartBytesMax`, little ones in memory that they share */
  readonly parts: readonly Uint8Array<ArrayBuffer>[];
  /** length of the redo body */
  readonly bytes: number;
  readonly databasePages: number;
  /** SQLite commits in it; more than one if several ran between two captures */
  readonly commits: number;
  /** the database just before, in this generation of the WAL: where an undo of this commit goes back to */
  readonly frameStart: WalMark;
  readonly frameEnd: WalMark;
}

/** Commits of one capture: the last frame of each, and what of it is still in the database at the end. */
interface CommitSpan {
  readonly lastFrame: number;
  /** size of the database at this commit */
  readonly databasePages: number;
  /** pages above this are cut by this commit or a later one of the same capture */
  readonly keptPages: number;
}

/** In the page table: the newest logged image is in the database file. Positive numbers are WAL frames. */
const inDatabaseFile = -1;

export class WalCapture {
  readonly #files: DatabaseFiles;
  readonly #header: WalIndexHeader;
  /** where the newest logged image of a page is; 0: not logged since the last `reset` */
  readonly #logged = new PageTable();
  /** of the images in the thread's cache that are this leader's */
  #imageKey = threadScratch().images.newKey();
  #position: WalMark;
  #change: number;
  /** no frame of this generation lies behind `#position`, or none did before the writer went on */
  #endsClean = false;
  /** captures since the count of commits was compared */
  #uncounted = 0;
  /** frames of the last commit that was counted: as many are read of the next ones */
  #frames = 1;

  /** Starts after the last commit in the WAL: a new leader. Call between transactions of the writer. */
  constructor(files: DatabaseFiles) {
    this.#files = files;
    this.#header = new WalIndexHeader(files);
    this.#header.read();
    this.#position = this.#header.mark();
    this.#change = this.#header.change;
  }

  /** Everything up to here has been captured. */
  get position(): WalMark {
    return this.#position;
  }

  /** Bytes of the WAL in use. */
  get walBytes(): number {
    return framePosition(this.#position.frame + 1, this.#files.frameBytes);
  }

  /** Forgets everything, as for a new term: every page is logged whole at its next change. */
  reset(): void {
    this.#logged.clear();
    this.#imageKey = threadScratch().images.newKey();
    this.#header.read();
    this.#position = this.#header.mark();
    this.#change = this.#header.change;
    this.#endsClean = false;
  }

  /** After `rewindWal` went back to `mark`: pages it took back are logged whole at their next change. */
  rewound(mark: WalMark): void {
    this.#header.read();
    assert(
      this.#header.maxFrame === mark.frame && this.#header.salt1 === mark.salt1,
      'the WAL ends where it was rewound to',
    );
    this.#imageKey = threadScratch().images.newKey();
    this.#logged.replaceAbove(mark.frame, 0);
    this.#logged.cut(mark.databasePages);
    this.#position = mark;
    this.#change = this.#header.change;
    this.#endsClean = false;
  }

  /**
   * What was committed since the last call, as one record of `transactions` client transactions; undefined if nothing
   * was. Call after every statement that may have committed, while no transaction of the writer is open.
   */
  capture(transactions: number): CapturedCommit | undefined {
    const isProven = this.#endsClean && this.#uncounted < uncountedCapturesMax;
    return (isProven ? this.#captureNext(transactions) : undefined) ?? this.#captureCounted(transactions);
  }

  /** A commit failed: it may have written all its frames, and nobody will ever see them. */
  commitFailed(): void {
    this.#endsClean = false;
  }

  /** The one commit that the frames prove; undefined: they do not, and nothing was done. */
  #captureNext(transactions: number): CapturedCommit | undefined {
    const { frameBytes, pageBytes } = this.#files;
    const { encoder, frames } = threadScratch();
    const start = this.#position;
    const wanted = this.#frames;
    const got = this.#files.readWal(
      frames.bytes,
      0,
      wanted * frameBytes + frameHeaderBytes,
      framePosition(start.frame + 1, frameBytes),
    );
    let count = 0;
    let databasePages = 0;
    while (databasePages === 0) {
      const at = count * frameBytes;
      if (count === wanted || at + frameBytes > got || !this.#isOfGeneration(at)) return undefined;
      databasePages = readUint32BigEndian(frames.bytes, at + 4);
      count++;
    }
    const behind = count * frameBytes;
    if (behind + frameHeaderBytes <= got && this.#isOfGeneration(behind)) return undefined;
    if (databasePages < start.databasePages) return undefined;
    encoder.begin(pageBytes);
    const last = start.frame + count;
    this.#encodeFrames(start.frame + 1, count, { lastFrame: last, databasePages, keptPages: databasePages });
    this.#uncounted++;
    this.#change = (this.#change + 1) >>> 0;
    const { salt1, salt2 } = start;
    return this.#captured(transactions, { salt1, salt2, frame: last, databasePages }, 1);
  }

  #captureCounted(transactions: number): CapturedCommit | undefined {
    const header = this.#header;
    header.read();
    this.#followRestart();
    const start = this.#position;
    const end = header.mark();
    const commits = (header.change - this.#change) >>> 0;
    if (end.frame === start.frame) {
      if (commits !== 0) throw this.#lost(`${commits} commits left no frame`);
      return undefined;
    }
    if (end.frame < start.frame) throw this.#lost(`the WAL went back from ${start.frame} to ${end.frame}`);
    const spans = commits === 1 ? [wholeSpan(end)] : this.#findCommits(start.frame, end, commits);
    threadScratch().encoder.begin(this.#files.pageBytes);
    let first = start.frame + 1;
    let databasePages = start.databasePages;
    for (const span of spans) {
      this.#encodeCommit(first, span);
      if (span.databasePages < databasePages) this.#logged.cut(span.databasePages);
      databasePages = span.databasePages;
      first = span.lastFrame + 1;
    }
    this.#change = header.change;
    this.#uncounted = 0;
    this.#frames = Math.min(end.frame - start.frame, provenFramesMax, this.#framesPerRead);
    const captured = this.#captured(transactions, end, commits);
    this.#endsClean = this.#isCleanBehind(end);
    return captured;
  }

  /** The record is whole: the next capture begins behind `end`. */
  #captured(transactions: number, end: WalMark, commits: number): CapturedCommit {
    const { databasePages } = end;
    const parts = threadScratch().encoder.finish(transactions, databasePages);
    const frameStart = this.#position;
    this.#position = end;
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    return { parts, bytes, databasePages, commits, frameStart, frameEnd: end };
  }

  /** Nothing that is there could be taken for a commit that is not. */
  #isCleanBehind(end: WalMark): boolean {
    const { bytes } = threadScratch().frames;
    const position = framePosition(end.frame + 1, this.#files.frameBytes);
    const got = this.#files.readWal(bytes, 0, frameHeaderBytes, position);
    return got < frameHeaderBytes || !this.#isOfGeneration(0);
  }

  /** The frame at `at` of the scratch was written since SQLite started this WAL, as far as was seen. */
  #isOfGeneration(at: number): boolean {
    const { words } = threadScratch().frames;
    const { salt1, salt2 } = this.#position;
    return words[(at >> 2) + 2] === salt1 && words[(at >> 2) + 3] === salt2;
  }

  get #framesPerRead(): number {
    return Math.max(1, Math.floor(pageReadBytesMax / this.#files.frameBytes));
  }

  /** Other salts: SQLite restarted the WAL, so all of the old one is in the database file. */
  #followRestart(): void {
    const { salt1, salt2 } = this.#header;
    if (salt1 === this.#position.salt1 && salt2 === this.#position.salt2) return;
    this.#logged.replaceAbove(0, inDatabaseFile);
    this.#position = { salt1, salt2, frame: 0, databasePages: this.#position.databasePages };
  }

  #encodeCommit(first: number, span: CommitSpan): void {
    const framesPerRead = this.#framesPerRead;
    for (let from = first; from <= span.lastFrame; from += framesPerRead) {
      const count = Math.min(framesPerRead, span.lastFrame - from + 1);
      this.#readFrames(from, count);
      this.#encodeFrames(from, count, span);
    }
  }

  /** Encodes the `count` frames that the scratch has, the first of which is number `from`. */
  #encodeFrames(from: number, count: number, span: CommitSpan): void {
    const { frameBytes } = this.#files;
    for (let index = 0; index < count; index++) {
      const at = index * frameBytes;
      const frame = from + index;
      const pgno = this.#checkFrame(frame, at, frame === span.lastFrame ? span.databasePages : 0);
      if (pgno > span.keptPages) continue;
      this.#encodePage(pgno, at + frameHeaderBytes);
      this.#logged.set(pgno, frame);
    }
  }

  /** Encodes the page at `at` of the scratch against its previous image, if the log has one. */
  #encodePage(pgno: number, at: number): void {
    const { encoder, frames, previous, images } = threadScratch();
    const old = this.#logged.get(pgno);
    const cached = old === 0 ? -1 : images.find(this.#imageKey, pgno);
    if (cached >= 0) encoder.changedPage(pgno, frames, at, images.memory, cached);
    else if (old !== 0 && this.#readPrevious(pgno, old)) encoder.changedPage(pgno, frames, at, previous, 0);
    else encoder.wholePage(pgno, frames.bytes, at);
    images.put(this.#imageKey, pgno, frames.bytes, at, this.#files.pageBytes);
  }

  /** The previous image of a page into the scratch; false if the file ends before it. */
  #readPrevious(pgno: number, old: number): boolean {
    const { bytes } = threadScratch().previous;
    const { pageBytes, frameBytes } = this.#files;
    const got =
      old > 0
        ? this.#files.readWal(bytes, 0, pageBytes, framePosition(old, frameBytes) + frameHeaderBytes)
        : this.#files.readDatabase(bytes, 0, pageBytes, (pgno - 1) * pageBytes);
    return got === pageBytes;
  }

  #readFrames(first: number, count: number): void {
    const { frameBytes } = this.#files;
    const wanted = count * frameBytes;
    const got = this.#files.readWal(
      threadScratch().frames.bytes,
      0,
      wanted,
      framePosition(first, frameBytes),
    );
    if (got !== wanted) throw this.#lost(`frames ${first} to ${first + count - 1} are not in the WAL`);
  }

  /** Checks the frame at `at` of the scratch against the commit it belongs to; returns its page number. */
  #checkFrame(frame: number, at: number, databasePages: number): number {
    const { bytes } = threadScratch().frames;
    const pgno = readUint32BigEndian(bytes, at);
    if (!this.#isOfGeneration(at)) throw this.#lost(`frame ${frame} is of another generation`);
    const size = readUint32BigEndian(bytes, at + 4);
    if (size !== databasePages || pgno === 0) {
      throw this.#lost(`frame ${frame} of page ${pgno} commits ${size} pages, not ${databasePages}`);
    }
    return pgno;
  }

  /** Finds the commit frames after `after`, which must be `commits` in number. */
  #findCommits(after: number, end: WalMark, commits: number): CommitSpan[] {
    const { frameBytes } = this.#files;
    const { bytes } = threadScratch().frames;
    const framesPerRead = this.#framesPerRead;
    const found: { lastFrame: number; databasePages: number }[] = [];
    for (let from = after + 1; from <= end.frame; from += framesPerRead) {
      const count = Math.min(framesPerRead, end.frame - from + 1);
      this.#readFrames(from, count);
      for (let index = 0; index < count; index++) {
        const databasePages = readUint32BigEndian(bytes, index * frameBytes + 4);
        if (databasePages !== 0) found.push({ lastFrame: from + index, databasePages });
      }
    }
    if (found.length !== commits) {
      throw this.#lost(`SQLite counted ${commits} commits, the WAL has ${found.length}`);
    }
    if (found.at(-1)?.lastFrame !== end.frame) throw this.#lost(`frame ${end.frame} is no commit`);
    let keptPages = Number.MAX_SAFE_INTEGER;
    const spans = found.toReversed().map(commit => {
      keptPages = Math.min(keptPages, commit.databasePages);
      return { ...commit, keptPages };
    });
    return spans.toReversed();
  }

  #lost(detail: string): ObError {
    return new ObError('OBS_TENANT_CAPTURE_LOST', { path: this.#files.path, detail });
  }
}

const wholeSpan = (end: WalMark): CommitSpan => ({
  lastFrame: end.frame,
  databasePages: end.databasePages,
  keptPages: end.databasePages,
});
