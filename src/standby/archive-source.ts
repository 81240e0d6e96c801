/** A restore source that is an archive, as the puller sees it: log from a position on, and how far the archive goes. */
import type { ArchiveReader } from '../archive/restore-reader.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import type { MonoMs } from '../base/scalars.ts';
import type { Clock } from '../platform/clock.ts';
import type { ObjectStore } from '../platform/object-store.ts';
import type { ArchiveSource } from './puller.ts';

export interface StandbyArchiveSourceOptions {
  readonly reader: ArchiveReader;
  /** what `reader` reads; closed with the source */
  readonly store: ObjectStore;
  readonly clock: Clock;
}

/** The chain's head costs a request: while there is much to read it is asked for at most this often. */
const headAgeMsMax = 1_000;

export class StandbyArchiveSource implements ArchiveSource {
  readonly name: string;
  readonly #options: StandbyArchiveSourceOptions;
  #end: { readonly position: LogPosition | null; readonly at: MonoMs } | null = null;

  constructor(options: StandbyArchiveSourceOptions) {
    this.#options = options;
    this.name = options.store.name;
  }

  async read(
    from: LogPosition,
    bytesMax: number,
  ): Promise<{ chunk: LogChunk; archivedEnd: LogPosition } | undefined> {
    const { reader, clock } = this.#options;
    const chunk = await reader.read(from, bytesMax);
    if (chunk === undefined || chunk.bytes.length === 0) return undefined;
    if (this.#end === null || clock.now() - this.#end.at > headAgeMsMax) {
      this.#end = { position: (await reader.head()).end, at: clock.now() };
    }
    const end = this.#end.position;
    return { chunk, archivedEnd: end !== null && end.lsn > chunk.end.lsn ? end : chunk.end };
  }

  close(): Promise<void> {
    return this.#options.store.close();
  }
}
