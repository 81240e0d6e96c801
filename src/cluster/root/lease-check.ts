/**
 * Whether all servers are configured with one lease. Nothing rests on it: a lease is kept for as long as its leader counts on it. An
 * operator is told all the same, now and then, of each server that has another one than the leader of the root service.
 */
import { ObError } from '../../base/errors.ts';
import { leaseDiffersLogMs } from '../../base/limits.ts';
import type { MonoMs, NodeId } from '../../base/scalars.ts';
import type { Logger } from '../../platform/logger.ts';
import type { Heartbeat } from './picture.ts';

export class LeaseCheck {
  readonly #leaseMs: number;
  readonly #logger: Logger;
  readonly #toldAt = new Map<NodeId, MonoMs>();

  constructor(leaseMs: number, logger: Logger) {
    this.#leaseMs = leaseMs;
    this.#logger = logger;
  }

  look({ server, leaseMs }: Heartbeat, now: MonoMs): void {
    const { nodeId, address } = server;
    if (leaseMs === undefined || leaseMs === this.#leaseMs) {
      this.#toldAt.delete(nodeId);
      return;
    }
    const toldAt = this.#toldAt.get(nodeId);
    if (toldAt !== undefined && now - toldAt < leaseDiffersLogMs) return;
    this.#toldAt.set(nodeId, now);
    const differs = new ObError('OBS_CLUSTER_LEASE_DIFFERS', {
      address,
      theirs: leaseMs,
      ours: this.#leaseMs,
    });
    this.#logger.warn({ ...differs.toJSON() }, 'the leases of two servers differ');
  }
}
