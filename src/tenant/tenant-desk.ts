/**
 * Serves one tenant's requests inside its worker: turns requests into calls of `TenantCore`, gathers the writes of a
 * message into batches, and answers. Every answer carries the newest commit its session may have seen.
 *
 * Errors of the catalogue and of SQLite are answers; anything else is a broken invariant and ends the thread, which
 * ends the process.
 */
import { assert, must, unreachable } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { batchBytesMax, batchStatementsMax, writerCacheKibibytesMin } from '../base/limits.ts';
import { statementError } from './sqlite-errors.ts';
import { TenantCore } from './tenant-core.ts';
import {
  errorMessage,
  type OperationName,
  type WorkerOperations,
  type WorkerReply,
  type WorkerRequest,
  type WriteRun,
} from './worker-messages.ts';
import type { GuardedStatement } from './write-batch.ts';

export class TenantDesk {
  readonly #tenant: number;
  readonly #reply: (reply: WorkerReply) => void;
  #core: TenantCore | undefined;
  #cacheKibibytes = writerCacheKibibytesMin;
  /** writes of the running message that have not run yet */
  #runs: WriteRun[] = [];
  #writes = 0;
  #writesBytes = 0;

  constructor(tenant: number, reply: (reply: WorkerReply) => void) {
    this.#tenant = tenant;
    this.#reply = reply;
  }

  /** How much page cache the tenant's writer may take from now on. */
  set cacheKibibytes(kibibytes: number) {
    if (kibibytes === this.#cacheKibibytes) return;
    this.#cacheKibibytes = kibibytes;
    if (this.#core !== undefined) this.#core.cacheKibibytes = kibibytes;
  }

  /** Reads run at once, before the writes that came with them; writes wait for their batch. */
  handle(request: WorkerRequest): void {
    switch (request.kind) {
      case 'writes':
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
    const runs = this.#runs;
    if (runs.length === 0) return;
    this.#runs = [];
    this.#writes = 0;
    this.#writesBytes = 0;
    for (let from = 0; from < runs.length; ) {
      const { foreignKeys } = must(runs[from], 'a waiting write');
      let to = from + 1;
      while (runs[to]?.foreignKeys === foreignKeys) to += 1;
      this.#runWrites(runs.slice(from, to), foreignKeys);
      from = to;
    }
  }

  #gather(run: WriteRun): void {
    const count = run.ids.length;
    const fits = this.#writes + count <= batchStatementsMax && this.#writesBytes + run.bytes <= batchBytesMax;
    if (!fits) this.flush();
    this.#runs.push(run);
    this.#writes += count;
    this.#writesBytes += run.bytes;
  }

  #runWrites(runs: readonly WriteRun[], foreignKeys: boolean): void {
    const core = must(this.#core, 'an open tenant');
    const batch: GuardedStatement[] = [];
    const owners: number[] = [];
    for (const run of runs) this.#guard(run, batch, owners);
    if (batch.length === 0) return;
    const { outcomes, transactions } = core.runner.write(batch, foreignKeys);
    this.#capture(Math.max(1, transactions));
    const ids: number[] = [];
    const changes: number[] = [];
    const rowids: (number | bigint)[] = [];
    let gaveRowids = false;
    for (let index = 0; index < outcomes.length; index++) {
      const outcome = must(outcomes[index], 'an outcome');
      const id = must(owners[index], 'the request of an outcome');
      if (outcome.kind === 'failed') this.#fail(id, outcome.error);
      else if (outcome.result.kind === 'rows') this.#answer(id, outcome.result);
      else {
        ids.push(id);
        changes.push(outcome.result.changes);
        rowids.push(outcome.result.lastInsertRowid);
        if (outcome.result.lastInsertRowid !== 0) gaveRowids = true;
      }
    }
    if (ids.length === 0) return;
    const { visibleSequence: sequence } = core;
    this.#reply({
      kind: 'written',
      tenant: this.#tenant,
      sequence,
      ids,
      changes,
      rowids: gaveRowids ? rowids : null,
    });
  }

  /** Adds the statements of a run to a batch, with the requests they belong to; those the guard refuses are answered. */
  #guard(run: WriteRun, batch: GuardedStatement[], owners: number[]): void {
    const { sql, rowsMax, internal, ids, parameters } = run;
    const { runner } = must(this.#core, 'an open tenant');
    try {
      const kind = runner.guard(sql, internal);
      const count = parameters.length / ids.length;
      for (let index = 0; index < ids.length; index++) {
        const own = parameters.slice(index * count, (index + 1) * count);
        batch.push({ statement: { sql, parameters: own, rowsMax, internal }, kind });
        owners.push(must(ids[index], 'a request'));
      }
    } catch (error) {
      for (const id of ids) this.#fail(id, error);
    }
  }

  #serve(request: SingleRequest): void {
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

  #run(request: SingleRequest): Answer | Promise<Answer> {
    if (request.kind === 'recover') {
      assert(this.#core === undefined, 'a database is taken over once');
      this.#core = new TenantCore(request.directory, request.tenantName, request.incarnation);
      this.#core.cacheKibibytes = this.#cacheKibibytes;
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
        return unreachable(request);
    }
  }

  #capture(transactions: number): void {
    const core = must(this.#core, 'an open tenant');
    const captured = core.capture(transactions);
    if (captured === undefined) return;
    const { sequence, commit } = captured;
    this.#reply({
      kind: 'captured',
      tenant: this.#tenant,
      sequence,
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

/** Everything but writes, which are gathered. */
type SingleRequest = Exclude<WorkerRequest, WriteRun>;
type Answer = WorkerOperations[OperationName]['answer'];
