/** What a key of an object store may look like: relative, of plain characters, without empty or hidden parts. */
import { assert } from '../base/assert.ts';

/** Throws (a programmer's mistake) unless `key` is `[A-Za-z0-9._=-]` parts joined by `/`, none starting with a dot. */
export function checkKey(key: string): void {
  assert(
    key.length <= 512 && /^[A-Za-z0-9_=-][A-Za-z0-9._=-]*(\/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*$/.test(key),
    `a store key: ${key}`,
  );
}

export const sameBytes = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && Buffer.compare(left, right) === 0;
