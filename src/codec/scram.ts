/**
 * The arithmetic of SCRAM-SHA-256 (RFC 5802, RFC 7677): a password is proven without sending it, in both directions,
 * and the one who checks stores nothing that logs in by itself.
 *
 * Both ends of a successful exchange know the ClientKey; the session's keys are derived from it. Compares are
 * constant-time. Keys and proofs never go into texts.
 */
import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto';

export const scramKeyBytes = 32;
/** Fewer make a stolen verifier cheap to guess. */
export const scramIterationsMin = 4_096;
/** More would let a peer burn our processor. */
export const scramIterationsMax = 1_000_000;

/** What the checking side stores of a password. */
export interface ScramVerifier {
  readonly salt: Uint8Array;
  readonly iterations: number;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

/** What proves a password without knowing it; as good as the password at every holder of the same verifier. */
export interface ScramKeys {
  readonly salt: Uint8Array;
  readonly iterations: number;
  readonly clientKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

const hmac = (key: Uint8Array, message: Uint8Array | string): Buffer =>
  createHmac('sha256', key).update(message).digest();

const xor = (a: Uint8Array, b: Uint8Array): Buffer => {
  const result = Buffer.alloc(a.length);
  for (let i = 0; i < a.length; i += 1) result[i] = (a[i] ?? 0) ^ (b[i] ?? 0);
  return result;
};

const storedKeyOf = (clientKey: Uint8Array): Buffer => createHash('sha256').update(clientKey).digest();

/** Derives the keys of a password; the slow part runs in the thread pool. */
export function deriveScramKeys(password: string, salt: Uint8Array, iterations: number): Promise<ScramKeys> {
  return new Promise((resolve, reject) => {
    pbkdf2(password.normalize('NFKC'), salt, iterations, scramKeyBytes, 'sha256', (error, salted) => {
      if (error !== null) {
        reject(error);
        return;
      }
      resolve({
        salt,
        iterations,
        clientKey: hmac(salted, 'Client Key'),
        serverKey: hmac(salted, 'Server Key'),
      });
    });
  });
}

export const scramVerifierOf = (keys: ScramKeys): ScramVerifier => ({
  salt: keys.salt,
  iterations: keys.iterations,
  storedKey: storedKeyOf(keys.clientKey),
  serverKey: keys.serverKey,
});

/** The client's proof for an exchange whose transcript is `authMessage`. */
export const clientProof = (clientKey: Uint8Array, authMessage: Uint8Array): Buffer =>
  xor(clientKey, hmac(storedKeyOf(clientKey), authMessage));

/** The ClientKey if the proof is right for this verifier and transcript, else undefined. */
export function recoverClientKey(
  verifier: Pick<ScramVerifier, 'storedKey'>,
  proof: Uint8Array,
  authMessage: Uint8Array,
): Buffer | undefined {
  if (proof.length !== scramKeyBytes || verifier.storedKey.length !== scramKeyBytes) return undefined;
  const clientKey = xor(proof, hmac(verifier.storedKey, authMessage));
  return timingSafeEqual(storedKeyOf(clientKey), verifier.storedKey) ? clientKey : undefined;
}

/** The server's proof that it holds the verifier. */
export const serverSignature = (serverKey: Uint8Array, authMessage: Uint8Array): Buffer =>
  hmac(serverKey, authMessage);

export const isServerSignature = (
  serverKey: Uint8Array,
  authMessage: Uint8Array,
  signature: Uint8Array,
): boolean =>
  signature.length === scramKeyBytes && timingSafeEqual(serverSignature(serverKey, authMessage), signature);

/** A key for one purpose of one exchange; who has only seen the wire or the verifier's table cannot know it. */
export const sessionKey = (clientKey: Uint8Array, authMessage: Uint8Array, purpose: string): Buffer =>
  hmac(hmac(clientKey, authMessage), `obstandby ${purpose}`);
