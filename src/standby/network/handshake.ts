/**
 * The login between peers: SCRAM-SHA-256 in both directions, whose transcript is every byte of the hello and the
 * challenge, so that nothing said in them can be altered. Pure: keys are derived and looked up by the callers.
 *
 * It never tells a wrong user from a wrong password, and does the same work for both. After it both ends hold keys for
 * the frames that follow and the caller's ClientKey, which lets the server log in at the caller's site later.
 */
import { timingSafeEqual } from 'node:crypto';
import { ObError } from '../../base/errors.ts';
import { handshakeNonceBytes } from '../../codec/handshake-transcript.ts';
import type { Challenge, Hello } from '../../codec/peer-message.ts';
import {
  clientProof,
  isServerSignature,
  recoverClientKey,
  type ScramKeys,
  type ScramVerifier,
  scramIterationsMax,
  scramIterationsMin,
  scramKeyBytes,
  serverSignature,
  sessionKey,
} from '../../codec/scram.ts';

/** Protocol versions this side speaks. */
export const peerVersionMin = 1;
export const peerVersionMax = 1;

const saltBytesMax = 64;

/** What logs a peer in: a password, or the keys that a server learned from a peer's login. */
export type PeerCredential =
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  | ({ readonly kind: 'keys'; readonly user: string } & ScramKeys);

/** Keys of the frames after a login, one a direction. */
export interface ChannelKeys {
  readonly fromClient: Uint8Array;
  readonly fromServer: Uint8Array;
}

/** The version both sides speak, or the error that neither does. */
export function agreeVersion(hello: Pick<Hello, 'versionMin' | 'versionMax'>): number | ObError {
  const version = Math.min(hello.versionMax, peerVersionMax);
  if (version >= Math.max(hello.versionMin, peerVersionMin)) return version;
  return new ObError('OBS_PEER_VERSION', {
    theirs: `${hello.versionMin} to ${hello.versionMax}`,
    ours: `${peerVersionMin} to ${peerVersionMax}`,
  });
}

/** Checks a challenge before anything is computed for it: a server must not choose weak or endless work. */
export function challengeProblem(hello: Hello, challenge: Challenge): string | undefined {
  const salt = Buffer.from(challenge.salt, 'base64');
  if (challenge.version < hello.versionMin || challenge.version > hello.versionMax)
    return 'a version not offered';
  if (!challenge.nonce.startsWith(hello.nonce)) return 'the challenge answers another hello';
  if (challenge.nonce.length < hello.nonce.length + handshakeNonceBytes)
    return 'the nonce of the server is too short';
  if (salt.length === 0 || salt.length > saltBytesMax) return 'a salt of the wrong length';
  if (challenge.iterations < scramIterationsMin || challenge.iterations > scramIterationsMax) {
    return `${challenge.iterations} iterations`;
  }
  return undefined;
}

/** True when stored keys belong to the password that this challenge is about. */
export const keysFitChallenge = (keys: ScramKeys, challenge: Challenge): boolean => {
  const salt = Buffer.from(challenge.salt, 'base64');
  return (
    keys.iterations === challenge.iterations &&
    keys.salt.length === salt.length &&
    timingSafeEqual(keys.salt, salt)
  );
};

const channelKeys = (clientKey: Uint8Array, transcript: Uint8Array): ChannelKeys => ({
  fromClient: sessionKey(clientKey, transcript, 'frames from the client'),
  fromServer: sessionKey(clientKey, transcript, 'frames from the server'),
});

/** The client's side: its proof, the keys of the channel, and the check of the server's answer. */
export function answerChallenge(
  keys: ScramKeys,
  transcript: Uint8Array,
): { proof: string; channelKeys: ChannelKeys; isServer: (signature: string) => boolean } {
  return {
    proof: clientProof(keys.clientKey, transcript).toString('base64'),
    channelKeys: channelKeys(keys.clientKey, transcript),
    isServer: signature => isServerSignature(keys.serverKey, transcript, Buffer.from(signature, 'base64')),
  };
}

/** The server's side: undefined when the proof is wrong. */
export function acceptProof(
  verifier: ScramVerifier,
  proof: string,
  transcript: Uint8Array,
): { signature: string; channelKeys: ChannelKeys; keys: ScramKeys } | undefined {
  const clientKey = recoverClientKey(verifier, Buffer.from(proof, 'base64'), transcript);
  if (clientKey === undefined) return undefined;
  return {
    signature: serverSignature(verifier.serverKey, transcript).toString('base64'),
    channelKeys: channelKeys(clientKey, transcript),
    keys: { salt: verifier.salt, iterations: verifier.iterations, clientKey, serverKey: verifier.serverKey },
  };
}

/** A verifier that no password fits, the same each time for the same name: unknown users look like known ones. */
export function decoyVerifier(
  secret: Uint8Array,
  tenant: string,
  user: string,
  iterations: number,
): ScramVerifier {
  const about = Buffer.from(JSON.stringify([tenant, user]));
  return {
    salt: sessionKey(secret, about, 'decoy salt').subarray(0, 16),
    iterations,
    storedKey: sessionKey(secret, about, 'decoy key').subarray(0, scramKeyBytes),
    serverKey: sessionKey(secret, about, 'decoy server key').subarray(0, scramKeyBytes),
  };
}
