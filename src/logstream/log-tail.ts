/**
 * The newest durable log in memory, so that whoever follows closely reads no disk. Bounded in bytes; an idle stream keeps
 * a few KiB. Holds whole groups, oldest first, without a gap.
 */
import { must } from '../base/assert.ts';
import { tailBytesIdle, tailBytesMax, tailKeepMs } from '../base/limits.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import type { Lsn, MonoMs } from '../base/scalars.ts';
import type { ClosedGroup } from '../codec/group-builder.ts';

interface TailGroup {
  readonly start: LogPosition;
  readonly end: LogPosition;
  readonly bytes: Uint8Array;
  readonly at: MonoMs;
}

/** Dead slots at the front are dropped when there are this many of them. */
const compactAt = 256;

export class LogTail {
  #groups: TailGroup[] = [];
  #head = 0;
  #bytes = 0;

  push(groups: readonly ClosedGroup[], now: MonoMs): void {
    for (const { start, end, bytes } of groups) {
      this.#groups.push({ start, end, bytes, at: now });
      this.#bytes += bytes.length;
    }
    const isTooOld = (group: TailGroup) => this.#bytes > tailBytesIdle && now - group.at > tailKeepMs;
    for (let oldest = this.#groups[this.#head]; oldest !== undefined; oldest = this.#groups[this.#head]) {
      if (this.#bytes <= tailBytesMax && !isTooOld(oldest)) break;
      this.#bytes -= oldest.bytes.length;
      this.#head += 1;
    }
    if (this.#head >= compactAt || this.#head === this.#groups.length) {
      this.#groups = this.#groups.slice(this.#head);
      this.#head = 0;
    }
  }

  clear(): void {
    this.#groups = [];
    this.#head = 0;
    this.#bytes = 0;
  }

  /**
   * Groups from the one that holds byte `from` on, up to `bytesMax` (at least one group), none beyond `end`.
   * Undefined if `from` is not in memory.
   */
  read(from: Lsn, bytesMax: number, end: Lsn): LogChunk | undefined {
    const first = this.#find(from);
    if (first === undefined) return undefined;
    let count = 0;
    let bytes = 0;
    for (let index = first; index < this.#groups.length; index++) {
      const group = must(this.#groups[index], 'tail group');
      if (group.end.lsn > end || (count > 0 && bytes + group.bytes.length > bytesMax)) break;
      count += 1;
      bytes += group.bytes.length;
    }
    if (count === 0) return undefined;
    const start = must(this.#groups[first], 'first group').start;
    const last = must(this.#groups[first + count - 1], 'last group');
    if (count === 1) return { start, end: last.end, bytes: last.bytes };
    const joined = new Uint8Array(bytes);
    let offset = 0;
    for (let index = first; index < first + count; index++) {
      const group = must(this.#groups[index], 'tail group');
      joined.set(group.bytes, offset);
      offset += group.bytes.length;
    }
    return { start, end: last.end, bytes: joined };
  }

  /** Index of the group that holds byte `from`. */
  #find(from: Lsn): number | undefined {
    let low = this.#head;
    let high = this.#groups.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const group = must(this.#groups[middle], 'tail group');
      if (from < group.start.lsn) high = middle - 1;
      else if (from >= group.end.lsn) low = middle + 1;
      else return middle;
    }
    return undefined;
  }
}
