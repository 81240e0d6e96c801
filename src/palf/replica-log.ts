/**
 * The log of one replica as its core sees it: the window of what is not durable yet, the ends of its newest groups, its
 * history, and how much of it is committed. Knows nothing of who leads.
 *
 * Keeps L5 (committed ≤ flushed ≤ tail, committed never goes back but by a flashback) and L6.
 */
import { assert, must } from '../base/assert.ts';
import { windowBytesMax, windowGroupsMax } from '../base/limits.ts';
import type { LogPosition, NewEntry, ProposalEra } from '../base/log-access.ts';
import type { Lsn, MonoMs, Scn } from '../base/scalars.ts';
import { type Group, samePosition } from '../codec/clog.ts';
import type { ClosedGroup } from '../codec/group-builder.ts';
import type { PalfSend } from './effects.ts';
import { LogEnds } from './log-ends.ts';
import type { Outbox } from './outbox.ts';
import { cutHistory, extendHistory, lastProposal } from './proposal-history.ts';
import { type GroupOwner, SlidingWindow } from './window.ts';

/** How groups that follow `prev` in another log fit this one. */
export type Fit =
  /** they go on from the tail; what this log already has of them is left out */
  | { readonly kind: 'continues'; readonly groups: readonly ClosedGroup[]; readonly matched: Lsn }
  /** this log parts from the other behind `at` */
  | { readonly kind: 'parts'; readonly at: LogPosition }
  /** this log does not hold `prev` (any more or yet), or holds another there */
  | { readonly kind: 'unknown' };

export class ReplicaLog {
  readonly #out: Outbox;
  readonly #window: SlidingWindow;
  readonly #index: LogEnds;
  /** eras of everything that has its place, the unflushed included */
  #history: readonly ProposalEra[];
  #committed: LogPosition;
  #flushStartedAt: MonoMs | undefined;

  constructor(
    found: {
      readonly end: LogPosition;
      readonly committed: LogPosition;
      readonly tail: readonly LogPosition[];
      readonly history: readonly ProposalEra[];
    },
    blockBytes: number,
    out: Outbox,
  ) {
    assert(
      samePosition(found.tail.at(-1) ?? found.committed, found.end),
      'a log ends where its last group does',
    );
    this.#out = out;
    this.#history = found.history;
    this.#committed = found.committed;
    this.#index = new LogEnds([found.committed, ...found.tail]);
    this.#window = new SlidingWindow(found.end, blockBytes, group => {
      this.#index.push(group.end);
      this.#history = extendHistory(this.#history, group.proposalId, group.start.lsn);
    });
  }

  get tail(): LogPosition {
    return this.#window.tail;
  }

  get flushed(): LogPosition {
    return this.#window.flushed;
  }

  get committed(): LogPosition {
    return this.#committed;
  }

  get history(): readonly ProposalEra[] {
    return this.#history;
  }

  get maxLsn(): Lsn {
    return this.#window.maxLsn;
  }

  get maxScn(): Scn {
    return this.#window.maxScn;
  }

  get pendingBytes(): number {
    return this.#window.pendingBytes;
  }

  get pendingGroups(): number {
    return this.#window.pendingGroups;
  }

  /** Everything that has its place is durable. */
  get isFlushed(): boolean {
    return this.#window.isEmpty;
  }

  get isFlushing(): boolean {
    return this.#window.isFlushing;
  }

  get writingSince(): MonoMs | undefined {
    return this.#flushStartedAt;
  }

  /** The position at this LSN, if a group ends there and it is remembered. */
  find(at: Lsn): LogPosition | undefined {
    return this.#index.find(at);
  }

  /** The last remembered position at or before this LSN. */
  floor(at: Lsn): LogPosition | undefined {
    return this.#index.floor(at);
  }

  /** Whether this log holds exactly this position; undefined: it is older than what is remembered. */
  holds(position: LogPosition): boolean | undefined {
    if (position.lsn < this.#index.low.lsn) return undefined;
    const own = this.#index.find(position.lsn);
    return own !== undefined && samePosition(own, position);
  }

  /** Groups behind the committed end. */
  get uncommittedGroups(): number {
    return this.#index.countBehind(this.#committed.lsn);
  }

  /** Whether `bytes` more may be ordered: what is not durable, and what is not committed, is bounded. */
  hasRoomFor(bytes: number): boolean {
    if (!this.#window.hasRoomFor(bytes)) return false;
    const uncommitted = this.maxLsn - this.#committed.lsn;
    if (uncommitted === 0) return true;
    return this.uncommittedGroups < windowGroupsMax && uncommitted + bytes <= windowBytesMax;
  }

  firstMisplaced<G extends { readonly start: LogPosition; readonly bytes: Uint8Array }>(
    groups: readonly G[],
  ): G | undefined {
    return this.#window.firstMisplaced(groups);
  }

  order(entry: NewEntry, floor: Scn, owner: GroupOwner): { readonly endLsn: Lsn; readonly scn: Scn } {
    return this.#window.order(entry, floor, owner);
  }

  adopt(groups: readonly Group[]): void {
    this.#window.adopt(groups, this.#committed.lsn);
  }

  receive(groups: readonly ClosedGroup[]): void {
    this.#window.receive(groups);
  }

  /** The first of the groups whose proposal id is below the one before it. */
  firstOutOfEra(
    groups: readonly { readonly start: LogPosition; readonly proposalId: number }[],
  ): Lsn | undefined {
    const first = groups[0];
    if (first === undefined) return undefined;
    let era = lastProposal(cutHistory(this.#history, first.start.lsn));
    for (const group of groups) {
      if (group.proposalId < era) return group.start.lsn;
      era = group.proposalId;
    }
    return undefined;
  }

  groupsFrom(from: Lsn, bytesMax: number): readonly ClosedGroup[] {
    return this.#window.groupsFrom(from, bytesMax);
  }

  /** How groups of another log fit this one. */
  fit(prev: LogPosition, groups: readonly ClosedGroup[]): Fit {
    if (this.holds(prev) !== true) return { kind: 'unknown' };
    let at = prev;
    for (const [index, group] of groups.entries()) {
      if (at.lsn === this.tail.lsn)
        return {
          kind: 'continues',
          groups: groups.slice(index),
          matched: must(groups.at(-1), 'last group').end.lsn,
        };
      if (this.holds(group.end) !== true) return { kind: 'parts', at };
      at = group.end;
    }
    return { kind: 'continues', groups: [], matched: at.lsn };
  }

  /** Starts the next durable write, if none is in flight and something waits. */
  startFlush(owner: GroupOwner, now: MonoMs, promise: (end: Lsn) => readonly PalfSend[]): boolean {
    if (this.#window.isFlushing) return false;
    const flush = this.#window.startFlush(this.#out.nextId(), owner);
    if (flush === undefined) return false;
    this.#flushStartedAt = now;
    this.#out.push({ kind: 'appendLog', ...flush, thenSend: promise(flush.end.lsn) });
    return true;
  }

  /** Whether this completes the durable write in flight. */
  finishFlush(ioId: number): boolean {
    if (!this.#window.isWriting(ioId)) return false;
    this.#window.finishFlush(ioId);
    this.#flushStartedAt = undefined;
    return true;
  }

  /** The durable write in flight was not made: with it goes what waits behind it. */
  giveUpFlush(ioId: number): void {
    this.#window.giveUpFlush(ioId);
    this.#flushStartedAt = undefined;
    this.dropUnsubmitted();
  }

  /** Moves the committed end to the last group at or before `at`; never back, never beyond what is durable here. */
  commit(at: Lsn): void {
    if (at <= this.#committed.lsn) return;
    const end = must(this.#index.floor(at <= this.flushed.lsn ? at : this.flushed.lsn), 'committed end');
    if (end.lsn <= this.#committed.lsn) return;
    this.#committed = end;
    this.#index.trim(end.lsn);
    this.#out.push({ kind: 'commitTo', end });
  }

  /** Forgets what was not handed to the disk: nobody was told that it is durable. */
  dropUnsubmitted(): void {
    this.#window.dropUnsubmitted();
    this.#forget(this.#window.tail);
  }

  /** The log was cut here on disk. */
  cut(to: LogPosition): void {
    this.#window.cut(to);
    this.#forget(to);
    if (to.lsn < this.#committed.lsn) this.#committed = to;
  }

  /** A copy of another replica's database stands in for all log before `base`. */
  restart(base: LogPosition, history: readonly ProposalEra[]): void {
    this.#window.restart(base);
    this.#index.restart(base);
    this.#history = cutHistory(history, base.lsn);
    this.#committed = base;
  }

  #forget(end: LogPosition): void {
    this.#index.cut(end);
    this.#history = cutHistory(this.#history, end.lsn);
  }
}
