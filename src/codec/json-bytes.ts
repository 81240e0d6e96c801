/**
 * JSON as a server keeps it in its own small files. It reads what is there, whole or not; whoever asked checks the
 * shape, and says in its own words what is wrong. Not for bytes of others, where bytes that are no UTF-8 are refused.
 */

/** The value, or undefined (which JSON has not) when the bytes are none. */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}
