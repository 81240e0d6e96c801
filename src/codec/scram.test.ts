import { expect, test } from 'vitest';
import {
  clientProof,
  deriveScramKeys,
  isServerSignature,
  recoverClientKey,
  scramVerifierOf,
  serverSignature,
  sessionKey,
} from './scram.ts';

/** RFC 7677, section 3. */
const example = {
  password: 'pencil',
  salt: Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'),
  iterations: 4_096,
  authMessage: Buffer.from(
    'n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  ),
};
const keysOf = (password: string) => deriveScramKeys(password, example.salt, example.iterations);

test('proof and signature are those of the example in RFC 7677', async () => {
  const keys = await keysOf(example.password);
  expect(clientProof(keys.clientKey, example.authMessage).toString('base64')).toBe(
    'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  );
  expect(serverSignature(keys.serverKey, example.authMessage).toString('base64')).toBe(
    '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  );
});

test('a right proof gives the client key to the server, a wrong one nothing', async () => {
  const keys = await keysOf(example.password);
  const verifier = scramVerifierOf(keys);
  const right = clientProof(keys.clientKey, example.authMessage);
  expect(recoverClientKey(verifier, right, example.authMessage)).toEqual(keys.clientKey);
  const other = clientProof((await keysOf('pen')).clientKey, example.authMessage);
  expect(recoverClientKey(verifier, other, example.authMessage)).toBeUndefined();
  expect(recoverClientKey(verifier, right, Buffer.from('another transcript'))).toBeUndefined();
  expect(recoverClientKey(verifier, right.subarray(1), example.authMessage)).toBeUndefined();
});

test('a signature of another key or length is not the server', async () => {
  const keys = await keysOf(example.password);
  const signature = serverSignature(keys.serverKey, example.authMessage);
  expect(isServerSignature(keys.serverKey, example.authMessage, signature)).toBe(true);
  expect(isServerSignature(keys.clientKey, example.authMessage, signature)).toBe(false);
  expect(isServerSignature(keys.serverKey, example.authMessage, signature.subarray(1))).toBe(false);
});

test('session keys differ by transcript and purpose', async () => {
  const { clientKey } = await keysOf(example.password);
  const key = sessionKey(clientKey, example.authMessage, 'a');
  expect(sessionKey(clientKey, example.authMessage, 'b')).not.toEqual(key);
  expect(sessionKey(clientKey, Buffer.from('x'), 'a')).not.toEqual(key);
});
