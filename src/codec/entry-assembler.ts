/**
 * Reads entries out of a log: checks groups, joins the parts of split bodies, drops a body whose rest was never
 * written (its leader died) when something else follows. Used by whoever replays, ships or prints log.
 *
 * Where to start again after a stop is `resume`, not `position`: a body whose end has not come yet must be read again
 * from its first part, or it would be lost (S2, S3).
 */
import { must } from '../base/assert.ts';
import { entryBodyBytesMax } from '../base/limits.ts';
import type { EntryKind, LogPosition } from '../base/log-access.ts';
import type { Lsn, ProposalId, Scn } from '../base/scalars.ts';
import { type ClogProblem, decodeGroups, type Group, isProblem, problem } from './clog.ts';
import { decodeEntries, type EntryPart } from './clog-entry.ts';
import { type Cursor, readVarint } from './varint.ts';

/** A whole entry. */
export interface LogEntry {
  readonly kind: EntryKind;
  readonly scn: Scn;
  readonly endLsn: Lsn;
  /** of the primary that wrote it */
  readonly proposalId: ProposalId;
  /** a view into the bytes pushed, or a copy if it was split */
  readonly body: Uint8Array;
  /** transactions a redo entry says it holds; 0 for other kinds */
  readonly transactions: number;
}

interface Run {
  readonly kind: EntryKind;
  readonly parts: Uint8Array[];
  bytes: number;
  readonly startsIn: LogPosition;
}

export class EntryAssembler {
  readonly #from: Lsn;
  #position: LogPosition;
  #run: Run | undefined;

  /**
   * @param start a group boundary, where the first bytes pushed begin
   * @param from entries that end at or before this are passed over: a reader whose own position lies inside a group
   *   starts with that whole group
   */
  constructor(start: LogPosition, from: Lsn = start.lsn) {
    this.#position = start;
    this.#from = from;
  }

  /** Behind the last group pushed. */
  get position(): LogPosition {
    return this.#position;
  }

  /** Where a new reader must start so that nothing is missed: before an unfinished body, else `position`. */
  get resume(): LogPosition {
    return this.#run?.startsIn ?? this.#position;
  }

  /**
   * Takes whole groups that continue the last ones; returns the entries they complete. After a problem the assembler
   * stands where it stood.
   */
  push(bytes: Uint8Array): readonly LogEntry[] | ClogProblem {
    const groups = decodeGroups(bytes, this.#position);
    if (isProblem(groups)) return groups;
    const entries: LogEntry[] = [];
    const decoded: (readonly EntryPart[])[] = [];
    for (const group of groups) {
      const parts = decodeEntries(group);
      if (isProblem(parts)) return parts;
      decoded.push(parts);
    }
    const runBefore = this.#run === undefined ? undefined : { ...this.#run, parts: [...this.#run.parts] };
    for (const [index, group] of groups.entries()) {
      for (const part of must(decoded[index], 'entries of a group')) {
        const wrong = this.#take(part, group, entries);
        if (wrong !== undefined) {
          this.#run = runBefore;
          return wrong;
        }
      }
    }
    this.#position = groups.at(-1)?.end ?? this.#position;
    return entries;
  }

  #take(part: EntryPart, group: Group, entries: LogEntry[]): ClogProblem | undefined {
    if (part.endLsn <= this.#from) return undefined;
    if (part.first) this.#run = undefined;
    if (part.first && part.last) {
      entries.push(wholeEntry(part, group, part.body));
      return undefined;
    }
    if (part.first) {
      this.#run = { kind: part.kind, parts: [], bytes: 0, startsIn: group.start };
    } else if (this.#run === undefined || this.#run.kind !== part.kind) {
      return problem(part.endLsn, 'a continued entry without its beginning');
    }
    const run = must(this.#run, 'unfinished body');
    run.parts.push(part.body);
    run.bytes += part.body.length;
    if (run.bytes > entryBodyBytesMax) return problem(part.endLsn, 'an entry is larger than the limit');
    if (part.last) {
      entries.push(wholeEntry(part, group, join(run)));
      this.#run = undefined;
    } else {
      // The bytes may be a network buffer: what waits for the rest is kept as a copy.
      run.parts[run.parts.length - 1] = part.body.slice();
    }
    return undefined;
  }
}

const wholeEntry = (part: EntryPart, group: Group, body: Uint8Array): LogEntry => ({
  kind: part.kind,
  scn: part.scn,
  endLsn: part.endLsn,
  proposalId: group.header.proposalId,
  body,
  transactions: part.kind === 'redo' ? redoTransactions(body) : 0,
});

/** A redo body begins with its page size exponent and its number of transactions; 0 if it is malformed. */
function redoTransactions(body: Uint8Array): number {
  const cursor: Cursor = { bytes: body, offset: 1, end: body.length };
  return Math.max(0, readVarint(cursor));
}

function join(run: Run): Uint8Array {
  const body = new Uint8Array(run.bytes);
  let offset = 0;
  for (const part of run.parts) {
    body.set(part, offset);
    offset += part.length;
  }
  return body;
}
