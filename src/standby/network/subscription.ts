/**
 * The source's side of a pull: sends committed groups to one follower as they are committed, within the credit the
 * follower gave.
 *
 * What was just committed is written to the socket inside the committed listener, so before any client's reply that waits
 * for it: a process that dies right after a reply has most likely handed the bytes to the kernel. Only committed bytes are
 * ever sent (S1).
 */
import { ObError } from '../../base/errors.ts';
import { peerChunkBytes, peerCreditBytesMax, peerHeartbeatMs } from '../../base/limits.ts';
import type { LogChunk, LogPosition, LogReader, LogTailReader } from '../../base/log-access.ts';
import type { Lsn, RoleEpoch } from '../../base/scalars.ts';
import type { Clock, Timer } from '../../platform/clock.ts';
import type { PeerChannel } from './peer-channel.ts';

export interface SubscriptionOptions {
  readonly log: LogReader & LogTailReader;
  readonly channel: PeerChannel;
  readonly clock: Clock;
  readonly from: LogPosition;
  readonly creditBytes: number;
  readonly epoch: () => RoleEpoch;
  /** the log could not be read any more, or lost what was sent; called once */
  readonly onFailed: (error: unknown) => void;
}

export class Subscription {
  readonly #options: SubscriptionOptions;
  readonly #unsubscribe: () => void;
  #next: Lsn;
  #creditBytes: number;
  #reading = false;
  #closed = false;
  #sentSinceHeartbeat = false;
  #heartbeat: Timer | null = null;

  /** Starts sending within the constructor. */
  constructor(options: SubscriptionOptions) {
    this.#options = options;
    this.#next = options.from.lsn;
    this.#creditBytes = options.creditBytes;
    this.#unsubscribe = options.log.onCommitted(() => this.#pump());
    this.#scheduleHeartbeat();
    this.#pump();
  }

  addCredit(bytes: number): void {
    this.#creditBytes = Math.min(this.#creditBytes + bytes, peerCreditBytesMax);
    this.#pump();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unsubscribe();
    this.#heartbeat?.cancel();
  }

  #pump(): void {
    const { log } = this.#options;
    while (!this.#closed && !this.#reading && this.#creditBytes > 0) {
      const end = log.state().end;
      if (end.lsn < this.#next) {
        // The source's log was cut (flashback): the follower has more than there is now.
        this.#fail(new ObError('OBS_STANDBY_AHEAD', { source: 'the source', lsn: this.#next, end: end.lsn }));
        return;
      }
      if (end.lsn === this.#next) return;
      const chunk = log.readRecent(this.#next, Math.min(peerChunkBytes, this.#creditBytes));
      if (chunk === undefined) {
        void this.#readFromDisk();
        return;
      }
      if (chunk.bytes.length === 0) return;
      this.#send(chunk);
    }
  }

  async #readFromDisk(): Promise<void> {
    this.#reading = true;
    try {
      const chunk = await this.#options.log.read(this.#next, Math.min(peerChunkBytes, this.#creditBytes));
      this.#reading = false;
      if (this.#closed) return;
      if (chunk.bytes.length > 0) {
        this.#send(chunk);
        this.#pump();
      }
    } catch (error) {
      this.#reading = false;
      this.#fail(error);
    }
  }

  #send(chunk: LogChunk): void {
    const { log, channel, clock } = this.#options;
    this.#next = chunk.end.lsn;
    this.#creditBytes -= chunk.bytes.length;
    this.#sentSinceHeartbeat = true;
    channel.send({ kind: 'chunk', chunk, sourceEnd: log.state().end, wall: clock.wall() });
  }

  #scheduleHeartbeat(): void {
    this.#heartbeat = this.#options.clock.after(peerHeartbeatMs, () => {
      if (this.#closed) return;
      const { log, channel, clock, epoch } = this.#options;
      // While chunks flow they carry the same datum.
      if (!this.#sentSinceHeartbeat) {
        channel.send({ kind: 'heartbeat', sourceEnd: log.state().end, wall: clock.wall(), epoch: epoch() });
      }
      this.#sentSinceHeartbeat = false;
      this.#scheduleHeartbeat();
    });
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.close();
    this.#options.onFailed(error);
  }
}
