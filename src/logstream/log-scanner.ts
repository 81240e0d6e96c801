/**
 * Finds the end of a log after a start, and tells a crash from damage (L10).
 *
 * The last durable write may have been cut anywhere, in any order of sectors: an invalid record there is a torn tail,
 * which may be cut, for nothing in it was ever acknowledged. It is rot, never "never had", when something proves that
 * the bytes had been durable: a later block exists, a later group says its writer knew commits behind this place, the
 * meta image does, or the record has no hole. Log is written over zeros only, so that a write that was cut shows a
 * part that is still zero: a sector, or its end.
 */
import { blockReadBytes, groupBytesMax } from '../base/limits.ts';
import type { LogPosition, ProposalEra } from '../base/log-access.ts';
import { type Lsn, lsn } from '../base/scalars.ts';
import {
  blockHeaderBytes,
  blockIdOf,
  blockStart,
  decodeBlockHeader,
  positionInBlock,
} from '../codec/block-header.ts';
import { decodeGroup, decodeGroupHeader, groupHeaderBytes, isProblem } from '../codec/clog.ts';
import type { MetaImage } from '../codec/meta-image.ts';
import { extendHistory, lastProposal } from '../palf/proposal-history.ts';
import type { BlockStore } from './block-store.ts';

/** What a disk writes whole or not at all. */
const sectorBytes = 512;
/** A write that was cut inside a sector (a killed process, not a disk) leaves at least this many zeros, mostly more. */
const holeBytesMin = 64;

export type ScanVerdict =
  | {
      /** `ok`: zeros follow. `torn-tail`: an unfinished write follows, to be erased before anything is written */
      readonly kind: 'ok' | 'torn-tail';
      readonly end: LogPosition;
      readonly history: readonly ProposalEra[];
      /** oldest byte on disk */
      readonly begin: Lsn;
      /** a block file whose creation was cut short, behind the end */
      readonly unborn: number | undefined;
    }
  | { readonly kind: 'corrupt' | 'missing' | 'foreign'; readonly lsn: Lsn; readonly what: string };

/** Scans from the base of `meta` to the end. Throws only what the disk throws. */
export async function scanLog(store: BlockStore, meta: MetaImage): Promise<ScanVerdict> {
  const blocks = await store.list();
  const first = blocks[0];
  const { base } = meta;
  let history = meta.history.filter(era => era.startLsn < base.lsn);
  const last = blocks.at(-1);
  if (first === undefined || last === undefined) {
    if (meta.durableEnd > base.lsn) return { kind: 'missing', lsn: base.lsn, what: 'no block is there' };
    return { kind: 'ok', end: base, history, begin: base.lsn, unborn: undefined };
  }
  const hole = blocks.findIndex((id, index) => id !== first + index);
  if (hole > 0)
    return {
      kind: 'missing',
      lsn: blockStart(first + hole, meta.blockBytes),
      what: `block ${first + hole} is not there`,
    };
  const baseBlock = blockIdOf(base.lsn, meta.blockBytes);
  // The base may be the very end of the last block, before the next one was made.
  const startsBehind = last === baseBlock - 1 && base.lsn === blockStart(baseBlock, meta.blockBytes);
  if (first > baseBlock || (last < baseBlock && !startsBehind))
    return { kind: 'missing', lsn: base.lsn, what: `block ${baseBlock} is not there` };

  const oldest = decodeBlockHeader(await store.readFile(first, 0, blockHeaderBytes));
  const begin = isProblem(oldest) ? blockStart(first, meta.blockBytes) : oldest.start.lsn;
  let end = base;
  for (let blockId = baseBlock; blockId <= last; blockId++) {
    const wrong = await checkHeader(store, meta, blockId, end);
    if (wrong !== undefined) {
      const unfinished = blockId === last && wrong.kind === 'corrupt' && !(await hasLog(store, blockId));
      if (!unfinished || meta.durableEnd > end.lsn) return wrong;
      return { kind: 'ok', end, history, begin: blockId === first ? end.lsn : begin, unborn: blockId };
    }
    const scanned = await scanBlock(store, end, history);
    end = scanned.end;
    history = [...scanned.history];
    if (scanned.problem === undefined) continue;
    if (blockId < last)
      return { kind: 'corrupt', lsn: end.lsn, what: `${scanned.problem}, and a later block exists` };
    if (meta.durableEnd > end.lsn)
      return {
        kind: 'corrupt',
        lsn: end.lsn,
        what: `${scanned.problem}, and the log was durable up to LSN ${meta.durableEnd}`,
      };
    const rest = await classifyRest(store, end);
    if (!rest.isZero && !(await hasHole(store, end)))
      return {
        kind: 'corrupt',
        lsn: end.lsn,
        what: `${scanned.problem}, and no part of it is missing`,
      };
    if (rest.provenBy !== undefined)
      return {
        kind: 'corrupt',
        lsn: end.lsn,
        what: `${scanned.problem}, and the group at LSN ${rest.provenBy} follows`,
      };
    return { kind: rest.isZero ? 'ok' : 'torn-tail', end, history, begin, unborn: undefined };
  }
  if (meta.durableEnd > end.lsn)
    return { kind: 'missing', lsn: end.lsn, what: `the log was durable up to LSN ${meta.durableEnd}` };
  return { kind: 'ok', end, history, begin, unborn: undefined };
}

/** Checks a block's header against the stream; `end` is where the scan stands, in this block or at its start. */
async function checkHeader(store: BlockStore, meta: MetaImage, blockId: number, end: LogPosition) {
  const header = decodeBlockHeader(await store.readFile(blockId, 0, blockHeaderBytes));
  const at = blockStart(blockId, meta.blockBytes);
  if (isProblem(header)) return { kind: 'corrupt', lsn: at, what: header.what } as const;
  const own =
    header.stream === meta.stream &&
    header.incarnation === meta.incarnation &&
    header.blockId === blockId &&
    header.blockBytes === meta.blockBytes;
  if (!own)
    return { kind: 'foreign', lsn: at, what: `block ${blockId} belongs to another log stream` } as const;
  const continues =
    end.lsn > header.start.lsn ||
    (end.lsn === header.start.lsn && end.checksum === header.start.checksum && end.scn === header.start.scn);
  return continues
    ? undefined
    : ({ kind: 'corrupt', lsn: at, what: `block ${blockId} does not continue the one before` } as const);
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

/** Walks one block's groups from `start` on. No problem: the block is full. */
async function scanBlock(
  store: BlockStore,
  start: LogPosition,
  historyBefore: readonly ProposalEra[],
): Promise<{ end: LogPosition; history: readonly ProposalEra[]; problem: string | undefined }> {
  let end = start;
  let history = historyBefore;
  const blockEnd = blockStart(blockIdOf(start.lsn, store.blockBytes) + 1, store.blockBytes);
  for (;;) {
    if (end.lsn === blockEnd) return { end, history, problem: undefined };
    const bytes = await store.read(end.lsn, blockReadBytes + groupBytesMax);
    let offset = 0;
    for (;;) {
      const group = decodeGroup(bytes, offset, end);
      if (group.kind === 'problem') {
        // A piece that ends inside a group is read on from that group; a file that ends there is not.
        if (group.incomplete && offset > 0) break;
        return { end, history, problem: group.what };
      }
      if (group.header.proposalId < lastProposal(history))
        return { end, history, problem: 'the proposal id goes back' };
      history = extendHistory(history, group.header.proposalId, end.lsn);
      offset += group.bytes.length;
      end = group.end;
      if (end.lsn === blockEnd) break;
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
