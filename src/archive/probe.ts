/**
 * Finds out, before anything depends on it, that a store refuses the second of two conditional writes. A store that
 * does not would let two primaries own one archive.
 */
import { ObError } from '../base/errors.ts';
import type { ObjectStore } from '../platform/object-store.ts';
import type { Random } from '../platform/random.ts';
import { sameBytes } from './object-key.ts';

/** Throws OBS_ARCHIVE_NO_CONDITIONAL_WRITES with the store's name. Leaves nothing behind when the store answers. */
export async function probeConditionalWrites(store: ObjectStore, random: Random): Promise<void> {
  const refuse = (why: string) => new ObError('OBS_ARCHIVE_NO_CONDITIONAL_WRITES', { dest: store.name, why });
  const key = `probe/${random.uuid()}`;
  const first = new TextEncoder().encode(`first ${random.uuid()}`);
  const second = new TextEncoder().encode(`second ${random.uuid()}`);
  try {
    if ((await store.putIfAbsent(key, first)) !== 'created') throw refuse('a new key was said to exist');
    if ((await store.putIfAbsent(key, second)) !== 'exists') throw refuse('a second write was accepted');
    if ((await store.putIfAbsent(key, first)) !== 'created')
      throw refuse('a repeated write was not recognised');
    const there = await store.get(key);
    if (there === undefined || !sameBytes(there, first)) throw refuse('the first write was not kept');
  } finally {
    await store.delete(key);
  }
}
