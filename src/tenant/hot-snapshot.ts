/**
 * A hot copy of a tenant's database for a rebuild, a base backup or a new standby: pieces of the file as it is, to be
 * completed by redo from `startLsn` to at least `minimumLsn`. Log from its start on is held while it is open (L7).
 */
import { assert } from '../base/assert.ts';
import type { LogHold, LogPosition, LogReader } from '../base/log-access.ts';
import type { Lsn, Scn } from '../base/scalars.ts';
import type { EngineSnapshot } from './engine.ts';
import type { WorkerChannel } from './worker-pool.ts';

export class HotSnapshot implements EngineSnapshot {
  readonly startLsn: Lsn;
  readonly startScn: Scn;
  readonly startChecksum: number;
  readonly pageBytes: number;
  readonly #channel: WorkerChannel;
  readonly #snapshot: number;
  readonly #hold: LogHold;
  #end: { readonly minimumLsn: Lsn; readonly fileBytes: number } | undefined;
  #closed = false;

  private constructor(
    channel: WorkerChannel,
    hold: LogHold,
    opened: { snapshot: number; start: LogPosition; pageBytes: number },
  ) {
    this.#channel = channel;
    this.#hold = hold;
    this.#snapshot = opened.snapshot;
    this.startLsn = opened.start.lsn;
    this.startScn = opened.start.scn;
    this.startChecksum = opened.start.checksum;
    this.pageBytes = opened.pageBytes;
  }

  /** `checkpoint`: the last durable one; the copy starts there or at a newer one. */
  static async open(channel: WorkerChannel, log: LogReader, checkpoint: LogPosition): Promise<HotSnapshot> {
    const hold = log.hold('snapshot', checkpoint.lsn);
    try {
      const opened = await channel.ask('openSnapshot', {});
      hold.advance(opened.start.lsn);
      return new HotSnapshot(channel, hold, opened);
    } catch (error) {
      hold.release();
      throw error;
    }
  }

  async next(): Promise<{ readonly position: number; readonly bytes: Uint8Array } | undefined> {
    if (this.#end !== undefined) return undefined;
    const piece = await this.#channel.ask('readSnapshot', { snapshot: this.#snapshot });
    if (piece.kind === 'piece') return { position: piece.position, bytes: piece.bytes };
    this.#end = { minimumLsn: piece.minimumLsn, fileBytes: piece.fileBytes };
    return undefined;
  }

  finish(): { readonly minimumLsn: Lsn; readonly fileBytes: number } {
    assert(this.#end !== undefined, 'a snapshot is finished at its end');
    return this.#end;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#hold.release();
    await this.#channel.ask('closeSnapshot', { snapshot: this.#snapshot });
  }
}
