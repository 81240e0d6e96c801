/**
 * The meta image of a log stream's replica: everything consensus must remember besides the log itself, always written
 * whole. Two copies are on disk, written one after the other, so that at any instant one of them is good.
 *
 * Layout of a copy: magic 'OBLM' u32 · version u16 · zero u16 · sequence u64 · body bytes u32 · checksum u32 (over all but
 * itself) · body, JSON. Strict: unknown versions and malformed bodies are problems, never defaults (E5, M2, C1).
 */
import { assert } from '../base/assert.ts';
import { metaImageBytesMax, proposalErasMax } from '../base/limits.ts';
import type { ConfigVersion, LogPosition, ProposalEra } from '../base/log-access.ts';
import {
  type LogStreamId,
  type Lsn,
  logStreamId,
  lsn,
  type NodeId,
  type ProposalId,
  proposalId,
} from '../base/scalars.ts';
import { chain, checksum } from './checksum.ts';
import { type ClogProblem, problem } from './clog.ts';
import {
  type ConfigRecord,
  Malformed,
  need,
  reviveList,
  reviveNode,
  reviveObject,
  revivePosition,
  reviveRecord,
  reviveText,
  reviveVersion,
  reviveWhole,
} from './config-record.ts';
import { readU64, viewOf, writeU64 } from './u64.ts';

/** 4: an image has `leaseMs`. */
export const metaVersion = 4;
const metaMagic = 0x4d4c_424f; // 'OBLM'
const headBytes = 24;

/**
 * Why a replica neither votes nor leads until a leader has mended it. `damaged`: log it had made durable is lost or
 * rotten. `rebuilding`: its log and database are being replaced by a copy of another's.
 */
export type Impairment = 'damaged' | 'rebuilding';

export interface MetaImage {
  readonly stream: LogStreamId;
  readonly incarnation: string;
  readonly blockBytes: number;
  /** the node whose replica this is: made with its data directory, so that a wiped one is another */
  readonly self: NodeId;
  /** highest ballot promised or used */
  readonly promised: ProposalId;
  /** the longest lease that was given to another and may hold still: for so long a restart keeps silent; 0: none ever */
  readonly leaseMs: number;
  /**
   * The newest proposal whose leader this replica followed from its start: the log holds what that leader began with,
   * and is a prefix of its log. The first key of log recency.
   */
  readonly accepted: ProposalId;
  readonly config: ConfigRecord;
  /** the log holds nothing that the flashback of this version, or one before it, cut off */
  readonly cutApplied: ConfigVersion;
  readonly history: readonly ProposalEra[];
  /** the group boundary at or before `checkpointLsn`: recovery scans from here */
  readonly base: LogPosition;
  /** the database file holds everything below, exactly: a log is never cut before it */
  readonly checkpointLsn: Lsn;
  /**
   * The log was durable at least up to here when this was written: a scan that ends earlier has met rot, not a crash, and no write
   * of what lies before it has failed.
   */
  readonly durableEnd: Lsn;
  /** a cut that was decided: finished before the log is scanned */
  readonly truncateTo: LogPosition | null;
  readonly impaired: Impairment | null;
  /** counts the times durable log was lost here: an ack from before it counts no more */
  readonly mendings: number;
}

/** One copy as it goes to disk. */
export function encodeMeta(image: MetaImage, sequence: number): Uint8Array {
  assert(image.history.length <= proposalErasMax, 'the proposal history is bounded');
  const body = Buffer.from(JSON.stringify(image), 'utf8');
  assert(headBytes + body.length <= metaImageBytesMax, 'a meta image keeps to its size limit');
  const bytes = new Uint8Array(headBytes + body.length);
  const view = viewOf(bytes);
  view.setUint32(0, metaMagic, true);
  view.setUint16(4, metaVersion, true);
  writeU64(view, 8, sequence);
  view.setUint32(16, body.length, true);
  bytes.set(body, headBytes);
  view.setUint32(20, metaChecksum(bytes), true);
  return bytes;
}

const metaChecksum = (bytes: Uint8Array): number =>
  chain(checksum(bytes.subarray(0, 20)), bytes.subarray(headBytes));

export interface DecodedMeta {
  readonly kind: 'meta';
  readonly sequence: number;
  readonly image: MetaImage;
}

/** An image that a newer program wrote: whole, and not for this one to read or replace. */
export interface NewerMeta {
  readonly kind: 'newer-meta';
  readonly version: number;
}

/** Decodes one copy; bytes behind it are ignored. */
export function decodeMeta(bytes: Uint8Array): DecodedMeta | NewerMeta | ClogProblem {
  const bad = (what: string) => problem(lsn(0), what);
  if (bytes.length < headBytes) return bad('a meta image is cut short');
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== metaMagic) return bad('this is no meta image');
  const bodyBytes = view.getUint32(16, true);
  if (headBytes + bodyBytes > Math.min(bytes.length, metaImageBytesMax))
    return bad('a meta image is cut short');
  const exact = bytes.subarray(0, headBytes + bodyBytes);
  if (view.getUint32(20, true) !== metaChecksum(exact)) return bad('the meta image fails its checksum');
  const version = view.getUint16(4, true);
  if (version > metaVersion) return { kind: 'newer-meta', version };
  if (version !== metaVersion) return bad(`the meta image has version ${version}, not ${metaVersion}`);
  const sequence = readU64(view, 8);
  if (sequence < 1) return bad('the meta image has no sequence number');
  try {
    return { kind: 'meta', sequence, image: reviveMeta(JSON.parse(text(exact.subarray(headBytes)))) };
  } catch (error) {
    if (error instanceof Malformed || error instanceof SyntaxError)
      return bad(`the meta image is malformed: ${error.message}`);
    throw error;
  }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

function reviveMeta(value: unknown): MetaImage {
  const raw = reviveObject(value);
  const history = reviveList(raw['history']).map(era => ({
    proposalId: proposalId(reviveWhole(reviveObject(era)['proposalId'])),
    startLsn: lsn(reviveWhole(reviveObject(era)['startLsn'])),
  }));
  need(history.length <= proposalErasMax, 'the proposal history is bounded');
  const impaired = raw['impaired'];
  need(impaired === null || impaired === 'damaged' || impaired === 'rebuilding', 'the impairment is known');
  return {
    stream: logStreamId(reviveWhole(raw['stream'])),
    incarnation: reviveText(raw['incarnation']),
    blockBytes: reviveWhole(raw['blockBytes']),
    self: reviveNode(raw['self']),
    promised: proposalId(reviveWhole(raw['promised'])),
    leaseMs: reviveWhole(raw['leaseMs']),
    accepted: proposalId(reviveWhole(raw['accepted'])),
    config: reviveRecord(raw['config']),
    cutApplied: reviveVersion(raw['cutApplied']),
    history,
    base: revivePosition(raw['base']),
    checkpointLsn: lsn(reviveWhole(raw['checkpointLsn'])),
    durableEnd: lsn(reviveWhole(raw['durableEnd'])),
    truncateTo: raw['truncateTo'] === null ? null : revivePosition(raw['truncateTo']),
    impaired,
    mendings: reviveWhole(raw['mendings']),
  };
}
