/** The door to archive media: from a location's text to a store that has been tried. */
import type { Clock } from '../platform/clock.ts';
import type { ObjectStore } from '../platform/object-store.ts';
import type { Random } from '../platform/random.ts';
import { FileObjectStore } from './file/object-store.ts';
import { probeConditionalWrites } from './probe.ts';
import { defaultStoreTiming, type StoreTiming } from './store-deadline.ts';
import { parseStoreLocation } from './store-location.ts';

export interface StoreEnvironment {
  readonly clock: Clock;
  readonly random: Random;
  /** AWS_* variables */
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly timing?: StoreTiming;
  /**
   * `write`: try what an archiver or a claim needs, and refuse media without it. `read`: only that it is there; works
   * with read-only credentials.
   */
  readonly access: 'read' | 'write';
}

/**
 * Opens `file:///dir` or `s3://bucket/prefix?…`. Throws OBS_ARCHIVE_URI_INVALID, OBS_ARCHIVE_NO_DESTINATION,
 * OBS_ARCHIVE_PREFLIGHT_FAILED, OBS_ARCHIVE_NO_CONDITIONAL_WRITES, OBS_ARCHIVE_BUCKET_VERSIONED, OBS_ARCHIVE_DENIED,
 * OBS_ARCHIVE_UNAVAILABLE.
 */
export async function openObjectStore(location: string, environment: StoreEnvironment): Promise<ObjectStore> {
  const parsed = parseStoreLocation(location, environment.variables);
  const surroundings = {
    clock: environment.clock,
    random: environment.random,
    timing: environment.timing ?? defaultStoreTiming,
  };
  const store =
    parsed.kind === 'file'
      ? new FileObjectStore({ ...surroundings, directory: parsed.directory, create: parsed.create })
      : // loaded on demand: the SDK is a large part of a process that archives to a directory
        new (await import('./s3/object-store.ts')).S3ObjectStore({ ...surroundings, location: parsed });
  try {
    await store.preflight(environment.access);
    if (environment.access === 'write') await probeConditionalWrites(store, environment.random);
  } catch (error) {
    await store.close();
    throw error;
  }
  return store;
}
