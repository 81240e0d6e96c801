/**
 * Makes the files of a new standby: from a source that is reached over the network, or from an archive (newest fitting base
 * backup and the log after it). The file appears under its name only when it is complete; what was interrupted is begun anew.
 */
import { mkdirSync } from 'node:fs';
import { ArchiveReader } from '../archive/restore-reader.ts';
import { listBaseBackups, readBackupFile, requirePlan } from '../archive/base-backup.ts';
import { openObjectStore } from '../archive/open-store.ts';
import { parseStoreLocation } from '../archive/store-location.ts';
import { must } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { standbyPullMs } from '../base/limits.ts';
import { lsn, type Lsn, roleEpoch, type RoleEpoch, type Scn, scn, scnUnlimited } from '../base/scalars.ts';
import type { BackupRecord } from '../codec/backup.ts';
import { encodeCheckpointFile } from '../codec/checkpoint-record.ts';
import type { LogStream } from '../logstream/log-stream.ts';
import type { ObjectStore } from '../platform/object-store.ts';
import { decodeControlReply } from '../role/control-ops.ts';
import type { EpochStart } from '../role/row.ts';
import { StandbyArchiveSource } from '../standby/archive-source.ts';
import { type CopiedCheckpoint, createStandby } from '../standby/create-standby.ts';
import { StandbyPuller } from '../standby/puller.ts';
import type { Progress } from './operations.ts';
import { PeerLink, type PeerRoute } from './peer-link.ts';
import type { StoredTenant } from './sys-store.ts';
import { tenantPaths, type TenantPaths } from './tenant-paths.ts';
import { openUnitLog } from './replica-log.ts';
import { openingsOf } from './unit-archive.ts';
import type { UnitHost } from './unit-host.ts';

/** What the new standby turned out to be; its log is open and holds everything its copy needs. */
export interface CreatedFiles {
  readonly incarnation: string;
  readonly pageBytes: number;
  readonly epoch: RoleEpoch;
  /** the epochs of the source's history, as far as it told */
  readonly openings: readonly EpochStart[];
  readonly log: LogStream;
}

const boundPollMs = 20;

type NewTenant = Pick<StoredTenant, 'id' | 'name'>;

/** Copies from a running source. Throws OBS_PEER_*, OBS_STANDBY_SNAPSHOT_BROKEN. */
export async function createFromNetwork(
  host: UnitHost,
  tenant: NewTenant,
  route: PeerRoute,
  progress: Progress,
): Promise<CreatedFiles> {
  const paths = makeDirectories(host, tenant);
  const link = new PeerLink({ host, localTenant: tenant.name, incarnation: null });
  const connection = await link.connect(route, roleEpoch(0));
  try {
    const { peer } = connection;
    const told = decodeControlReply(await connection.control('describe', {}));
    const started = host.clock.now();
    let log: LogStream | null = null;
    const created = await createStandby({
      connection,
      sources: { network: link.source(route), archive: null },
      disk: host.disk,
      databasePath: paths.databaseFile,
      writeCheckpoint: checkpoint => writeCheckpoint(host, paths, checkpoint),
      openLog: async initial => {
        log = await openUnitLog(host, { ...tenant, incarnation: peer.incarnation }, initial);
        return log;
      },
      pullTimeoutMs: standbyPullMs,
      clock: host.clock,
      random: host.random,
      logger: host.logger.child({ tenant: tenant.name }),
      onProgress: ({ fileBytes }) =>
        progress({
          step: 'copy the database',
          site: '',
          state: 'running',
          detail: `${fileBytes} bytes`,
          ms: host.clock.now() - started,
        }),
      onFatal: host.onFatal,
    }).catch(async (error: unknown) => {
      await log?.close();
      throw error;
    });
    progress({
      step: 'copy the database',
      site: '',
      state: 'done',
      detail: `${created.fileBytes} bytes`,
      ms: host.clock.now() - started,
    });
    return {
      incarnation: peer.incarnation,
      pageBytes: peer.pageBytes,
      epoch: peer.roleEpoch,
      openings: told.kind === 'description' ? told.description.openings : [],
      log: must<LogStream>(log, 'log of the new standby'),
    };
  } finally {
    connection.close();
  }
}

/** How far a copy from an archive goes before it is opened. */
export type CopyBound =
  /** far enough to be whole; it follows the archive afterwards */
  | { readonly kind: 'whole' }
  /** to the archived end, or to an SCN: a restore */
  | { readonly kind: 'end' }
  | { readonly kind: 'scn'; readonly scn: Scn };

/** Restores from an archive. Throws OBS_ARCHIVE_*. A bound by SCN picks a backup from which it can be reached. */
export async function createFromArchive(
  host: UnitHost,
  tenant: NewTenant,
  location: string,
  bound: CopyBound,
  progress: Progress,
): Promise<CreatedFiles> {
  const { clock, random, variables } = host;
  const until = bound.kind === 'scn' ? bound.scn : null;
  const wanted = parseStoreLocation(location, variables).tenant;
  const store = await openObjectStore(location, { clock, random, variables, access: 'read' });
  let log: LogStream | null = null;
  try {
    const reader = new ArchiveReader({ store, clock, identity: wanted === null ? {} : { name: wanted } });
    const head = await reader.head();
    const { incarnation } = head.tenant;
    const backups = await listBaseBackups(store, incarnation);
    const paths = makeDirectories(host, tenant);
    // A log that is whole needs no base: replay begins with an empty database.
    const fromNothing =
      backups.length === 0 && head.begin?.lsn === 0 && (until === null || until <= head.checkpointScn);
    const backup = fromNothing ? null : requirePlan(store.name, backups, head, until);
    if (backup !== null) await restoreFile(host, store, backup, paths, progress);
    const start = backup?.start ?? { lsn: lsn(0), scn: scn(0), checksum: 0 };
    const blockBytes = backup?.blockBytes ?? host.settings.blockBytes;
    log = await openUnitLog(
      host,
      { ...tenant, incarnation },
      {
        position: start,
        checkpointLsn: backup?.minimum.lsn ?? start.lsn,
        proposalHistory: backup?.proposalHistory ?? [],
        blockBytes,
      },
    );
    const source = new StandbyArchiveSource({ reader, store, clock });
    const target = bound.kind === 'end' ? (head.end ?? start) : (backup?.minimum ?? start);
    await pullTo(host, tenant, log, source, { lsn: target.lsn, until }, progress);
    return {
      incarnation,
      pageBytes: backup?.pageBytes ?? host.settings.pageBytes,
      epoch: roleEpoch(Math.max(1, head.epoch)),
      openings: openingsOf(head),
      log,
    };
  } catch (error) {
    await log?.close();
    throw error;
  } finally {
    await store.close();
  }
}

function makeDirectories(host: UnitHost, tenant: NewTenant): TenantPaths {
  const paths = tenantPaths(host.dataDirectory, tenant.id);
  mkdirSync(paths.database, { recursive: true, mode: 0o700 });
  return paths;
}

const writeCheckpoint = (host: UnitHost, paths: TenantPaths, checkpoint: CopiedCheckpoint): Promise<void> => {
  const { lsn: at, scn: time, checksum, databasePages, pageBytes, incarnation } = checkpoint;
  const record = { position: { lsn: at, scn: time, checksum }, databasePages, pageBytes, incarnation };
  return host.disk.replaceFile(`${paths.database}/checkpoint`, encodeCheckpointFile(record));
};

async function restoreFile(
  host: UnitHost,
  store: ObjectStore,
  backup: BackupRecord,
  paths: TenantPaths,
  progress: Progress,
): Promise<void> {
  const started = host.clock.now();
  const partPath = `${paths.databaseFile}.part`;
  await host.disk.remove(partPath);
  const file = await host.disk.open(partPath, { create: true });
  let bytesDone = 0;
  try {
    for await (const piece of readBackupFile(store, backup)) {
      await file.write(piece.position, piece.bytes);
      bytesDone = piece.position + piece.bytes.length;
      progress({
        step: 'restore the base backup',
        site: '',
        state: 'running',
        detail: `${bytesDone} of ${backup.fileBytes} bytes`,
        ms: host.clock.now() - started,
      });
    }
    if (bytesDone !== backup.fileBytes) {
      throw new ObError('OBS_ARCHIVE_BACKUP_MISSING', { dest: store.name, backup: backup.backupId });
    }
    await file.sync();
  } finally {
    await file.close();
  }
  const { pageBytes, incarnation, start } = backup;
  await writeCheckpoint(host, paths, {
    ...start,
    databasePages: backup.fileBytes / pageBytes,
    pageBytes,
    incarnation,
  });
  await host.disk.rename(partPath, paths.databaseFile);
  progress({
    step: 'restore the base backup',
    site: '',
    state: 'done',
    detail: backup.backupId,
    ms: host.clock.now() - started,
  });
}

/** Pulls log until the copy is whole and, if there is a bound, until it is reached. The source stays the caller's. */
async function pullTo(
  host: UnitHost,
  tenant: NewTenant,
  log: LogStream,
  source: StandbyArchiveSource,
  target: { readonly lsn: Lsn; readonly until: Scn | null },
  progress: Progress,
): Promise<void> {
  const { clock } = host;
  const started = clock.now();
  const puller = new StandbyPuller({
    log,
    apply: null,
    sources: {
      network: null,
      archive: {
        name: source.name,
        read: (from, bytesMax) => source.read(from, bytesMax),
        close: () => Promise.resolve(),
      },
    },
    recoveryUntil: target.until ?? scnUnlimited,
    knownEpoch: roleEpoch(0),
    sourceEnd: null,
    bandwidthBytesPerSecond: 0,
    clock,
    random: host.random,
    logger: host.logger.child({ tenant: tenant.name }),
    onSourceEnd: () => {},
    onEpoch: () => {},
    onFatal: host.onFatal,
  });
  try {
    puller.start();
    await puller.caughtUpTo(target.lsn, standbyPullMs);
    const deadline = clock.now() + standbyPullMs;
    // What has arrived up to the bound must be durable too: closing the puller forgets it.
    const isThere = (): boolean => {
      const { status, received, sync } = puller.status();
      return status === 'RESTORE SUSPEND' && received.lsn <= sync.lsn;
    };
    while (target.until !== null && !isThere()) {
      if (clock.now() > deadline) {
        throw new ObError('OBS_STANDBY_NOT_CAUGHT_UP', {
          lsn: target.lsn,
          flushed: log.state().end.lsn,
          applied: 0,
          status: puller.status().status,
        });
      }
      await new Promise<void>(resolve => clock.after(boundPollMs, resolve));
    }
  } finally {
    await puller.close();
  }
  const { lsn: at } = log.state().end;
  progress({
    step: 'read the log',
    site: '',
    state: 'done',
    detail: `to LSN ${at}`,
    ms: clock.now() - started,
  });
}
