/**
 * Where the groups of the newest log end: everything behind the committed end, and a little before it. Two logs that
 * have the same position (LSN, SCN and chained checksum) are equal up to there, so this is all that matching needs.
 */
import { assert, must } from '../base/assert.ts';
import { committedEndsMax } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import type { Lsn } from '../base/scalars.ts';

export class LogEnds {
  /** ascending; the first is at or before the committed end */
  #ends: LogPosition[];
  #head = 0;

  constructor(ends: readonly LogPosition[]) {
    assert(ends.length > 0, 'a list of ends begins at a position');
    this.#ends = [...ends];
  }

  /** The oldest position known. */
  get low(): LogPosition {
    return must(this.#ends[this.#head], 'oldest end');
  }

  push(end: LogPosition): void {
    assert(end.lsn > must(this.#ends.at(-1), 'newest end').lsn, 'ends ascend');
    this.#ends.push(end);
  }

  /** The position at exactly this LSN, if a group ends there. */
  find(at: Lsn): LogPosition | undefined {
    const floor = this.floor(at);
    return floor?.lsn === at ? floor : undefined;
  }

  /** The last position at or before this LSN, if it is known. */
  floor(at: Lsn): LogPosition | undefined {
    const index = this.#floorIndex(at);
    return index < this.#head ? undefined : this.#ends[index];
  }

  /** Positions behind `at`. */
  countBehind(at: Lsn): number {
    return this.#ends.length - 1 - this.#floorIndex(at);
  }

  /** Forgets what lies behind `to`, which must be known or before everything known. */
  cut(to: LogPosition): void {
    const index = this.#floorIndex(to.lsn);
    if (index < this.#head || must(this.#ends[index], 'end').lsn !== to.lsn) {
      this.#ends = [...this.#ends.slice(this.#head, Math.max(this.#head, index + 1)), to];
      this.#head = 0;
    } else this.#ends.length = index + 1;
  }

  /** Everything before is another log. */
  restart(at: LogPosition): void {
    this.#ends = [at];
    this.#head = 0;
  }

  /** Keeps a bounded number of positions before the committed end. */
  trim(committed: Lsn): void {
    const keepFrom = this.#floorIndex(committed) - committedEndsMax;
    if (keepFrom <= this.#head) return;
    this.#head = keepFrom;
    if (this.#head < committedEndsMax) return;
    this.#ends = this.#ends.slice(this.#head);
    this.#head = 0;
  }

  #floorIndex(at: Lsn): number {
    let low = this.#head;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (must(this.#ends[middle], 'end').lsn <= at) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
