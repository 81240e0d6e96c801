/**
 * Requests over one channel, both ways. Every wait ends: with the answer, its time limit, or the end of the connection;
 * the last two say that it may have been done (OBS_NODE_TIMEOUT, OBS_NODE_LOST).
 */
import { assert } from '../../base/assert.ts';
import { isFatal, ObError } from '../../base/errors.ts';
import { nodeJsonBytesMax, nodeRequestMsDefault, nodeRequestsMax } from '../../base/limits.ts';
import type { NodeId } from '../../base/scalars.ts';
import { isOpName, type NodeBatch, type NodeMessage, type NodeMessageOf } from '../../codec/node-message.ts';
import type { Timer } from '../../platform/clock.ts';
import type { NodeChannel } from './node-channel.ts';
import type { NodePeer, NodePorts } from './node-ports.ts';
import { errorOfNode, toldError } from './told-error.ts';

export interface RequestOptions {
  /** for the whole of it, however much progress it tells of */
  readonly timeoutMs?: number;
  readonly onProgress?: (body: unknown) => void;
}

/** Who asks. */
export interface RequestOrigin {
  readonly nodeId: NodeId;
  /** where its cluster port is reached, as host:port */
  readonly address: string;
}

/** Bodies are JSON of up to 1 MiB, and foreign: the handler checks their shape. What it throws is the answer. */
export type RequestHandler = (
  body: unknown,
  from: RequestOrigin,
  progress: (body: unknown) => void,
) => Promise<unknown>;

/** Words of progress are left out while this much waits for the other node. */
const progressBacklogBytes = 1_048_576;

/** Who answers what, by the name of the request. */
export class HandlerTable<Handler> {
  readonly #handlers = new Map<string, Handler>();

  /** One handler a name, until the returned function is called. */
  add(op: string, handler: Handler): () => void {
    assert(isOpName(op) && !this.#handlers.has(op), `'${op}' is a free name of a request`);
    this.#handlers.set(op, handler);
    return () => {
      this.#handlers.delete(op);
    };
  }

  /** Throws OBS_NODE_BAD_REQUEST. */
  get(op: string): Handler {
    const handler = this.#handlers.get(op);
    if (handler === undefined)
      throw new ObError('OBS_NODE_BAD_REQUEST', { what: `'${op}' is not known here` });
    return handler;
  }
}

interface Waiting {
  readonly op: string;
  readonly resolve: (body: unknown) => void;
  readonly reject: (error: ObError) => void;
  readonly onProgress: ((body: unknown) => void) | undefined;
  readonly timer: Timer;
}

export class Requests {
  readonly #ports: NodePorts;
  readonly #channel: NodeChannel;
  readonly #peer: NodePeer;
  readonly #handlers: HandlerTable<RequestHandler>;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #answering = 0;

  constructor(
    ports: NodePorts,
    channel: NodeChannel,
    peer: NodePeer,
    handlers: HandlerTable<RequestHandler>,
  ) {
    this.#ports = ports;
    this.#channel = channel;
    this.#peer = peer;
    this.#handlers = handlers;
  }

  ask(op: string, body: unknown, options: RequestOptions): Promise<unknown> {
    const { timeoutMs = nodeRequestMsDefault, onProgress } = options;
    assert(isOpName(op), `'${op}' is the name of a request`);
    const { node } = this.#peer;
    return new Promise((resolve, reject) => {
      if (!this.#channel.open) {
        reject(new ObError('OBS_NODE_UNREACHABLE', { node, address: this.#peer.address, why: 'it ended' }));
        return;
      }
      if (this.#waiting.size >= nodeRequestsMax) {
        reject(new ObError('OBS_NODE_BUSY', { what: `requests to node ${node}`, limit: nodeRequestsMax }));
        return;
      }
      const id = this.#takeId();
      if (this.#channel.send({ kind: 'request', id, op, body }) === undefined) {
        reject(tooLarge(`the body of '${op}'`));
        return;
      }
      const timer = this.#ports.clock.after(timeoutMs, () => {
        this.#waiting.delete(id);
        reject(new ObError('OBS_NODE_TIMEOUT', { node, op, timeoutMs }));
      });
      this.#waiting.set(id, { op, resolve, reject, onProgress, timer });
    });
  }

  /** Takes what concerns requests; false for another message. */
  message(message: NodeMessage | NodeBatch): boolean {
    switch (message.kind) {
      case 'request':
        void this.#answer(message);
        return true;
      case 'progress':
        this.#waiting.get(message.id)?.onProgress?.(message.body);
        return true;
      case 'reply':
        this.#finish(message.id)?.resolve(message.body);
        return true;
      case 'failure':
        this.#finish(message.id)?.reject(errorOfNode(message.error, this.#peer.node));
        return true;
      default:
        return false;
    }
  }

  /** The channel ended. */
  closed(error: ObError): void {
    const { node } = this.#peer;
    for (const [id, { op }] of this.#waiting) {
      this.#finish(id)?.reject(new ObError('OBS_NODE_LOST', { node, op, why: error.message }, error));
    }
  }

  #takeId(): number {
    do {
      this.#lastId = this.#lastId >= 0xffff_ffff ? 1 : this.#lastId + 1;
    } while (this.#waiting.has(this.#lastId));
    return this.#lastId;
  }

  /** The one who waits, no longer waiting. An answer that nobody waits for came after its time limit. */
  #finish(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.timer.cancel();
    return waiting;
  }

  async #answer({ id, op, body }: NodeMessageOf<'request'>): Promise<void> {
    const channel = this.#channel;
    const { node, address } = this.#peer;
    let done = false;
    this.#answering += 1;
    try {
      if (this.#answering > nodeRequestsMax) {
        throw new ObError('OBS_NODE_BUSY', { what: 'requests of one server', limit: nodeRequestsMax });
      }
      const answer = await this.#handlers.get(op)(body, { nodeId: node, address }, told => {
        if (!done && channel.queuedBytes < progressBacklogBytes) {
          channel.send({ kind: 'progress', id, body: told });
        }
      });
      if (channel.send({ kind: 'reply', id, body: answer ?? null }) === undefined) {
        throw tooLarge(`the answer to '${op}'`);
      }
    } catch (error) {
      if (isFatal(error)) this.#ports.onFatal(error);
      channel.send({ kind: 'failure', id, error: toldError(error, this.#ports.identity().node) });
    } finally {
      done = true;
      this.#answering -= 1;
    }
  }
}

const tooLarge = (what: string): ObError =>
  new ObError('OBS_NODE_BAD_REQUEST', { what: `${what} is over ${nodeJsonBytesMax} bytes` });

/** A request of a node to itself, with the checks, the copies and the time limit of one over the network. */
export function askHere(
  ports: NodePorts,
  handlers: HandlerTable<RequestHandler>,
  op: string,
  body: unknown,
  options: RequestOptions,
): Promise<unknown> {
  const { timeoutMs = nodeRequestMsDefault, onProgress } = options;
  const { node, address } = ports.identity();
  const copied = (value: unknown, what: string): unknown => {
    const text = JSON.stringify(value) ?? 'null';
    if (Buffer.byteLength(text) > nodeJsonBytesMax) throw tooLarge(what);
    return JSON.parse(text);
  };
  return new Promise((resolve, reject) => {
    let done = false;
    const timer = ports.clock.after(timeoutMs, () => {
      done = true;
      reject(new ObError('OBS_NODE_TIMEOUT', { node, op, timeoutMs }));
    });
    const run = async (): Promise<unknown> => {
      const asked = copied(body, `the body of '${op}'`);
      const answer = await handlers.get(op)(asked, { nodeId: node, address: address ?? '' }, told => {
        if (!done) onProgress?.(copied(told, `the progress of '${op}'`));
      });
      return copied(answer, `the answer to '${op}'`);
    };
    run()
      .then(resolve, reject)
      .finally(() => {
        done = true;
        timer.cancel();
      });
  });
}
