/**
 * Messages over one connection. Before the login frames are small and bare; after it every frame ends with a MAC over its
 * direction's key, its number, its type and its payload, so that none can be forged, altered, repeated, dropped or put in
 * another order. Secrecy is TLS's, when configured.
 *
 * The first bad byte ends the connection; nothing that was not verified reaches the listener. Never throws for what the
 * other end does.
 */
import { timingSafeEqual } from 'node:crypto';
import { assert } from '../../base/assert.ts';
import { isObError, ObError } from '../../base/errors.ts';
import { FrameReader, encodeFrameHeader } from '../../codec/frame.ts';
import { FrameSeal, frameSealBytes } from '../../codec/frame-seal.ts';
import {
  decodePeerMessage,
  encodePeerMessage,
  isHandshakeType,
  type PeerMessage,
  peerPayloadBytesMax,
} from '../../codec/peer-message.ts';
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
  readonly #reader: FrameReader;
  readonly #events: PeerChannelEvents;
  #sending: FrameSeal | undefined;
  #receiving: FrameSeal | undefined;
  #open = true;
  #draining = false;
  /** a welcome came: the frame after it carries a MAC, so nothing is read until the keys are set */
  #held = false;
  /** counts bytes that came, so that an owner's timer can see silence */
  #receivedBytes = 0;

  constructor(connection: Connection, events: PeerChannelEvents) {
    this.#connection = connection;
    this.#events = events;
    this.#reader = new FrameReader(type => {
      const limit = peerPayloadBytesMax(type);
      if (this.#receiving === undefined) return isHandshakeType(type) ? limit : undefined;
      return limit === undefined ? undefined : limit + frameSealBytes;
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
    assert(this.#receiving === undefined, 'a channel is keyed once');
    this.#receiving = new FrameSeal(from === 'client' ? keys.fromClient : keys.fromServer);
    this.#held = false;
    this.#drain();
  }

  /** Everything sent from now on carries a MAC under this key. */
  sealWith(keys: ChannelKeys, from: 'client' | 'server'): void {
    assert(this.#sending === undefined, 'a channel is keyed once');
    this.#sending = new FrameSeal(from === 'client' ? keys.fromClient : keys.fromServer);
  }

  /** Sends at once when nothing is queued. Returns the payload bytes (a transcript needs them). No-op when closed. */
  send(message: PeerMessage): Uint8Array {
    const { type, payload } = encodePeerMessage(message);
    if (!this.#open) return payload[0] ?? new Uint8Array();
    const parts = this.#sending === undefined ? payload : [...payload, this.#sending.next(type, payload)];
    this.#connection.write([encodeFrameHeader(type, parts), ...parts]);
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
    this.#reader.push(bytes);
    this.#drain();
  }

  #drain(): void {
    // A listener may cause more bytes to be read; they are taken by the loop that runs already.
    if (this.#draining) return;
    this.#draining = true;
    try {
      while (this.#open && !this.#held && this.#takeFrame());
    } finally {
      this.#draining = false;
    }
  }

  #takeFrame(): boolean {
    const frame = this.#reader.next();
    if (frame === undefined) return false;
    if (frame.kind === 'problem') return this.#broken(frame.what);
    let payload = frame.payload;
    if (this.#receiving !== undefined) {
      if (payload.length < frameSealBytes) return this.#broken('a frame without a MAC');
      const mac = payload.subarray(payload.length - frameSealBytes);
      payload = payload.subarray(0, payload.length - frameSealBytes);
      if (!timingSafeEqual(mac, this.#receiving.next(frame.type, [payload]))) {
        return this.#broken('a frame that fails its authentication');
      }
    }
    const message = decodePeerMessage(frame.type, payload);
    if (message.kind === 'problem') return this.#broken(message.what);
    if (message.kind === 'welcome') this.#held = true;
    this.#events.onMessage(message, payload);
    return true;
  }

  #broken(what: string): false {
    this.close(new ObError('OBS_PEER_PROTOCOL', { address: this.#connection.remoteAddress, what }));
    return false;
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
