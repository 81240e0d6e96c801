/**
 * From a captured commit to an answer that may leave: orders redo in the log, in the order it was committed locally,
 * and tells sessions when it is committed there. Commits go on locally while earlier ones are being flushed.
 *
 * What the log refuses, and everything after it, is taken back from the database. A commit that the log took, but is
 * not known to have kept when leadership ends, has an unknown outcome, and is never reported as anything else. Keeps
 * K4 and promise 1.
 */
import { isObError, ObError } from '../base/errors.ts';
import { commitBytesInFlightMax, commitsInFlightMax } from '../base/limits.ts';
import type { LogAppender, LogPosition } from '../base/log-access.ts';
import type { Lsn } from '../base/scalars.ts';
import { ReplyGate } from './reply-gate.ts';
import type { Captured } from './worker-pool.ts';

interface InFlight {
  readonly sequence: number;
  /** at or before the first byte of its entry */
  readonly startLsn: Lsn;
  readonly endLsn: Lsn;
  readonly bytes: number;
}

interface Undo {
  readonly keep: number;
  readonly error: ObError;
  /** undo requests not answered yet */
  pending: number;
}

export interface CommitPipelineOptions {
  readonly tenant: string;
  readonly log: LogAppender;
  /** Takes back every local commit after `keep`; the answer goes to `undone`. */
  readonly undo: (keep: number) => void;
  /** The log takes nothing from this engine any more. */
  readonly onLost: (cause: ObError) => void;
  /** More may be sent. */
  readonly onRoom: () => void;
  /** A failure that is no answer of the log: the process must end. */
  readonly onFatal: (error: unknown) => void;
}

/** Somebody whose answer depends on a commit. */
export interface ReplyWaiter {
  /** the commit is kept */
  release(): void;
  /** its effects are gone, and why */
  undone(error: ObError): void;
}

export class CommitPipeline {
  readonly #options: CommitPipelineOptions;
  readonly #gate = new ReplyGate<ReplyWaiter>();
  #inFlight: InFlight[] = [];
  /** captured, waiting for room in the log's window */
  #backlog: Captured[] = [];
  #bytes = 0;
  #appendedSequence = 0;
  #undo: Undo | undefined;
  /** why the log takes nothing from this engine any more */
  #lostBy: ObError | undefined;
  #resume: LogPosition;
  #lastEnd: Lsn;
  #committedEnd: Lsn;
  #quietWaiters: (() => void)[] = [];

  /** `position`: the log's end, which the database has. */
  constructor(options: CommitPipelineOptions, position: LogPosition) {
    this.#options = options;
    this.#resume = position;
    this.#lastEnd = position.lsn;
    this.#committedEnd = position.lsn;
  }

  /** False: further writes should wait, or the process would pile up commits that nobody has kept. */
  get hasRoom(): boolean {
    return (
      this.#backlog.length === 0 &&
      this.#inFlight.length < commitsInFlightMax &&
      this.#bytes < commitBytesInFlightMax
    );
  }

  get quiet(): boolean {
    return this.#inFlight.length === 0 && this.#backlog.length === 0 && this.#undo === undefined;
  }

  /** The log was lost, and has not been taken up again. */
  get lost(): boolean {
    return this.#lostBy !== undefined;
  }

  /** Newest group boundary behind which the log has nothing but what is in flight, or not of this database. */
  get resume(): LogPosition {
    return this.#resume;
  }

  /** Entries that end here or before are in the database, and committed. */
  get committedEnd(): Lsn {
    return this.#committedEnd;
  }

  /** Starts a term: the database has everything up to `position`, the log's end. */
  lead(position: LogPosition): void {
    this.#lostBy = undefined;
    this.#resume = position;
    this.#lastEnd = position.lsn;
    this.#committedEnd = position.lsn;
  }

  /**
   * The log is led by somebody else, or by nobody: it may never be handed another commit of this term, even if it is led
   * here again. What is in flight is told by the log, which may have committed some of it in this very moment.
   */
  leadershipEnded(cause: ObError): void {
    this.#end(cause);
    if (this.#inFlight.length === 0 && this.#backlog.length > 0) this.#takeBack(this.#gate.committed, cause);
  }

  /** Takes a commit of the worker, in order. */
  captured(commit: Captured): void {
    // it ran before the worker heard of the undo, which takes it back as well
    if (this.#undo !== undefined && commit.sequence > this.#undo.keep) return;
    this.#bytes += commit.bytes;
    if (this.#backlog.length > 0) this.#backlog.push(commit);
    else this.#append(commit);
  }

  /** Tells `waiter`, now or later, what becomes of commit `sequence`. */
  settle(sequence: number, waiter: ReplyWaiter): void {
    const undo = this.#undo;
    if (undo === undefined || sequence <= undo.keep) this.#gate.wait(sequence, waiter);
    else waiter.undone(this.#whyUndone(sequence, undo.error));
  }

  /** The log's committed end has moved, while this engine leads. */
  advanced(end: LogPosition): void {
    const next = this.#inFlight.find(({ endLsn }) => endLsn > end.lsn);
    if (next === undefined || next.startLsn >= end.lsn) this.#resume = end;
    if (this.#backlog.length > 0) queueMicrotask(() => this.#retry());
  }

  /** The worker has taken back what `undo` asked for. */
  undone(): void {
    const undo = this.#undo;
    if (undo === undefined) return;
    undo.pending -= 1;
    if (undo.pending > 0) return;
    this.#undo = undefined;
    this.#settled();
  }

  /** Resolves when nothing is in flight: all is committed, or taken back. */
  whenQuiet(): Promise<void> {
    if (this.quiet) return Promise.resolve();
    return new Promise(resolve => this.#quietWaiters.push(resolve));
  }

  /** False if the commit waits in the backlog, or was refused. */
  #append(commit: Captured): boolean {
    const { log } = this.#options;
    if (this.#lostBy !== undefined) {
      this.#takeBack(this.#lastTaken, this.#lostBy);
      return false;
    }
    try {
      const { endLsn } = log.append({ kind: 'redo', body: commit.body });
      this.#inFlight.push({
        sequence: commit.sequence,
        startLsn: this.#lastEnd,
        endLsn,
        bytes: commit.bytes,
      });
      this.#lastEnd = endLsn;
      this.#appendedSequence = commit.sequence;
      log.committed(endLsn).then(
        () => this.#committed(commit.sequence, endLsn),
        (error: unknown) => this.#abandoned(error),
      );
      return true;
    } catch (error) {
      if (isObError(error, 'OBS_LOG_WINDOW_FULL') && this.#logIsBusy()) this.#backlog.unshift(commit);
      else if (error instanceof ObError) this.#refused(error);
      else this.#options.onFatal(error);
      return false;
    }
  }

  /** There is something whose commit will make room in the window. */
  #logIsBusy(): boolean {
    const { end, maxLsn } = this.#options.log.state();
    return this.#inFlight.length > 0 || end.lsn < maxLsn;
  }

  #retry(): void {
    for (let commit = this.#backlog.shift(); commit !== undefined; commit = this.#backlog.shift()) {
      if (!this.#append(commit)) return;
    }
  }

  #committed(sequence: number, endLsn: Lsn): void {
    // no longer in flight: a later one committed first, or it was taken back and its clients were told "unknown"
    const oldest = this.#inFlight[0];
    if (oldest === undefined || oldest.sequence > sequence) return;
    let kept = 0;
    for (const commit of this.#inFlight) {
      if (commit.sequence > sequence) break;
      this.#bytes -= commit.bytes;
      kept += 1;
    }
    this.#inFlight.splice(0, kept);
    this.#committedEnd = endLsn;
    this.#gate.commit(sequence);
    this.#retry();
    this.#settled();
  }

  /** Newest commit that the log has taken and that was not taken back; the numbers after it may have gaps. */
  get #lastTaken(): number {
    return this.#inFlight.at(-1)?.sequence ?? this.#gate.committed;
  }

  #refused(error: ObError): void {
    if (error.kind === 'disk' || error.kind === 'bug') this.#options.onFatal(error);
    // A lease that lapsed may come back in the same proposal. If it does not, the log says that its leadership ended.
    if (error.kind === 'not-leader' && error.code !== 'OBS_LOG_LEASE_LOST') this.#end(error);
    this.#takeBack(this.#lastTaken, error);
  }

  /** The log will not tell what becomes of the commits in flight. */
  #abandoned(cause: unknown): void {
    if (!(cause instanceof ObError)) {
      this.#options.onFatal(cause);
      return;
    }
    if (this.lost && this.#inFlight.length === 0) return;
    this.#end(cause);
    this.#inFlight = [];
    const { tenant } = this.#options;
    this.#takeBack(this.#gate.committed, new ObError('OBS_TENANT_UNDONE', { tenant, why: cause.message }));
    this.#settled();
  }

  #end(cause: ObError): void {
    if (this.#lostBy !== undefined) return;
    this.#lostBy = cause;
    this.#options.onLost(cause);
  }

  #takeBack(keep: number, error: ObError): void {
    this.#backlog = [];
    this.#bytes = 0;
    for (const commit of this.#inFlight) this.#bytes += commit.bytes;
    const pending = (this.#undo?.pending ?? 0) + 1;
    this.#undo = { keep: Math.min(keep, this.#undo?.keep ?? keep), error, pending };
    this.#gate.undo(this.#undo.keep, (waiter, waited) =>
      waiter.undone(this.#whyUndone(waited, this.#undo?.error)),
    );
    this.#options.undo(this.#undo.keep);
  }

  #whyUndone(sequence: number, error: ObError | undefined): ObError {
    const { tenant } = this.#options;
    if (sequence <= this.#appendedSequence) return new ObError('OBS_TENANT_OUTCOME_UNKNOWN', { tenant });
    return error ?? new ObError('OBS_TENANT_UNDONE', { tenant, why: 'the log refused them' });
  }

  #settled(): void {
    if (this.quiet) for (const resolve of this.#quietWaiters.splice(0)) resolve();
    this.#options.onRoom();
  }
}
