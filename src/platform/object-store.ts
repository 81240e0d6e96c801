/**
 * The object store port of the archive: a directory or an S3 bucket. Keys are relative, `/`-separated, and made of
 * `[A-Za-z0-9._=/-]`. Adapters: `archive/file/`, `archive/s3/`; both pass one conformance suite.
 */

export interface ObjectStore {
  /** shown to people; holds no secret */
  readonly name: string;
  /** The whole object, or undefined. Throws OBS_ARCHIVE_UNAVAILABLE when the store does not answer. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Bytes [start, start+length) of an object; short at its end; undefined if there is no such object. */
  getRange(key: string, start: number, length: number): Promise<Uint8Array | undefined>;
  /**
   * Creates the object unless the key exists. The answer is exact or an error: on any doubt the adapter reads back
   * and compares. `created`: these bytes are there because of this call or one with equal bytes.
   * `exists`: other bytes were there before.
   */
  putIfAbsent(key: string, bytes: Uint8Array): Promise<'created' | 'exists'>;
  /** Creates or overwrites with no condition. Only for content-determined keys (a repeat writes equal bytes). */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Removes if present. */
  delete(key: string): Promise<void>;
  /**
   * Calls `listener` soon after the object may have changed. A hint: may come late, twice or never, so poll as well.
   * Stores that cannot tell leave it out. Returns the unsubscribe function.
   */
  watch?(key: string, listener: () => void): () => void;
  /** Keys with the prefix, greater than `after`, ascending, at most `max`. A hint: may be stale. */
  list(prefix: string, options?: { after?: string; max?: number }): Promise<string[]>;
  close(): Promise<void>;
}
