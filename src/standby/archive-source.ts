/** A restore source that is an archive, as the puller sees it: log from a position on, and how far the archive goes. */
import type { ArchiveHead } from '../archive/archive-head.ts';
import type { ArchiveReader } from '../archive/restore-reader.ts';
import type { LogPosition } from '../base/log-access.ts';
import type { MonoMs } from '../base/scalars.ts';
import type { Clock } from '../platform/clock.ts';
import type { ObjectStore } from '../platform/object-store.ts';
import type { ArchivedLog, ArchiveSource } from './puller.ts';

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
  #head: { readonly is: ArchiveHead; readonly at: MonoMs } | null = null;

  constructor(options: StandbyArchiveSourceOptions) {
    this.#options = options;
    this.name = options.store.name;
  }

  async read(from: LogPosition, bytesMax: number): Promise<ArchivedLog | undefined> {
    const { reader, clock } = this.#options;
    const chunk = await reader.read(from, bytesMax);
    if (chunk === undefined || chunk.bytes.length === 0) return undefined;
    if (this.#head === null || clock.now() - this.#head.at > headAgeMsMax) {
      this.#head = { is: await reader.head(), at: clock.now() };
    }
    const { end, epoch } = this.#head.is;
    return { chunk, archivedEnd: end !== null && end.lsn > chunk.end.lsn ? end : chunk.end, epoch };
  }

  close(): Promise<void> {
    return this.#options.store.close();
  }
}
