/**
 * A number per page, 0 where none was set: the newest WAL frame of a page, the slot of its image. Four bytes a page,
 * grown as pages are named.
 */
import { assert } from '../../base/assert.ts';

export class PageTable {
  #values = new Int32Array(256);
  /** no page above this one has a number */
  #highest = 0;

  get(pgno: number): number {
    return pgno <= this.#highest ? (this.#values[pgno] as number) : 0;
  }

  set(pgno: number, value: number): void {
    assert(pgno >= 1, 'pages are counted from 1');
    if (pgno > this.#highest) {
      if (pgno >= this.#values.length) {
        const grown = new Int32Array(Math.max(pgno + 1, this.#values.length * 2));
        grown.set(this.#values);
        this.#values = grown;
      }
      this.#highest = pgno;
    }
    this.#values[pgno] = value;
  }

  /** Forgets the pages above `databasePages`. */
  cut(databasePages: number): void {
    if (databasePages >= this.#highest) return;
    this.#values.fill(0, databasePages + 1, this.#highest + 1);
    this.#highest = databasePages;
  }

  clear(): void {
    this.cut(0);
  }

  /** Replaces every number above `limit` by `value`. */
  replaceAbove(limit: number, value: number): void {
    const values = this.#values;
    for (let pgno = 1; pgno <= this.#highest; pgno++) {
      if ((values[pgno] as number) > limit) values[pgno] = value;
    }
  }
}
