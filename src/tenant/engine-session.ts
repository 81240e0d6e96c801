/**
 * One client's conversation with a tenant, on the main thread. Calls run in order. It knows where a statement goes (a
 * reader, the shared writer, its own transaction) and what to tell the client when its transaction was ended for it.
 *
 * It must never let an answer out before the commits it depends on are kept: every reply passes the commit pipeline.
 */
import { assert } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type {
  EngineSession,
  SessionOptions,
  StatementDescription,
  StatementRequest,
  StatementResult,
} from './engine.ts';
import {
  type AnswerHost,
  type AnswerTaker,
  EndedTransaction,
  PendingAnswer,
  UndoneAnswer,
} from './pending-answer.ts';
import { startsAsRead } from './statement-guard.ts';
import type { OperationName, SessionHandle, Statement, WorkerOperations } from './worker-messages.ts';
import type { Settled, Settler, WorkerChannel } from './worker-pool.ts';
import type { WriterQueue, WriterTurn } from './writer-queue.ts';

/** What a session needs of its engine. */
export interface SessionHost extends AnswerHost {
  readonly tenant: string;
  readonly channel: WorkerChannel;
  readonly writers: WriterQueue;
  readonly clock: Clock;
  readonly limits: { readonly lockWaitMs: number; readonly idleInTransactionMs: number };
  /** Throws why no write may begin now. */
  refuseWrites(): void;
  /** Throws if the engine is not open. */
  refuseAll(): void;
  /** The term of the leader whose answers it gives now; undefined for those of a follower, which claim nothing. */
  term(): number | undefined;
  forget(session: TenantSession): void;
}

type Transaction =
  | { readonly kind: 'none' }
  | { readonly kind: 'read' }
  | { readonly kind: 'write'; readonly turn: WriterTurn };

const none: Transaction = { kind: 'none' };

export class TenantSession implements EngineSession {
  readonly #host: SessionHost;
  readonly #handle: SessionHandle;
  readonly #internal: boolean;
  readonly #idleMs: number;
  readonly #weak: boolean;
  #transaction: Transaction = none;
  /** what the client is told at its next call: its transaction was ended meanwhile */
  #notice: ObError | undefined;
  #foreignKeys = true;
  /** a call runs */
  #busy = false;
  /** calls behind it */
  readonly #waiting: (() => void)[] = [];
  #idleTimer: Timer | undefined;
  /** gives up the wait for the writer */
  #cancelWait: ((error: ObError) => void) | undefined;
  #committing = false;
  #closed = false;

  constructor(host: SessionHost, handle: SessionHandle, options: SessionOptions) {
    this.#host = host;
    this.#handle = handle;
    this.#internal = options.internal ?? false;
    this.#idleMs = options.idleInTransactionMs ?? host.limits.idleInTransactionMs;
    this.#weak = options.weak ?? false;
  }

  get inTransaction(): boolean {
    return this.#transaction.kind !== 'none';
  }

  /** Holds the writer. */
  get writes(): boolean {
    return this.#transaction.kind === 'write';
  }

  execute(request: StatementRequest): Promise<StatementResult> {
    const { sql, parameters, rowsMax, weak = this.#weak } = request;
    const statement: Statement = { sql, parameters, rowsMax, internal: this.#internal };
    if (this.#isFree && !startsAsRead(sql)) return this.#writeNow(statement);
    return this.#inOrder(() => {
      if (this.inTransaction) return this.#step(statement, this.#claimOf(weak));
      return startsAsRead(sql) ? this.#read(statement, weak) : this.#write(statement);
    });
  }

  describe(sql: string): Promise<StatementDescription> {
    return this.#inOrder(() => this.#askAgain('describe', { sql, internal: this.#internal }, undefined));
  }

  begin(kind: 'read' | 'write', options?: { lockWaitMs?: number }): Promise<void> {
    return this.#inOrder(() => {
      if (this.inTransaction) throw stateError('no open transaction');
      return kind === 'read' ? this.#beginRead() : this.#beginWrite(options?.lockWaitMs);
    });
  }

  commit(): Promise<void> {
    return this.#inOrder(() => this.#commit());
  }

  rollback(): Promise<void> {
    return this.#inOrder(async () => {
      if (!this.inTransaction) throw stateError('an open transaction');
      await this.#rollback();
    });
  }

  setForeignKeys(on: boolean): Promise<void> {
    return this.#inOrder(async () => {
      if (this.inTransaction) throw stateError('no open transaction');
      this.#foreignKeys = on;
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopIdleTimer();
    this.#cancelWait?.(this.#closedError());
    // what runs is finished first; its failure is its caller's
    if (this.#busy) await new Promise<void>(resolve => this.#waiting.push(resolve));
    if (this.inTransaction) await this.#rollback().catch(() => undefined);
    this.#host.forget(this);
  }

  /**
   * Ends the session's transaction from outside: a limit, a drain, an undo. The client is told at its next call.
   * `rolledBack`: the worker has ended it already.
   */
  endTransaction(notice: ObError, rolledBack: boolean): void {
    // a COMMIT on its way decides by itself
    if (!this.inTransaction || (this.#committing && !rolledBack)) return;
    this.#stopIdleTimer();
    this.#notice = notice;
    const transaction = this.#transaction;
    this.#transaction = none;
    if (!rolledBack) this.#host.channel.send('rollback', { session: this.#handle }, ignored);
    if (transaction.kind === 'write') transaction.turn.release();
  }

  /** Runs calls one after the other. */
  #inOrder<Result>(call: () => Promise<Result>): Promise<Result> {
    if (this.#closed) return Promise.reject(this.#closedError());
    if (!this.#busy) return this.#run(call);
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        this.#run(call).then(resolve, reject);
      });
    });
  }

  async #run<Result>(call: () => Promise<Result>): Promise<Result> {
    this.#busy = true;
    try {
      this.#stopIdleTimer();
      this.#host.refuseAll();
      this.#throwNotice();
      return await call();
    } finally {
      this.#ran();
    }
  }

  /** A call has run: the next one may. */
  #ran(): void {
    if (this.inTransaction && !this.#closed) this.#startIdleTimer();
    const next = this.#waiting.shift();
    if (next === undefined) this.#busy = false;
    else queueMicrotask(next);
  }

  /** Nothing of this session runs, and nothing is to be told first. */
  get #isFree(): boolean {
    return !this.#busy && !this.#closed && !this.inTransaction && this.#notice === undefined;
  }

  #throwNotice(): void {
    const notice = this.#notice;
    this.#notice = undefined;
    if (notice !== undefined) throw notice;
  }

  /** A leader's answer claims to be the newest, unless nobody asked for that. */
  #claimOf(weak: boolean): number | undefined {
    return weak ? undefined : this.#host.term();
  }

  async #read(statement: Statement, weak: boolean): Promise<StatementResult> {
    const result = await this.#askAgain('read', { statement }, this.#claimOf(weak));
    return result.kind === 'needs-writer' ? this.#write(statement) : result;
  }

  /** What nearly every statement is, a write of a free session: as `#run` does it, without the promises in between. */
  #writeNow(statement: Statement): Promise<StatementResult> {
    return new Promise((resolve, reject) => {
      this.#host.refuseAll();
      this.#host.refuseWrites();
      this.#busy = true;
      this.#startWrite(statement, {
        resolve: result => {
          this.#ran();
          resolve(result);
        },
        reject: error => {
          this.#ran();
          reject(error);
        },
      });
    });
  }

  #write(statement: Statement): Promise<StatementResult> {
    this.#host.refuseWrites();
    return new Promise((resolve, reject) => this.#startWrite(statement, { resolve, reject }));
  }

  #startWrite(statement: Statement, taker: AnswerTaker<StatementResult>): void {
    const { writers, limits } = this.#host;
    if (writers.isOpen) {
      this.#sendWrite(statement, taker);
      return;
    }
    let waiting = true;
    let abandoned = false;
    const grant = () => {
      waiting = false;
      this.#cancelWait = undefined;
      if (!abandoned) this.#sendWrite(statement, taker);
    };
    const refuse = (error: ObError) => {
      if (!abandoned) taker.reject(error);
    };
    writers.shared(limits.lockWaitMs, grant, refuse);
    if (waiting) {
      this.#waitOr(error => {
        abandoned = true;
        taker.reject(error);
      });
    }
  }

  #sendWrite(statement: Statement, taker: AnswerTaker<StatementResult>): void {
    this.#send('write', { statement, foreignKeys: this.#foreignKeys }, this.#claimOf(false), taker);
  }

  /** `cancel` gives up a wait for the writer when the session is closed. */
  #waitOr(cancel: (error: ObError) => void): void {
    if (this.#closed) cancel(this.#closedError());
    else this.#cancelWait = cancel;
  }

  async #step(statement: Statement, claim: number | undefined): Promise<StatementResult> {
    const transaction = this.#transaction;
    try {
      return await this.#ask('step', { session: this.#handle, statement }, claim);
    } catch (error) {
      if (error instanceof EndedTransaction) {
        this.#transaction = none;
        if (transaction.kind === 'write') transaction.turn.release();
        throw error.reason;
      }
      throw error;
    }
  }

  async #beginRead(): Promise<void> {
    const request = { session: this.#handle, access: 'read', foreignKeys: this.#foreignKeys } as const;
    await this.#askAgain('begin', request, undefined);
    this.#transaction = { kind: 'read' };
  }

  async #beginWrite(lockWaitMs: number | undefined): Promise<void> {
    const host = this.#host;
    host.refuseWrites();
    const turn = await this.#writerTurn(lockWaitMs ?? host.limits.lockWaitMs);
    try {
      host.refuseWrites();
      const request = { session: this.#handle, access: 'write', foreignKeys: this.#foreignKeys } as const;
      await this.#ask('begin', request, undefined);
      this.#transaction = { kind: 'write', turn };
    } catch (error) {
      turn.release();
      throw error instanceof UndoneAnswer ? error.reason : error;
    }
  }

  #writerTurn(waitMs: number): Promise<WriterTurn> {
    return new Promise((resolve, reject) => {
      let granted = false;
      const turn: WriterTurn = this.#host.writers.exclusive(
        waitMs,
        () => {
          granted = true;
          this.#cancelWait = undefined;
          resolve({ release: () => turn.release() });
        },
        reject,
      );
      if (granted) return;
      this.#waitOr(error => {
        turn.release();
        reject(error);
      });
    });
  }

  #commit(): Promise<void> {
    const transaction = this.#transaction;
    if (transaction.kind === 'none') throw stateError('an open transaction');
    this.#committing = true;
    return new Promise((resolve, reject) => {
      const settle = (settled: Settled<null>) => {
        this.#committing = false;
        // a COMMIT that is refused leaves the transaction open, as SQLite does
        if (settled.kind === 'answer' || settled.transactionEnded) {
          // the next writer need not wait until this one's commit is kept
          this.#transaction = none;
          if (transaction.kind === 'write') transaction.turn.release();
        }
        const release = () => (settled.kind === 'answer' ? resolve() : reject(settled.error));
        this.#host.pipeline.settle(settled.sequence, { release, undone: reject });
      };
      this.#host.channel.send('commit', { session: this.#handle }, { settle });
    });
  }

  async #rollback(): Promise<void> {
    const transaction = this.#transaction;
    this.#transaction = none;
    try {
      await this.#host.channel.ask('rollback', { session: this.#handle });
    } finally {
      if (transaction.kind === 'write') transaction.turn.release();
    }
  }

  #ask<Name extends OperationName>(
    kind: Name,
    request: WorkerOperations[Name]['request'],
    claim: number | undefined,
  ): Promise<WorkerOperations[Name]['answer']> {
    return new Promise((resolve, reject) => this.#send(kind, request, claim, { resolve, reject }));
  }

  /** The same for what changes nothing: run again if it saw commits that were taken back. */
  async #askAgain<Name extends OperationName>(
    kind: Name,
    request: WorkerOperations[Name]['request'],
    claim: number | undefined,
  ): Promise<WorkerOperations[Name]['answer']> {
    for (;;) {
      try {
        return await this.#ask(kind, request, claim);
      } catch (error) {
        // an undo ends the read transactions it concerns: `begin` begins again on what is kept
        if (!(error instanceof UndoneAnswer)) throw error;
      }
      this.#host.refuseAll();
    }
  }

  /** Sends a request; its answer passes the commit pipeline. `claim`: the term it must still be when it leaves. */
  #send<Name extends OperationName>(
    kind: Name,
    request: WorkerOperations[Name]['request'],
    claim: number | undefined,
    taker: AnswerTaker<WorkerOperations[Name]['answer']>,
  ): void {
    this.#host.channel.send(kind, request, new PendingAnswer(this.#host, kind, claim, taker));
  }

  #startIdleTimer(): void {
    assert(this.#idleTimer === undefined, 'one idle timer');
    this.#idleTimer = this.#host.clock.after(this.#idleMs, () => {
      this.#idleTimer = undefined;
      this.endTransaction(new ObError('OBS_TENANT_TRANSACTION_IDLE', { ms: this.#idleMs }), false);
    });
  }

  #stopIdleTimer(): void {
    this.#idleTimer?.cancel();
    this.#idleTimer = undefined;
  }

  #closedError(): ObError {
    return new ObError('OBS_TENANT_SESSION_CLOSED', { tenant: this.#host.tenant });
  }
}

const ignored: Settler<unknown> = { settle: () => undefined };

const stateError = (wanted: string): ObError => new ObError('OBS_TENANT_TRANSACTION_STATE', { wanted });
