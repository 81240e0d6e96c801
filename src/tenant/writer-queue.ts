/**
 * Who may use a tenant's one writer, in the order they asked. Shared turns are single writes: they go to the worker as
 * soon as nobody holds the writer, and share commits there. An exclusive turn is a write transaction, or a checkpoint;
 * it lasts until its release. The worker runs things in the order they are sent, so a turn begins when it is granted,
 * without waiting for the shared ones before it to finish.
 *
 * Bounded in number and in time: who waits too long is refused, and has written nothing.
 */
import { assert, must } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { writersWaitingMax } from '../base/limits.ts';
import type { Clock, Timer } from '../platform/clock.ts';

interface Waiter {
  readonly kind: 'shared' | 'exclusive';
  readonly grant: () => void;
  readonly refuse: (error: ObError) => void;
  timer: Timer | undefined;
  /** granted, refused or cancelled: it only waits to be taken off the list */
  done: boolean;
}

/** An exclusive turn, from the request on. */
export interface WriterTurn {
  /** Ends the turn, or the wait for it. Idempotent. */
  release(): void;
}

export class WriterQueue {
  readonly #tenant: string;
  readonly #clock: Clock;
  /** false: too much is in flight already, shared turns wait */
  readonly #hasRoom: () => boolean;
  #waiting: Waiter[] = [];
  #first = 0;
  #holder: Waiter | undefined;

  constructor(tenant: string, clock: Clock, hasRoom: () => boolean) {
    this.#tenant = tenant;
    this.#clock = clock;
    this.#hasRoom = hasRoom;
  }

  get held(): boolean {
    return this.#holder !== undefined;
  }

  /** A shared turn would be granted at once. */
  get isOpen(): boolean {
    return this.#holder === undefined && this.length === 0 && this.#hasRoom();
  }

  get length(): number {
    return this.#waiting.length - this.#first;
  }

  /** Calls `grant` now or later, or `refuse` with OBS_TENANT_LOCK_WAIT or OBS_TENANT_OVERLOADED. */
  shared(waitMs: number, grant: () => void, refuse: (error: ObError) => void): void {
    if (this.isOpen) grant();
    else this.#enqueue({ kind: 'shared', grant, refuse, timer: undefined, done: false }, waitMs);
  }

  /** The same for a turn of one's own; it must be released. */
  exclusive(waitMs: number, grant: () => void, refuse: (error: ObError) => void): WriterTurn {
    const waiter: Waiter = { kind: 'exclusive', grant, refuse, timer: undefined, done: false };
    const release = () => {
      if (this.#holder === waiter) this.#holder = undefined;
      this.#settle(waiter);
      this.pump();
    };
    if (this.#holder === undefined && this.length === 0) {
      this.#holder = waiter;
      waiter.done = true;
      grant();
    } else this.#enqueue(waiter, waitMs);
    return { release };
  }

  /** An exclusive turn as a promise. */
  acquire(waitMs: number): Promise<WriterTurn> {
    return new Promise((resolve, reject) => {
      const turn: WriterTurn = this.exclusive(
        waitMs,
        () => resolve({ release: () => turn.release() }),
        reject,
      );
    });
  }

  /** Grants what can be granted. Call when room was made. */
  pump(): void {
    while (this.#holder === undefined && this.length > 0) {
      const next = must(this.#waiting[this.#first], 'a waiting writer');
      if (!next.done && next.kind === 'shared' && !this.#hasRoom()) break;
      this.#first += 1;
      if (next.done) continue;
      if (next.kind === 'exclusive') this.#holder = next;
      this.#settle(next);
      next.grant();
    }
    if (this.#first > 64 && this.#first * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
  }

  /** Refuses all who wait; the holder keeps its turn. */
  refuseWaiting(error: ObError): void {
    const refused = this.#waiting.slice(this.#first).filter(({ done }) => !done);
    this.#waiting = [];
    this.#first = 0;
    for (const waiter of refused) {
      this.#settle(waiter);
      waiter.refuse(error);
    }
  }

  #enqueue(waiter: Waiter, waitMs: number): void {
    if (this.length >= writersWaitingMax) {
      waiter.done = true;
      const details = { tenant: this.#tenant, count: writersWaitingMax, what: 'writers waiting' };
      waiter.refuse(new ObError('OBS_TENANT_OVERLOADED', details));
      return;
    }
    this.#waiting.push(waiter);
    waiter.timer = this.#clock.after(waitMs, () => {
      assert(!waiter.done, 'a settled writer has no timer');
      this.#settle(waiter);
      waiter.refuse(new ObError('OBS_TENANT_LOCK_WAIT', { tenant: this.#tenant }));
      this.pump();
    });
  }

  #settle(waiter: Waiter): void {
    waiter.done = true;
    waiter.timer?.cancel();
    waiter.timer = undefined;
  }
}
