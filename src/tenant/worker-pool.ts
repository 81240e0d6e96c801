/**
 * The worker threads that run SQLite, as the main thread sees them. A tenant is pinned to one worker when its engine
 * opens. Requests of one event-loop turn go as one message, replies come the same way: a message per request would
 * double the cost of a small statement. A worker has one message at a time: what comes while it is busy goes together
 * when it is done, and shares a commit, for the price of one wake-up.
 *
 * A worker that ends by itself takes every database it owns with it: the process must end (`onFatal`).
 */
import { Worker } from 'node:worker_threads';
import { assert, must } from '../base/assert.ts';
import { ObError, reviveError } from '../base/errors.ts';
import { workerRequestsMax, workersMax } from '../base/limits.ts';
import type {
  OperationName,
  StorageState,
  TenantHandle,
  WorkerMessage,
  WorkerOperations,
  WorkerReply,
  WorkerRequest,
} from './worker-messages.ts';

export interface WorkerPoolOptions {
  /** number of worker threads, at least 1 */
  readonly workers: number;
  /** A worker ended or failed by itself. Called once. */
  readonly onFatal: (error: Error) => void;
}

/** An answer, or a failure, with the commit whose effects it may show. */
type Settled<Value> =
  | { readonly kind: 'answer'; readonly sequence: number; readonly value: Value }
  | {
      readonly kind: 'failure';
      readonly sequence: number;
      readonly error: ObError;
      readonly transactionEnded: boolean;
    };

export interface Captured {
  readonly sequence: number;
  readonly body: readonly Uint8Array<ArrayBuffer>[];
  readonly bytes: number;
  readonly storage: StorageState;
}

/** A tenant's line to its worker. Requests are handled in the order of `send`. */
export interface WorkerChannel {
  /** `settle` is called once, in a later turn; captured commits it depends on were announced before. */
  send<Name extends OperationName>(
    kind: Name,
    request: WorkerOperations[Name]['request'],
    settle: (settled: Settled<WorkerOperations[Name]['answer']>) => void,
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
  /** a message is due at the end of this turn */
  flushing: boolean;
  /** the worker has not finished the last message */
  busy: boolean;
  tenants: number;
}

type Settle = (settled: Settled<never>) => void;

export class WorkerPool {
  readonly #lines: Line[];
  readonly #pending = new Map<number, Settle>();
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
      send: (kind, request, settle) => this.#send(line, tenant, kind, request, settle as Settle),
      ask: (kind, request) =>
        new Promise((resolve, reject) => {
          this.#send(line, tenant, kind, request, (settled: Settled<never>) => {
            if (settled.kind === 'answer') resolve(settled.value);
            else reject(settled.error);
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
    const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';
    const worker = new Worker(new URL(file, import.meta.url));
    const line: Line = { worker, outgoing: [], flushing: false, busy: false, tenants: 0 };
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

  #send(line: Line, tenant: TenantHandle, kind: OperationName, request: object, settle: Settle): void {
    assert(this.#pending.size < workerRequestsMax, 'requests to workers are bounded by their senders');
    const id = this.#nextRequest++;
    this.#pending.set(id, settle);
    line.outgoing.push({ ...request, kind, id, tenant } as unknown as WorkerRequest);
    this.#flush(line);
  }

  #flush(line: Line): void {
    if (line.flushing || line.busy || line.outgoing.length === 0) return;
    line.flushing = true;
    // after all sockets of this turn were read: their statements go together
    setImmediate(() => {
      line.flushing = false;
      line.busy = true;
      line.worker.postMessage(line.outgoing);
      line.outgoing.length = 0;
    });
  }

  #receive(replies: readonly WorkerReply[]): void {
    for (const reply of replies) {
      if (reply.kind === 'captured') {
        const { sequence, body, bytes, storage } = reply;
        this.#captured.get(reply.tenant)?.({ sequence, body, bytes, storage });
        continue;
      }
      const settle = must(this.#pending.get(reply.id), 'the request of a reply');
      this.#pending.delete(reply.id);
      if (reply.kind === 'answer') {
        settle({ kind: 'answer', sequence: reply.sequence, value: reply.value as never });
      } else {
        const { sequence, transactionEnded } = reply;
        settle({ kind: 'failure', sequence, error: reviveError(reply.error), transactionEnded });
      }
    }
  }
}
