/**
 * A replica's database copied from another node of its cluster: what a replica does that needs log nobody has any more, or whose
 * own files are damaged. The copy is fuzzy, as a base backup's: it is whole once the log that follows it has come so far.
 *
 * The log says durably that this replica counts for nothing before the first byte of its database goes, and that it counts
 * again only when the copy is in place (E8): a crash in between begins the rebuild anew.
 */
import { z } from 'zod';
import { must } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { nodePieceBytes, rebuildHoldMs, rebuildWatchMs } from '../base/limits.ts';
import type { LogHold } from '../base/log-access.ts';
import { lsn, type NodeId, proposalId, scn, type TenantId, tenantId } from '../base/scalars.ts';
import { encodeCheckpointFile } from '../codec/checkpoint-record.ts';
import type { LogStream } from '../logstream/log-stream.ts';
import type { RebuildNeed } from '../logstream/log-stream-options.ts';
import type { ByteSink, ByteStream } from '../logstream/peers/byte-stream.ts';
import type { Clock } from '../platform/clock.ts';
import { isNoRoom } from '../platform/disk.ts';
import type { TenantEngine } from '../tenant/engine.ts';
import type { ReplicaIdentity } from './replica-log.ts';
import { tenantPaths } from './tenant-paths.ts';
import type { ReplicaHost } from './unit-host.ts';

/** Name of the stream between nodes. */
export const copyStreamOp = 'replica-copy';

const whole = z.int().min(0);
const request = z.object({ tenantId: whole.min(1).transform(tenantId), incarnation: z.string() });
const begin = z.object({
  start: z.object({
    lsn: whole.transform(lsn),
    scn: whole.transform(scn),
    checksum: whole.max(0xffff_ffff),
  }),
  pageBytes: whole,
  history: z.array(z.object({ proposalId: whole.transform(proposalId), startLsn: whole.transform(lsn) })),
});
/** the next bytes belong here in the file */
const place = z.object({ position: whole });
const end = z.object({ minimumLsn: whole.transform(lsn), fileBytes: whole });

/**
 * Takes the place of this replica's database and log. Its engine is closed. Throws OBS_NODE_*, OBS_STANDBY_SNAPSHOT_BROKEN,
 * OBS_REPLICA_COPY_NO_ROOM.
 */
export async function rebuildFrom(
  host: ReplicaHost,
  tenant: ReplicaIdentity,
  log: LogStream,
  { peer }: RebuildNeed,
): Promise<void> {
  const { links } = must(host.cluster, 'a cluster to be rebuilt from');
  const stream = await links.openStream(peer, copyStreamOp, {
    tenantId: tenant.id,
    incarnation: tenant.incarnation,
  });
  try {
    const copy = begin.parse(await note(stream, peer));
    await log.beginRebuild();
    const { minimumLsn, fileBytes } = await takeFile(host, tenant.id, stream, peer);
    const paths = tenantPaths(host.dataDirectory, tenant.id);
    const { pageBytes, start } = copy;
    await host.disk.replaceFile(
      `${paths.database}/checkpoint`,
      encodeCheckpointFile({
        position: start,
        databasePages: fileBytes / pageBytes,
        pageBytes,
        incarnation: tenant.incarnation,
      }),
    );
    await host.disk.rename(`${paths.databaseFile}.part`, paths.databaseFile);
    const history = copy.history.filter(({ startLsn }) => startLsn < start.lsn);
    await log.finishRebuild({ base: start, checkpointLsn: minimumLsn, history });
  } catch (error) {
    if (isNoRoom(error)) {
      await host.disk.remove(`${tenantPaths(host.dataDirectory, tenant.id).databaseFile}.part`);
      throw new ObError('OBS_REPLICA_COPY_NO_ROOM', { tenant: tenant.name }, error);
    }
    throw error instanceof z.ZodError ? broken(peer, 'what it says of its copy is not understood') : error;
  } finally {
    stream.close();
  }
}

async function takeFile(
  host: ReplicaHost,
  id: TenantId,
  stream: ByteStream,
  peer: NodeId,
): Promise<z.output<typeof end>> {
  const { databaseFile } = tenantPaths(host.dataDirectory, id);
  const partPath = `${databaseFile}.part`;
  await host.disk.remove(partPath);
  const file = await host.disk.open(partPath, { create: true });
  try {
    let at = 0;
    let copiedBytes = 0;
    for (;;) {
      const item = await stream.next();
      if (item === undefined) throw broken(peer, 'it ended before it was whole');
      if (item.kind === 'bytes') {
        await file.write(at, item.bytes);
        at += item.bytes.length;
        copiedBytes = Math.max(copiedBytes, at);
        continue;
      }
      const finished = end.safeParse(item.body);
      if (!finished.success) {
        at = place.parse(item.body).position;
        continue;
      }
      if (copiedBytes !== finished.data.fileBytes)
        throw broken(peer, `${copiedBytes} bytes came of a file of ${finished.data.fileBytes}`);
      await file.sync();
      return finished.data;
    }
  } finally {
    await file.close();
  }
}

async function note(stream: ByteStream, peer: NodeId): Promise<unknown> {
  const item = await stream.next();
  if (item?.kind !== 'note') throw broken(peer, 'it does not say what it is a copy of');
  return item.body;
}

const broken = (peer: NodeId, what: string): ObError =>
  new ObError('OBS_STANDBY_SNAPSHOT_BROKEN', { source: `node ${peer}`, what });

/** A replica here that can be copied. */
export interface CopySource {
  readonly incarnation: string;
  readonly log: LogStream;
  readonly engine: TenantEngine;
}

/** Sends a copy; the log that it needs is kept until the replica there has it. */
export async function serveCopy(
  find: (tenant: TenantId) => CopySource | undefined,
  clock: Clock,
  body: unknown,
  from: { readonly nodeId: NodeId },
  sink: ByteSink,
): Promise<void> {
  const asked = request.safeParse(body);
  if (!asked.success) throw new ObError('OBS_NODE_BAD_REQUEST', { what: 'no request for a copy' });
  const source = find(asked.data.tenantId);
  if (source === undefined || source.incarnation !== asked.data.incarnation)
    throw new ObError('OBS_SERVER_NO_SUCH_TENANT', { tenant: asked.data.tenantId });
  const { engine, log } = source;
  const snapshot = await engine.snapshot();
  let hold: LogHold | undefined;
  try {
    // Log may still be kept for a copy that was given up: that is enough of once, however often a node begins anew.
    hold = log.hold(`rebuild of node ${from.nodeId}`, snapshot.startLsn, true);
    await sink.note({
      start: { lsn: snapshot.startLsn, scn: snapshot.startScn, checksum: snapshot.startChecksum },
      pageBytes: snapshot.pageBytes,
      history: log.state().proposalHistory,
    });
    let at = 0;
    for (let piece = await snapshot.next(); piece !== undefined; piece = await snapshot.next()) {
      if (!sink.open) throw new ObError('OBS_NODE_CLOSED', { node: from.nodeId, why: 'it reads no more' });
      if (piece.position !== at) await sink.note({ position: piece.position });
      at = piece.position + piece.bytes.length;
      for (let offset = 0; offset < piece.bytes.length; offset += nodePieceBytes)
        await sink.write(piece.bytes.subarray(offset, offset + nodePieceBytes));
    }
    await sink.note(snapshot.finish());
    keepFor(log, from.nodeId, snapshot.finish().minimumLsn, hold, clock);
  } catch (error) {
    hold?.release();
    throw error;
  } finally {
    await snapshot.close();
  }
}

/** Lets go of the log when the replica has what its copy needs, or has not asked for it for long. */
function keepFor(log: LogStream, node: NodeId, needed: number, hold: LogHold, clock: Clock): void {
  const deadline = clock.now() + rebuildHoldMs;
  const watch = (): void => {
    const progress = log.replicas().find(replica => replica.node === node);
    const has = progress !== undefined && !progress.isImpaired && progress.flushedLsn >= needed;
    if (has || clock.now() >= deadline) hold.release();
    else clock.after(rebuildWatchMs, watch);
  };
  clock.after(rebuildWatchMs, watch);
}
