/**
 * Opens the files of a log stream: the meta image, a cut that a crash interrupted, the scan, the erasure of a torn tail. After it the
 * files hold exactly the log that is reported, and a new write may follow at its end; only damage that nobody could mend is left as it is.
 *
 * Damage of a log that nobody else has is thrown. Where there are other replicas it is mended from them, and what they
 * cannot give now makes a replica that does not vote until its leader has mended it.
 *
 * The process before may have died of a write that failed. The kernel says so once: what was written stays in the page cache, is
 * read back, and is called clean, so that no sync brings it to the disk. What that write may have held is written again.
 *
 * Must never: take a log of another stream, tenant or node, report damage as an earlier end (L10), forget a meta image, count log
 * as durable because it can be read (L8).
 */
import type { InitialLog } from './log-stream-options.ts';
import { assert } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { flushBytesMax, proposalErasMax } from '../base/limits.ts';
import type { ConfigVersion, LogPosition, ProposalEra } from '../base/log-access.ts';
import { type LogStreamId, type Lsn, type NodeId, nodeId, proposalId } from '../base/scalars.ts';
import { blockIdOf, blockStart } from '../codec/block-header.ts';
import { firstRecord, noVersion, replicasOf } from '../codec/config-record.ts';
import { type MetaImage, metaVersion } from '../codec/meta-image.ts';
import { cutHistory } from '../palf/proposal-history.ts';
import { votersOf } from '../palf/quorum.ts';
import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import type { Logger } from '../platform/logger.ts';
import { BlockStore } from './block-store.ts';
import { type Mend, scanLog } from './log-scanner.ts';
import { MetaFile } from './meta-file.ts';
import type { RangeRepair } from './range-repair.ts';

/** The name of the only member of a log stream whose node has no name. */
export const soleMember: NodeId = nodeId('self');

export interface RecoveryOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directory: string;
  readonly stream: LogStreamId;
  readonly incarnation: string;
  readonly self: NodeId;
  /** of a log that is made now; an existing one keeps its own */
  readonly blockBytes: number;
  /** where, in which access mode, and with whom a log that is made now begins */
  readonly initial: InitialLog;
  /** groups that follow a position in the logs of other nodes; null if there is no way to ask them */
  readonly fetch: RangeRepair['fetch'] | null;
}

export interface RecoveredLog {
  readonly meta: MetaImage;
  readonly metaFile: MetaFile;
  readonly store: BlockStore;
  readonly end: LogPosition;
  /** the furthest end that is proven to be committed, and the ends of the groups behind it */
  readonly committed: LogPosition;
  readonly tail: readonly LogPosition[];
  readonly begin: Lsn;
  readonly history: readonly ProposalEra[];
  /** bytes of an unfinished write were erased */
  readonly hadTornTail: boolean;
  /** log that had been durable behind `end` is damaged or gone; what is left of it is still there */
  readonly damage: { readonly what: string; readonly isHeaderLost: boolean } | null;
}

/** Throws OBS_LOG_CORRUPT, OBS_LOG_FOREIGN, OBS_LOG_OTHER_NODE, OBS_LOG_FORMAT_NEWER, or what the disk throws. */
export async function recoverLog(options: RecoveryOptions): Promise<RecoveredLog> {
  const { disk, directory, stream, incarnation, self } = options;
  await disk.makeDirectory(directory);
  const metaFile = new MetaFile(disk, directory);
  const meta = ownMeta(await readMeta(metaFile, options), self);
  if (meta.stream !== stream || meta.incarnation !== incarnation)
    throw new ObError('OBS_LOG_FOREIGN', { directory, stream: meta.stream, incarnation: meta.incarnation });
  if (meta.self !== self) throw new ObError('OBS_LOG_OTHER_NODE', { directory, found: meta.self, self });
  const store = new BlockStore({ ...options, blockBytes: meta.blockBytes });
  if (meta.truncateTo !== null) await store.truncate(meta.truncateTo);
  const others = replicasOf(meta.config).filter(node => node !== self);
  // The only member is not alone with an arbiter: that may have voted for one whom this one's record calls degraded.
  const isAlone = votersOf(meta.config).join() === self;
  const mend = others.length === 0 ? undefined : mendFrom(options, store, others, meta.cutApplied);
  const scan = await scanLog(store, meta, mend);
  let damage: RecoveredLog['damage'] = null;
  switch (scan.kind) {
    case 'foreign':
      throw new ObError('OBS_LOG_FOREIGN', { directory, stream: '?', incarnation: scan.what });
    case 'corrupt':
    case 'missing':
      if (isAlone) throw new ObError('OBS_LOG_CORRUPT', { stream, lsn: scan.lsn, what: scan.what });
      damage = scan;
      break;
    case 'torn-tail':
      await store.eraseBehind(scan.end.lsn);
      break;
    case 'ok':
      if (scan.unborn !== undefined) await store.remove(scan.unborn);
      // The zeros, too, may hide a torn write from us that could not be erased: no image says that none began after it.
      if (await store.has(scan.end.lsn)) await store.eraseBehind(scan.end.lsn, flushBytesMax);
  }
  const { end, begin, history } = scan;
  // What was read may be in the page cache alone, left there by a process that was killed, or that died of a failed write.
  await store.sync(meta.base.lsn, end.lsn);
  await store.rewrite(end.lsn, scan.last);
  return {
    meta,
    metaFile,
    store,
    end,
    // What the only voter has made durable is committed.
    ...(isAlone ? { committed: end, tail: [] } : { committed: scan.committed, tail: scan.tail }),
    begin,
    history,
    hadTornTail: scan.kind === 'torn-tail',
    damage,
  };
}

/** Mends from other replicas; gives up at a place that is still damaged after it was mended. */
function mendFrom(
  { fetch, logger }: RecoveryOptions,
  store: BlockStore,
  peers: readonly NodeId[],
  lastCut: ConfigVersion,
): Mend {
  let before = -1;
  return async (at, isHeaderLost) => {
    if (fetch === null || at.lsn === before) return false;
    before = at.lsn;
    const chunk = await fetch(at, { peers, lastCut });
    if (chunk === undefined) return false;
    const blockEnd = blockStart(blockIdOf(at.lsn, store.blockBytes) + 1, store.blockBytes);
    const bytes = chunk.bytes.subarray(0, blockEnd - at.lsn);
    await store.restore(at, bytes, isHeaderLost);
    logger.warn({ lsn: at.lsn, bytes: bytes.length }, 'damaged log was restored from another replica');
    return true;
  };
}

/** The image as this node's: what was made before the node had a name, and never had another member, is its own. */
function ownMeta(meta: MetaImage, self: NodeId): MetaImage {
  const { members } = meta.config;
  if (meta.self !== soleMember || members.length !== 1 || members[0] !== soleMember) return meta;
  return { ...meta, self, config: { ...meta.config, members: [self] } };
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
    self: options.self,
    promised: proposalId(0),
    leaseMs: 0,
    accepted: proposalId(0),
    config: firstRecord({
      members: initial.members,
      learners: initial.learners,
      arbiter: initial.arbiter ?? null,
      accessMode: initial.accessMode,
      referenceScn: initial.position.scn,
    }),
    cutApplied: noVersion,
    history: cutHistory(initial.history, initial.position.lsn).slice(-proposalErasMax),
    base: initial.position,
    checkpointLsn: initial.checkpointLsn,
    durableEnd: initial.position.lsn,
    truncateTo: null,
    impaired: null,
    mendings: 0,
  };
  await metaFile.write(image);
  return image;
}
