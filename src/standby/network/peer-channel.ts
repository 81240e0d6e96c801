/**
 * Messages over one connection. Before the login frames are small and bare; after it every frame ends with a MAC, under a key
 * of its direction. Secrecy is TLS's, when configured.
 *
 * The first bad byte ends the connection; nothing that was not verified reaches the listener. Never throws for what the
 * other end does.
 */
import { isObError, ObError } from '../../base/errors.ts';
import {
  decodePeerMessage,
  encodePeerMessage,
  isHandshakeType,
  type PeerMessage,
  peerPayloadBytesMax,
} from '../../codec/peer-message.ts';
import { SealedFrames } from '../../codec/sealed-frames.ts';
import type { Connection } from '../../platform/net.ts';
import type { ChannelKeys } from './handshake.ts';

export interface PeerChannelEvents {
  /** `payload` is what `message` was decoded from, without the MAC */
  onMessage(message: PeerMessage, payload: Uint8Array): void;
  /** Once, whatever ended it. */
  onClosed(error: ObError): void;
}

export class PeerChannel {
  readonly #connection: Connection;
  readonly #frames: SealedFrames;
  readonly #events: PeerChannelEvents;
  #open = true;
  /** a welcome came: the frame after it carries a MAC, so nothing is read until the keys are set */
  #held = false;
  /** counts bytes that came, so that an owner's timer can see silence */
  #receivedBytes = 0;

  constructor(connection: Connection, events: PeerChannelEvents) {
    this.#connection = connection;
    this.#events = events;
    this.#frames = new SealedFrames({
      payloadBytesMax: (type, isSealed) =>
        isSealed || isHandshakeType(type) ? peerPayloadBytesMax(type) : undefined,
      withoutSeal: 'a frame without a MAC',
      isReading: () => this.#open && !this.#held,
      onFrame: (type, payload) => this.#came(type, payload),
      onProblem: what => this.#broken(what),
    });
    connection.onData(bytes => this.#received(bytes));
    connection.onClose(error =>
      this.#closed(
        new ObError('OBS_PEER_CLOSED', {
          address: connection.remoteAddress,
          why: error?.message ?? 'closed by the other end',
        }),
      ),
    );
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress;
  }

  get loopback(): boolean {
    return this.#connection.loopback;
  }

  get open(): boolean {
    return this.#open;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Bytes the other end has not taken. */
  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  /** Everything received from now on carries a MAC under this key; the first such frame follows the last bare one. */
  verifyWith(keys: ChannelKeys, from: 'client' | 'server'): void {
    this.#frames.verifyReceived(from === 'client' ? keys.fromClient : keys.fromServer);
    this.#held = false;
    this.#frames.drain();
  }

  /** Everything sent from now on carries a MAC under this key. */
  sealWith(keys: ChannelKeys, from: 'client' | 'server'): void {
    this.#frames.sealSent(from === 'client' ? keys.fromClient : keys.fromServer);
  }

  /** Sends at once when nothing is queued. Returns the payload bytes (a transcript needs them). No-op when closed. */
  send(message: PeerMessage): Uint8Array {
    const { type, payload } = encodePeerMessage(message);
    if (this.#open) this.#connection.write(this.#frames.encode(type, payload));
    return payload[0] ?? new Uint8Array();
  }

  /** Tells the other end why, then closes after the message was sent. */
  refuse(error: ObError, id = 0): void {
    this.send(errorMessage(id, error));
    this.#connection.end();
    this.#closed(error);
  }

  close(error: ObError): void {
    this.#connection.destroy();
    this.#closed(error);
  }

  #received(bytes: Uint8Array): void {
    if (!this.#open) return;
    this.#receivedBytes += bytes.length;
    this.#frames.push(bytes);
    this.#frames.drain();
  }

  #came(type: number, payload: Uint8Array): void {
    const message = decodePeerMessage(type, payload);
    if (message.kind === 'problem') {
      this.#broken(message.what);
      return;
    }
    if (message.kind === 'welcome') this.#held = true;
    this.#events.onMessage(message, payload);
  }

  #broken(what: string): void {
    this.close(new ObError('OBS_PEER_PROTOCOL', { address: this.#connection.remoteAddress, what }));
  }

  #closed(error: ObError): void {
    if (!this.#open) return;
    this.#open = false;
    this.#events.onClosed(error);
  }
}

/** An error as it crosses the wire: code, text, and plain details. */
export function errorMessage(id: number, error: unknown): Extract<PeerMessage, { kind: 'error' }> {
  const told = isObError(error)
    ? error
    : new ObError('OBS_PEER_FAILED', { why: error instanceof Error ? error.message : 'unknown failure' });
  const details: Record<string, string | number | boolean | null> = {};
  for (const [key, value] of Object.entries(told.details)) {
    if (value !== undefined) details[key] = typeof value === 'string' ? value.slice(0, 2_048) : value;
  }
  return { kind: 'error', id, code: told.code, message: told.message.slice(0, 4_096), details };
}
