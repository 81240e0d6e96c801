/** Archive objects as plain values for `obstandby dump`: manifests, segments with their groups, backup records. */
import { zstdDecompressSync } from 'node:zlib';
import { decodeBackup } from '../codec/backup.ts';
import { decodeGroups, isProblem } from '../codec/clog.ts';
import { decodeEntries } from '../codec/clog-entry.ts';
import { decodeManifest } from '../codec/manifest.ts';
import { decodeSegment, type SegmentHeader } from '../codec/segment.ts';

/** What an archive object says, JSON-ready; undefined if the bytes are none of the archive's. */
export function dumpArchiveObject(bytes: Uint8Array): object | undefined {
  switch (new TextDecoder().decode(bytes.subarray(0, 4))) {
    case 'OBMF':
      return decodeManifest(bytes);
    case 'OBBK':
      return decodeBackup(bytes);
    case 'OBSG':
      return dumpSegment(bytes);
    default:
      return undefined;
  }
}

function dumpSegment(bytes: Uint8Array): object {
  const decoded = decodeSegment(bytes);
  if (decoded.kind !== 'segment') return decoded;
  const { header, body } = decoded;
  return { kind: 'segment', header, storedBytes: body.length, groups: dumpGroups(header, body) };
}

function dumpGroups(header: SegmentHeader, body: Uint8Array): object {
  let raw = body;
  try {
    if (header.compression === 'zstd')
      raw = zstdDecompressSync(body, { maxOutputLength: Math.max(1, header.rawBytes) });
  } catch (error) {
    return { kind: 'problem', why: error instanceof Error ? error.message : 'it does not decompress' };
  }
  const groups = decodeGroups(raw, header.start);
  if (isProblem(groups)) return groups;
  return groups.map(group => {
    const entries = decodeEntries(group);
    return {
      start: group.start.lsn,
      end: group.end.lsn,
      ...group.header,
      entries: isProblem(entries)
        ? entries
        : entries.map(({ kind, first, last, scn, endLsn, body: entryBody }) => ({
            kind,
            first,
            last,
            scn,
            endLsn,
            bodyBytes: entryBody.length,
          })),
    };
  });
}
