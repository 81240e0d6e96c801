/**
 * One client's conversation with a tenant, on the main thread. Calls run in order. It knows where a statement goes (a
 * reader, the shared writer, its own transaction) and what to tell the client when its transaction was ended for it.
 *
 * It must never let an answer out before the commits it depends on are kept: every reply passes the commit pipeline.
 */
import { assert } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { CommitPipeline } from './commit-pipeline.ts';
import type {
  EngineSession,
  SessionOptions,
  StatementDescription,
  StatementRequest,
  StatementResult,
} from './engine.ts';
import { startsAsRead } from './statement-guard.ts';
import type { OperationName, SessionHandle, Statement, WorkerOperations } from './worker-messages.ts';
import type { WorkerChannel } from './worker-pool.ts';
import type { WriterQueue, WriterTurn } from './writer-queue.ts';

/** What a session needs of its engine. */
export interface SessionHost {
  readonly tenant: string;
  readonly channel: WorkerChannel;
  readonly pipeline: CommitPipeline;
  readonly writers: WriterQueue;
  readonly clock: Clock;
  readonly limits: { readonly lockWaitMs: number; readonly idleInTransactionMs: number };
  /** Throws why no write may begin now. */
  refuseWrites(): void;
  /** Throws if the engine is not open. */
  refuseAll(): void;
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
  #transaction: Transaction = none;
  /** what the client is told at its next call: its transaction was ended meanwhile */
  #notice: ObError | undefined;
  #foreignKeys = true;
  #last: Promise<unknown> = Promise.resolve();
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
  }

  get inTransaction(): boolean {
    return this.#transaction.kind !== 'none';
  }

  /** Holds the writer. */
  get writes(): boolean {
    return this.#transaction.kind === 'write';
  }

  execute(request: StatementRequest): Promise<StatementResult> {
    const { sql, parameters, rowsMax } = request;
    const statement: Statement = { sql, parameters, rowsMax, internal: this.#internal };
    return this.#inOrder(() => {
      if (this.inTransaction) return this.#step(statement);
      return startsAsRead(sql) ? this.#read(statement) : this.#write(statement);
    });
  }

  describe(sql: string): Promise<StatementDescription> {
    return this.#inOrder(() => this.#askAgain('describe', { sql, internal: this.#internal }));
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
    await this.#last.catch(() => undefined);
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
    if (!rolledBack) this.#host.channel.send('rollback', { session: this.#handle }, () => undefined);
    if (transaction.kind === 'write') transaction.turn.release();
  }

  /** Runs calls one after the other. */
  #inOrder<Result>(call: () => Promise<Result>): Promise<Result> {
    if (this.#closed) return Promise.reject(this.#closedError());
    const run = async (): Promise<Result> => {
      this.#stopIdleTimer();
      this.#host.refuseAll();
      this.#throwNotice();
      try {
        return await call();
      } finally {
        if (this.inTransaction && !this.#closed) this.#startIdleTimer();
      }
    };
    const result = this.#last.then(run, run);
    this.#last = result;
    return result;
  }

  #throwNotice(): void {
    const notice = this.#notice;
    this.#notice = undefined;
    if (notice !== undefined) throw notice;
  }

  async #read(statement: Statement): Promise<StatementResult> {
    const result = await this.#askAgain('read', { statement });
    return result.kind === 'needs-writer' ? this.#write(statement) : result;
  }

  #write(statement: Statement): Promise<StatementResult> {
    const host = this.#host;
    host.refuseWrites();
    return new Promise((resolve, reject) => {
      let waiting = true;
      let abandoned = false;
      const grant = () => {
        waiting = false;
        this.#cancelWait = undefined;
        if (!abandoned) this.#send('write', { statement, foreignKeys: this.#foreignKeys }, resolve, reject);
      };
      host.writers.shared(host.limits.lockWaitMs, grant, reject);
      if (waiting) {
        this.#waitOr(error => {
          abandoned = true;
          reject(error);
        });
      }
    });
  }

  /** `cancel` gives up a wait for the writer when the session is closed. */
  #waitOr(cancel: (error: ObError) => void): void {
    if (this.#closed) cancel(this.#closedError());
    else this.#cancelWait = cancel;
  }

  async #step(statement: Statement): Promise<StatementResult> {
    const transaction = this.#transaction;
    try {
      return await this.#ask('step', { session: this.#handle, statement });
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
    await this.#askAgain('begin', { session: this.#handle, access: 'read', foreignKeys: this.#foreignKeys });
    this.#transaction = { kind: 'read' };
  }

  async #beginWrite(lockWaitMs: number | undefined): Promise<void> {
    const host = this.#host;
    host.refuseWrites();
    const turn = await this.#writerTurn(lockWaitMs ?? host.limits.lockWaitMs);
    try {
      host.refuseWrites();
      await this.#ask('begin', { session: this.#handle, access: 'write', foreignKeys: this.#foreignKeys });
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
      this.#host.channel.send('commit', { session: this.#handle }, settled => {
        this.#committing = false;
        // a COMMIT that is refused leaves the transaction open, as SQLite does
        if (settled.kind === 'answer' || settled.transactionEnded) {
          // the next writer need not wait until this one's commit is kept
          this.#transaction = none;
          if (transaction.kind === 'write') transaction.turn.release();
        }
        const release = () => (settled.kind === 'answer' ? resolve() : reject(settled.error));
        this.#host.pipeline.settle(settled.sequence, release, reject);
      });
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
  ): Promise<WorkerOperations[Name]['answer']> {
    return new Promise((resolve, reject) => this.#send(kind, request, resolve, reject));
  }

  /** The same for what changes nothing: run again if it saw commits that were taken back. */
  async #askAgain<Name extends OperationName>(
    kind: Name,
    request: WorkerOperations[Name]['request'],
  ): Promise<WorkerOperations[Name]['answer']> {
    for (;;) {
      try {
        return await this.#ask(kind, request);
      } catch (error) {
        // an undo ends the read transactions it concerns: `begin` begins again on what is kept
        if (!(error instanceof UndoneAnswer)) throw error;
      }
      this.#host.refuseAll();
    }
  }

  /** Sends a request whose answer waits for the commits it depends on. */
  #send<Name extends OperationName>(
    kind: Name,
    request: WorkerOperations[Name]['request'],
    resolve: (value: WorkerOperations[Name]['answer']) => void,
    reject: (error: unknown) => void,
  ): void {
    const { channel, pipeline } = this.#host;
    channel.send(kind, request, settled => {
      const release = () => {
        if (settled.kind === 'answer') resolve(settled.value);
        else reject(settled.transactionEnded ? new EndedTransaction(settled.error) : settled.error);
      };
      const changes = kind === 'write' || kind === 'step';
      const undone = (error: ObError) => reject(changes ? error : new UndoneAnswer(error));
      pipeline.settle(settled.sequence, release, undone);
    });
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

/** The answer showed commits that were taken back. */
class UndoneAnswer extends Error {
  override readonly name = 'UndoneAnswer';
  readonly reason: ObError;
  constructor(reason: ObError) {
    super('what was read was taken back', { cause: reason });
    this.reason = reason;
  }
}

/** A statement failed and took its transaction with it. */
class EndedTransaction extends Error {
  override readonly name = 'EndedTransaction';
  readonly reason: ObError;
  constructor(reason: ObError) {
    super('the transaction ended', { cause: reason });
    this.reason = reason;
  }
}

const stateError = (wanted: string): ObError => new ObError('OBS_TENANT_TRANSACTION_STATE', { wanted });
