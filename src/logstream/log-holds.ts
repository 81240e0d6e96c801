/**
 * Named claims on a log: what they name, and everything behind it, is not recycled (L7).
 *
 * Must never: hold more than a bounded number, whoever asks.
 */
import { logHoldsMax } from '../base/limits.ts';
import type { LogHold } from '../base/log-access.ts';
import { type Lsn, lsn } from '../base/scalars.ts';

interface Hold {
  readonly name: string;
  from: Lsn;
}

export class LogHolds {
  readonly #holds = new Set<Hold>();
  readonly #onMoved: () => void;

  /** @param onMoved called when a hold let go of something */
  constructor(onMoved: () => void) {
    this.#onMoved = onMoved;
  }

  /**
   * Undefined: there are as many as there may be.
   * @param isOnly ends another hold of this name
   */
  add(name: string, from: Lsn, isOnly: boolean): LogHold | undefined {
    const before = isOnly ? [...this.#holds].find(held => held.name === name) : undefined;
    if (before === undefined && this.#holds.size >= logHoldsMax) return undefined;
    const hold: Hold = { name, from };
    this.#holds.add(hold);
    if (before !== undefined && this.#holds.delete(before)) this.#onMoved();
    return {
      advance: to => {
        if (to <= hold.from) return;
        hold.from = to;
        this.#onMoved();
      },
      release: () => {
        if (this.#holds.delete(hold)) this.#onMoved();
      },
    };
  }

  /** The lowest LSN still held, at most `limit`. */
  lowest(limit: Lsn): Lsn {
    let low: number = limit;
    for (const hold of this.#holds) low = Math.min(low, hold.from);
    return lsn(low);
  }

  /** Who holds log below `limit`, oldest claim first: for the operator of a full disk. */
  below(limit: Lsn): readonly string[] {
    return [...this.#holds]
      .filter(hold => hold.from < limit)
      .sort((a, b) => a.from - b.from)
      .map(hold => `${hold.name} (LSN ${hold.from})`);
  }
}
