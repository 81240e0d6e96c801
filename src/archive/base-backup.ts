/**
 * Base backups: a hot copy of the tenant's database file in compressed, immutable pieces, and a record that is put last
 * and makes them a backup. Restoring is the file plus the archived log from `start` to at least `minimum`: before
 * `minimum` the copy is not consistent.
 *
 * An interrupted backup leaves pieces that no record names; they are harmless. Correctness does not depend on LIST: a
 * stale listing only hides a very new backup.
 */
import { assert } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { backupPieceBytes, backupPiecesMax } from '../base/limits.ts';
import type { LogPosition, LogReader } from '../base/log-access.ts';
import { type Lsn, type Scn, scn } from '../base/scalars.ts';
import { type BackupPiece, type BackupRecord, decodeBackup, encodeBackup } from '../codec/backup.ts';
import type { Clock } from '../platform/clock.ts';
import type { ObjectStore } from '../platform/object-store.ts';
import type { Random } from '../platform/random.ts';
import { type ArchivedTenant, ensureFormat } from './archive-format.ts';
import { compress, decompress } from './compression.ts';
import { TenantLayout } from './layout.ts';
import { sha256 } from './segment-file.ts';

/** What a tenant's engine gives for a backup. */
export interface SnapshotSource {
  readonly startLsn: Lsn;
  readonly startScn: Scn;
  readonly startChecksum: number;
  readonly pageBytes: number;
  /** next piece of the file, in ascending order, or undefined at its end */
  next(): Promise<{ readonly position: number; readonly bytes: Uint8Array } | undefined>;
  /** after the end was reached */
  finish(): { readonly minimumLsn: Lsn; readonly fileBytes: number };
}

export interface BackupOptions {
  readonly store: ObjectStore;
  readonly tenant: ArchivedTenant;
  readonly siteId: string;
  readonly snapshot: SnapshotSource;
  readonly log: LogReader;
  /** of the log's block files */
  readonly blockBytes: number;
  /** makes the archive hold the log up to there, so that a listed backup can always be restored; null: no archive */
  readonly flushTo: ((lsn: Lsn) => Promise<void>) | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly onProgress?: (doneBytes: number) => void;
}

/** Takes one; the snapshot stays the caller's to close. Throws what the store throws. */
export async function writeBaseBackup(options: BackupOptions): Promise<BackupRecord> {
  const { store, tenant, snapshot, random, clock } = options;
  const layout = new TenantLayout(tenant.incarnation);
  await ensureFormat(store, tenant);
  const backupId = layout.backupId(snapshot.startScn, random.uuid());
  const pieces: BackupPiece[] = [];
  for await (const part of piecesOf(snapshot)) {
    assert(pieces.length < backupPiecesMax, 'a base backup is bounded');
    const packed = await compress(part.bytes);
    const hash = sha256(packed);
    const key = layout.backupPiece(backupId, pieces.length, hash);
    await store.put(key, packed);
    const { position, bytes } = part;
    pieces.push({ key, sha256: hash, position, rawBytes: bytes.length, storedBytes: packed.length });
    options.onProgress?.(position + bytes.length);
  }
  const { minimumLsn, fileBytes } = snapshot.finish();
  const minimum = await positionAt(options.log, minimumLsn);
  await options.flushTo?.(minimumLsn);
  const record: BackupRecord = {
    backupId,
    incarnation: tenant.incarnation,
    tenantName: tenant.name,
    siteId: options.siteId,
    wall: clock.wall(),
    pageBytes: snapshot.pageBytes,
    fileBytes,
    blockBytes: options.blockBytes,
    proposalHistory: options.log.state().proposalHistory.filter(era => era.startLsn <= snapshot.startLsn),
    start: { lsn: snapshot.startLsn, scn: snapshot.startScn, checksum: snapshot.startChecksum },
    minimum,
    pieces,
  };
  const outcome = await store.putIfAbsent(layout.backupRecord(backupId), encodeBackup(record));
  assert(outcome === 'created', 'a backup id is used once');
  return record;
}

/** Complete backups, oldest first, as far as LIST tells. */
export async function listBaseBackups(
  store: ObjectStore,
  incarnation: string,
): Promise<readonly BackupRecord[]> {
  const layout = new TenantLayout(incarnation);
  const records: BackupRecord[] = [];
  let after = '';
  for (;;) {
    const [next] = await store.list(layout.backups, { after, max: 1 });
    if (next === undefined) return records;
    const id = next.slice(layout.backups.length).split('/')[0] ?? '';
    const record = await readRecord(store, incarnation, id);
    if (record !== undefined) records.push(record);
    // pieces may be many; go to the next backup at once
    after = `${layout.backups}${id}/zzzz`;
  }
}

/** The record of a complete backup. Throws OBS_ARCHIVE_BACKUP_MISSING, OBS_ARCHIVE_CORRUPT, OBS_ARCHIVE_FOREIGN. */
export async function readBaseBackup(
  store: ObjectStore,
  incarnation: string,
  backupId: string,
): Promise<BackupRecord> {
  const record = await readRecord(store, incarnation, backupId);
  if (record === undefined)
    throw new ObError('OBS_ARCHIVE_BACKUP_MISSING', { dest: store.name, backup: backupId });
  return record;
}

/** The file's bytes in ascending order, each piece checked. */
export async function* readBackupFile(
  store: ObjectStore,
  record: BackupRecord,
): AsyncGenerator<{ readonly position: number; readonly bytes: Uint8Array }> {
  let position = 0;
  for (const piece of record.pieces) {
    const corrupt = (why: string) =>
      new ObError('OBS_ARCHIVE_CORRUPT', { dest: store.name, key: piece.key, why });
    const stored = await store.get(piece.key);
    if (stored === undefined)
      throw new ObError('OBS_ARCHIVE_OBJECT_MISSING', { dest: store.name, key: piece.key });
    if (sha256(stored) !== piece.sha256) throw corrupt('its hash differs');
    if (piece.position !== position) throw corrupt('it is out of order');
    const bytes = await decompress(stored, piece.rawBytes).catch((error: unknown) => {
      throw corrupt(error instanceof Error ? error.message : 'it does not decompress');
    });
    if (bytes.length !== piece.rawBytes) throw corrupt('its length differs');
    position += bytes.length;
    yield { position: piece.position, bytes };
  }
  if (position !== record.fileBytes)
    throw new ObError('OBS_ARCHIVE_CORRUPT', {
      dest: store.name,
      key: record.backupId,
      why: `its pieces hold ${position} of ${record.fileBytes} bytes`,
    });
}

export type RestorePlan =
  | { readonly kind: 'plan'; readonly backup: BackupRecord }
  /** what could be restored instead; nulls when there is nothing */
  | { readonly kind: 'impossible'; readonly from: Scn | null; readonly to: Scn | null };

/**
 * The newest backup from which `until` (or the archived end) can be reached with the log in [begin, end].
 * @param begin oldest LSN of the unbroken archived log
 */
export function planRestore(
  backups: readonly BackupRecord[],
  archived: { readonly begin: LogPosition | null; readonly end: LogPosition | null },
  until: Scn | null,
): RestorePlan {
  const { begin, end } = archived;
  if (begin === null || end === null) return { kind: 'impossible', from: null, to: null };
  const usable = backups.filter(({ start, minimum }) => start.lsn >= begin.lsn && minimum.lsn <= end.lsn);
  const target = until ?? end.scn;
  const backup = usable.filter(({ minimum }) => minimum.scn <= target).at(-1);
  if (backup !== undefined && target <= end.scn) return { kind: 'plan', backup };
  const earliest = usable.reduce<number>((lowest, { minimum }) => Math.min(lowest, minimum.scn), end.scn);
  return { kind: 'impossible', from: usable.length === 0 ? null : scn(earliest), to: end.scn };
}

/** The plan, or OBS_ARCHIVE_NOT_ENOUGH_LOG. */
export function requirePlan(
  dest: string,
  backups: readonly BackupRecord[],
  archived: { readonly begin: LogPosition | null; readonly end: LogPosition | null },
  until: Scn | null,
): BackupRecord {
  const plan = planRestore(backups, archived, until);
  if (plan.kind === 'plan') return plan.backup;
  throw new ObError('OBS_ARCHIVE_NOT_ENOUGH_LOG', {
    dest,
    until: until ?? 'the end',
    from: plan.from ?? 'nothing',
    to: plan.to ?? 'nothing',
  });
}

async function readRecord(
  store: ObjectStore,
  incarnation: string,
  backupId: string,
): Promise<BackupRecord | undefined> {
  const dest = store.name;
  const key = new TenantLayout(incarnation).backupRecord(backupId);
  const bytes = await store.get(key);
  if (bytes === undefined) return undefined;
  const decoded = decodeBackup(bytes);
  if (decoded.kind === 'newer')
    throw new ObError('OBS_ARCHIVE_FORMAT_NEWER', { dest, key, version: decoded.version });
  if (decoded.kind === 'problem') throw new ObError('OBS_ARCHIVE_CORRUPT', { dest, key, why: decoded.why });
  const { record } = decoded;
  if (record.incarnation !== incarnation || record.backupId !== backupId)
    throw new ObError('OBS_ARCHIVE_FOREIGN', { dest, found: `backup ${record.backupId}`, wanted: backupId });
  return record;
}

/** Snapshot pieces joined to objects of a bounded, useful size. */
async function* piecesOf(
  snapshot: SnapshotSource,
): AsyncGenerator<{ readonly position: number; readonly bytes: Uint8Array }> {
  let parts: Uint8Array[] = [];
  let start = 0;
  let size = 0;
  for (;;) {
    const piece = await snapshot.next();
    if (piece !== undefined) {
      assert(piece.position === start + size, 'a snapshot comes in order');
      parts.push(piece.bytes);
      size += piece.bytes.length;
    }
    if (size > 0 && (piece === undefined || size >= backupPieceBytes)) {
      yield { position: start, bytes: new Uint8Array(Buffer.concat(parts)) };
      start += size;
      parts = [];
      size = 0;
    }
    if (piece === undefined) return;
  }
}

/** SCN and checksum of a group boundary. */
async function positionAt(log: LogReader, at: Lsn): Promise<LogPosition> {
  const { end } = log.state();
  if (end.lsn === at) return end;
  const chunk = await log.read(at, 1);
  assert(chunk.start.lsn === at, 'a position is a group boundary');
  return chunk.start;
}
