/**
 * What an engine does by the clock: a keep-alive entry when its log has stood still, so that the SCN (and with it what
 * standbys show) follows the wall clock; a checkpoint when the last one is long ago; memory given back when no
 * statement came for a while. One timer a tenant, because a process has hundreds of tenants.
 */
import { ObError } from '../base/errors.ts';
import type { LogAppender } from '../base/log-access.ts';
import type { Lsn } from '../base/scalars.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { CheckpointSchedule } from './checkpoint-schedule.ts';
import type { EngineLimits } from './engine-limits.ts';
import type { WorkerChannel } from './worker-pool.ts';

export interface IdleTickerOptions {
  readonly clock: Clock;
  readonly limits: EngineLimits;
  readonly log: LogAppender;
  readonly channel: WorkerChannel;
  readonly checkpoints: CheckpointSchedule;
  /** the log takes entries of this engine */
  readonly leads: () => boolean;
  readonly onFailure: (error: unknown) => void;
}

export class IdleTicker {
  readonly #options: IdleTickerOptions;
  #timer: Timer | undefined;
  #lastEnd: Lsn | undefined;
  #used = true;
  #idleMs = 0;

  constructor(options: IdleTickerOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, limits } = this.#options;
    this.#timer = clock.after(limits.keepAliveMs, () => {
      this.#tick();
      this.start();
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** A statement came. */
  busy(): void {
    this.#used = true;
  }

  #tick(): void {
    const { channel, checkpoints, leads, limits } = this.#options;
    checkpoints.tick();
    if (leads()) this.#keepAlive();
    if (this.#used) {
      this.#used = false;
      this.#idleMs = 0;
      return;
    }
    const before = this.#idleMs;
    this.#idleMs += limits.keepAliveMs;
    // once per idle time
    if (before < limits.restAfterMs && this.#idleMs >= limits.restAfterMs) {
      channel.send(
        'rest',
        {},
        {
          settle: settled => {
            if (settled.kind === 'failure') this.#options.onFailure(settled.error);
          },
        },
      );
    }
  }

  #keepAlive(): void {
    const { log } = this.#options;
    const { end, maxLsn } = log.state();
    const stoodStill = this.#lastEnd === maxLsn;
    this.#lastEnd = maxLsn;
    // the last one is still on its way, or real entries move the SCN
    if (!stoodStill || end.lsn < maxLsn) return;
    try {
      this.#lastEnd = log.append({ kind: 'keep-alive', body: [] }).endLsn;
    } catch (error) {
      // a log that has just been taken away, or is full, says so to the writes as well: nothing is lost with this entry
      const passing =
        error instanceof ObError && (error.kind === 'not-leader' || error.kind === 'unavailable');
      if (!passing) this.#options.onFailure(error);
    }
  }
}
