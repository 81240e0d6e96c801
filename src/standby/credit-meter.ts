/**
 * How many bytes the source may send: what was taken is given back, no faster than the bandwidth limit. Pure; the limit is
 * kept by withholding credit, so nothing is ever received only to wait in memory.
 */
import { type MonoMs, monoMs } from '../base/scalars.ts';

/** How often credit is given back under a limit. */
const shareMs = 50;

export class CreditMeter {
  readonly #bytesPerMs: number;
  /** taken in and not given back yet */
  #owedBytes = 0;
  /** may be given back now; at most one share is saved up */
  #allowedBytes = 0;
  #filledAt: MonoMs = monoMs(0);

  /** @param bytesPerSecond 0 for no limit */
  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1_000;
  }

  /** Credit is being withheld. */
  get throttling(): boolean {
    return this.#bytesPerMs > 0 && this.#owedBytes > 0;
  }

  /** A new subscription starts with its credit told. */
  reset(now: MonoMs): void {
    this.#owedBytes = 0;
    this.#allowedBytes = 0;
    this.#filledAt = now;
  }

  owe(bytes: number): void {
    this.#owedBytes += bytes;
  }

  /** What may be given back now; it is given. */
  take(now: MonoMs): number {
    if (this.#bytesPerMs === 0) {
      const all = this.#owedBytes;
      this.#owedBytes = 0;
      return all;
    }
    const elapsedMs = now - this.#filledAt;
    if (elapsedMs < shareMs) return 0;
    this.#filledAt = now;
    this.#allowedBytes =
      Math.min(this.#allowedBytes, shareMs * this.#bytesPerMs) + elapsedMs * this.#bytesPerMs;
    const given = Math.floor(Math.min(this.#owedBytes, this.#allowedBytes));
    this.#owedBytes -= given;
    this.#allowedBytes -= given;
    return given;
  }

  /** When more can be given, if anything is owed. */
  dueAt(now: MonoMs): number[] {
    return this.throttling ? [Math.max(now, this.#filledAt + shareMs)] : [];
  }
}
