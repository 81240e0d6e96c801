/**
 * Serves one tenant's requests inside its worker: turns requests into calls of `TenantCore`, gathers the writes of a
 * message into batches, and answers. Every answer carries the newest commit its session may have seen.
 *
 * Errors of the catalogue and of SQLite are answers; anything else is a broken invariant and ends the thread, which
 * ends the process.
 */
import { assert, must } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { batchBytesMax, batchStatementsMax } from '../base/limits.ts';
import { statementError } from './sqlite-errors.ts';
import { TenantCore } from './tenant-core.ts';
import {
  errorMessage,
  type OperationName,
  type WorkerOperations,
  type WorkerReply,
  type WorkerRequest,
} from './worker-messages.ts';
import type { GuardedStatement } from './write-batch.ts';

type WriteRequest = Extract<WorkerRequest, { kind: 'write' }>;

export class TenantDesk {
  readonly #tenant: number;
  readonly #reply: (reply: WorkerReply) => void;
  #core: TenantCore | undefined;
  /** writes of the running message that have not run yet */
  #writes: WriteRequest[] = [];
  #writesBytes = 0;

  constructor(tenant: number, reply: (reply: WorkerReply) => void) {
    this.#tenant = tenant;
    this.#reply = reply;
  }

  /** Reads run at once, before the writes that came with them; writes wait for their batch. */
  handle(request: WorkerRequest): void {
    switch (request.kind) {
      case 'write':
        this.#gather(request);
        return;
      case 'read':
      case 'describe':
        this.#serve(request);
        return;
      default:
        this.flush();
        this.#serve(request);
    }
  }

  /** Runs the writes that are waiting. Call at the end of each message. */
  flush(): void {
    const writes = this.#writes;
    if (writes.length === 0) return;
    this.#writes = [];
    this.#writesBytes = 0;
    for (let from = 0; from < writes.length; ) {
      const { foreignKeys } = must(writes[from], 'a waiting write');
      let to = from + 1;
      while (writes[to]?.foreignKeys === foreignKeys) to += 1;
      this.#runWrites(writes.slice(from, to), foreignKeys);
      from = to;
    }
  }

  #gather(request: WriteRequest): void {
    this.#writes.push(request);
    this.#writesBytes += request.statement.sql.length;
    for (const value of request.statement.parameters) {
      if (typeof value === 'string' || value instanceof Uint8Array) this.#writesBytes += value.length;
    }
    if (this.#writes.length >= batchStatementsMax || this.#writesBytes >= batchBytesMax) this.flush();
  }

  #runWrites(requests: readonly WriteRequest[], foreignKeys: boolean): void {
    const core = must(this.#core, 'an open tenant');
    const batch: GuardedStatement[] = [];
    const owners: number[] = [];
    for (const { id, statement } of requests) {
      try {
        batch.push(core.runner.guard(statement));
        owners.push(id);
      } catch (error) {
        this.#fail(id, error);
      }
    }
    if (batch.length === 0) return;
    const { outcomes, transactions } = core.runner.write(batch, foreignKeys);
    this.#capture(Math.max(1, transactions));
    for (const [index, outcome] of outcomes.entries()) {
      const id = must(owners[index], 'the request of an outcome');
      if (outcome.kind === 'done') this.#answer(id, outcome.result);
      else this.#fail(id, outcome.error);
    }
  }

  #serve(request: WorkerRequest): void {
    const { id } = request;
    try {
      const value = this.#run(request);
      if (value instanceof Promise) {
        // a failed flush must end the process: an error that is no answer is thrown again by the runtime
        void value.then(
          answer => this.#answer(id, answer),
          (error: unknown) => this.#fail(id, error),
        );
      } else this.#answer(id, value);
    } catch (error) {
      const ended =
        (request.kind === 'step' || request.kind === 'commit') && !this.#core?.runner.has(request.session);
      this.#fail(id, error, ended);
    }
  }

  #run(request: Exclude<WorkerRequest, WriteRequest>): Answer | Promise<Answer>;
  #run(request: WorkerRequest): Answer | Promise<Answer>;
  #run(request: WorkerRequest): Answer | Promise<Answer> {
    if (request.kind === 'recover') {
      assert(this.#core === undefined, 'a database is taken over once');
      this.#core = new TenantCore(request.directory, request.tenantName, request.incarnation);
      return this.#core.recoveryStart;
    }
    const core = this.#core;
    // nothing to close where taking over failed
    if (core === undefined && request.kind === 'close') return null;
    if (core === undefined) throw new ObError('OBS_TENANT_NOT_OPEN', { tenant: '', state: 'closed' });
    switch (request.kind) {
      case 'redo':
        core.redo(request.chunk);
        return null;
      case 'start':
        return core.start(request.mode, request.pageBytes);
      case 'read':
        return core.runner.read(request.statement) ?? { kind: 'needs-writer' };
      case 'describe':
        return core.runner.describe(request.sql, request.internal);
      case 'begin':
        if (request.access === 'write') core.runner.beginWrite(request.session, request.foreignKeys);
        else core.runner.beginRead(request.session, core.visibleSequence);
        return null;
      case 'step':
        return core.runner.step(request.session, request.statement);
      case 'commit':
        if (core.runner.commit(request.session)) this.#capture(1);
        return null;
      case 'rollback':
        if (core.runner.has(request.session)) core.runner.rollback(request.session);
        return null;
      case 'apply':
        return core.apply(request.chunk);
      case 'promote':
        return core.promote();
      case 'demote':
        return core.demote(request.position, request.appliedLsn);
      case 'undo':
        core.undo(request.sequence);
        return null;
      case 'copy':
        return core.copy(request.end, request.readersWaitMs);
      case 'makeDurable':
        return core.makeDurable();
      case 'openSnapshot':
        return core.openSnapshot();
      case 'readSnapshot':
        return core.readSnapshot(request.snapshot);
      case 'closeSnapshot':
        core.closeSnapshot(request.snapshot);
        return null;
      case 'barrier':
        return null;
      case 'rest':
        core.rest();
        return null;
      case 'close':
        this.#core = undefined;
        return core.close().then(() => null);
      default:
        assert(request.kind === 'write', 'writes are gathered');
        throw new ObError('OBS_BUG', { what: 'a write outside its batch' });
    }
  }

  #capture(transactions: number): void {
    const core = must(this.#core, 'an open tenant');
    const commit = core.capture(transactions);
    if (commit === undefined) return;
    this.#reply({
      kind: 'captured',
      tenant: this.#tenant,
      sequence: commit.sequence,
      body: commit.parts,
      bytes: commit.bytes,
      storage: core.storage(),
    });
  }

  #answer(id: number, value: Answer): void {
    const sequence = this.#core?.visibleSequence ?? 0;
    this.#reply({ kind: 'answer', id, tenant: this.#tenant, sequence, value });
  }

  #fail(id: number, error: unknown, transactionEnded = false): void {
    const known = error instanceof ObError ? error : statementError(error, '');
    if (!(known instanceof ObError)) throw known;
    const sequence = this.#core?.visibleSequence ?? 0;
    this.#reply({
      kind: 'failure',
      id,
      tenant: this.#tenant,
      sequence,
      error: errorMessage(known),
      transactionEnded,
    });
  }
}

type Answer = WorkerOperations[OperationName]['answer'];
