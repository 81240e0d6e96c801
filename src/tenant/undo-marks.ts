/**
 * Where each captured commit began in the WAL, so that it can be taken back. Keeps a bounded number of the newest; what
 * is older was committed long ago, or is left to recovery. Numbers go up by one and are never given twice.
 */
import { assert, must } from '../base/assert.ts';
import { undoMarksMax } from '../base/limits.ts';
import type { WalMark } from './pages/wal-format.ts';

export class UndoMarks {
  /** a ring: commit n at n modulo its size; undefined where a commit was taken back */
  readonly #marks: (WalMark | undefined)[] = [];
  #last = 0;

  add(sequence: number, mark: WalMark): void {
    assert(sequence === this.#last + 1, 'commits are numbered one by one');
    this.#marks[sequence % undoMarksMax] = mark;
    this.#last = sequence;
  }

  /** Where the first commit after `sequence` that is still there began; undefined if that is not known any more. */
  firstAfter(sequence: number): WalMark | undefined {
    if (this.#last - sequence > undoMarksMax) return undefined;
    let number = sequence + 1;
    while (number < this.#last && this.#marks[number % undoMarksMax] === undefined) number += 1;
    return must(this.#marks[number % undoMarksMax], 'the undo mark of a commit that is not kept');
  }

  /** Commits after `sequence` were taken back. */
  cut(sequence: number): void {
    const oldest = Math.max(sequence + 1, this.#last - undoMarksMax + 1);
    for (let number = oldest; number <= this.#last; number++) this.#marks[number % undoMarksMax] = undefined;
  }
}
