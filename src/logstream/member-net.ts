/**
 * What a log stream needs of the network between the members of its cluster: messages of palf, each encoded once.
 *
 * Never throws and promises nothing: a message may be lost, late, doubled or out of order, and is dropped when a bound
 * of the implementation is met. Bytes that arrive are those that were sent (the transport checks frames), or nothing.
 * The implementation gathers what one turn sends to one node over all streams.
 */
import type { LogStreamId, NodeId, TenantId } from '../base/scalars.ts';

/** One log stream among all of a cluster. */
export interface StreamKey {
  readonly tenantId: TenantId;
  readonly stream: LogStreamId;
}

export interface MemberNet {
  /**
   * Sends one encoded message. The parts are its bytes in order; they are shared (with the disk, with other members)
   * and stay as they are for ever, so nobody copies or changes them.
   */
  send(to: NodeId, key: StreamKey, parts: readonly Uint8Array[]): void;
  /**
   * Messages for one stream go to `handler` until the returned function is called; one handler a key. The payload is
   * the handler's own for as long as it likes: it may keep views of it.
   */
  onMessages(key: StreamKey, handler: (from: NodeId, payload: Uint8Array) => void): () => void;
}
