/**
 * Another site whose log this one follows: whole groups that go on from a position, written by a primary of its own
 * proposal id, as they would come over the network.
 */
import { must } from '../../../src/base/assert.ts';
import type { LogChunk, LogPosition } from '../../../src/base/log-access.ts';
import type { Lsn, ProposalId, Scn } from '../../../src/base/scalars.ts';
import { SlidingWindow } from '../../../src/palf/window.ts';

interface StoredGroup {
  readonly start: LogPosition;
  readonly end: LogPosition;
  readonly bytes: Uint8Array;
}

export class RawSource {
  readonly #proposalId: ProposalId;
  readonly #window: SlidingWindow;
  readonly #groups: StoredGroup[] = [];
  readonly #places = new Map<Lsn, number>();
  #ioId = 1;

  constructor(start: LogPosition, blockBytes: number, proposalId: ProposalId) {
    this.#proposalId = proposalId;
    this.#window = new SlidingWindow(start, blockBytes);
  }

  write(body: Uint8Array, floor: Scn): void {
    const owner = { proposalId: this.#proposalId, committedEnd: this.#window.flushed.lsn };
    this.#window.order({ kind: 'redo', body: [body] }, floor, owner);
    for (;;) {
      const flush = this.#window.startFlush(this.#ioId, owner);
      if (flush === undefined) break;
      this.#window.finishFlush(this.#ioId++);
      for (const group of flush.groups) {
        this.#places.set(group.start.lsn, this.#groups.length);
        this.#groups.push(group);
      }
    }
  }

  /** Groups that go on from the end of a log; undefined if there are none, or that is no boundary of this log. */
  chunk(from: Lsn, groupsMax: number): LogChunk | undefined {
    const first = this.#places.get(from);
    if (first === undefined) return undefined;
    const groups = this.#groups.slice(first, first + groupsMax);
    return {
      start: must(groups[0], 'first group').start,
      end: must(groups.at(-1), 'last group').end,
      bytes: Buffer.concat(groups.map(({ bytes }) => bytes)),
    };
  }
}
