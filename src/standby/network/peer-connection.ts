/**
 * A logged-in connection at the client: asks, and receives log or a snapshot. Every wait ends: with its answer, its time
 * limit, or the end of the connection.
 *
 * Errors of the other side come as catalogued errors; its disk or bug is never mistaken for one of this process.
 */
import { ObError, reviveError } from '../../base/errors.ts';
import { peerCreditBytes, peerRequestTimeoutMs, peerSilenceMs } from '../../base/limits.ts';
import type { LogChunk, LogPosition, ProposalEra } from '../../base/log-access.ts';
import type { Lsn, RoleEpoch, Scn, WallMicros } from '../../base/scalars.ts';
import type { PeerDescription, PeerMessage, PeerMessageOf } from '../../codec/peer-message.ts';
import type { Clock, Timer } from '../../platform/clock.ts';
import type { PeerChannel } from './peer-channel.ts';
import { SnapshotDownload } from './snapshot-download.ts';

/** Where a source stands, and when it said so (its own wall clock). */
interface SourceDatum {
  readonly end: LogPosition;
  readonly wall: WallMicros;
  /** known from heartbeats; null with chunks */
  readonly epoch: RoleEpoch | null;
}

export interface SubscriptionEvents {
  onChunk(chunk: LogChunk, datum: SourceDatum): void;
  onHeartbeat(datum: SourceDatum): void;
  /** Once: the stream ended, by the source's refusal, silence, or the connection's end. */
  onEnded(error: ObError): void;
}

export interface AckPositions {
  readonly flushedLsn: Lsn;
  readonly flushedScn: Scn;
  readonly appliedLsn: Lsn;
  readonly appliedScn: Scn;
}

interface Waiting {
  readonly resolve: (message: PeerMessage) => void;
  readonly reject: (error: ObError) => void;
  readonly timer: Timer;
}

export class PeerConnection {
  /** what the server said of the tenant at login */
  readonly peer: PeerDescription;
  readonly #channel: PeerChannel;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #stream: { readonly id: number; readonly events: SubscriptionEvents } | null = null;
  #snapshot: { readonly id: number; readonly download: SnapshotDownload } | null = null;
  #closed: ObError | null = null;
  #onClosed: ((error: ObError) => void) | null = null;

  constructor(channel: PeerChannel, clock: Clock, peer: PeerDescription) {
    this.#channel = channel;
    this.#clock = clock;
    this.peer = peer;
  }

  get open(): boolean {
    return this.#closed === null;
  }

  /** At most one listener; called once, at once if the connection has ended already. */
  onClosed(listener: (error: ObError) => void): void {
    if (this.#closed !== null) listener(this.#closed);
    else this.#onClosed = listener;
  }

  async describe(timeoutMs = peerRequestTimeoutMs): Promise<PeerDescription> {
    const id = this.#takeId();
    const answer = await this.#ask({ kind: 'describe', id }, 'describe', timeoutMs);
    if (answer.kind === 'described') return answer.peer;
    throw this.#unexpected(answer);
  }

  /** A request to the role manager there. Throws what its handler threw. */
  async control(op: string, body: unknown, timeoutMs = peerRequestTimeoutMs): Promise<unknown> {
    const id = this.#takeId();
    const answer = await this.#ask({ kind: 'control', id, op, body }, op, timeoutMs);
    if (answer.kind === 'reply') return answer.body;
    throw this.#unexpected(answer);
  }

  /** Pulls from a position. Resolves with the source's end when it accepts; then events come until `onEnded`. */
  async subscribe(
    from: LogPosition,
    proposalHistory: readonly ProposalEra[],
    events: SubscriptionEvents,
    creditBytes = peerCreditBytes,
  ): Promise<LogPosition> {
    const id = this.#takeId();
    this.#stream = { id, events };
    try {
      const answer = await this.#ask(
        { kind: 'subscribe', id, from, proposalHistory: [...proposalHistory], creditBytes },
        'subscribe',
        peerRequestTimeoutMs,
      );
      if (answer.kind !== 'subscribed') throw this.#unexpected(answer);
      this.#watchSilence(this.#channel.receivedBytes, this.#clock.now());
      return answer.end;
    } catch (error) {
      this.#stream = null;
      throw error;
    }
  }

  /** Tells what is durable and visible here, and lets the source send `creditBytes` more. */
  ack(positions: AckPositions, creditBytes: number): void {
    this.#channel.send({ kind: 'ack', ...positions, creditBytes });
  }

  /** Asks for a hot copy of the database file. */
  async snapshot(creditBytes = peerCreditBytes): Promise<SnapshotDownload> {
    const id = this.#takeId();
    const download = new SnapshotDownload(bytes => this.#channel.send({ kind: 'credit', bytes }));
    this.#snapshot = { id, download };
    const answer = await this.#ask({ kind: 'snapshot', id, creditBytes }, 'a snapshot', peerRequestTimeoutMs);
    if (answer.kind !== 'snapshot-begin') throw this.#unexpected(answer);
    download.begin(answer);
    return download;
  }

  close(): void {
    this.#channel.close(
      new ObError('OBS_PEER_CLOSED', { address: this.#channel.remoteAddress, why: 'closed by this side' }),
    );
  }

  /** For the owner of the channel: a message came. */
  message(message: PeerMessage): void {
    switch (message.kind) {
      case 'described':
      case 'reply':
      case 'subscribed':
      case 'snapshot-begin':
        this.#answered(message.id, message);
        return;
      case 'error':
        this.#failed(message);
        return;
      case 'chunk':
        this.#stream?.events.onChunk(message.chunk, {
          end: message.sourceEnd,
          wall: message.wall,
          epoch: null,
        });
        return;
      case 'heartbeat':
        this.#stream?.events.onHeartbeat({
          end: message.sourceEnd,
          wall: message.wall,
          epoch: message.epoch,
        });
        return;
      case 'snapshot-piece':
        this.#snapshot?.download.piece(message);
        return;
      case 'snapshot-end':
        this.#snapshot?.download.end(message);
        return;
      default:
        this.#channel.close(
          new ObError('OBS_PEER_PROTOCOL', {
            address: this.#channel.remoteAddress,
            what: `a ${message.kind} message from a server`,
          }),
        );
    }
  }

  /** For the owner of the channel: it ended. */
  closed(error: ObError): void {
    if (this.#closed !== null) return;
    this.#closed = error;
    for (const { reject, timer } of this.#waiting.values()) {
      timer.cancel();
      reject(error);
    }
    this.#waiting.clear();
    this.#snapshot?.download.fail(error);
    this.#endStream(error);
    this.#onClosed?.(error);
  }

  #takeId(): number {
    const id = this.#nextId;
    this.#nextId += 1;
    return id;
  }

  #ask(message: PeerMessage & { id: number }, what: string, timeoutMs: number): Promise<PeerMessage> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== null) {
        reject(this.#closed);
        return;
      }
      const timer = this.#clock.after(timeoutMs, () => {
        this.#waiting.delete(message.id);
        reject(new ObError('OBS_PEER_TIMEOUT', { address: this.#channel.remoteAddress, what, timeoutMs }));
      });
      this.#waiting.set(message.id, { resolve, reject, timer });
      this.#channel.send(message);
    });
  }

  #answered(id: number, message: PeerMessage): void {
    const waiting = this.#waiting.get(id);
    // An answer nobody waits for any more came after its time limit.
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    waiting.timer.cancel();
    waiting.resolve(message);
  }

  #failed(message: PeerMessageOf<'error'>): void {
    const error = peerError(message);
    const waiting = this.#waiting.get(message.id);
    if (waiting !== undefined) {
      this.#waiting.delete(message.id);
      waiting.timer.cancel();
      waiting.reject(error);
    } else if (message.id === 0) {
      this.#channel.close(error);
    } else if (message.id === this.#stream?.id) {
      this.#endStream(error);
    } else if (message.id === this.#snapshot?.id) {
      this.#snapshot.download.fail(error);
    }
  }

  #endStream(error: ObError): void {
    const stream = this.#stream;
    this.#stream = null;
    stream?.events.onEnded(error);
  }

  /** A source that says nothing for long is gone, whatever TCP believes. */
  #watchSilence(heardBytes: number, heardAt: number): void {
    this.#clock.after(peerSilenceMs / 4, () => {
      if (this.#closed !== null || this.#stream === null) return;
      const now = this.#clock.now();
      const bytes = this.#channel.receivedBytes;
      if (bytes !== heardBytes) {
        this.#watchSilence(bytes, now);
        return;
      }
      if (now - heardAt < peerSilenceMs) {
        this.#watchSilence(heardBytes, heardAt);
        return;
      }
      this.#channel.close(
        new ObError('OBS_PEER_TIMEOUT', {
          address: this.#channel.remoteAddress,
          what: 'for the log stream',
          timeoutMs: peerSilenceMs,
        }),
      );
    });
  }

  #unexpected(message: PeerMessage): ObError {
    return new ObError('OBS_PEER_PROTOCOL', {
      address: this.#channel.remoteAddress,
      what: `a ${message.kind} message as an answer`,
    });
  }
}

/** The error a peer told of. Its failed disk and its bugs are its own: here they are only a peer that cannot do it. */
export function peerError(message: PeerMessageOf<'error'>): ObError {
  const error = reviveError(message);
  if (error.kind !== 'disk' && error.kind !== 'bug') return error;
  return new ObError('OBS_PEER_FAILED', { why: `${message.code}: ${message.message}` });
}
