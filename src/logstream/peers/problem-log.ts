/**
 * What went wrong with other nodes, for people: counted by who and what, kept for the status, and logged once a minute
 * at most, however often it happens.
 */
import type { ErrorCode } from '../../base/catalogue.ts';
import type { ObError } from '../../base/errors.ts';
import { nodeRefusalLogMs, nodeRefusalsMax } from '../../base/limits.ts';
import type { MonoMs, WallMicros } from '../../base/scalars.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/logger.ts';

export interface NodeProblem {
  /** a node id, or the address of one that did not prove who it is */
  readonly who: string;
  readonly code: ErrorCode;
  readonly message: string;
  readonly times: number;
  /** the last time */
  readonly at: WallMicros;
}

interface Counted extends NodeProblem {
  loggedAt: MonoMs;
  loggedTimes: number;
}

export class ProblemLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** the one that happened last is the last */
  readonly #problems = new Map<string, Counted>();

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  note(who: string, error: ObError): void {
    const key = `${error.code} ${who}`;
    const now = this.#clock.now();
    const before = this.#problems.get(key);
    this.#problems.delete(key);
    if (before === undefined && this.#problems.size >= nodeRefusalsMax) {
      const [oldest] = this.#problems.keys();
      if (oldest !== undefined) this.#problems.delete(oldest);
    }
    const problem: Counted = {
      who,
      code: error.code,
      message: error.message,
      times: (before?.times ?? 0) + 1,
      at: this.#clock.wall(),
      loggedAt: before?.loggedAt ?? now,
      loggedTimes: before?.loggedTimes ?? 0,
    };
    this.#problems.set(key, problem);
    if (before !== undefined && now - before.loggedAt < nodeRefusalLogMs) return;
    const context = { err: error, who, times: problem.times - problem.loggedTimes };
    problem.loggedAt = now;
    problem.loggedTimes = problem.times;
    if (error.kind === 'unavailable') this.#logger.info(context, 'connection between servers');
    else this.#logger.warn(context, 'connection between servers');
  }

  view(): NodeProblem[] {
    return [...this.#problems.values()].map(({ who, code, message, times, at }) => ({
      who,
      code,
      message,
      times,
      at,
    }));
  }
}
