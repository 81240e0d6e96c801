/**
 * A manifest: one link of an archive's chain, and the state that a chain folds to. The envelope (magic, version,
 * lengths, checksum) is binary; the content is JSON, so that a person can read it with `obstandby dump`, compressed.
 *
 * Decoding is total: foreign or damaged bytes give a problem. What a manifest may say after the ones before it is not
 * decided here (`archive/chain-core.ts`).
 */
import { crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { z } from 'zod';
import { assert } from '../base/assert.ts';
import { manifestBytesMax } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import type { LogStreamId, Lsn, RoleEpoch, Scn, WallMicros } from '../base/scalars.ts';

const manifestVersion = 1;
const magic = 0x464d424f; // "OBMF"
const envelopeBytes = 24;

/** Where a run of log lies. `end` may be below the object's own end when a later epoch cut it off. */
export interface SegmentRecord {
  readonly key: string;
  /** of the whole object, hexadecimal */
  readonly sha256: string;
  readonly storedBytes: number;
  readonly roundId: number;
  readonly pieceId: number;
  readonly epoch: RoleEpoch;
  readonly start: LogPosition;
  readonly end: LogPosition;
}

/** A role epoch takes the archive over. `cut`, if known, is where it begins: older history above is not its past. */
export interface ClaimRecord {
  readonly epoch: RoleEpoch;
  readonly siteId: string;
  readonly operationId: string;
  readonly cut: LogPosition | null;
}

/** The exact end of an epoch, written by a switchover. Only a claim may follow. */
export interface SealRecord {
  readonly lsn: Lsn;
  readonly scn: Scn;
  readonly checksum: number;
  readonly epoch: RoleEpoch;
  readonly switchoverId: string;
}

type RoundEnd = 'STOP' | 'INTERRUPTED';

export type ManifestRecord =
  | ({ readonly kind: 'claim' } & ClaimRecord)
  | ({ readonly kind: 'sealed' } & SealRecord)
  | {
      readonly kind: 'roundStarted';
      readonly roundId: number;
      readonly start: LogPosition;
      /** SCN of the first group; pieces are counted from it */
      readonly startScn: Scn;
      readonly basePieceId: number;
      readonly pieceSwitchMicros: number;
    }
  | {
      readonly kind: 'roundEnded';
      readonly roundId: number;
      readonly status: RoundEnd;
      readonly comment: string;
    }
  | { readonly kind: 'segmentsAdded'; readonly segments: readonly SegmentRecord[] }
  /** one segment holds what a run of neighbours held; they may be removed later */
  | { readonly kind: 'segmentsMerged'; readonly removed: readonly string[]; readonly by: SegmentRecord }
  /** retired objects that are gone */
  | { readonly kind: 'objectsDeleted'; readonly keys: readonly string[] };

export interface RoundRecord {
  readonly roundId: number;
  readonly status: 'BEGINNING' | 'DOING' | RoundEnd;
  readonly start: LogPosition;
  readonly startScn: Scn;
  readonly startWall: WallMicros;
  readonly basePieceId: number;
  readonly usedPieceId: number;
  readonly pieceSwitchMicros: number;
  readonly end: LogPosition | null;
  readonly inputBytes: number;
  readonly outputBytes: number;
  readonly comment: string;
}

export interface EpochRecord extends ClaimRecord {
  /** the manifest that made the claim */
  readonly number: number;
  readonly wall: WallMicros;
  readonly sealed: SealRecord | null;
}

/** An object that no current manifest needs; removed once readers of older manifests had their time. */
interface RetiredObject {
  readonly key: string;
  readonly wall: WallMicros;
}

/** What a chain says as of one manifest. */
export interface ArchiveState {
  readonly number: number;
  readonly wall: WallMicros;
  /** oldest first; the last one owns the archive */
  readonly epochs: readonly EpochRecord[];
  readonly rounds: readonly RoundRecord[];
  /** ascending; holes only where a round ends */
  readonly segments: readonly SegmentRecord[];
  /** history that a later epoch cut off */
  readonly forked: readonly SegmentRecord[];
  readonly retired: readonly RetiredObject[];
  /** archived end: everything of the last round below it is here */
  readonly end: LogPosition | null;
}

export interface Manifest {
  readonly number: number;
  /** SHA-256 of the previous manifest object; zeros for number 1 */
  readonly previousHash: string;
  readonly incarnation: string;
  readonly stream: LogStreamId;
  readonly epoch: RoleEpoch;
  readonly siteId: string;
  /** of the writing process, so that it knows its own work again */
  readonly nonce: string;
  readonly wall: WallMicros;
  /** the newest manifest up to this one that carries a full state */
  readonly fullAt: number;
  readonly records: readonly ManifestRecord[];
  /** the state after this manifest, in every few ones */
  readonly state: ArchiveState | null;
}

export const noHash = '0'.repeat(64);

export type ManifestDecoding =
  | { readonly kind: 'manifest'; readonly manifest: Manifest }
  | { readonly kind: 'newer'; readonly version: number }
  | { readonly kind: 'problem'; readonly why: string };

const whole = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const text = z.string().max(256);
const key = z.string().min(1).max(512);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const position = z.strictObject({ lsn: whole, scn: whole, checksum: whole.max(0xffff_ffff) });
const segment = z.strictObject({
  key,
  sha256: hash,
  storedBytes: whole,
  roundId: whole,
  pieceId: whole,
  epoch: whole,
  start: position,
  end: position,
});
const claim = { epoch: whole, siteId: text, operationId: text, cut: position.nullable() };
const seal = {
  lsn: whole,
  scn: whole,
  checksum: whole.max(0xffff_ffff),
  epoch: whole,
  switchoverId: text,
};
const comment = z.string().max(4096);
const record = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('claim'), ...claim }),
  z.strictObject({ kind: z.literal('sealed'), ...seal }),
  z.strictObject({
    kind: z.literal('roundStarted'),
    roundId: whole,
    start: position,
    startScn: whole,
    basePieceId: whole,
    pieceSwitchMicros: whole.min(1),
  }),
  z.strictObject({
    kind: z.literal('roundEnded'),
    roundId: whole,
    status: z.enum(['STOP', 'INTERRUPTED']),
    comment,
  }),
  z.strictObject({ kind: z.literal('segmentsAdded'), segments: z.array(segment).min(1) }),
  z.strictObject({ kind: z.literal('segmentsMerged'), removed: z.array(key).min(2), by: segment }),
  z.strictObject({ kind: z.literal('objectsDeleted'), keys: z.array(key).min(1) }),
]);
const state = z.strictObject({
  number: whole,
  wall: whole,
  epochs: z.array(
    z.strictObject({ ...claim, number: whole, wall: whole, sealed: z.strictObject(seal).nullable() }),
  ),
  rounds: z.array(
    z.strictObject({
      roundId: whole,
      status: z.enum(['BEGINNING', 'DOING', 'STOP', 'INTERRUPTED']),
      start: position,
      startScn: whole,
      startWall: whole,
      basePieceId: whole,
      usedPieceId: whole,
      pieceSwitchMicros: whole.min(1),
      end: position.nullable(),
      inputBytes: whole,
      outputBytes: whole,
      comment,
    }),
  ),
  segments: z.array(segment),
  forked: z.array(segment),
  retired: z.array(z.strictObject({ key, wall: whole })),
  end: position.nullable(),
});
const manifestSchema = z.strictObject({
  number: whole.min(1),
  previousHash: hash,
  incarnation: text,
  stream: whole,
  epoch: whole,
  siteId: text,
  nonce: text,
  wall: whole,
  fullAt: whole.min(1),
  records: z.array(record).max(1024),
  state: state.nullable(),
});

export function encodeManifest(manifest: Manifest): Uint8Array {
  assert(manifest.fullAt <= manifest.number, 'the last full state is not ahead');
  assert((manifest.state !== null) === (manifest.fullAt === manifest.number), 'a full state names itself');
  const raw = new TextEncoder().encode(JSON.stringify(manifest));
  assert(raw.length <= manifestBytesMax, 'a manifest is bounded');
  const body = zstdCompressSync(raw);
  const bytes = new Uint8Array(envelopeBytes + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setUint16(4, manifestVersion, true);
  view.setUint32(8, raw.length, true);
  view.setUint32(12, body.length, true);
  view.setUint32(16, crc32(body), true);
  view.setUint32(20, crc32(bytes.subarray(0, 20)), true);
  bytes.set(body, envelopeBytes);
  return bytes;
}

export function decodeManifest(bytes: Uint8Array): ManifestDecoding {
  const problem = (why: string): ManifestDecoding => ({ kind: 'problem', why });
  if (bytes.length < envelopeBytes) return problem(`only ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== magic) return problem('not a manifest');
  if (view.getUint32(20, true) !== crc32(bytes.subarray(0, 20))) return problem('header checksum');
  const version = view.getUint16(4, true);
  if (version > manifestVersion) return { kind: 'newer', version };
  const rawBytes = view.getUint32(8, true);
  if (rawBytes > manifestBytesMax) return problem('too long');
  const body = bytes.subarray(envelopeBytes);
  if (body.length !== view.getUint32(12, true)) return problem('length');
  if (crc32(body) !== view.getUint32(16, true)) return problem('body checksum');
  let content: unknown;
  try {
    const raw = zstdDecompressSync(body, { maxOutputLength: Math.max(1, rawBytes) });
    if (raw.length !== rawBytes) return problem('decompressed length');
    content = JSON.parse(raw.toString('utf8'));
  } catch (error) {
    return problem(error instanceof Error ? error.message : 'unreadable');
  }
  const parsed = manifestSchema.safeParse(content);
  if (!parsed.success) return problem(z.prettifyError(parsed.error).slice(0, 300));
  // the schema has checked every range that the brands stand for
  return { kind: 'manifest', manifest: parsed.data as unknown as Manifest };
}
