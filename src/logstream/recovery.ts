/**
 * Opens the files of a log stream: the meta image, a cut that a crash interrupted, the scan, the erasure of a torn tail. After it the
 * files hold exactly the log that is reported, and a new write may follow at its end.
 *
 * Must never: take a log of another stream or tenant, report damage as an earlier end (L10), forget a meta image.
 */
import { assert } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { proposalErasMax } from '../base/limits.ts';
import type { AccessMode, LogPosition, ProposalEra } from '../base/log-access.ts';
import { type LogStreamId, type Lsn, lsn, type NodeId, nodeId, proposalId, scn } from '../base/scalars.ts';
import { type MetaImage, metaVersion } from '../codec/meta-image.ts';
import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import { cutHistory } from '../palf/proposal-history.ts';
import { BlockStore } from './block-store.ts';
import { scanLog } from './log-scanner.ts';
import { MetaFile } from './meta-file.ts';

/** The name of the only member of a log stream that has one. */
export const soleMember: NodeId = nodeId('self');

export const logStart: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };

export interface RecoveryOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly directory: string;
  readonly stream: LogStreamId;
  readonly incarnation: string;
  /** of a log that is made now; an existing one keeps its own */
  readonly blockBytes: number;
  /** where, and in which access mode, a log that is made now begins */
  readonly initial: {
    readonly position: LogPosition;
    readonly accessMode: AccessMode;
    readonly checkpointLsn: Lsn;
    readonly history: readonly ProposalEra[];
  };
}

export interface RecoveredLog {
  readonly meta: MetaImage;
  readonly metaFile: MetaFile;
  readonly store: BlockStore;
  readonly end: LogPosition;
  readonly begin: Lsn;
  readonly history: readonly ProposalEra[];
  /** bytes of an unfinished write were erased */
  readonly hadTornTail: boolean;
}

/** Throws OBS_LOG_CORRUPT, OBS_LOG_FOREIGN, OBS_LOG_FORMAT_NEWER, or what the disk throws. */
export async function recoverLog(options: RecoveryOptions): Promise<RecoveredLog> {
  const { disk, directory, stream, incarnation } = options;
  await disk.makeDirectory(directory);
  const metaFile = new MetaFile(disk, directory);
  const meta = await readMeta(metaFile, options);
  if (meta.stream !== stream || meta.incarnation !== incarnation)
    throw new ObError('OBS_LOG_FOREIGN', { directory, stream: meta.stream, incarnation: meta.incarnation });
  const store = new BlockStore({ ...options, blockBytes: meta.blockBytes });
  if (meta.truncateTo !== null) await store.truncate(meta.truncateTo);
  const scan = await scanLog(store, meta);
  switch (scan.kind) {
    case 'foreign':
      throw new ObError('OBS_LOG_FOREIGN', { directory, stream: '?', incarnation: scan.what });
    case 'corrupt':
    case 'missing':
      throw new ObError('OBS_LOG_CORRUPT', { stream, lsn: scan.lsn, what: scan.what });
    case 'torn-tail':
      await store.eraseBehind(scan.end.lsn);
      break;
    case 'ok':
      if (scan.unborn !== undefined) await store.remove(scan.unborn);
  }
  const { end, begin, history } = scan;
  // What was read may be in the page cache alone, left there by a process that was killed.
  await store.sync(end.lsn);
  return { meta, metaFile, store, end, begin, history, hadTornTail: scan.kind === 'torn-tail' };
}

async function readMeta(metaFile: MetaFile, options: RecoveryOptions): Promise<MetaImage> {
  const found = await metaFile.read();
  if (found.kind === 'found') return found.image;
  const { directory, stream, incarnation, blockBytes, initial } = options;
  if (found.kind === 'newer')
    throw new ObError('OBS_LOG_FORMAT_NEWER', {
      directory,
      stream,
      found: found.version,
      known: metaVersion,
    });
  const corrupt = (what: string) =>
    new ObError('OBS_LOG_CORRUPT', { stream, lsn: 0, what: `meta image: ${what}` });
  assert(initial.checkpointLsn >= initial.position.lsn, 'a database is not behind the log it goes on from');
  if (found.kind === 'corrupt') throw corrupt(found.what);
  // Blocks are made after the first meta image is durable.
  const blocks = await new BlockStore(options).list();
  if (blocks.length > 0) throw corrupt('it is not there, but blocks are');
  const image: MetaImage = {
    stream,
    incarnation,
    blockBytes,
    proposalId: proposalId(0),
    config: {
      version: { proposalId: proposalId(0), sequence: 1 },
      members: [soleMember],
      learners: [],
      arbiter: null,
    },
    accessMode: initial.accessMode,
    modeVersion: 1,
    referenceScn: initial.position.scn,
    sealed: null,
    history: cutHistory(initial.history, initial.position.lsn).slice(-proposalErasMax),
    base: initial.position,
    checkpointLsn: initial.checkpointLsn,
    durableEnd: initial.position.lsn,
    truncateTo: null,
  };
  await metaFile.write(image);
  return image;
}
