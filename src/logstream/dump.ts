/**
 * What is inside a file of a log stream, in words and as values: a clog block (header, groups, entries, what follows
 * them) or a meta image (both copies). For people who look into a damaged or strange log: takes any bytes, checks
 * everything, stops where the log stops making sense and says why.
 */
import { unreachable } from '../base/assert.ts';
import { metaImageBytesMax } from '../base/limits.ts';
import { blockHeaderBytes, decodeBlockHeader, positionInBlock } from '../codec/block-header.ts';
import { type ClogProblem, decodeGroup, type Group, isProblem } from '../codec/clog.ts';
import { decodeEntries, type EntryPart } from '../codec/clog-entry.ts';
import { decodeMeta } from '../codec/meta-image.ts';
import { decodeRedo } from '../codec/redo.ts';
import { decodeRoleEntry } from '../codec/role-entry.ts';
import { metaCopies } from './meta-file.ts';

export interface LogDumpRecord {
  readonly text: string;
  readonly value: object;
  /** false for damage */
  readonly sound: boolean;
}

const bad = (what: string): LogDumpRecord => ({ text: what, value: { problem: what }, sound: false });

/** The records of a block file or a meta file; undefined if it is neither. `bodies`: entries in full, as hex. */
export function dumpLogFile(
  bytes: Uint8Array,
  options: { readonly bodies: boolean },
): Iterable<LogDumpRecord> | undefined {
  const start = Buffer.from(bytes.subarray(0, 4)).toString('latin1');
  if (start === 'OBCB') return dumpBlock(bytes, options.bodies);
  const copy = Buffer.from(bytes.subarray(metaImageBytesMax, metaImageBytesMax + 4)).toString('latin1');
  return start === 'OBLM' || copy === 'OBLM' ? dumpMeta(bytes) : undefined;
}

function* dumpMeta(bytes: Uint8Array): Generator<LogDumpRecord> {
  for (let copy = 0; copy < metaCopies; copy++) {
    const meta = decodeMeta(bytes.subarray(copy * metaImageBytesMax, (copy + 1) * metaImageBytesMax));
    if (meta.kind === 'newer-meta')
      yield bad(`meta copy ${copy + 1}: a newer program wrote it (version ${meta.version})`);
    else if (isProblem(meta)) yield bad(`meta copy ${copy + 1}: ${meta.what}`);
    else
      yield {
        text: `meta copy ${copy + 1}, number ${meta.sequence}: ${JSON.stringify(meta.image, null, 2)}`,
        value: { record: 'meta', copy: copy + 1, sequence: meta.sequence, ...meta.image },
        sound: true,
      };
  }
}

function* dumpBlock(bytes: Uint8Array, withBodies: boolean): Generator<LogDumpRecord> {
  const header = decodeBlockHeader(bytes.subarray(0, blockHeaderBytes));
  if (isProblem(header)) {
    yield bad(`block: ${header.what}`);
    return;
  }
  const { start } = header;
  yield {
    text:
      `block ${header.blockId} of ${header.blockBytes} bytes, log stream ${header.stream}, incarnation ${header.incarnation}, ` +
      `begins at LSN ${start.lsn} SCN ${start.scn} checksum ${hex(start.checksum)}`,
    value: { record: 'block', ...header },
    sound: true,
  };
  let end = start;
  for (let offset = positionInBlock(end.lsn, header.blockBytes); offset < bytes.length; ) {
    const group = decodeGroup(bytes, offset, end);
    if (group.kind === 'problem') {
      yield describeRest(bytes.subarray(offset), group);
      return;
    }
    yield* dumpGroup(group, withBodies);
    end = group.end;
    offset += group.bytes.length;
  }
}

function* dumpGroup(group: Group, withBodies: boolean): Generator<LogDumpRecord> {
  const { header, start, end } = group;
  const flags = `${header.padding ? ' padding' : ''}${header.rawWrite ? ' raw-write' : ''}`;
  yield {
    text:
      `group ${start.lsn}..${end.lsn} proposal ${header.proposalId} committed ${header.committedEnd} ` +
      `SCN ${header.maxScn} checksum ${hex(header.checksum)}${flags}`,
    value: { record: 'group', startLsn: start.lsn, endLsn: end.lsn, ...header },
    sound: true,
  };
  const parts = decodeEntries(group);
  if (isProblem(parts)) yield bad(`  at LSN ${parts.lsn}: ${parts.what}`);
  else for (const part of parts) yield dumpEntry(part, withBodies);
}

function dumpEntry(entry: EntryPart, withBodies: boolean): LogDumpRecord {
  const isWhole = entry.first && entry.last;
  const part = isWhole ? 'whole' : entry.first ? 'first' : entry.last ? 'last' : 'middle';
  const { detail, sound } = isWhole ? describeBody(entry) : { detail: {}, sound: true };
  const body = withBodies ? { body: Buffer.from(entry.body).toString('hex') } : {};
  const words = Object.entries({ ...detail, ...body }).map(([name, value]) => ` ${name} ${value}`);
  return {
    text:
      `  ${entry.kind}${isWhole ? '' : ` (${part} part)`} to LSN ${entry.endLsn} SCN ${entry.scn}, ` +
      `${entry.body.length} bytes${words.join('')}`,
    value: {
      record: 'entry',
      kind: entry.kind,
      endLsn: entry.endLsn,
      scn: entry.scn,
      bodyBytes: entry.body.length,
      part,
      ...detail,
      ...body,
    },
    sound,
  };
}

function describeBody(entry: EntryPart): { detail: object; sound: boolean } {
  switch (entry.kind) {
    case 'keep-alive':
      return { detail: {}, sound: true };
    case 'role': {
      const role = decodeRoleEntry(entry.body);
      return 'kind' in role
        ? { detail: { problem: role.what }, sound: false }
        : { detail: role, sound: true };
    }
    case 'redo': {
      const redo = decodeRedo(entry.body);
      if (redo.kind === 'problem') return { detail: { problem: redo.problem }, sound: false };
      const { transactions, pageCount, databasePages, pageBytes } = redo;
      return { detail: { transactions, pageCount, databasePages, pageBytes }, sound: true };
    }
    default:
      return unreachable(entry.kind);
  }
}

/** Zeros are where the log will go on; anything else is an unfinished write, or damage. */
function describeRest(rest: Uint8Array, problem: ClogProblem): LogDumpRecord {
  if (!Buffer.alloc(rest.length).equals(rest))
    return bad(`at LSN ${problem.lsn}: ${problem.what}; ${rest.length} bytes are left`);
  return {
    text: `end of the log in this block at LSN ${problem.lsn}, ${rest.length} zero bytes follow`,
    value: { record: 'end', lsn: problem.lsn, zeroBytes: rest.length },
    sound: true,
  };
}

const hex = (checksum: number): string => checksum.toString(16).padStart(8, '0');
