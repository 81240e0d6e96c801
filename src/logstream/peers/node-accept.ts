/**
 * The acceptor's side of a handshake. Until it is through a connection costs one of a bounded number, small frames and a
 * bounded time, and nothing it says is acted on.
 */
import { must } from '../../base/assert.ts';
import { isObError, ObError } from '../../base/errors.ts';
import { nodeHandshakeMs } from '../../base/limits.ts';
import type { NodeId } from '../../base/scalars.ts';
import { drawNonce, transcriptOf } from '../../codec/handshake-transcript.ts';
import type { NodeHello, NodePurpose } from '../../codec/node-message.ts';
import type { Connection } from '../../platform/net.ts';
import { NodeChannel } from './node-channel.ts';
import {
  agreedNodeVersion,
  helloRefusal,
  isNodeProof,
  nodeChannelKeys,
  nodeProof,
} from './node-handshake.ts';
import type { NodePeer, NodePorts } from './node-ports.ts';
import { toldError } from './told-error.ts';

/** Whom a connection is for. */
export interface DoorHost {
  readonly ports: NodePorts;
  /** Why the peer, which has proven itself, is refused all the same; undefined if it is not. */
  refusal(peer: NodePeer, purpose: NodePurpose): ObError | undefined;
  /** The channel's new owner takes it (`handTo`) within the call. */
  adopt(channel: NodeChannel, peer: NodePeer, purpose: NodePurpose): void;
}

export interface AcceptEvents {
  /** by what the one who connects says of itself, which is not proven yet */
  hostOf(hello: NodeHello): DoorHost | ObError;
  /** The handshake is over: the channel belongs to its host, or has ended. */
  over(channel: NodeChannel, error: ObError | null): void;
}

interface Challenged {
  readonly host: DoorHost;
  readonly hello: NodeHello;
  readonly transcript: Uint8Array;
}

/** What a door needs before it knows for whom a connection is. */
export type DoorPorts = Pick<NodePorts, 'clock' | 'random' | 'watch'> & { readonly self: NodeId };

/** Takes a new connection through the handshake. */
export function acceptNode(door: DoorPorts, connection: Connection, events: AcceptEvents): NodeChannel {
  let challenged: Challenged | null = null;
  const address = connection.remoteAddress;
  const refuse = (error: ObError): void => {
    channel.send({ kind: 'refusal', ...toldError(error, door.self) });
    channel.finish(error);
  };
  const channel: NodeChannel = new NodeChannel(connection, {
    onMessage: (message, payload) => {
      if (message.kind === 'hello' && challenged === null) {
        const host = events.hostOf(message);
        if (isObError(host)) {
          refuse(host);
          return;
        }
        const self = host.ports.identity();
        const refusal = helloRefusal(message, self, address);
        if (refusal !== undefined) {
          refuse(refusal);
          return;
        }
        const version = must(agreedNodeVersion(message), 'the version of a hello that is not refused');
        const nonce = drawNonce(door.random);
        const sent = must(channel.send({ kind: 'challenge', version, ...self, nonce }), 'a challenge');
        challenged = { host, hello: message, transcript: transcriptOf(payload, sent) };
      } else if (message.kind === 'proof' && challenged !== null) {
        const { host, hello, transcript } = challenged;
        const { secretKey } = host.ports;
        if (!isNodeProof(secretKey, transcript, 'dialer', message.proof)) {
          refuse(new ObError('OBS_NODE_SECRET', { address }));
          return;
        }
        const peer: NodePeer = {
          node: hello.node,
          boot: hello.boot,
          address: hello.address ?? address,
          remoteAddress: address,
        };
        const refusal = host.refusal(peer, hello.purpose);
        if (refusal !== undefined) {
          refuse(refusal);
          return;
        }
        channel.send({ kind: 'welcome', proof: nodeProof(secretKey, transcript, 'acceptor') });
        channel.seal(nodeChannelKeys(secretKey, transcript), 'acceptor');
        timer.cancel();
        events.over(channel, null);
        host.adopt(channel, peer, hello.purpose);
      } else {
        refuse(new ObError('OBS_NODE_PROTOCOL', { address, what: `a ${message.kind} out of turn` }));
      }
    },
    onClosed: error => {
      timer.cancel();
      events.over(channel, error);
    },
  });
  const timer = door.clock.after(nodeHandshakeMs, () =>
    channel.close(
      new ObError('OBS_NODE_CLOSED', { node: address, why: `no handshake within ${nodeHandshakeMs} ms` }),
    ),
  );
  door.watch.add(channel);
  return channel;
}
