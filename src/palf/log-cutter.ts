/**
 * Cutting the log of a replica back, in steps that survive a crash at any moment: wait until no write is in flight, note
 * the cut durably (with whatever change it belongs to), forget the bytes, note that it is done. Until the last step is
 * durable nothing may be written behind the cut: the next start would cut that too.
 */
import { assert, must } from '../base/assert.ts';
import type { LogPosition } from '../base/log-access.ts';
import type { MonoMs } from '../base/scalars.ts';
import type { MetaWriter } from './meta-writer.ts';
import type { Outbox } from './outbox.ts';
import type { ReplicaLog } from './replica-log.ts';

interface Cut {
  readonly to: LogPosition;
  /** the committed end goes back with it */
  readonly flashback: boolean;
  /** bytes that are no log are to be forgotten as well */
  readonly erase?: boolean;
  /** what becomes durable together with the decision */
  readonly decide: () => void;
  readonly done: () => void;
}

type State = 'idle' | 'waiting' | 'deciding' | 'cutting' | 'noting';

export class LogCutter {
  readonly #log: ReplicaLog;
  readonly #meta: MetaWriter;
  readonly #out: Outbox;
  #state: State = 'idle';
  #cut: Cut | undefined;
  #truncateIo = 0;
  #startedAt: MonoMs | undefined;

  constructor(log: ReplicaLog, meta: MetaWriter, out: Outbox) {
    this.#log = log;
    this.#meta = meta;
    this.#out = out;
    if (meta.durable.truncateTo === null) return;
    // Recovery finished it.
    this.#state = 'noting';
    meta.change({ truncateTo: null });
  }

  get isBusy(): boolean {
    return this.#state !== 'idle';
  }

  /** Where the log ends when the cut under way is made. */
  get endsAt(): LogPosition | undefined {
    return this.#cut?.to;
  }

  /** Since when bytes have been being forgotten. */
  get writingSince(): MonoMs | undefined {
    return this.#startedAt;
  }

  /** Cuts the log back to `to`. What waits for the disk is forgotten at once. */
  begin(cut: Cut): void {
    assert(this.#state === 'idle', 'one cut at a time');
    assert(cut.flashback || cut.to.lsn >= this.#log.committed.lsn, 'no cut under the committed end');
    this.#cut = cut;
    this.#state = 'waiting';
    this.#log.dropUnsubmitted();
    this.advance();
  }

  /** Another leader speaks: a cut that was not decided is not wanted any more. */
  cancelWaiting(): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'idle';
    this.#cut = undefined;
  }

  /** A write ended: goes on if that is what it waited for. */
  advance(): void {
    if (this.#state !== 'waiting' || this.#log.isFlushing) return;
    const cut = must(this.#cut, 'cut');
    cut.decide();
    if (this.#log.flushed.lsn <= cut.to.lsn && cut.erase !== true) return this.#finish(cut);
    this.#state = 'deciding';
    this.#meta.change({ truncateTo: cut.to });
  }

  /** An image became durable. */
  metaDurable(now: MonoMs): void {
    const { truncateTo } = this.#meta.durable;
    if (this.#state === 'deciding' && truncateTo !== null) {
      const { to, flashback } = must(this.#cut, 'cut');
      this.#state = 'cutting';
      this.#truncateIo = this.#out.nextId();
      this.#startedAt = now;
      this.#out.push({ kind: 'truncateLog', ioId: this.#truncateIo, to, flashback });
    } else if (this.#state === 'noting' && truncateTo === null) {
      const cut = this.#cut;
      if (cut === undefined) this.#state = 'idle';
      else this.#finish(cut);
    }
  }

  /** Whether this completes the truncation in flight. */
  truncated(ioId: number): boolean {
    if (this.#state !== 'cutting' || ioId !== this.#truncateIo) return false;
    const { to, flashback } = must(this.#cut, 'cut');
    const from = (flashback ? this.#log.committed : this.#log.flushed).lsn;
    this.#startedAt = undefined;
    this.#log.cut(to);
    this.#state = 'noting';
    this.#meta.change({ truncateTo: null });
    this.#out.trace({ event: flashback ? 'flashback' : 'truncate', from, to: to.lsn });
    return true;
  }

  #finish(cut: Cut): void {
    this.#state = 'idle';
    this.#cut = undefined;
    cut.done();
  }
}
