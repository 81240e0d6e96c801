/**
 * Time as one simulated machine sees it: a paused process runs nothing until it goes on, then everything that fell due,
 * in order. Its clocks go on meanwhile.
 */
import type { SimTime } from './event-loop.ts';

export class ProcessTime implements SimTime {
  readonly #time: SimTime;
  #pausedUntil = 0;

  constructor(time: SimTime) {
    this.#time = time;
  }

  get now(): number {
    return this.#time.now;
  }

  get isPaused(): boolean {
    return this.#time.now < this.#pausedUntil;
  }

  pauseFor(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#time.now + ms);
  }

  /** Goes on now; what is due comes no later than it would have. */
  resume(): void {
    this.#pausedUntil = 0;
  }

  after(delayMs: number, run: () => void): () => void {
    let cancel = this.#time.after(delayMs, () => fire());
    const fire = (): void => {
      if (!this.isPaused) return run();
      cancel = this.#time.after(this.#pausedUntil - this.#time.now, fire);
    };
    return () => cancel();
  }
}
