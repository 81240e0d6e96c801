/**
 * One uninterrupted leadership of a log stream on this node: from the moment its log leads to the moment it does not. What
 * is begun for it asks it, after everything it awaited, whether it still is.
 */
import { ObError } from '../base/errors.ts';

export class LeaderTerm {
  readonly #tenant: string;
  /** of those who wait now; a term may last for months */
  readonly #waiting = new Set<(error: ObError) => void>();
  #over = false;

  constructor(tenant: string) {
    this.#tenant = tenant;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Throws OBS_ROLE_STOPPED when it is over. */
  mustLast(): void {
    if (this.#over) throw this.#error();
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    for (const reject of this.#waiting) reject(this.#error());
    this.#waiting.clear();
  }

  /** How many wait now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The work's outcome, or OBS_ROLE_STOPPED as soon as the term ends: then nobody hears of the work's. */
  race<Value>(work: Promise<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      if (this.#over) {
        work.catch(() => {});
        reject(this.#error());
        return;
      }
      this.#waiting.add(reject);
      work.then(
        value => {
          this.#waiting.delete(reject);
          resolve(value);
        },
        (error: unknown) => {
          this.#waiting.delete(reject);
          reject(error);
        },
      );
    });
  }

  #error(): ObError {
    return new ObError('OBS_ROLE_STOPPED', { tenant: this.#tenant });
  }
}
