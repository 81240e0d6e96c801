/**
 * Seals credentials that the sys tenant stores, with AES-256-GCM under the site's key file: the sys tenant's log, its
 * database and their copies then hold no secret.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { assert } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import type { Random } from '../platform/random.ts';

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;

export class SecretBox {
  readonly #key: Uint8Array;
  readonly #random: Random;

  constructor(key: Uint8Array, random: Random) {
    assert(key.length === keyBytes, 'the site key has 256 bits');
    this.#key = key;
    this.#random = random;
  }

  /** Nonce, tag and ciphertext. `context` must be the same when it is opened: a secret cannot be moved elsewhere. */
  seal(clear: string, context: string): Uint8Array {
    const nonce = this.#random.bytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(context));
    const body = Buffer.concat([cipher.update(clear, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), body]);
  }

  /** Throws OBS_SERVER_SECRET_KEY when the key is another one, or the bytes were changed. */
  open(sealed: Uint8Array, context: string): string {
    try {
      const nonce = sealed.subarray(0, nonceBytes);
      const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce)
        .setAAD(Buffer.from(context))
        .setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes));
      return Buffer.concat([
        decipher.update(sealed.subarray(nonceBytes + tagBytes)),
        decipher.final(),
      ]).toString('utf8');
    } catch (error) {
      throw new ObError('OBS_SERVER_SECRET_KEY', { what: context }, error);
    }
  }
}
