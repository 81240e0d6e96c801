/**
 * Requests to the servers of the cluster, this one included. `NodeLinks` carries them between servers; a server of its own answers itself.
 */
import { ObError } from '../../base/errors.ts';
import type { NodeId } from '../../base/scalars.ts';
import type { NetAddress } from '../../platform/net.ts';
import type { RequestHandler, RequestOptions } from '../../logstream/peers/requests.ts';

export type { RequestHandler, RequestOptions } from '../../logstream/peers/requests.ts';

export interface NodeCalls {
  /**
   * Throws what the handler there threw; kind `unavailable` with OBS_NODE_TIMEOUT and OBS_NODE_LOST when it may have been done, with any other code
   * when it was not.
   */
  request(to: NodeId, op: string, body: unknown, options?: RequestOptions): Promise<unknown>;
  /** Asks whichever server is at an address. */
  requestAt(address: NetAddress, op: string, body: unknown, options?: RequestOptions): Promise<unknown>;
  /** One handler a name, until the returned function is called. */
  onRequest(op: string, handler: RequestHandler): () => void;
}

/** The calls of a server of its own. */
export class LoneCalls implements NodeCalls {
  readonly #self: NodeId;
  readonly #handlers = new Map<string, RequestHandler>();

  constructor(self: NodeId) {
    this.#self = self;
  }

  async request(to: NodeId, op: string, body: unknown, options: RequestOptions = {}): Promise<unknown> {
    const handler = this.#handlers.get(op);
    if (to !== this.#self || handler === undefined) throw new ObError('OBS_NODE_UNKNOWN', { node: to });
    // What it answers is a copy, as it would be over the network.
    const copy = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null)) as unknown;
    const from = { nodeId: this.#self, address: '' };
    return copy(await handler(copy(body), from, told => options.onProgress?.(copy(told))));
  }

  requestAt(): Promise<unknown> {
    return Promise.reject(new ObError('OBS_CLUSTER_OF_ONE'));
  }

  onRequest(op: string, handler: RequestHandler): () => void {
    this.#handlers.set(op, handler);
    return () => this.#handlers.delete(op);
  }
}

/** Nothing was asked, or it was refused before anything was done. */
export const mayHaveBeenDone = (error: ObError): boolean =>
  error.code === 'OBS_NODE_TIMEOUT' || error.code === 'OBS_NODE_LOST' || error.kind === 'unknown';
