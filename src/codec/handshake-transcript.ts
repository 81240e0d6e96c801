/**
 * What the proofs of a handshake are made over, between servers and between sites alike: every byte of the hello and the
 * challenge, each with a nonce of its end. Nothing said in them can be altered, moved from one to the other, or used a second
 * time. What a proof is, and under which key, is each handshake's own. Pure.
 */

export const handshakeNonceBytes = 24;

export const drawNonce = (random: { bytes(count: number): Uint8Array }): string =>
  Buffer.from(random.bytes(handshakeNonceBytes)).toString('base64');

/** Both payloads with their lengths. */
export function transcriptOf(helloPayload: Uint8Array, challengePayload: Uint8Array): Uint8Array {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(helloPayload.length, 0);
  head.writeUInt32LE(challengePayload.length, 4);
  return Buffer.concat([head, helloPayload, challengePayload]);
}
