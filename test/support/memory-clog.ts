/**
 * A log in memory with real groups, as a primary would write them: what archive tests read from. Not replicated, no
 * blocks; commits when told.
 */
import { assert, must } from '../../src/base/assert.ts';
import { ObError } from '../../src/base/errors.ts';
import type {
  EntryKind,
  LogChunk,
  LogHold,
  LogPosition,
  LogReader,
  LogState,
} from '../../src/base/log-access.ts';
import { logStreamId, type Lsn, lsn, nodeId, proposalId, scn } from '../../src/base/scalars.ts';
import { chain } from '../../src/codec/checksum.ts';
import { encodeGroupHeader, groupHeaderBytes } from '../../src/codec/clog.ts';
import { entryHeadBytes, writeEntryHead } from '../../src/codec/clog-entry.ts';

interface StoredGroup {
  readonly start: LogPosition;
  readonly end: LogPosition;
  readonly bytes: Uint8Array;
}

const self = nodeId('self');
const logStart: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };

export class MemoryClog implements LogReader {
  #groups: StoredGroup[] = [];
  #committed = 0;
  #begin: Lsn;
  readonly #origin: LogPosition;
  readonly #listeners = new Set<(end: LogPosition) => void>();
  readonly #holds = new Set<{ from: Lsn }>();
  #proposal: number;

  constructor(origin: LogPosition = logStart, proposal = 1) {
    this.#origin = origin;
    this.#begin = origin.lsn;
    this.#proposal = proposal;
  }

  /** Another log with the same history up to a group boundary: what a standby has. */
  copyUpTo(at: Lsn, proposal: number): MemoryClog {
    const copy = new MemoryClog(this.#origin, proposal);
    copy.#groups = this.#groups.filter(({ end }) => end.lsn <= at);
    copy.#committed = copy.#groups.length;
    return copy;
  }

  /** Orders and commits one group with one entry. */
  append(kind: EntryKind, body: Uint8Array, at: number): LogPosition {
    const start = this.#groups.at(-1)?.end ?? this.#origin;
    const head = { kind, first: true, last: true, bodyBytes: body.length, scnStep: 0 };
    const payloadBytes = entryHeadBytes(head) + body.length;
    const bytes = new Uint8Array(groupHeaderBytes + payloadBytes);
    const bodyAt = writeEntryHead(bytes, groupHeaderBytes, head);
    bytes.set(body, bodyAt);
    const maxScn = scn(Math.max(at, start.scn + 1));
    const checksum = chain(start.checksum, bytes.subarray(groupHeaderBytes));
    encodeGroupHeader(bytes, start.lsn, {
      padding: false,
      rawWrite: false,
      payloadBytes,
      proposalId: proposalId(this.#proposal),
      committedEnd: start.lsn,
      maxScn,
      checksum,
    });
    const end = { lsn: lsn(start.lsn + bytes.length), scn: maxScn, checksum };
    this.#groups.push({ start, end, bytes });
    return end;
  }

  /** Everything appended so far becomes committed. */
  commit(): LogPosition {
    this.#committed = this.#groups.length;
    const { end } = this.state();
    for (const listener of this.#listeners) listener(end);
    return end;
  }

  /** Forgets groups that end at or below `below`, whatever holds say. */
  recycle(below: Lsn): void {
    this.#begin = must(this.#groups.find(({ end }) => end.lsn > below)?.start, 'a group to keep').lsn;
  }

  /** All committed bytes from the origin on. */
  bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#groups.slice(0, this.#committed).map(group => group.bytes)));
  }

  positions(): readonly LogPosition[] {
    return [this.#origin, ...this.#groups.slice(0, this.#committed).map(({ end }) => end)];
  }

  state(): LogState {
    const end = this.#groups[this.#committed - 1]?.end ?? this.#origin;
    const last = this.#groups.at(-1)?.end ?? this.#origin;
    return {
      stream: logStreamId(1001),
      role: 'leader',
      leader: self,
      isActive: true,
      isImpaired: false,
      isStuck: false,
      config: {
        version: { proposalId: proposalId(0), sequence: 1 },
        members: [self],
        learners: [],
        degraded: [],
        arbiter: null,
      },
      proposalId: proposalId(this.#proposal),
      accessMode: 'APPEND',
      modeVersion: 1,
      baseLsn: this.#begin,
      beginLsn: this.#begin,
      end,
      maxLsn: last.lsn,
      maxScn: last.scn,
      proposalHistory: [{ proposalId: proposalId(this.#proposal), startLsn: this.#origin.lsn }],
    };
  }

  read(from: Lsn, bytesMax: number): Promise<LogChunk> {
    if (from < this.#begin)
      return Promise.reject(new ObError('OBS_LOG_RECYCLED', { from, begin: this.#begin }));
    const { end } = this.state();
    if (from >= end.lsn) {
      assert(from === end.lsn, 'a read begins inside the log');
      return Promise.resolve({ start: end, end, bytes: new Uint8Array(0) });
    }
    const first = this.#groups.findIndex(group => group.end.lsn > from);
    const taken: StoredGroup[] = [];
    let size = 0;
    for (const group of this.#groups.slice(first, this.#committed)) {
      if (taken.length > 0 && size + group.bytes.length > bytesMax) break;
      taken.push(group);
      size += group.bytes.length;
    }
    return Promise.resolve({
      start: must(taken[0], 'a group').start,
      end: must(taken.at(-1), 'a group').end,
      bytes: new Uint8Array(Buffer.concat(taken.map(({ bytes }) => bytes))),
    });
  }

  onCommitted(listener: (end: LogPosition) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  hold(_name: string, from: Lsn): LogHold {
    const hold = { from };
    this.#holds.add(hold);
    return {
      advance: to => {
        assert(to >= hold.from, 'a hold only advances');
        hold.from = to;
      },
      release: () => {
        this.#holds.delete(hold);
      },
    };
  }

  /** Log from each of these on must stay. */
  heldFrom(): readonly Lsn[] {
    return [...this.#holds].map(({ from }) => from);
  }
}
