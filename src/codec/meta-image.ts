/**
 * The meta image of a log stream: everything consensus must remember besides the log itself, always written whole.
 * Two copies are on disk, written one after the other, so that at any instant one of them is good.
 *
 * Layout of a copy: magic 'OBLM' u32 · version u16 · zero u16 · sequence u64 · body bytes u32 · checksum u32 (over all but
 * itself) · body, JSON. Strict: unknown versions and malformed bodies are problems, never defaults (E5, M2, C1).
 */
import { assert } from '../base/assert.ts';
import { metaImageBytesMax, proposalErasMax } from '../base/limits.ts';
import type { AccessMode, LogPosition, ProposalEra } from '../base/log-access.ts';
import {
  type LogStreamId,
  type Lsn,
  logStreamId,
  lsn,
  type NodeId,
  nodeId,
  type ProposalId,
  proposalId,
  type Scn,
  scn,
} from '../base/scalars.ts';
import { chain, checksum } from './checksum.ts';
import { type ClogProblem, problem } from './clog.ts';
import { readU64, viewOf, writeU64 } from './u64.ts';

export const metaVersion = 1;
const metaMagic = 0x4d4c_424f; // 'OBLM'
const headBytes = 24;

/** Who takes part; ordered by (proposal id, sequence). */
interface LogConfig {
  readonly version: { readonly proposalId: ProposalId; readonly sequence: number };
  /** members whose flushed log counts for commit */
  readonly members: readonly NodeId[];
  readonly learners: readonly NodeId[];
  /** votes, keeps no log */
  readonly arbiter: NodeId | null;
}

export interface MetaImage {
  readonly stream: LogStreamId;
  readonly incarnation: string;
  readonly blockBytes: number;
  /** highest ballot promised or used */
  readonly proposalId: ProposalId;
  readonly config: LogConfig;
  readonly accessMode: AccessMode;
  /** counts access-mode changes */
  readonly modeVersion: number;
  /** new entries get SCNs above this */
  readonly referenceScn: Scn;
  /** exact end of the log when it last left APPEND, until it enters APPEND again */
  readonly sealed: LogPosition | null;
  readonly history: readonly ProposalEra[];
  /** the group boundary at or before `checkpointLsn`: recovery scans from here */
  readonly base: LogPosition;
  /** the database file holds everything below, exactly: a log is never cut before it */
  readonly checkpointLsn: Lsn;
  /** the log was durable at least up to here when this was written: a scan that ends earlier has met rot, not a crash */
  readonly durableEnd: Lsn;
  /** a cut that was decided: finished before the log is scanned */
  readonly truncateTo: LogPosition | null;
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

/** A body that passed its checksum and still is not one: a problem of the bytes, not of this process. */
class Malformed extends Error {}

function need(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Malformed(what);
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

const accessModes: readonly AccessMode[] = ['APPEND', 'RAW_WRITE', 'PREPARE_FLASHBACK', 'FLASHBACK'];

function reviveMeta(value: unknown): MetaImage {
  const raw = object(value);
  const config = object(raw['config']);
  const version = object(config['version']);
  const mode = accessModes.find(name => name === raw['accessMode']);
  need(mode !== undefined, 'the access mode is known');
  const history = list(raw['history']).map(era => ({
    proposalId: proposalId(whole(object(era)['proposalId'])),
    startLsn: lsn(whole(object(era)['startLsn'])),
  }));
  need(history.length <= proposalErasMax, 'the proposal history is bounded');
  return {
    stream: logStreamId(whole(raw['stream'])),
    incarnation: string(raw['incarnation']),
    blockBytes: whole(raw['blockBytes']),
    proposalId: proposalId(whole(raw['proposalId'])),
    config: {
      version: {
        proposalId: proposalId(whole(version['proposalId'])),
        sequence: whole(version['sequence']),
      },
      members: list(config['members']).map(member),
      learners: list(config['learners']).map(member),
      arbiter: config['arbiter'] === null ? null : member(config['arbiter']),
    },
    accessMode: mode,
    modeVersion: whole(raw['modeVersion']),
    referenceScn: scn(whole(raw['referenceScn'])),
    sealed: raw['sealed'] === null ? null : position(raw['sealed']),
    history,
    base: position(raw['base']),
    checkpointLsn: lsn(whole(raw['checkpointLsn'])),
    durableEnd: lsn(whole(raw['durableEnd'])),
    truncateTo: raw['truncateTo'] === null ? null : position(raw['truncateTo']),
  };
}

function position(value: unknown): LogPosition {
  const raw = object(value);
  return {
    lsn: lsn(whole(raw['lsn'])),
    scn: scn(whole(raw['scn'])),
    checksum: whole(raw['checksum']),
  };
}

function object(value: unknown): Record<string, unknown> {
  need(typeof value === 'object' && value !== null && !Array.isArray(value), 'an object is expected');
  return value as Record<string, unknown>;
}

function list(value: unknown): readonly unknown[] {
  need(Array.isArray(value), 'a list is expected');
  return value;
}

function member(value: unknown): NodeId {
  const id = string(value);
  need(id.length > 0 && id.length <= 64, 'a node id has 1 to 64 characters');
  return nodeId(id);
}

function string(value: unknown): string {
  need(typeof value === 'string', 'a text is expected');
  return value;
}

function whole(value: unknown): number {
  need(typeof value === 'number' && Number.isSafeInteger(value) && value >= 0, 'a whole number is expected');
  return value;
}
