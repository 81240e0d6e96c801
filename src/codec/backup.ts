/**
 * The record that makes pieces of a database file a base backup. Binary envelope (magic, version, checksum) around
 * JSON, as a manifest. Decoding is total.
 */
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { assert } from '../base/assert.ts';
import { backupPiecesMax, manifestBytesMax, peerErasMax } from '../base/limits.ts';
import type { LogPosition, ProposalEra } from '../base/log-access.ts';
import type { WallMicros } from '../base/scalars.ts';

const backupVersion = 1;
const magic = 0x4b42424f; // "OBBK"
const envelopeBytes = 16;

export interface BackupPiece {
  readonly key: string;
  /** of the stored bytes, hexadecimal */
  readonly sha256: string;
  /** where in the file it begins */
  readonly position: number;
  readonly rawBytes: number;
  readonly storedBytes: number;
}

export interface BackupRecord {
  readonly backupId: string;
  readonly incarnation: string;
  readonly tenantName: string;
  readonly siteId: string;
  readonly wall: WallMicros;
  readonly pageBytes: number;
  readonly fileBytes: number;
  /** of the log's block files: a log that takes over its groups has blocks of the same size */
  readonly blockBytes: number;
  /** the log's eras up to `start`: a log that goes on from there must not use a proposal id again */
  readonly proposalHistory: readonly ProposalEra[];
  /** replay begins here */
  readonly start: LogPosition;
  /** the copy is consistent from here on */
  readonly minimum: LogPosition;
  readonly pieces: readonly BackupPiece[];
}

export type BackupDecoding =
  | { readonly kind: 'backup'; readonly record: BackupRecord }
  | { readonly kind: 'newer'; readonly version: number }
  | { readonly kind: 'problem'; readonly why: string };

const whole = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const position = z.strictObject({ lsn: whole, scn: whole, checksum: whole.max(0xffff_ffff) });
const schema = z.strictObject({
  backupId: z.string().min(1).max(128),
  incarnation: z.string().min(1).max(256),
  tenantName: z.string().max(256),
  siteId: z.string().max(256),
  wall: whole,
  pageBytes: whole.min(512).max(65_536),
  fileBytes: whole,
  blockBytes: whole.min(1),
  proposalHistory: z.array(z.strictObject({ proposalId: whole, startLsn: whole })).max(peerErasMax),
  start: position,
  minimum: position,
  pieces: z
    .array(
      z.strictObject({
        key: z.string().min(1).max(512),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        position: whole,
        rawBytes: whole.min(1).max(manifestBytesMax),
        storedBytes: whole,
      }),
    )
    .max(backupPiecesMax),
});

export function encodeBackup(record: BackupRecord): Uint8Array {
  assert(record.minimum.lsn >= record.start.lsn, 'a backup becomes consistent after it began');
  const body = new TextEncoder().encode(JSON.stringify(record));
  const bytes = new Uint8Array(envelopeBytes + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setUint32(4, backupVersion, true);
  view.setUint32(8, body.length, true);
  view.setUint32(12, crc32(body, crc32(bytes.subarray(0, 12))), true);
  bytes.set(body, envelopeBytes);
  return bytes;
}

export function decodeBackup(bytes: Uint8Array): BackupDecoding {
  const problem = (why: string): BackupDecoding => ({ kind: 'problem', why });
  if (bytes.length < envelopeBytes) return problem(`only ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== magic) return problem('not a backup record');
  const body = bytes.subarray(envelopeBytes);
  if (view.getUint32(8, true) !== body.length) return problem('length');
  if (view.getUint32(12, true) !== crc32(body, crc32(bytes.subarray(0, 12)))) return problem('checksum');
  const version = view.getUint32(4, true);
  if (version > backupVersion) return { kind: 'newer', version };
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (error) {
    return problem(error instanceof Error ? error.message : 'unreadable');
  }
  const parsed = schema.safeParse(content);
  if (!parsed.success) return problem(z.prettifyError(parsed.error).slice(0, 300));
  // the schema has checked every range that the brands stand for
  return { kind: 'backup', record: parsed.data as unknown as BackupRecord };
}
