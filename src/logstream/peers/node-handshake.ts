/**
 * The handshake between two nodes of one cluster: each proves that it holds the cluster secret by a MAC over every byte
 * of the hello and the challenge, so that nothing said in them can be altered or used a second time. The one who connects
 * proves first: who merely connects learns nothing that the secret was used for. Pure.
 *
 * After it both ends hold a key per direction for the frames that follow. Secrecy is TLS's, when configured.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { ObError } from '../../base/errors.ts';
import type { NodeId } from '../../base/scalars.ts';
import type { NodeChallenge, NodeHello } from '../../codec/node-message.ts';

/** Protocol versions this side speaks. */
export const nodeVersionMin = 1;
export const nodeVersionMax = 1;

/** Which end of a connection. */
export type NodeEnd = 'dialer' | 'acceptor';

/** Keys of the frames after a handshake, one a direction. */
export interface NodeChannelKeys {
  readonly fromDialer: Uint8Array;
  readonly fromAcceptor: Uint8Array;
}

/** What a node says of itself. */
export interface NodeIdentity {
  readonly node: NodeId;
  readonly boot: string;
  readonly cluster: string | null;
  readonly address: string | null;
}

const hmac = (key: Uint8Array | string, message: Uint8Array | string): Buffer =>
  createHmac('sha256', key).update(message).digest();

/** The key that proofs are made with. */
export const nodeSecretKey = (secret: string): Uint8Array => hmac(secret, 'obstandby cluster secret');

/** One end's proof; the other end's cannot be made from it. */
export const nodeProof = (secretKey: Uint8Array, transcript: Uint8Array, end: NodeEnd): string =>
  hmac(hmac(secretKey, `obstandby proof of the ${end}`), transcript).toString('base64');

export function isNodeProof(
  secretKey: Uint8Array,
  transcript: Uint8Array,
  end: NodeEnd,
  proof: string,
): boolean {
  const expected = Buffer.from(nodeProof(secretKey, transcript, end));
  const given = Buffer.from(proof);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

export function nodeChannelKeys(secretKey: Uint8Array, transcript: Uint8Array): NodeChannelKeys {
  const session = hmac(hmac(secretKey, 'obstandby session'), transcript);
  return {
    fromDialer: hmac(session, 'obstandby frames from the dialer'),
    fromAcceptor: hmac(session, 'obstandby frames from the acceptor'),
  };
}

/** The version both ends speak, or undefined. */
export function agreedNodeVersion(offer: Pick<NodeHello, 'versionMin' | 'versionMax'>): number | undefined {
  const version = Math.min(offer.versionMax, nodeVersionMax);
  return version >= Math.max(offer.versionMin, nodeVersionMin) ? version : undefined;
}

/** Why the acceptor does not go on after a hello, if it does not. `address` is where the hello came from. */
export function helloRefusal(hello: NodeHello, self: NodeIdentity, address: string): ObError | undefined {
  if (agreedNodeVersion(hello) === undefined) {
    return new ObError('OBS_NODE_VERSION', {
      address,
      theirs: `${hello.versionMin} to ${hello.versionMax}`,
      ours: `${nodeVersionMin} to ${nodeVersionMax}`,
    });
  }
  return strangerRefusal(hello, hello.purpose, self, address) ?? otherId(hello.expects, self.node, address);
}

/** Why the dialer does not go on after a challenge, if it does not. */
export function challengeRefusal(
  hello: NodeHello,
  challenge: NodeChallenge,
  address: string,
): ObError | undefined {
  if (challenge.version < hello.versionMin || challenge.version > hello.versionMax) {
    return new ObError('OBS_NODE_PROTOCOL', { address, what: 'a challenge in a version not offered' });
  }
  return (
    strangerRefusal(challenge, hello.purpose, hello, address) ??
    otherId(hello.expects, challenge.node, address)
  );
}

function strangerRefusal(
  theirs: Pick<NodeIdentity, 'node' | 'boot' | 'cluster'>,
  purpose: NodeHello['purpose'],
  ours: Pick<NodeIdentity, 'node' | 'boot' | 'cluster'>,
  address: string,
): ObError | undefined {
  if (theirs.node === ours.node) {
    if (theirs.boot === ours.boot) return new ObError('OBS_NODE_SELF', { address });
    return new ObError('OBS_NODE_DUPLICATE_ID', { address, node: theirs.node });
  }
  // A node that belongs to no cluster yet is asked to join one by single requests, nothing more.
  const undecided = theirs.cluster === null || ours.cluster === null;
  if (undecided ? purpose === 'call' : theirs.cluster === ours.cluster) return undefined;
  return new ObError('OBS_NODE_OTHER_CLUSTER', {
    address,
    theirs: theirs.cluster ?? '(none)',
    ours: ours.cluster ?? '(none)',
  });
}

const otherId = (expected: NodeId | null, actual: NodeId, address: string): ObError | undefined =>
  expected === null || expected === actual
    ? undefined
    : new ObError('OBS_NODE_OTHER_ID', { address, expected, actual });
