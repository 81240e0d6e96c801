/**
 * Undo on a replica that lost leadership: the WAL is cut back, in place, to an earlier commit. Nothing after that
 * commit may have reached the database file; the checkpointer's rule (only majority-committed pages) makes it so, and
 * this asserts it.
 *
 * The header goes first, so that nobody maps a frame that is about to go; then the index entries behind it; then the
 * frames themselves, whose checksums would still be right and which a later recovery would bring back.
 */
import { assert } from '../../base/assert.ts';
import type { Connection } from './connection.ts';
import type { DatabaseFiles } from './database-files.ts';
import { wordBuffer } from '../../codec/word-buffer.ts';
import {
  frameHeaderBytes,
  framePosition,
  framesBeforeRegion,
  readUint32BigEndian,
  regionOfFrame,
  type WalMark,
} from './wal-format.ts';
import { WalIndexHeader } from './wal-index-header.ts';
import { WalIndexRegion } from './wal-index-region.ts';
import { takeWriteLock } from './write-lock.ts';

/**
 * Makes `mark` the last commit again. `connection` is read-write and in no transaction, and no read transaction of
 * this process is open on a later commit. Returns false, with nothing changed, if the WAL was restarted since the mark
 * or never got there; then close the database and recover it from the log.
 */
export function rewindWal(files: DatabaseFiles, connection: Connection, mark: WalMark): boolean {
  takeWriteLock(connection.prepare('BEGIN IMMEDIATE'), files.path);
  try {
    const header = new WalIndexHeader(files);
    header.read();
    if (header.salt1 !== mark.salt1 || header.salt2 !== mark.salt2) return false;
    if (header.maxFrame < mark.frame) return false;
    if (header.maxFrame === mark.frame) return true;
    assert(
      header.backfilled <= mark.frame,
      `no frame after the committed one is in the database file (${header.backfilled} > ${mark.frame})`,
    );
    const checksum = checksumOf(files, mark);
    header.publish(mark, checksum.sum1, checksum.sum2);
    const region = new WalIndexRegion(regionOfFrame(Math.max(1, mark.frame)));
    region.load(files, mark.frame - framesBeforeRegion(region.region));
    files.truncateWal(mark.frame === 0 ? 0 : framePosition(mark.frame + 1, files.frameBytes));
    return true;
  } finally {
    // Never ROLLBACK: it would leave this connection with the pages of the undone commits in its cache.
    connection.exec('COMMIT');
  }
}

/** The running checksum at a commit frame, which is stored in it. */
function checksumOf(files: DatabaseFiles, mark: WalMark): { sum1: number; sum2: number } {
  if (mark.frame === 0) return { sum1: 0, sum2: 0 };
  const { bytes, words } = wordBuffer(frameHeaderBytes);
  const got = files.readWal(bytes, 0, frameHeaderBytes, framePosition(mark.frame, files.frameBytes));
  assert(
    got === frameHeaderBytes &&
      words[2] === mark.salt1 &&
      words[3] === mark.salt2 &&
      readUint32BigEndian(bytes, 4) === mark.databasePages,
    'the mark is a commit frame of this WAL',
  );
  return { sum1: readUint32BigEndian(bytes, 16) | 0, sum2: readUint32BigEndian(bytes, 20) | 0 };
}
