/**
 * An answer on its way from the worker to the session that asked: one object a request, from the moment it is sent. It
 * waits for the commits it depends on, and leaves, if it claims to be current, only in the term it was read in. A write
 * that waited was committed by this leader: that is true whoever leads now.
 */
import { must } from '../base/assert.ts';
import type { ObError } from '../base/errors.ts';
import type { CommitPipeline, ReplyWaiter } from './commit-pipeline.ts';
import type { OperationName, WorkerOperations } from './worker-messages.ts';
import type { Settled, Settler } from './worker-pool.ts';

/** What an answer needs of its engine. */
export interface AnswerHost {
  readonly pipeline: CommitPipeline;
  /** Why what was read in term `claim` must not be told as current now. */
  outdated(claim: number): ObError | undefined;
}

export interface AnswerTaker<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
}

export class PendingAnswer<Name extends OperationName>
  implements Settler<WorkerOperations[Name]['answer']>, ReplyWaiter
{
  readonly #host: AnswerHost;
  readonly #kind: Name;
  /** the term it must still be, or undefined for what may be old */
  readonly #claim: number | undefined;
  readonly #taker: AnswerTaker<WorkerOperations[Name]['answer']>;
  #settled: Settled<WorkerOperations[Name]['answer']> | undefined;
  #waited = false;

  constructor(
    host: AnswerHost,
    kind: Name,
    claim: number | undefined,
    taker: AnswerTaker<WorkerOperations[Name]['answer']>,
  ) {
    this.#host = host;
    this.#kind = kind;
    this.#claim = claim;
    this.#taker = taker;
  }

  settle(settled: Settled<WorkerOperations[Name]['answer']>): void {
    this.#settled = settled;
    this.#host.pipeline.settle(settled.sequence, this);
    this.#waited = true;
  }

  release(): void {
    const settled = must(this.#settled, 'an answer is released after it came');
    const isKept = this.#waited && this.#kind === 'write';
    const outdated = this.#claim === undefined || isKept ? undefined : this.#host.outdated(this.#claim);
    if (settled.kind === 'answer') {
      if (outdated === undefined) this.#taker.resolve(settled.value);
      else this.#taker.reject(outdated);
      return;
    }
    const error = outdated ?? settled.error;
    this.#taker.reject(settled.transactionEnded ? new EndedTransaction(error) : error);
  }

  undone(error: ObError): void {
    const changes = this.#kind === 'write' || this.#kind === 'step';
    this.#taker.reject(changes ? error : new UndoneAnswer(error));
  }
}

/** The answer showed commits that were taken back. */
export class UndoneAnswer extends Error {
  override readonly name = 'UndoneAnswer';
  readonly reason: ObError;
  constructor(reason: ObError) {
    super('what was read was taken back', { cause: reason });
    this.reason = reason;
  }
}

/** A statement failed and took its transaction with it. */
export class EndedTransaction extends Error {
  override readonly name = 'EndedTransaction';
  readonly reason: ObError;
  constructor(reason: ObError) {
    super('the transaction ended', { cause: reason });
    this.reason = reason;
  }
}
