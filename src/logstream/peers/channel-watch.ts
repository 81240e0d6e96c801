/**
 * One timer for all connections of a process: over each that was quiet a sign of life is sent, and one over which nothing
 * came for long is cut, whatever TCP believes. Time in which this process itself stood still is not held against anybody.
 */
import { ObError } from '../../base/errors.ts';
import { nodePingMs, nodeSilenceMs } from '../../base/limits.ts';
import type { MonoMs } from '../../base/scalars.ts';
import type { Clock, Timer } from '../../platform/clock.ts';
import type { NodeChannel } from './node-channel.ts';

export class ChannelWatch {
  readonly #clock: Clock;
  /** how long each has been silent */
  readonly #silentMs = new Map<NodeChannel, number>();
  #timer: Timer | null = null;
  #lookedAt: MonoMs;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lookedAt = clock.now();
  }

  /** Channels that are open, those in their handshake included. */
  get size(): number {
    for (const channel of this.#silentMs.keys()) if (!channel.open) this.#silentMs.delete(channel);
    return this.#silentMs.size;
  }

  /** Looks after the channel until it ends. */
  add(channel: NodeChannel): void {
    this.#silentMs.set(channel, 0);
    if (this.#timer === null) {
      this.#lookedAt = this.#clock.now();
      this.#schedule();
    }
  }

  closeAll(why: string): void {
    this.#timer?.cancel();
    this.#timer = null;
    const channels = [...this.#silentMs.keys()];
    this.#silentMs.clear();
    for (const channel of channels)
      channel.close(new ObError('OBS_NODE_CLOSED', { node: channel.remoteAddress, why }));
  }

  #schedule(): void {
    this.#timer = this.#clock.after(nodePingMs, () => {
      this.#timer = null;
      this.#look();
      if (this.#silentMs.size > 0) this.#schedule();
    });
  }

  #look(): void {
    const now = this.#clock.now();
    const passedMs = Math.min(now - this.#lookedAt, nodePingMs);
    this.#lookedAt = now;
    for (const [channel, before] of this.#silentMs) {
      if (!channel.open) {
        this.#silentMs.delete(channel);
        continue;
      }
      // A handshake has a time limit of its own.
      if (!channel.sealed) continue;
      const { sent, heard } = channel.activity();
      const silentMs = heard ? 0 : before + passedMs;
      this.#silentMs.set(channel, silentMs);
      if (silentMs >= nodeSilenceMs) {
        channel.close(new ObError('OBS_NODE_SILENT', { node: channel.remoteAddress, silentMs }));
      } else if (!sent) {
        channel.send({ kind: 'ping' });
      }
    }
  }
}
