/**
 * Hands a standby's own log to its engine, in order and each group once, a bounded number of pieces at a time.
 *
 * It reads what is durable here, whoever wrote it, so it neither knows nor cares whether log is being pulled. A delay keeps
 * groups back until they are that old; the log itself is not kept back. Never skips: what fails stops the loop (S2, S3).
 */
import { must } from '../base/assert.ts';
import { applyBytes, appliesMax } from '../base/limits.ts';
import type { LogChunk, LogReader, LogTailReader } from '../base/log-access.ts';
import { type Lsn, type Scn, scn } from '../base/scalars.ts';
import { decodeChunk, isProblem } from '../codec/clog.ts';
import { ObError } from '../base/errors.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import { cutAt } from './chunk-cut.ts';

export type ApplyChunk = (
  chunk: LogChunk,
) => Promise<{ readonly appliedLsn: Lsn; readonly readableScn: Scn }>;

export interface AppliedPosition {
  readonly lsn: Lsn;
  readonly scn: Scn;
}

export interface ApplyLoopOptions {
  readonly log: LogReader & LogTailReader;
  readonly apply: ApplyChunk;
  /** what the engine holds already: a group boundary */
  readonly applied: AppliedPosition;
  readonly delayMs: number;
  readonly clock: Clock;
  readonly onApplied: (position: AppliedPosition) => void;
  /** nothing that was handed over is left, and nothing is being read */
  readonly onRest: () => void;
  /** the loop has stopped, and nothing that was handed over is left */
  readonly onFailed: (error: unknown) => void;
}

/** How often a delayed standby looks whether more is old enough. */
const delayCheckMs = 1_000;

export class ApplyLoop {
  readonly #options: ApplyLoopOptions;
  readonly #unsubscribe: () => void;
  #delayMs: number;
  /** end of what was handed over */
  #handed: Lsn;
  #applied: AppliedPosition;
  #running = 0;
  /** the next group was too young when it was looked at */
  #isKeptBack = false;
  #reading = false;
  #closed = false;
  /** why it stopped by itself, until that is told */
  #failure: { readonly error: unknown } | null = null;
  #timer: Timer | null = null;
  #idle: (() => void)[] = [];

  /** Starts at once. */
  constructor(options: ApplyLoopOptions) {
    this.#options = options;
    this.#delayMs = options.delayMs;
    this.#handed = options.applied.lsn;
    this.#applied = options.applied;
    this.#unsubscribe = options.log.onCommitted(() => this.#pump());
    this.#pump();
  }

  get applied(): AppliedPosition {
    return this.#applied;
  }

  /** End of what was handed to the engine, be it applied or not. */
  get handed(): Lsn {
    return this.#handed;
  }

  /** All that may be applied now is. */
  get isAtRest(): boolean {
    if (this.#running > 0 || this.#reading) return false;
    return this.#isKeptBack || this.#options.log.state().end.lsn <= this.#handed;
  }

  /** A role change needs everything now: 0 lets go of what was kept back. */
  setDelay(delayMs: number): void {
    this.#delayMs = delayMs;
    this.#pump();
  }

  /** Hands nothing more over; resolves when what was handed over is applied or has failed. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#failure = null;
    this.#unsubscribe();
    this.#timer?.cancel();
    if (this.#running > 0 || this.#reading) await new Promise<void>(resolve => this.#idle.push(resolve));
  }

  #pump(): void {
    try {
      this.#handAll();
    } catch (error) {
      this.#fail(error);
      // Whoever began it has to hear of it after that.
      queueMicrotask(() => this.#settled());
    }
  }

  #handAll(): void {
    const { log } = this.#options;
    while (!this.#closed && !this.#reading && this.#running < appliesMax) {
      if (log.state().end.lsn <= this.#handed) return;
      const chunk = log.readRecent(this.#handed, applyBytes);
      if (chunk === undefined) {
        void this.#readFromDisk();
        return;
      }
      if (!this.#hand(chunk)) return;
    }
  }

  async #readFromDisk(): Promise<void> {
    this.#reading = true;
    try {
      const chunk = await this.#options.log.read(this.#handed, applyBytes);
      this.#reading = false;
      if (!this.#closed && this.#hand(chunk)) this.#pump();
    } catch (error) {
      this.#reading = false;
      this.#fail(error);
    } finally {
      this.#settled();
    }
  }

  /** False when nothing of it may be applied yet. */
  #hand(read: LogChunk): boolean {
    const chunk = this.#delayMs > 0 ? this.#oldEnough(read) : read;
    this.#isKeptBack = chunk.bytes.length === 0;
    if (this.#isKeptBack) return false;
    this.#handed = chunk.end.lsn;
    this.#running += 1;
    this.#options.apply(chunk).then(
      ({ readableScn }) => {
        this.#running -= 1;
        // The engine answers in order; the end of the chunk is what readers see now.
        this.#applied = { lsn: chunk.end.lsn, scn: readableScn };
        if (!this.#closed) this.#options.onApplied(this.#applied);
        this.#pump();
        this.#settled();
      },
      (error: unknown) => {
        this.#running -= 1;
        this.#fail(error);
        this.#settled();
      },
    );
    return true;
  }

  #oldEnough(chunk: LogChunk): LogChunk {
    const limit = scn(Math.max(0, this.#options.clock.wall() - this.#delayMs * 1_000));
    if (chunk.end.scn <= limit) return chunk;
    const groups = decodeChunk(chunk);
    if (isProblem(groups)) {
      const { stream } = this.#options.log.state();
      throw new ObError('OBS_LOG_CORRUPT', { stream, what: groups.what, lsn: groups.lsn });
    }
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(delayCheckMs, () => this.#pump());
    return cutAt(chunk, groups, limit);
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#failure = { error };
    this.#unsubscribe();
    this.#timer?.cancel();
  }

  #settled(): void {
    if (this.#running > 0 || this.#reading) return;
    while (this.#idle.length > 0) must(this.#idle.pop(), 'a waiter')();
    const failure = this.#failure;
    this.#failure = null;
    if (failure !== null) this.#options.onFailed(failure.error);
    else if (!this.#closed) this.#options.onRest();
  }
}
