/**
 * Finds the end of a log after a start, and tells a crash from damage (L10).
 *
 * The last durable write may have been cut anywhere, in any order of sectors: an invalid record there is a torn tail,
 * which may be cut, for nothing in it was ever acknowledged. It is rot, never "never had", when something proves that
 * the bytes had been durable: a later block exists, a later group says its writer knew commits behind this place, the
 * meta image does, or the record has no hole. Log is written over zeros only, so that a write that was cut shows a
 * part that is still zero: a sector, or its end.
 */
import { must } from '../base/assert.ts';
import { blockReadBytes, flushBytesMax, groupBytesMax } from '../base/limits.ts';
import type { LogPosition, ProposalEra } from '../base/log-access.ts';
import { type Lsn, lsn } from '../base/scalars.ts';
import {
  blockHeaderBytes,
  blockIdOf,
  blockStart,
  decodeBlockHeader,
  positionInBlock,
} from '../codec/block-header.ts';
import { decodeGroup, decodeGroupHeader, type Group, groupHeaderBytes, isProblem } from '../codec/clog.ts';
import type { MetaImage } from '../codec/meta-image.ts';
import { extendHistory, lastProposal } from '../palf/proposal-history.ts';
import type { BlockStore } from './block-store.ts';

/** What a disk writes whole or not at all. */
const sectorBytes = 512;
/** A write that was cut inside a sector (a killed process, not a disk) leaves at least this many zeros, mostly more. */
const holeBytesMin = 64;

/** What the good part of a log shows. */
interface ScannedLog {
  readonly end: LogPosition;
  /** the furthest end that a later group's writer, or the base, proves to have been committed */
  readonly committed: LogPosition;
  /** ends of the groups behind `committed`, ascending */
  readonly tail: readonly LogPosition[];
  readonly history: readonly ProposalEra[];
  /** the groups before `end` that a durable write which failed may have held, as they were checked; all of one block */
  readonly last: readonly Uint8Array[];
  /** oldest byte on disk */
  readonly begin: Lsn;
}

export type ScanVerdict =
  | (ScannedLog & {
      /** `ok`: zeros follow. `torn-tail`: an unfinished write follows, to be erased before anything is written */
      readonly kind: 'ok' | 'torn-tail';
      /** a block file whose creation was cut short, behind the end */
      readonly unborn: number | undefined;
    })
  /** `end` is the end of the good part; what is wrong is there */
  | (ScannedLog & Damage & { readonly lsn: Lsn })
  | { readonly kind: 'foreign'; readonly lsn: Lsn; readonly what: string };

/**
 * Restores damaged log: makes durable what belongs behind `end`, with a new block header if there `isHeaderLost`. False: it could not.
 */
export type Mend = (end: LogPosition, isHeaderLost: boolean) => Promise<boolean>;

/** What is wrong behind the good part; `isHeaderLost`: the block that holds it has no good header. */
interface Damage {
  readonly kind: 'corrupt' | 'missing';
  readonly what: string;
  readonly isHeaderLost: boolean;
}

const corrupt = (what: string, isHeaderLost = false): Damage => ({ kind: 'corrupt', what, isHeaderLost });
const missing = (what: string): Damage => ({ kind: 'missing', what, isHeaderLost: true });

/**
 * Scans from the base of `meta` to the end. Throws only what the disk throws.
 * @param mend of a log that others have too: log below the base is not missed then, and damage behind it is mended where that can be done
 */
export async function scanLog(store: BlockStore, meta: MetaImage, mend?: Mend): Promise<ScanVerdict> {
  const walk = new LogWalk(meta);
  for (;;) {
    const found =
      (mend === undefined ? await findHole(store) : undefined) ?? (await scanOnce(store, meta, walk));
    if (found.kind === 'foreign') return found;
    // Log from the base on was there, whatever a second look at a header says.
    const begin = lsn(Math.min(await firstByte(store, walk.end.lsn), meta.base.lsn));
    const log = { ...walk.found(), begin };
    if (!('what' in found)) return { ...log, ...found };
    if (mend === undefined || !(await mend(walk.end, found.isHeaderLost)))
      return { ...log, ...found, lsn: walk.end.lsn };
  }
}

/** A block missing between others. */
async function findHole(store: BlockStore): Promise<Damage | undefined> {
  const blocks = await store.list();
  const hole = blocks.findIndex((id, index) => id !== (blocks[0] ?? 0) + index);
  return hole > 0 ? missing(`block ${(blocks[0] ?? 0) + hole} is not there`) : undefined;
}

type Found = { readonly kind: 'ok' | 'torn-tail'; readonly unborn: number | undefined };
type Foreign = { readonly kind: 'foreign'; readonly lsn: Lsn; readonly what: string };

/** Goes on from where `walk` stands to the end of the log, or to the first thing that is wrong. */
async function scanOnce(
  store: BlockStore,
  meta: MetaImage,
  walk: LogWalk,
): Promise<Found | Damage | Foreign> {
  const blocks = await store.list();
  const last = blocks.at(-1);
  const ok: Found = { kind: 'ok', unborn: undefined };
  if (last === undefined) return meta.durableEnd > walk.end.lsn ? missing('no block is there') : ok;
  const from = blockIdOf(walk.end.lsn, meta.blockBytes);
  // The log may end at the very end of the last block, before the next one was made.
  const isBetween = last === from - 1 && walk.end.lsn === blockStart(from, meta.blockBytes);
  if (last < from && !isBetween) return missing(`block ${from} is not there`);
  for (let blockId = from; blockId <= last; blockId++) {
    if (!blocks.includes(blockId)) return missing(`block ${blockId} is not there`);
    const wrong = await checkHeader(store, meta, blockId, walk.end);
    if (wrong?.kind === 'foreign') return wrong;
    if (wrong !== undefined) {
      const isUnborn = blockId === last && !(await hasLog(store, blockId));
      if (!isUnborn || meta.durableEnd > walk.end.lsn) return wrong;
      return { kind: 'ok', unborn: blockId };
    }
    const problem = await scanBlock(store, walk);
    if (problem === undefined) continue;
    if (blockId < last) return corrupt(`${problem}, and a later block exists`);
    if (meta.durableEnd > walk.end.lsn)
      return corrupt(`${problem}, and the log was durable up to LSN ${meta.durableEnd}`);
    const rest = await classifyRest(store, walk.end);
    if (!rest.isZero && !(await hasHole(store, walk.end)))
      return corrupt(`${problem}, and no part of it is missing`);
    if (rest.provenBy !== undefined)
      return corrupt(`${problem}, and the group at LSN ${rest.provenBy} follows`);
    return { kind: rest.isZero ? 'ok' : 'torn-tail', unborn: undefined };
  }
  return meta.durableEnd > walk.end.lsn ? missing(`the log was durable up to LSN ${meta.durableEnd}`) : ok;
}

/** Oldest byte on disk from which on no block is missing up to `end`. */
async function firstByte(store: BlockStore, end: Lsn): Promise<Lsn> {
  const blocks = await store.list();
  let first = blocks.findLast(id => blockStart(id, store.blockBytes) <= end);
  if (first === undefined) return end;
  while (blocks.includes(first - 1)) first -= 1;
  const header = decodeBlockHeader(await store.readFile(first, 0, blockHeaderBytes));
  // One that was never begun ends the log; whoever reads one that is damaged has to meet the damage.
  const isBegun = first < blockIdOf(end, store.blockBytes);
  if (isProblem(header)) return isBegun ? blockStart(first, store.blockBytes) : end;
  return lsn(Math.min(end, header.start.lsn));
}

/** What the groups say, one after the other. */
class LogWalk {
  readonly #blockBytes: number;
  readonly #durableEnd: Lsn;
  #end: LogPosition;
  #history: readonly ProposalEra[];
  #committed: LogPosition;
  #tail: LogPosition[] = [];
  /** those from `#lastFrom` on count, `#lastBytes` together; the others are let go when they are as many bytes */
  #last: Uint8Array[] = [];
  #lastFrom = 0;
  #lastBytes = 0;
  #deadBytes = 0;

  constructor(meta: MetaImage) {
    this.#blockBytes = meta.blockBytes;
    this.#durableEnd = meta.durableEnd;
    this.#end = meta.base;
    // The database held everything up to there.
    this.#committed = meta.base;
    this.#history = meta.history.filter(era => era.startLsn < meta.base.lsn);
  }

  get end(): LogPosition {
    return this.#end;
  }

  /** Takes the next group, or says why it cannot follow. */
  add({ header, start, end, bytes }: Group): string | undefined {
    if (header.proposalId < lastProposal(this.#history)) return 'the proposal id goes back';
    this.#history = extendHistory(this.#history, header.proposalId, start.lsn);
    if (header.committedEnd > this.#committed.lsn) this.#prove(header.committedEnd);
    this.#end = end;
    this.#tail.push(end);
    this.#keep(start, bytes);
    return undefined;
  }

  found(): Omit<ScannedLog, 'begin'> {
    return {
      end: this.#end,
      committed: this.#committed,
      tail: this.#tail,
      history: this.#history,
      last: this.#last.slice(this.#lastFrom),
    };
  }

  /**
   * One write is under way at a time, it stays inside one block, and `flushBytesMax` bounds it. None that ended before the image
   * was written has failed: what it wrote was durable by then.
   */
  #keep(start: LogPosition, bytes: Uint8Array): void {
    if (this.#end.lsn <= this.#durableEnd) return;
    if (positionInBlock(start.lsn, this.#blockBytes) === blockHeaderBytes) {
      this.#last = [];
      this.#lastFrom = this.#lastBytes = this.#deadBytes = 0;
    }
    this.#last.push(bytes);
    this.#lastBytes += bytes.length;
    for (;;) {
      const first = must(this.#last[this.#lastFrom], 'group').length;
      if (this.#lastBytes - first < flushBytesMax) break;
      this.#lastBytes -= first;
      this.#deadBytes += first;
      this.#lastFrom += 1;
    }
    if (this.#deadBytes < this.#lastBytes) return;
    this.#last = this.#last.slice(this.#lastFrom);
    this.#lastFrom = this.#deadBytes = 0;
  }

  #prove(committed: Lsn): void {
    const behind = this.#tail.findIndex(position => position.lsn > committed);
    const proven = this.#tail.splice(0, behind < 0 ? this.#tail.length : behind);
    this.#committed = proven.at(-1) ?? this.#committed;
  }
}

/** Checks a block's header against the stream; `end` is where the scan stands, in this block or at its start. */
async function checkHeader(
  store: BlockStore,
  meta: MetaImage,
  blockId: number,
  end: LogPosition,
): Promise<Damage | Foreign | undefined> {
  const header = decodeBlockHeader(await store.readFile(blockId, 0, blockHeaderBytes));
  if (isProblem(header)) return corrupt(header.what, true);
  const own =
    header.stream === meta.stream &&
    header.incarnation === meta.incarnation &&
    header.blockId === blockId &&
    header.blockBytes === meta.blockBytes;
  if (!own) return { kind: 'foreign', lsn: end.lsn, what: `block ${blockId} belongs to another log stream` };
  const continues =
    end.lsn > header.start.lsn ||
    (end.lsn === header.start.lsn && end.checksum === header.start.checksum && end.scn === header.start.scn);
  return continues ? undefined : corrupt(`block ${blockId} does not continue the one before`, true);
}

async function hasLog(store: BlockStore, blockId: number): Promise<boolean> {
  for (let at = blockHeaderBytes; ; at += blockReadBytes) {
    const bytes = await store.readFile(blockId, at, blockReadBytes);
    if (bytes.length === 0) return false;
    if (!isZero(bytes)) return true;
  }
}

const isZero = (bytes: Uint8Array): boolean => Buffer.alloc(bytes.length).equals(bytes);

/** Whether the invalid record at `at` shows a part that was never written. */
async function hasHole(store: BlockStore, at: LogPosition): Promise<boolean> {
  const bytes = await store.read(at.lsn, groupBytesMax);
  const header = decodeGroupHeader(bytes, 0, at.lsn);
  // Padding is zeros all through: a write of it that was cut behind its header looks whole.
  if (!isProblem(header) && header.padding) return false;
  const recordBytes = groupHeaderBytes + (isProblem(header) ? 0 : header.payloadBytes);
  if (bytes.length < recordBytes) return true;
  const position = positionInBlock(at.lsn, store.blockBytes);
  for (let from = 0; from < recordBytes; ) {
    const sectorEnd = from + sectorBytes - ((position + from) % sectorBytes);
    const to = Math.min(sectorEnd, recordBytes);
    if (isZero(bytes.subarray(from, to))) return true;
    from = to;
  }
  // A bad header says nothing about the record's length: its own last fields must be missing.
  const endBytes = isProblem(header) ? groupHeaderBytes / 2 : Math.min(holeBytesMin, header.payloadBytes);
  return isZero(bytes.subarray(recordBytes - endBytes, recordBytes));
}

/** Walks one block's groups to its end, or says what is wrong with the next one. */
async function scanBlock(store: BlockStore, walk: LogWalk): Promise<string | undefined> {
  const blockEnd = blockStart(blockIdOf(walk.end.lsn, store.blockBytes) + 1, store.blockBytes);
  for (;;) {
    if (walk.end.lsn === blockEnd) return undefined;
    const bytes = await store.read(walk.end.lsn, blockReadBytes + groupBytesMax);
    let offset = 0;
    for (;;) {
      const group = decodeGroup(bytes, offset, walk.end);
      if (group.kind === 'problem') {
        // A piece that ends inside a group is read on from that group; a file that ends there is not.
        if (group.incomplete && offset > 0) break;
        return group.what;
      }
      const wrong = walk.add(group);
      if (wrong !== undefined) return wrong;
      offset += group.bytes.length;
      if (walk.end.lsn === blockEnd) break;
    }
  }
}

/** What lies behind the last good group in its block. */
async function classifyRest(
  store: BlockStore,
  end: LogPosition,
): Promise<{ isZero: boolean; provenBy: Lsn | undefined }> {
  const blockId = blockIdOf(end.lsn, store.blockBytes);
  const from = positionInBlock(end.lsn, store.blockBytes);
  const size = await store.fileBytes(blockId);
  let allZero = true;
  for (let at = from; at < size; at += blockReadBytes) {
    const bytes = Buffer.from(await store.readFile(blockId, at, blockReadBytes + groupHeaderBytes));
    allZero &&= isZero(bytes);
    if (allZero) continue;
    for (let offset = bytes.indexOf('GR'); offset >= 0; offset = bytes.indexOf('GR', offset + 1)) {
      const place = lsn(end.lsn + (at - from) + offset);
      if (place <= end.lsn) continue;
      const header = decodeGroupHeader(bytes, offset, place);
      if (!isProblem(header) && header.committedEnd > end.lsn) return { isZero: false, provenBy: place };
    }
  }
  return { isZero: allZero, provenBy: undefined };
}
