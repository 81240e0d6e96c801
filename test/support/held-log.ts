/**
 * A log whose commits a test can withhold, refuse or lose: a real log stream underneath, with a hand on what it tells.
 * What is withheld is in the log all the same, as it is when the majority answers late.
 */
import { ObError } from '../../src/base/errors.ts';
import type {
  AppendedEntry,
  LogAccess,
  LogAppender,
  LogChunk,
  LogHold,
  LogPosition,
  LogReader,
  LogState,
  NewEntry,
} from '../../src/base/log-access.ts';
import type { Lsn } from '../../src/base/scalars.ts';

interface Waiter {
  readonly lsn: Lsn;
  readonly resolve: () => void;
  readonly reject: (error: ObError) => void;
}

export class HeldLog implements LogAppender, LogReader {
  readonly real: LogAccess;
  /** entries appended through this log */
  readonly appended: NewEntry[] = [];
  readonly #listeners = new Set<(end: LogPosition) => void>();
  #heldAt: LogPosition | undefined;
  #waiters: Waiter[] = [];
  #refusal: (() => ObError | undefined) | undefined;
  #lost = false;
  /** false: it leads, but may not claim that nobody else does */
  leased = true;

  constructor(real: LogAccess) {
    this.real = real;
    real.onCommitted(() => this.#tell());
  }

  /** From here on nothing is told to be committed. */
  hold(name: string, from: Lsn): LogHold;
  hold(): void;
  hold(name?: string, from?: Lsn): LogHold | undefined {
    if (name !== undefined && from !== undefined) return this.real.hold(name, from);
    this.#heldAt ??= this.real.state().end;
    return undefined;
  }

  /** Tells what was withheld. */
  async release(): Promise<void> {
    await this.real.committed(this.real.state().maxLsn);
    this.#heldAt = undefined;
    this.#tell();
    for (const { resolve } of this.#waiters.splice(0)) resolve();
  }

  /** Leadership ends: what was withheld will never be told. */
  lose(): void {
    this.hold();
    this.#lost = true;
    for (const { lsn, reject } of this.#waiters.splice(0)) {
      reject(new ObError('OBS_LOG_OUTCOME_UNKNOWN', { lsn }));
    }
  }

  /** Leads again, and shows what the log really has. */
  regain(): void {
    this.#lost = false;
    this.#heldAt = undefined;
    this.#refusal = undefined;
  }

  /** Appends fail with what `refusal` makes, while it makes something. */
  refuseAppends(refusal: () => ObError | undefined): void {
    this.#refusal = refusal;
  }

  state(): LogState {
    const state = this.real.state();
    const role = this.#lost ? 'follower' : state.role;
    return this.#heldAt === undefined ? { ...state, role } : { ...state, role, end: this.#heldAt };
  }

  append(entry: NewEntry): AppendedEntry {
    const refusal = this.#refusal?.();
    if (refusal !== undefined) throw refusal;
    if (this.#lost) throw new ObError('OBS_LOG_NOT_APPENDABLE', { stream: 1001, why: 'it follows' });
    this.appended.push(entry);
    return this.real.append(entry);
  }

  committed(lsn: Lsn): Promise<void> {
    if (this.#heldAt === undefined) return this.real.committed(lsn);
    if (lsn <= this.#heldAt.lsn) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ lsn, resolve, reject }));
  }

  holdsLease(): boolean {
    return this.leased && !this.#lost && this.real.holdsLease();
  }

  onCommitted(listener: (end: LogPosition) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async read(from: Lsn, bytesMax: number): Promise<LogChunk> {
    return this.real.read(from, bytesMax);
  }

  #tell(): void {
    if (this.#heldAt !== undefined) return;
    const { end } = this.real.state();
    for (const listener of this.#listeners) listener(end);
  }
}
