/**
 * What a node would still have if its power failed this instant: its log as far as the platter shows whole groups, and
 * its meta image. Read from the simulated disk itself, so that no driver's word is taken for it.
 */
import type { LogPosition } from '../../../src/base/log-access.ts';
import { type Lsn, lsn, type ProposalId, scn } from '../../../src/base/scalars.ts';
import { blockFileName, blockIdOf, positionInBlock } from '../../../src/codec/block-header.ts';
import { decodeGroup, isProblem } from '../../../src/codec/clog.ts';
import { decodeMeta, type MetaImage } from '../../../src/codec/meta-image.ts';
import { metaImageBytesMax } from '../../../src/base/limits.ts';
import type { SimDisk } from '../../support/sim/disk.ts';

export const logDirectory = 'log';

export const logStart: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };

/** A group seen on a platter. */
export interface SeenGroup {
  readonly start: LogPosition;
  readonly end: LogPosition;
  readonly proposalId: ProposalId;
  readonly rawWrite: boolean;
}

export class Platter {
  readonly #disk: SimDisk;
  readonly #blockBytes: number;
  /** group boundaries of the log that is there, in order, the first one included */
  #boundaries: LogPosition[] = [logStart];
  #byLsn = new Map<Lsn, LogPosition>([[logStart.lsn, logStart]]);
  /** what was there once and was not cut off, though it may have rotted since */
  readonly #ever = new Map<Lsn, LogPosition>();
  #end: LogPosition = logStart;
  #isCutting = false;
  #meta: { readonly version: number; readonly image: MetaImage | undefined } | undefined;
  /** called with each group when it is first seen */
  onGroup: ((group: SeenGroup) => void) | undefined;

  constructor(disk: SimDisk, blockBytes: number) {
    this.#disk = disk;
    this.#blockBytes = blockBytes;
  }

  /** Looks again, from a boundary that is known to be part of the log. */
  restart(from: LogPosition): void {
    this.#isCutting = false;
    this.#boundaries = [from];
    this.#byLsn = new Map([[from.lsn, from]]);
    this.#end = from;
  }

  /** The log behind `to` is being cut off: it counts no more, though it is still there until `isCut`. */
  cut(to: LogPosition): void {
    this.#isCutting = true;
    for (const at of this.#ever.keys()) if (at > to.lsn) this.#ever.delete(at);
    if (to.lsn >= this.#end.lsn) return;
    for (
      let last = this.#boundaries.at(-1);
      last !== undefined && last.lsn > to.lsn;
      last = this.#boundaries.at(-1)
    ) {
      this.#boundaries.pop();
      this.#byLsn.delete(last.lsn);
    }
    if (this.#byLsn.has(to.lsn)) this.#end = to;
    else {
      this.restart(to);
      this.#isCutting = true;
    }
  }

  isCut(): void {
    this.#isCutting = false;
  }

  /** Boundaries of the log that is there, in order. */
  get boundaries(): readonly LogPosition[] {
    return this.#boundaries;
  }

  /** Where the log on the platter ends. */
  end(): LogPosition {
    if (this.#isCutting) return this.#end;
    for (;;) {
      const path = `${logDirectory}/${blockFileName(blockIdOf(this.#end.lsn, this.#blockBytes))}`;
      const bytes = this.#disk.durableBytes(path);
      if (bytes === undefined) return this.#end;
      const group = decodeGroup(bytes, positionInBlock(this.#end.lsn, this.#blockBytes), this.#end);
      if (group.kind === 'problem') return this.#end;
      this.#end = group.end;
      this.#boundaries.push(group.end);
      this.#byLsn.set(group.end.lsn, group.end);
      this.#ever.set(group.end.lsn, group.end);
      const { proposalId, rawWrite } = group.header;
      this.onGroup?.({ start: group.start, end: group.end, proposalId, rawWrite });
    }
  }

  /** Whether this position was there and was not cut off: damage since then is another matter (L10). */
  held(position: LogPosition): boolean {
    if (this.holds(position)) return true;
    const known = this.#ever.get(position.lsn);
    return known !== undefined && known.checksum === position.checksum && known.scn === position.scn;
  }

  /** Its log is replaced by another's. */
  forget(): void {
    this.#ever.clear();
  }

  /** Whether the log on the platter goes through this very position. */
  holds(position: LogPosition): boolean {
    // Below its base it has a database in place of log.
    const [base] = this.#boundaries;
    if (base !== undefined && position.lsn < base.lsn) return true;
    if (this.end().lsn < position.lsn) return false;
    const known = this.#byLsn.get(position.lsn);
    return known !== undefined && known.checksum === position.checksum && known.scn === position.scn;
  }

  /** The newest whole meta image, as a start would find it. */
  meta(): MetaImage | undefined {
    const file = this.#disk.durableFile(`${logDirectory}/meta`);
    if (file === undefined) return undefined;
    if (this.#meta?.version === file.version) return this.#meta.image;
    let newest: { readonly sequence: number; readonly image: MetaImage } | undefined;
    for (const offset of [0, metaImageBytesMax]) {
      const copy = decodeMeta(file.bytes.subarray(offset, offset + metaImageBytesMax));
      if (isProblem(copy) || copy.kind !== 'meta') continue;
      if (newest === undefined || copy.sequence > newest.sequence) newest = copy;
    }
    this.#meta = { version: file.version, image: newest?.image };
    return newest?.image;
  }
}
