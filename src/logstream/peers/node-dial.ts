/**
 * Connects to a node and takes the connection through the handshake. The node has to prove that it holds the cluster
 * secret before anything it says is believed.
 */
import { must } from '../../base/assert.ts';
import { isObError, ObError, reviveError } from '../../base/errors.ts';
import { nodeConnectMs, nodeHandshakeMs } from '../../base/limits.ts';
import type { NodeId } from '../../base/scalars.ts';
import { drawNonce, transcriptOf } from '../../codec/handshake-transcript.ts';
import type { NodeChallenge, NodeHello, NodePurpose, ToldError } from '../../codec/node-message.ts';
import type { NetAddress } from '../../platform/net.ts';
import { NodeChannel } from './node-channel.ts';
import {
  challengeRefusal,
  isNodeProof,
  nodeChannelKeys,
  nodeProof,
  nodeVersionMax,
  nodeVersionMin,
} from './node-handshake.ts';
import type { NodePeer, NodePorts } from './node-ports.ts';

export interface DialOptions {
  readonly address: NetAddress;
  readonly purpose: NodePurpose;
  /** the node that should be there, or null for whichever is */
  readonly expects: NodeId | null;
  /** for all of it, where that is less than a handshake may take */
  readonly withinMs?: number;
}

export const shownAddress = (address: NetAddress): string => `${address.host}:${address.port}`;

/**
 * Resolves with what `adopt` gives. It is called with a channel whose other end has proven itself, and gives it to its
 * owner (`handTo`) within the call: the next message may be there already.
 *
 * Throws OBS_NODE_UNREACHABLE, OBS_NODE_CLOSED, and what a handshake may end with.
 */
export async function dialNode<T>(
  ports: NodePorts,
  options: DialOptions,
  adopt: (channel: NodeChannel, peer: NodePeer) => T,
): Promise<T> {
  const { address, expects, withinMs = nodeConnectMs + nodeHandshakeMs } = options;
  const startedAt = ports.clock.now();
  const connectMs = Math.min(nodeConnectMs, withinMs);
  const tls = ports.tls?.client;
  const connection = await ports.net
    .connect(address, { timeoutMs: connectMs, ...(tls === undefined ? {} : { tls }) })
    .catch((error: unknown) => {
      throw unreachable(expects, address, reasonOf(error), error);
    });
  return new Promise<T>((resolve, reject) => {
    const leftMs = Math.max(0, withinMs - (ports.clock.now() - startedAt));
    const handshakeMs = Math.min(nodeHandshakeMs, leftMs);
    const timer = ports.clock.after(handshakeMs, () =>
      fail(unreachable(expects, address, `no handshake within ${Math.round(handshakeMs)} ms`)),
    );
    const fail = (error: ObError): void => {
      timer.cancel();
      reject(error);
      channel.close(error);
    };
    const handshake = new DialerHandshake(ports, options);
    const channel = new NodeChannel(connection, {
      onMessage: (message, payload) => {
        if (message.kind === 'refusal') fail(handshake.refused(message));
        else if (message.kind === 'challenge') {
          const proof = handshake.proveTo(message, payload);
          if (isObError(proof)) fail(proof);
          else channel.send({ kind: 'proof', proof });
        } else if (message.kind === 'welcome') {
          const peer = handshake.welcomed(message.proof, channel);
          if (isObError(peer)) {
            fail(peer);
            return;
          }
          timer.cancel();
          // What ends it from here on is for its next owner to hear.
          channel.handTo({ onMessage: () => {}, onClosed: () => {} });
          resolve(adopt(channel, peer));
        } else fail(handshake.outOfTurn(message.kind));
      },
      onClosed: error => {
        timer.cancel();
        const why = error.code === 'OBS_NODE_CLOSED' ? String(error.details['why']) : error.message;
        reject(error.code === 'OBS_NODE_PROTOCOL' ? error : unreachable(expects, address, why, error));
      },
    });
    ports.watch.add(channel);
    handshake.helloPayload = must(channel.send({ kind: 'hello', ...handshake.hello }), 'a hello');
  });
}

/** How far the dialer's side has come. */
class DialerHandshake {
  readonly hello: NodeHello;
  helloPayload: Uint8Array = new Uint8Array();
  readonly #ports: NodePorts;
  readonly #address: string;
  #challenge: NodeChallenge | null = null;
  #transcript: Uint8Array = new Uint8Array();

  constructor(ports: NodePorts, options: DialOptions) {
    this.#ports = ports;
    this.#address = shownAddress(options.address);
    this.hello = {
      versionMin: nodeVersionMin,
      versionMax: nodeVersionMax,
      ...ports.identity(),
      ...(ports.clusterName === null ? {} : { clusterName: ports.clusterName }),
      purpose: options.purpose,
      expects: options.expects,
      nonce: drawNonce(ports.random),
    };
  }

  proveTo(challenge: NodeChallenge, payload: Uint8Array): string | ObError {
    if (this.#challenge !== null) return this.outOfTurn('challenge');
    const refusal = challengeRefusal(this.hello, challenge, this.#address);
    if (refusal !== undefined) return refusal;
    this.#challenge = challenge;
    this.#transcript = transcriptOf(this.helloPayload, payload);
    return nodeProof(this.#ports.secretKey, this.#transcript, 'dialer');
  }

  welcomed(proof: string, channel: NodeChannel): NodePeer | ObError {
    const { secretKey } = this.#ports;
    const challenge = this.#challenge;
    if (challenge === null) return this.outOfTurn('welcome');
    if (!isNodeProof(secretKey, this.#transcript, 'acceptor', proof)) {
      return new ObError('OBS_NODE_SECRET', { address: this.#address });
    }
    channel.seal(nodeChannelKeys(secretKey, this.#transcript), 'dialer');
    return {
      node: challenge.node,
      boot: challenge.boot,
      address: challenge.address ?? this.#address,
      remoteAddress: channel.remoteAddress,
    };
  }

  outOfTurn(kind: string): ObError {
    return new ObError('OBS_NODE_PROTOCOL', { address: this.#address, what: `a ${kind} out of turn` });
  }

  /** The refusal seen from this side: with the address used for the other end, and whose is whose exchanged. */
  refused(told: ToldError): ObError {
    const { theirs, ours } = told.details;
    const swapped = theirs === undefined || ours === undefined ? {} : { theirs: ours, ours: theirs };
    const address = told.code === 'OBS_NODE_DUPLICATE_ID' ? {} : { address: this.#address };
    const error = reviveError({ ...told, details: { ...told.details, ...swapped, ...address } });
    // It has proven nothing yet: it can say why it refuses, not that a disk or this process is broken.
    if (error.kind !== 'disk' && error.kind !== 'bug') return error;
    return this.outOfTurn(told.code);
  }
}

const unreachable = (node: NodeId | null, address: NetAddress, why: string, cause?: unknown): ObError =>
  new ObError('OBS_NODE_UNREACHABLE', { node: node ?? '(any)', address: shownAddress(address), why }, cause);

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const code = (error as NodeJS.ErrnoException).code;
  return code === undefined || error.message.includes(code) ? error.message : `${error.message} (${code})`;
}
