/**
 * The worker threads that run SQLite, as the main thread sees them. A tenant is pinned to one worker when its engine
 * opens. Requests of a few event-loop turns go as one message, replies come the same way: a message per request would
 * double the cost of a small statement. A worker has one message at a time: what comes while it is busy goes together
 * when it is done, and shares a commit, for the price of one wake-up.
 *
 * A worker that ends by itself takes every database it owns with it: the process must end (`onFatal`).
 */
import type { Worker } from 'node:worker_threads';
import { assert, must } from '../base/assert.ts';
import { ObError, reviveError } from '../base/errors.ts';
import {
  batchBytesMax,
  batchStatementsMax,
  gatherTurnsMax,
  workerRequestsMax,
  workersMax,
} from '../base/limits.ts';
import { startThread } from '../platform/thread.ts';
import type {
  OperationName,
  StorageState,
  TenantHandle,
  WorkerMessage,
  WorkerOperations,
  WorkerReply,
  WorkerRequest,
  WriteRun,
} from './worker-messages.ts';

export interface WorkerPoolOptions {
  /** number of worker threads, at least 1 */
  readonly workers: number;
  /** A worker ended or failed by itself. Called once. */
  readonly onFatal: (error: Error) => void;
}

/** An answer, or a failure, with the commit whose effects it may show. */
export type Settled<Value> =
  | { readonly kind: 'answer'; readonly sequence: number; readonly value: Value }
  | {
      readonly kind: 'failure';
      readonly sequence: number;
      readonly error: ObError;
      readonly transactionEnded: boolean;
    };

/** Who asked for something. */
export interface Settler<Value> {
  /** Called once, in a later turn than the request; captured commits it depends on were announced before. */
  settle(settled: Settled<Value>): void;
}

export interface Captured {
  readonly sequence: number;
  readonly body: readonly Uint8Array<ArrayBuffer>[];
  readonly bytes: number;
  readonly storage: StorageState;
}

/** A tenant's line to its worker. Requests are handled in the order of `send`. */
export interface WorkerChannel {
  send<Name extends OperationName>(
    kind: Name,
    request: WorkerOperations[Name]['request'],
    settler: Settler<WorkerOperations[Name]['answer']>,
  ): void;
  /** The same as a promise that rejects with the failure's error. */
  ask<Name extends OperationName>(
    kind: Name,
    request: WorkerOperations[Name]['request'],
  ): Promise<WorkerOperations[Name]['answer']>;
  release(): void;
}

interface Line {
  readonly worker: Worker;
  readonly outgoing: WorkerRequest[];
  /** requests since the last message */
  waiting: number;
  /** a message is due within a few turns */
  flushing: boolean;
  /** the worker has not finished the last message */
  busy: boolean;
  tenants: number;
}

export class WorkerPool {
  readonly #lines: Line[];
  readonly #pending = new Map<number, Settler<never>>();
  readonly #captured = new Map<TenantHandle, (captured: Captured) => void>();
  readonly #onFatal: (error: Error) => void;
  #nextRequest = 1;
  #nextTenant: TenantHandle = 1;
  #failed = false;
  #closed = false;

  constructor(options: WorkerPoolOptions) {
    assert(
      Number.isInteger(options.workers) && options.workers >= 1 && options.workers <= workersMax,
      `a pool has 1 to ${workersMax} workers`,
    );
    this.#onFatal = options.onFatal;
    this.#lines = Array.from({ length: options.workers }, () => this.#startLine());
  }

  /** Pins a new tenant to the worker with the fewest. */
  attach(onCaptured: (captured: Captured) => void): WorkerChannel {
    assert(!this.#failed && !this.#closed, 'a pool that has ended takes no tenants');
    const line = this.#lines.reduce((least, other) => (other.tenants < least.tenants ? other : least));
    const tenant = this.#nextTenant++;
    line.tenants += 1;
    this.#captured.set(tenant, onCaptured);
    return {
      send: (kind, request, settler) => this.#send(line, tenant, kind, request, settler),
      ask: (kind, request) =>
        new Promise((resolve, reject) => {
          this.#send(line, tenant, kind, request, {
            settle: (settled: Settled<never>) => {
              if (settled.kind === 'answer') resolve(settled.value);
              else reject(settled.error);
            },
          });
        }),
      release: () => {
        if (this.#captured.delete(tenant)) line.tenants -= 1;
      },
    };
  }

  /** Stops the threads. Every tenant must have been closed before. */
  async close(): Promise<void> {
    if (this.#closed) return;
    assert(this.#failed || this.#captured.size === 0, 'tenants are closed before their workers');
    this.#closed = true;
    await Promise.all(this.#lines.map(line => line.worker.terminate()));
  }

  #startLine(): Line {
    const worker = startThread('./worker', import.meta.url);
    const line: Line = { worker, outgoing: [], waiting: 0, flushing: false, busy: false, tenants: 0 };
    worker.on('message', (message: WorkerMessage) => {
      if (message.finished) line.busy = false;
      this.#receive(message.replies);
      this.#flush(line);
    });
    worker.on('error', error => this.#fail(error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', code => {
      this.#fail(new ObError('OBS_TENANT_WORKER_LOST', { why: `it exited with ${code}` }));
    });
    return line;
  }

  #fail(cause: Error): void {
    if (this.#failed || this.#closed) return;
    this.#failed = true;
    const why = cause.message;
    const known = cause instanceof ObError ? cause : new ObError('OBS_TENANT_WORKER_LOST', { why }, cause);
    this.#onFatal(known);
  }

  #send<Name extends OperationName>(
    line: Line,
    tenant: TenantHandle,
    kind: Name,
    request: WorkerOperations[Name]['request'],
    settler: Settler<WorkerOperations[Name]['answer']>,
  ): void {
    assert(this.#pending.size < workerRequestsMax, 'requests to workers are bounded by their senders');
    const id = this.#nextRequest++;
    this.#pending.set(id, settler as Settler<never>);
    if (kind === 'write') addWrite(line.outgoing, tenant, id, request as WriteRequest);
    else line.outgoing.push({ ...request, kind, id, tenant } as unknown as WorkerRequest);
    line.waiting += 1;
    this.#flush(line);
  }

  #flush(line: Line): void {
    if (line.flushing || line.busy || line.outgoing.length === 0) return;
    line.flushing = true;
    setImmediate(() => setImmediate(() => this.#gather(line, line.waiting, gatherTurnsMax)));
  }

  /**
   * Clients that were answered together ask again within some turns. The first of them alone would make all others wait for its
   * message, and for its commit: it is sent when a turn has brought no other.
   */
  #gather(line: Line, waiting: number, turnsLeft: number): void {
    if (line.waiting > waiting && turnsLeft > 0) {
      setImmediate(() => this.#gather(line, line.waiting, turnsLeft - 1));
      return;
    }
    line.flushing = false;
    line.busy = true;
    line.waiting = 0;
    line.worker.postMessage(line.outgoing);
    line.outgoing.length = 0;
  }

  #receive(replies: readonly WorkerReply[]): void {
    for (const reply of replies) {
      if (reply.kind === 'captured') {
        const { sequence, body, bytes, storage } = reply;
        this.#captured.get(reply.tenant)?.({ sequence, body, bytes, storage });
        continue;
      }
      if (reply.kind === 'written') {
        this.#written(reply);
        continue;
      }
      const settler = this.#settler(reply.id);
      if (reply.kind === 'answer') {
        settler.settle({ kind: 'answer', sequence: reply.sequence, value: reply.value as never });
      } else {
        const { sequence, transactionEnded } = reply;
        settler.settle({ kind: 'failure', sequence, error: reviveError(reply.error), transactionEnded });
      }
    }
  }

  #written({ sequence, ids, changes, rowids }: Extract<WorkerReply, { kind: 'written' }>): void {
    for (let index = 0; index < ids.length; index++) {
      const value = {
        kind: 'done',
        changes: changes[index] as number,
        lastInsertRowid: rowids === null ? 0 : (rowids[index] as number | bigint),
      };
      this.#settler(ids[index] as number).settle({ kind: 'answer', sequence, value: value as never });
    }
  }

  #settler(id: number): Settler<never> {
    const settler = must(this.#pending.get(id), 'the request of a reply');
    this.#pending.delete(id);
    return settler;
  }
}

type WriteRequest = WorkerOperations['write']['request'];

/** Adds a write to the run before it, if it differs in its parameters alone. */
function addWrite(outgoing: WorkerRequest[], tenant: TenantHandle, id: number, request: WriteRequest): void {
  const { statement, foreignKeys } = request;
  const { sql, parameters, rowsMax, internal } = statement;
  let bytes = sql.length;
  for (const value of parameters) {
    if (typeof value === 'string' || value instanceof Uint8Array) bytes += value.length;
  }
  const last = outgoing.at(-1);
  if (last?.kind === 'writes' && last.tenant === tenant && continues(last, request, bytes)) {
    last.bytes += bytes;
    last.ids.push(id);
    for (const value of parameters) last.parameters.push(value);
    return;
  }
  const run = { bytes, sql, rowsMax, internal, foreignKeys, ids: [id], parameters: [...parameters] };
  outgoing.push({ kind: 'writes', tenant, ...run });
}

/** A run is no larger than a batch may be. */
const continues = (run: WriteRun, { statement, foreignKeys }: WriteRequest, bytes: number): boolean =>
  run.sql === statement.sql &&
  run.rowsMax === statement.rowsMax &&
  run.internal === statement.internal &&
  run.foreignKeys === foreignKeys &&
  run.parameters.length === run.ids.length * statement.parameters.length &&
  run.ids.length < batchStatementsMax &&
  run.bytes + bytes <= batchBytesMax;
