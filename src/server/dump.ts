/** What is inside a file that obstandby wrote: finds out its format by trying each reader, newest formats first. */
import { readFile } from 'node:fs/promises';
import { dumpArchiveObject } from '../archive/dump.ts';
import { ObError } from '../base/errors.ts';
import { dumpFileBytesMax } from '../base/limits.ts';
import { decodeCheckpointFile } from '../codec/checkpoint-record.ts';
import { dumpLogFile } from '../logstream/dump.ts';

export interface DumpRecord {
  readonly text: string;
  readonly value: object;
  /** false for damage */
  readonly sound: boolean;
}

/** Throws OBS_DUMP_UNREADABLE, OBS_DUMP_UNKNOWN_FORMAT. */
export async function* dumpFile(
  path: string,
  options: { readonly bodies: boolean },
): AsyncGenerator<DumpRecord> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new ObError(
      'OBS_DUMP_UNREADABLE',
      { path, why: (error as NodeJS.ErrnoException).code ?? String(error) },
      error,
    );
  }
  if (bytes.length > dumpFileBytesMax)
    throw new ObError('OBS_DUMP_UNREADABLE', { path, why: 'it is too large' });
  const records = dumpLogFile(bytes, options);
  if (records !== undefined) {
    yield* records;
    return;
  }
  const archived = dumpArchiveObject(bytes);
  if (archived !== undefined) {
    yield { text: JSON.stringify(archived, null, 2), value: archived, sound: true };
    return;
  }
  const checkpoint = decodeCheckpointFile(bytes);
  if (checkpoint.kind === 'checkpoint') {
    yield { text: JSON.stringify(checkpoint, null, 2), value: checkpoint, sound: true };
    return;
  }
  throw new ObError('OBS_DUMP_UNKNOWN_FORMAT', { path });
}
