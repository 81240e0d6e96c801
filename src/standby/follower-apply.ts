/**
 * Applies a replica's own log to its engine while the engine follows, whoever brings the log: the other members of the
 * cluster, or a pull from another site. Can be ended (the engine is about to lead) and begun again (it led).
 *
 * What fails ends it until it is begun again; a broken invariant or a failed disk is the process's end (S2, S3).
 */
import { isFatal } from '../base/errors.ts';
import type { LogReader, LogTailReader } from '../base/log-access.ts';
import type { Lsn } from '../base/scalars.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import { type ApplyChunk, ApplyLoop, type AppliedPosition } from './apply-loop.ts';

/** What a pull needs to know of it. */
export interface LocalApply {
  /** visible to readers here */
  readonly applied: AppliedPosition;
  /** why it ended by itself; null while all is well */
  readonly problem: unknown;
  /** how old log must be to be applied; 0 lets go of what was kept back */
  setDelay(delayMs: number): void;
  /** Returns the unsubscribe function. */
  onApplied(listener: () => void): () => void;
}

export interface FollowerApplyOptions {
  readonly log: LogReader & LogTailReader;
  readonly apply: ApplyChunk;
  /** what the engine has: a group boundary */
  readonly applied: () => AppliedPosition;
  /** default 0; infinite: nothing until somebody says how old log must be */
  readonly delayMs?: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** it ended by itself, and the process need not end over it */
  readonly onFailed?: (error: unknown) => void;
  readonly onFatal: (error: unknown) => void;
}

export class FollowerApply implements LocalApply {
  readonly #options: FollowerApplyOptions;
  readonly #listeners = new Set<() => void>();
  /** who waits for something to change */
  #idlers: (() => void)[] = [];
  #loop: ApplyLoop | null = null;
  #problem: unknown = null;
  #delayMs: number;

  constructor(options: FollowerApplyOptions) {
    this.#options = options;
    this.#delayMs = options.delayMs ?? 0;
  }

  get applied(): AppliedPosition {
    return this.#loop?.applied ?? this.#options.applied();
  }

  /** End of what the engine was given, be it visible yet or not. */
  get reached(): Lsn {
    return this.#loop?.handed ?? this.#options.applied().lsn;
  }

  get delayMs(): number {
    return this.#delayMs;
  }

  get problem(): unknown {
    return this.#problem;
  }

  setDelay(delayMs: number): void {
    this.#delayMs = delayMs;
    this.#loop?.setDelay(delayMs);
    this.#wake();
  }

  onApplied(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when all that the log has and is old enough is applied, or will not be: it ended. */
  async idle(): Promise<void> {
    while (this.#loop !== null && !this.#loop.isAtRest)
      await new Promise<void>(resolve => this.#idlers.push(resolve));
  }

  /** No effect while it runs. */
  start(): void {
    if (this.#loop !== null) return;
    const { log, apply, applied, clock } = this.#options;
    this.#problem = null;
    this.#loop = new ApplyLoop({
      log,
      apply,
      applied: applied(),
      delayMs: this.#delayMs,
      clock,
      onApplied: () => {
        for (const listener of this.#listeners) listener();
        this.#wake();
      },
      onRest: () => this.#wake(),
      onFailed: error => this.#failed(error),
    });
  }

  /** Resolves when nothing more is handed to the engine. */
  async stop(): Promise<void> {
    const loop = this.#loop;
    this.#loop = null;
    await loop?.close();
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#idlers.splice(0)) resolve();
  }

  #failed(error: unknown): void {
    const { logger, onFailed, onFatal } = this.#options;
    if (isFatal(error)) {
      onFatal(error);
      return;
    }
    // Begun again, it starts from what the engine has by then.
    this.#loop = null;
    this.#problem = error;
    this.#wake();
    logger.error({ err: error }, 'this replica stopped applying its log');
    onFailed?.(error);
  }
}
