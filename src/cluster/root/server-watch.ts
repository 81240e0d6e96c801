/**
 * Which servers answer: each reports to the leader of the root service every second. Pure. A new leader of the root service believes nobody dead
 * before it has listened for as long as a silence must last to mean anything.
 */
import { serverSilenceMs } from '../../base/limits.ts';
import { type MonoMs, monoMs, type NodeId } from '../../base/scalars.ts';
import type { Heartbeat } from './picture.ts';

interface Heard {
  readonly beat: Heartbeat;
  readonly at: MonoMs;
}

export class ServerWatch {
  readonly #startedAt: MonoMs;
  readonly #heard = new Map<NodeId, Heard>();

  constructor(startedAt: MonoMs) {
    this.#startedAt = startedAt;
  }

  hear(beat: Heartbeat, now: MonoMs): void {
    this.#heard.set(beat.server.nodeId, { beat, at: now });
  }

  forget(node: NodeId): void {
    this.#heard.delete(node);
  }

  /** It answered lately. */
  isAlive(node: NodeId, now: MonoMs): boolean {
    const heard = this.#heard.get(node);
    return heard !== undefined && now - heard.at < serverSilenceMs;
  }

  /** It did not answer for long enough: it is down, or cut off. */
  isSilent(node: NodeId, now: MonoMs): boolean {
    const since = this.#heard.get(node)?.at ?? this.#startedAt;
    return now - since >= serverSilenceMs;
  }

  /** Every one of these answered, or was silent for long enough. */
  knows(nodes: readonly NodeId[], now: MonoMs): boolean {
    return nodes.every(node => this.isAlive(node, now) || this.isSilent(node, now));
  }

  /** The last report of a server. */
  beat(node: NodeId): Heartbeat | undefined {
    return this.#heard.get(node)?.beat;
  }

  /** Microseconds of silence make no sense to people: how long ago it answered last, or null. */
  silentMs(node: NodeId, now: MonoMs): number | null {
    const heard = this.#heard.get(node);
    return heard === undefined ? null : monoMs(now - heard.at);
  }
}
