/**
 * The sliding window: log that has its place but is not durable yet. Hands out LSNs and SCNs, closes groups, takes groups
 * that others wrote, and decides what the next durable write holds. One write is in flight at a time; what is ordered
 * meanwhile coalesces into the next one, so the batch size follows the disk (feedback freeze).
 *
 * A group's header says what its writer knew to be committed, and a scanner takes that as proof of what was durable before
 * it. A leader may know commits of log that this replica writes only now, in the same write: such a header is told down to
 * the start of the write, or a write that was torn would look like rot.
 *
 * Keeps L5 (accepted ≥ submitted ≥ flushed), L6 (no gaps, SCNs advance), L9 (bounded).
 */
import { assert, must } from '../base/assert.ts';
import {
  entryBodyBytesMax,
  flushBytesMax,
  groupBytesMax,
  splitBytesMin,
  windowBytesMax,
  windowGroupsMax,
} from '../base/limits.ts';
import type { LogPosition, NewEntry } from '../base/log-access.ts';
import { type Lsn, type ProposalId, type Scn, scn } from '../base/scalars.ts';
import { blockRoom } from '../codec/block-header.ts';
import {
  adoptGroup,
  committedEndOf,
  type Group,
  groupHeaderBytes,
  paddingGroup,
  withCommittedEnd,
} from '../codec/clog.ts';
import { entryHeadBytesMax } from '../codec/clog-entry.ts';
import { type ClosedGroup, EntryBody, GroupBuilder } from '../codec/group-builder.ts';

/** A durable write under way. */
export interface Flush {
  readonly ioId: number;
  readonly start: LogPosition;
  readonly end: LogPosition;
  readonly groups: readonly ClosedGroup[];
}

/** Fields of a group header that belong to the writing replica at this moment. */
export interface GroupOwner {
  readonly proposalId: ProposalId;
  readonly committedEnd: Lsn;
}

export class SlidingWindow {
  readonly #room: number;
  /** end of the last closed group */
  #tail: LogPosition;
  #flushed: LogPosition;
  #open: GroupBuilder | undefined;
  #closed: ClosedGroup[] = [];
  #inFlight: Flush | undefined;
  readonly #onClosed: (group: ClosedGroup) => void;

  /** @param onClosed told of every group that gets its place behind the tail, in order */
  constructor(end: LogPosition, blockBytes: number, onClosed: (group: ClosedGroup) => void = () => {}) {
    this.#room = blockRoom(blockBytes);
    this.#onClosed = onClosed;
    this.#tail = end;
    this.#flushed = end;
  }

  get tail(): LogPosition {
    return this.#tail;
  }

  get flushed(): LogPosition {
    return this.#flushed;
  }

  /** End of everything ordered. */
  get maxLsn(): Lsn {
    return this.#open?.endLsn ?? this.#tail.lsn;
  }

  get maxScn(): Scn {
    return this.#open?.maxScn ?? this.#tail.scn;
  }

  get isEmpty(): boolean {
    return this.#open === undefined && this.#closed.length === 0 && this.#inFlight === undefined;
  }

  get isFlushing(): boolean {
    return this.#inFlight !== undefined;
  }

  /** Whether this is the write in flight. */
  isWriting(ioId: number): boolean {
    return this.#inFlight?.ioId === ioId;
  }

  get pendingBytes(): number {
    return this.maxLsn - this.#flushed.lsn;
  }

  get pendingGroups(): number {
    return this.#closed.length + (this.#open === undefined ? 0 : 1) + (this.#inFlight?.groups.length ?? 0);
  }

  /** Whether `bytes` more may be ordered now; one oversized entry passes when nothing else is pending. */
  hasRoomFor(bytes: number): boolean {
    if (this.isEmpty) return true;
    return this.pendingGroups < windowGroupsMax && this.pendingBytes + bytes <= windowBytesMax;
  }

  /**
   * Orders an entry: its parts get LSNs and SCNs, above `scnFloor`. Returns where its last part ends, and that one's SCN.
   */
  order(entry: NewEntry, scnFloor: Scn, owner: GroupOwner): { readonly endLsn: Lsn; readonly scn: Scn } {
    const body = new EntryBody(entry.body);
    assert(body.left <= entryBodyBytesMax, 'an entry keeps to its size limit');
    for (let first = true; ; first = false) {
      if (this.#open !== undefined && this.#open.room < Math.min(body.left, splitBytesMin))
        this.#closeOpen(owner);
      this.#open ??= this.#openGroup(body.left, owner);
      const open = this.#open;
      const take = Math.min(open.room, body.left);
      const last = take === body.left;
      const entryScn = scn(Math.max(open.maxScn + 1, scnFloor));
      const endLsn = open.add({ kind: entry.kind, first, last, scn: entryScn }, body, take);
      if (last) return { endLsn, scn: entryScn };
      this.#closeOpen(owner);
    }
  }

  /** The first of `groups` that does not lie inside one block of this log, if any. */
  firstMisplaced<G extends { readonly start: LogPosition; readonly bytes: Uint8Array }>(
    groups: readonly G[],
  ): G | undefined {
    return groups.find(group => {
      const left = this.#room - (group.start.lsn % this.#room) - group.bytes.length;
      return left < 0 || (left > 0 && left < groupHeaderBytes);
    });
  }

  /** Takes groups of another site, which continue this log. */
  adopt(groups: readonly Group[], committedEnd: Lsn): void {
    assert(this.#open === undefined, 'a log takes raw groups or entries, not both');
    for (const group of groups) {
      assert(group.start.lsn === this.#tail.lsn, 'raw groups continue the log');
      const bytes = adoptGroup(group, committedEnd);
      this.#push({ start: group.start, end: group.end, proposalId: group.header.proposalId, bytes });
    }
  }

  /** Takes groups of this log that another replica has, which continue it. */
  receive(groups: readonly ClosedGroup[]): void {
    assert(this.#open === undefined, 'only one replica orders');
    for (const group of groups) {
      assert(group.start.lsn === this.#tail.lsn, 'received groups continue the log');
      this.#push(group);
    }
  }

  /** Groups that are not durable yet, from the one that starts at `from` on: not more than `bytesMax`, but one at least. */
  groupsFrom(from: Lsn, bytesMax: number): readonly ClosedGroup[] {
    const groups: ClosedGroup[] = [];
    let bytes = 0;
    const take = (group: ClosedGroup): boolean => {
      if (group.start.lsn < from) return true;
      if (groups.length > 0 && bytes + group.bytes.length > bytesMax) return false;
      groups.push(group);
      bytes += group.bytes.length;
      return true;
    };
    for (const group of this.#inFlight?.groups ?? []) if (!take(group)) return groups;
    for (const group of this.#closed) if (!take(group)) return groups;
    return groups;
  }

  /** Forgets what was not handed to the disk. */
  dropUnsubmitted(): void {
    this.#open = undefined;
    this.#closed = [];
    this.#tail = this.#inFlight?.end ?? this.#flushed;
  }

  /** Starts the next durable write, if none is in flight and something waits. It stays inside one block. */
  startFlush(ioId: number, owner: GroupOwner): Flush | undefined {
    if (this.#inFlight !== undefined) return undefined;
    if (this.#open !== undefined) this.#closeOpen(owner);
    const first = this.#closed[0];
    if (first === undefined) return undefined;
    let count = 1;
    let bytes = first.bytes.length;
    for (; count < this.#closed.length; count++) {
      const next = must(this.#closed[count], 'closed group');
      if (bytes + next.bytes.length > flushBytesMax || next.start.lsn % this.#room === 0) break;
      bytes += next.bytes.length;
    }
    const written = this.#closed.splice(0, count);
    const groups = written.map(group =>
      committedEndOf(group.bytes) <= first.start.lsn
        ? group
        : { ...group, bytes: withCommittedEnd(group.bytes, group.start.lsn, first.start.lsn) },
    );
    this.#inFlight = { ioId, start: first.start, end: must(groups.at(-1), 'last group').end, groups };
    return this.#inFlight;
  }

  /** The write in flight is durable. */
  finishFlush(ioId: number): Flush {
    const flush = must(this.#inFlight, 'flush in flight');
    assert(flush.ioId === ioId, 'completions name the flush in flight');
    assert(flush.start.lsn === this.#flushed.lsn, 'flushes follow each other without a gap');
    this.#flushed = flush.end;
    this.#inFlight = undefined;
    return flush;
  }

  /** The write in flight was not made. */
  giveUpFlush(ioId: number): void {
    assert(this.isWriting(ioId), 'completions name the flush in flight');
    this.#inFlight = undefined;
  }

  /** Back to an earlier end; only while nothing is pending. */
  cut(to: LogPosition): void {
    assert(to.lsn <= this.#flushed.lsn, 'a log is cut backwards');
    this.restart(to);
  }

  /** The log goes on from another place; only while nothing is pending. */
  restart(to: LogPosition): void {
    assert(this.isEmpty, 'only a quiet log is cut');
    this.#tail = to;
    this.#flushed = to;
  }

  #closeOpen(owner: GroupOwner): void {
    const group = must(this.#open, 'open group').close(owner);
    this.#open = undefined;
    this.#push(group);
  }

  #push(group: ClosedGroup): void {
    this.#closed.push(group);
    this.#tail = group.end;
    this.#onClosed(group);
  }

  /**
   * A group at the tail. Every group leaves room for a padding header behind it in its block, so that a block can
   * always be closed; a block's end too small for a useful part of the body is padded.
   */
  #openGroup(bodyBytes: number, owner: GroupOwner): GroupBuilder {
    const smallest = groupHeaderBytes + entryHeadBytesMax + Math.min(bodyBytes, splitBytesMin);
    const left = this.#room - (this.#tail.lsn % this.#room);
    if (left - groupHeaderBytes < smallest) {
      const bytes = paddingGroup(this.#tail, left, owner);
      const end = { ...this.#tail, lsn: (this.#tail.lsn + left) as Lsn };
      this.#push({ start: this.#tail, end, proposalId: owner.proposalId, bytes });
    }
    const room = this.#room - (this.#tail.lsn % this.#room);
    const bytesMax = Math.min(groupBytesMax, room - groupHeaderBytes);
    return new GroupBuilder(this.#tail, bytesMax, groupHeaderBytes + entryHeadBytesMax + bodyBytes);
  }
}
