/**
 * Proofs of a password against stored double hashes: mysql_native_password and caching_sha2_password's fast path. The
 * server never sees, and need not have, the password. Pure; comparisons take the same time whatever differs.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { AuthenticationPlugin } from './handshake.ts';

const digest = (algorithm: 'sha1' | 'sha256', ...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return hash.digest();
};

const xor = (left: Uint8Array, right: Uint8Array): Buffer => {
  const result = Buffer.alloc(left.length);
  for (let index = 0; index < left.length; index++) result[index] = (left[index] ?? 0) ^ (right[index] ?? 0);
  return result;
};

const algorithmOf = (plugin: AuthenticationPlugin): 'sha1' | 'sha256' =>
  plugin === 'mysql_native_password' ? 'sha1' : 'sha256';

/** What is stored: the hash of the hash of the password. */
export function doubleHash(plugin: AuthenticationPlugin, password: string): Buffer {
  const algorithm = algorithmOf(plugin);
  return digest(algorithm, digest(algorithm, Buffer.from(password, 'utf8')));
}

/** Whether the client's answer to `challenge` proves the password behind `stored`. */
export function scrambleProves(
  plugin: AuthenticationPlugin,
  challenge: Uint8Array,
  scramble: Uint8Array,
  stored: Uint8Array,
): boolean {
  const algorithm = algorithmOf(plugin);
  // The two plugins mix challenge and stored hash in opposite orders.
  const mask =
    plugin === 'mysql_native_password'
      ? digest(algorithm, challenge, stored)
      : digest(algorithm, stored, challenge);
  const sized = Buffer.alloc(mask.length);
  sized.set(scramble.subarray(0, mask.length));
  const equal = timingSafeEqual(digest(algorithm, xor(sized, mask)), sizedTo(stored, mask.length));
  return equal && scramble.length === mask.length && stored.length === mask.length;
}

/** The client's side: what proves `password` for `challenge`. */
export function scrambleOf(plugin: AuthenticationPlugin, challenge: Uint8Array, password: string): Buffer {
  if (password === '') return Buffer.alloc(0);
  const algorithm = algorithmOf(plugin);
  const single = digest(algorithm, Buffer.from(password, 'utf8'));
  const double = digest(algorithm, single);
  return xor(
    single,
    plugin === 'mysql_native_password'
      ? digest(algorithm, challenge, double)
      : digest(algorithm, double, challenge),
  );
}

const sizedTo = (bytes: Uint8Array, length: number): Buffer => {
  const sized = Buffer.alloc(length);
  sized.set(bytes.subarray(0, length));
  return sized;
};
