/**
 * Makes the files of a new standby: copies the source's database file while the source works on, starts an empty log where
 * the copy starts, and pulls log until the copy can be made whole. After that the engine opens as after any crash.
 *
 * Nothing here is resumed: the file appears under its name only when it is complete, and a creation that was interrupted
 * begins anew. The source keeps the log that is needed until the first pull.
 */
import { ObError } from '../base/errors.ts';
import type { LogPosition, LogRawWriter, LogReader, LogTailReader, ProposalEra } from '../base/log-access.ts';
import { type Lsn, roleEpoch, scnUnlimited } from '../base/scalars.ts';
import type { PeerDescription } from '../codec/peer-message.ts';
import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import type { Logger } from '../platform/logger.ts';
import type { Random } from '../platform/random.ts';
import type { PeerConnection } from './network/peer-connection.ts';
import { type PullSources, StandbyPuller } from './puller.ts';

/** The checkpoint that goes with the copied file: the copy holds everything before `lsn`. */
export interface CopiedCheckpoint extends LogPosition {
  readonly databasePages: number;
  readonly pageBytes: number;
  readonly incarnation: string;
}

/** Where an empty log begins. */
interface InitialLog {
  readonly position: LogPosition;
  /** the copied file holds changes up to here: the log takes no entries of its own before it has come so far */
  readonly checkpointLsn: Lsn;
  /** the source's eras: without them a later primary could use a proposal id again */
  readonly proposalHistory: readonly ProposalEra[];
  readonly blockBytes: number;
}

type StandbyLog = LogRawWriter & LogReader & LogTailReader;

export interface CreateStandbyOptions {
  /** logged in at the source; stays open */
  readonly connection: PeerConnection;
  readonly sources: PullSources;
  readonly disk: Disk;
  /** of the SQLite file to be made; its directory exists */
  readonly databasePath: string;
  /** makes the record durable beside the database file */
  readonly writeCheckpoint: (checkpoint: CopiedCheckpoint) => Promise<void>;
  /** creates the log stream in RAW_WRITE; the caller owns it */
  readonly openLog: (initial: InitialLog) => Promise<StandbyLog>;
  /** the longest that pulling the log up to the copy's end may take */
  readonly pullTimeoutMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly onProgress: (progress: { readonly fileBytes: number }) => void;
  readonly onFatal: (error: unknown) => void;
}

export interface CreatedStandby {
  readonly source: PeerDescription;
  readonly log: StandbyLog;
  readonly start: LogPosition;
  /** log up to here is in `log`; the engine must replay it before anybody reads */
  readonly minimumLsn: Lsn;
  readonly fileBytes: number;
}

/** Throws what the connection, the disk or the log throw, and OBS_STANDBY_SNAPSHOT_BROKEN. */
export async function createStandby(options: CreateStandbyOptions): Promise<CreatedStandby> {
  const { connection, disk, databasePath } = options;
  const source = connection.peer;
  const download = await connection.snapshot();
  const partPath = `${databasePath}.part`;
  await disk.remove(partPath);
  const file = await disk.open(partPath, { create: true });
  let copiedBytes = 0;
  try {
    for (let piece = await download.next(); piece !== undefined; piece = await download.next()) {
      await file.write(piece.position, piece.bytes);
      copiedBytes = Math.max(copiedBytes, piece.position + piece.bytes.length);
      options.onProgress({ fileBytes: copiedBytes });
    }
    const { fileBytes } = download.finish();
    if (copiedBytes !== fileBytes || fileBytes % download.pageBytes !== 0) {
      throw new ObError('OBS_STANDBY_SNAPSHOT_BROKEN', {
        source: `${source.tenant} of ${source.site}`,
        what: `${copiedBytes} bytes came of a file of ${fileBytes}`,
      });
    }
    await file.sync();
  } finally {
    await file.close();
  }
  const { minimumLsn, fileBytes } = download.finish();
  await options.writeCheckpoint({
    ...download.start,
    databasePages: fileBytes / download.pageBytes,
    pageBytes: download.pageBytes,
    incarnation: source.incarnation,
  });
  await disk.rename(partPath, databasePath);
  const log = await options.openLog({
    position: download.start,
    checkpointLsn: minimumLsn,
    proposalHistory: download.proposalHistory,
    blockBytes: source.blockBytes,
  });
  await pullUpTo(minimumLsn, log, options);
  return { source, log, start: download.start, minimumLsn, fileBytes };
}

async function pullUpTo(lsn: Lsn, log: StandbyLog, options: CreateStandbyOptions): Promise<void> {
  const puller = new StandbyPuller({
    log,
    apply: null,
    // The sources stay the caller's: closing this puller must not close them.
    sources: {
      network: options.sources.network,
      archive:
        options.sources.archive === null
          ? null
          : { ...borrowed(options.sources.archive), close: () => Promise.resolve() },
    },
    recoveryUntil: scnUnlimited,
    knownEpoch: roleEpoch(0),
    sourceEnd: null,
    bandwidthBytesPerSecond: 0,
    clock: options.clock,
    random: options.random,
    logger: options.logger,
    onSourceEnd: () => {},
    onEpoch: () => {},
    onFatal: options.onFatal,
  });
  try {
    puller.start();
    await puller.caughtUpTo(lsn, options.pullTimeoutMs);
  } finally {
    await puller.close();
  }
}

type Archive = Exclude<PullSources['archive'], null>;
const borrowed = (archive: Archive): Pick<Archive, 'name' | 'read'> => ({
  name: archive.name,
  read: (from, bytesMax) => archive.read(from, bytesMax),
});
