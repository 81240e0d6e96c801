/**
 * The secret that makes a server part of a cluster: a file that only the server's user can read, the same on every server. Never logged, never
 * sent; keys are derived from it.
 */
import { hkdfSync } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { ObError } from '../../base/errors.ts';
import { clusterSecretBytesMax, clusterSecretBytesMin } from '../../base/limits.ts';
import type { Random } from '../../platform/random.ts';
import { SecretBox } from '../secret-box.ts';

const drawnBytes = 36;

/** A new secret, as one line of text. */
export const drawClusterSecret = (random: Random): string =>
  Buffer.from(random.bytes(drawnBytes)).toString('base64');

/** Throws OBS_CLUSTER_SECRET_FILE. */
export function readClusterSecret(path: string): string {
  const wrong = (why: string, cause?: unknown): ObError =>
    new ObError('OBS_CLUSTER_SECRET_FILE', { path, why }, cause);
  let secret: string;
  try {
    const facts = statSync(path);
    if (!facts.isFile()) throw wrong('it is no file');
    const mode = facts.mode & 0o777;
    if ((mode & 0o077) !== 0) throw wrong(`other users may open it (mode 0${mode.toString(8)}, wanted 0600)`);
    if (facts.size > clusterSecretBytesMax) throw wrong(`it is longer than ${clusterSecretBytesMax} bytes`);
    secret = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (error instanceof ObError) throw error;
    throw wrong((error as NodeJS.ErrnoException).code ?? String(error), error);
  }
  if (Buffer.byteLength(secret) < clusterSecretBytesMin)
    throw wrong(`it is shorter than ${clusterSecretBytesMin} bytes`);
  return secret;
}

/** Seals what one server hands to another when it joins: the key of the sys tenant's credentials. */
export function joinBox(secret: string, clusterId: string, random: Random): SecretBox {
  const key = hkdfSync('sha256', secret, clusterId, 'obstandby join', 32);
  return new SecretBox(new Uint8Array(key), random);
}
