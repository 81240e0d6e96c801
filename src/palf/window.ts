/**
 * The sliding window: log that has its place but is not durable yet. Hands out LSNs and SCNs, closes groups, and
 * decides what the next durable write holds. One write is in flight at a time; what is ordered meanwhile coalesces
 * into the next one, so the batch size follows the disk (feedback freeze).
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
import { adoptGroup, type Group, groupHeaderBytes, paddingGroup } from '../codec/clog.ts';
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

  constructor(end: LogPosition, blockBytes: number) {
    this.#room = blockRoom(blockBytes);
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
   * Orders an entry: its parts get LSNs and SCNs, above `scnFloor`. Returns where its last part ends, and whether
   * groups were closed on the way (the era they begin is the caller's to note).
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
  firstMisplaced(groups: readonly Group[]): Group | undefined {
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
      this.#closed.push({ start: group.start, end: group.end, proposalId: group.header.proposalId, bytes });
      this.#tail = group.end;
    }
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
    const groups = this.#closed.splice(0, count);
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

  /** Back to an earlier end; only while nothing is pending. */
  cut(to: LogPosition): void {
    assert(this.isEmpty && to.lsn <= this.#flushed.lsn, 'only a quiet log is cut, and only backwards');
    this.#tail = to;
    this.#flushed = to;
  }

  #closeOpen(owner: GroupOwner): void {
    const group = must(this.#open, 'open group').close(owner);
    this.#closed.push(group);
    this.#tail = group.end;
    this.#open = undefined;
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
      this.#closed.push({ start: this.#tail, end, proposalId: owner.proposalId, bytes });
      this.#tail = end;
    }
    const room = this.#room - (this.#tail.lsn % this.#room);
    const bytesMax = Math.min(groupBytesMax, room - groupHeaderBytes);
    return new GroupBuilder(this.#tail, bytesMax, groupHeaderBytes + entryHeadBytesMax + bodyBytes);
  }
}
