/** Runs one locality task: asks and orders what its core says, one thing at a time, until it is finished or this server leads the root service no more. */
import { unreachable } from '../../base/assert.ts';
import { isSurvivable, type ObError } from '../../base/errors.ts';
import { localityRetryMs } from '../../base/limits.ts';
import { type MonoMs, monoMs } from '../../base/scalars.ts';
import type { Clock } from '../../platform/clock.ts';
import {
  type LocalityAction,
  LocalityCore,
  type LocalityEffect,
  type LocalityInput,
  type LocalitySight,
  type LocalityTask,
} from './locality-core.ts';

export interface LocalityDriverPorts {
  readonly clock: Clock;
  /** the task as it is stored, and the world as it is now; null: there is no such task any more */
  readonly observe: () => Promise<{ readonly task: LocalityTask; readonly sight: LocalitySight } | null>;
  /** Throws when it was refused, failed, or may have failed. */
  readonly perform: (action: LocalityAction) => Promise<void>;
  readonly note: (detail: string) => Promise<void>;
}

export class LocalityDriver {
  readonly #ports: LocalityDriverPorts;
  readonly #core = new LocalityCore();
  readonly #ended: Promise<void>;
  #stopped = false;
  #hurry: (() => void) | null = null;

  constructor(ports: LocalityDriverPorts) {
    this.#ports = ports;
    this.#ended = this.#run();
  }

  /** Resolves when it is finished or stopped; rejects for a broken invariant. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** The target changed: looks at once instead of waiting. */
  look(): void {
    this.#hurry?.();
  }

  stop(): void {
    this.#stopped = true;
    this.#hurry?.();
  }

  async #run(): Promise<void> {
    let input: LocalityInput | null = { kind: 'look' };
    while (input !== null && !this.#stopped) {
      const effects: readonly LocalityEffect[] = this.#core.step(input, this.#ports.clock.now());
      input = null;
      for (const effect of effects) input = (await this.#carryOut(effect)) ?? input;
    }
  }

  /** Returns what it leads to. */
  async #carryOut(effect: LocalityEffect): Promise<LocalityInput | null> {
    const { perform, note } = this.#ports;
    switch (effect.kind) {
      case 'progress':
        await attempt(() => note(effect.detail));
        return null;
      case 'wakeAt':
        await this.#sleepUntil(effect.at);
        return { kind: 'wake' };
      case 'act': {
        const failure = await attempt(() => perform(effect.action));
        return { kind: 'done', ok: failure === null, detail: failure?.message ?? '' };
      }
      case 'observe':
        return this.#observe();
      default:
        return unreachable(effect);
    }
  }

  async #observe(): Promise<LocalityInput | null> {
    const { clock, observe } = this.#ports;
    while (!this.#stopped) {
      try {
        const seen = await observe();
        return seen === null ? null : { kind: 'sight', ...seen };
      } catch (error) {
        mustBeKnown(error);
      }
      await this.#sleepUntil(monoMs(clock.now() + localityRetryMs));
    }
    return null;
  }

  #sleepUntil(at: MonoMs): Promise<void> {
    const { clock } = this.#ports;
    if (this.#stopped) return Promise.resolve();
    return new Promise(resolve => {
      const timer = clock.after(Math.max(0, at - clock.now()), () => this.#hurry?.());
      this.#hurry = () => {
        this.#hurry = null;
        timer.cancel();
        resolve();
      };
    });
  }
}

/** Null when it was done. */
async function attempt(work: () => Promise<void>): Promise<ObError | null> {
  try {
    await work();
    return null;
  } catch (error) {
    return mustBeKnown(error);
  }
}

/** A broken invariant and a failed disk are thrown on: the process ends over them. */
function mustBeKnown(error: unknown): ObError {
  if (!isSurvivable(error)) throw error;
  return error;
}
